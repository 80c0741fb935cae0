"""A Raspberry Pi's card in QEMU's raspi3b, as far as that models one: no firmware runs, and its watchdog resets the board at
once when it is opened, so the kernel is told to leave that driver out."""

import os
import subprocess
import tempfile
import time

from .card import SLOT_A
from .structure import Image

HANG_S = 1200.0
TREE = "bcm2837-rpi-3-b.dtb"


def _boot(image, pattern, folder, arguments):
    """Until the console on the second serial port says so."""
    card, log = os.path.join(folder, "card"), os.path.join(folder, "console")
    subprocess.run(["cp", "--sparse=always", image.path, card], check=True)
    with open(os.path.join(folder, "tree"), "wb") as file:
        file.write(image.file(SLOT_A, f"dtbs/{TREE}"))
    command = ["qemu-system-aarch64", "-M", "raspi3b", "-nodefaults", "-display", "none", "-no-reboot", "-dtb",
               os.path.join(folder, "tree"), "-drive", f"if=sd,format=raw,file={card}", "-serial", "null", "-serial",
               f"file:{log}", *arguments]
    began = time.monotonic()
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            while time.monotonic() < began + HANG_S:
                time.sleep(0.2)
                text = open(log, "rb").read().decode("utf-8", "replace") if os.path.exists(log) else ""
                if pattern in text:
                    return time.monotonic() - began
                assert process.poll() is None, f"QEMU ended: {text[-500:]}"
            raise AssertionError(f"not within {HANG_S} s: {pattern}: {text[-500:]}")
        finally:
            process.kill()


def system(built):
    """Kernel, initramfs and device tree of slot A: it finds the card, and what is not on it."""
    image = Image(os.path.join(built, "holdfast-rpi-arm64.img"))
    with tempfile.TemporaryDirectory(prefix="holdfast-pi-") as folder:
        for name in ("vmlinuz", "initrd"):
            with open(os.path.join(folder, name), "wb") as file:
                file.write(image.file(SLOT_A, name))
        return _boot(image, "not provisioned: no holdfast/board", folder,
                     ["-kernel", os.path.join(folder, "vmlinuz"), "-initrd", os.path.join(folder, "initrd"), "-append",
                      "console=ttyS1,115200 quiet module_blacklist=bcm2835_wdt"])


def loader(built):
    """U-Boot reads slot state and slot from the card, and starts the kernel (minutes: its reads are slow there)."""
    image = Image(os.path.join(built, "holdfast-rpi-arm64.img"))
    with tempfile.TemporaryDirectory(prefix="holdfast-pi-") as folder:
        with open(os.path.join(folder, "u-boot"), "wb") as file:
            file.write(image.fat("u-boot-64.bin"))
        return _boot(image, "Starting kernel", folder, ["-kernel", os.path.join(folder, "u-boot")])
