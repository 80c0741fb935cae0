"""The image as a file: partitions, boot blocks, FAT and slots, read by other tools than made them where there are some."""

import hashlib
import json
import os
import re
import struct
import subprocess
import tempfile

from .card import DATA_AT, FAT_AT, SECTOR, SLOT_A, SLOT_B, SLOT_SIZE

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
TREES = {"rpi-arm64": ("bcm2711-rpi-4-b.dtb", "bcm2837-rpi-3-b-plus.dtb", "bcm2837-rpi-zero-2-w.dtb"),
         "rpi-armhf": ("bcm2836-rpi-2-b.dtb", "bcm2837-rpi-3-b.dtb"),
         "beaglebone": ("am335x-boneblack.dtb", "am335x-bonegreen.dtb", "am335x-pocketbeagle.dtb")}
# That a card, a network and a watchdog are found at all.
DRIVERS = {"rpi": ("bcm2835", "sdhci-iproc", "smsc95xx", "lan78xx", "bcm2835_wdt", "leds-gpio"),
           "bea": ("omap_wdt", "ti_cpsw_new", "smsc", "leds-gpio", "sdhci-omap"),
           "qem": ("virtio_blk", "virtio_net")}
BOOTS = {"rpi-arm64": ("u-boot-64.bin",), "rpi-armhf": ("u-boot-2.bin", "u-boot-3.bin")}


class Image:
    def __init__(self, path):
        self.path, self.scratch = path, tempfile.TemporaryDirectory(prefix="holdfast-structure-")

    def at(self, offset, size):
        with open(self.path, "rb") as file:
            file.seek(offset)
            return file.read(size)

    def fat(self, name):
        return subprocess.run(["mtype", "-i", f"{self.path}@@{FAT_AT}", f"::{name}"], capture_output=True, check=True).stdout

    def fat_names(self):
        text = subprocess.run(["mdir", "-b", "-/", "-i", f"{self.path}@@{FAT_AT}", "::"], capture_output=True, text=True,
                              check=True).stdout
        return {line.removeprefix("::/").rstrip("/") for line in text.split("\n") if line}

    def partition(self, offset):
        out = os.path.join(self.scratch.name, f"{offset}")
        if not os.path.exists(out):
            with open(out, "wb") as file:
                file.write(self.at(offset, SLOT_SIZE))
        return out

    def ext4(self, offset, command):
        return subprocess.run(["/sbin/debugfs", "-R", command, self.partition(offset)], capture_output=True, text=True,
                              check=True).stdout

    def check_ext4(self, offset):
        subprocess.run(["/sbin/e2fsck", "-fn", self.partition(offset)], capture_output=True, check=True)
        return re.search(r"volume name: +(\S+)", self.ext4(offset, "stats"))[1]

    def file(self, offset, name):
        out = os.path.join(self.scratch.name, "file")
        self.ext4(offset, f"dump {name} {out}")
        with open(out, "rb") as file:
            return file.read()


def partitions(image):
    record = image.at(0, SECTOR)
    assert record[510:] == b"\x55\xaa"
    found = []
    for number in range(4):
        entry = record[446 + 16 * number:462 + 16 * number]
        start, size = struct.unpack("<II", entry[8:])
        found.append((entry[0], entry[4], start * SECTOR, size * SECTOR))
    assert found == [(0x80, 0x0C, FAT_AT, SLOT_A - FAT_AT), (0, 0x83, SLOT_A, SLOT_SIZE), (0, 0x83, SLOT_B, SLOT_SIZE),
                     (0, 0x83, DATA_AT, SLOT_SIZE)], found
    size = os.path.getsize(image.path)
    assert size == DATA_AT + SLOT_SIZE and size & (size - 1) == 0, "QEMU's SD cards have sizes of powers of two"
    assert not any(image.at(64 << 10, 3 * SECTOR)), "no slot state and no mark on a new card"


def drivers(archive, board):
    """The initramfs has the drivers, all that they need, and an alias to find them by."""
    for name in DRIVERS[board[:3]] + (("genet", "xhci-pci", "xhci-hcd") if board == "rpi-arm64" else ()):
        assert re.search(rb"lib/modules/[^/\0]+/%s\.ko\0" % name.replace("-", "_").encode(), archive), name
    listed = set(re.findall(rb"^([\w-]+)\.ko:", archive, re.M))
    for words in re.findall(rb"^[\w-]+\.ko:(.*)$", archive, re.M):
        assert all(word[:-3] in listed for word in words.split()), words


def boot_blocks(image, board):
    if board != "beaglebone":
        return
    # A TI image header: size and load address, the internal RAM; then U-Boot's own, by its magic and name.
    size, address = struct.unpack("<II", image.at(128 << 10, 8)) if image.at(128 << 10, 4) != b"\x40\0\0\0" else \
        struct.unpack("<II", image.at((128 << 10) + SECTOR, 8))
    assert 0 < size <= (256 << 10) and 0x402F0400 <= address < 0x40310000, (size, hex(address))
    head = image.at(384 << 10, 64)
    assert head[:4] in (b"\x27\x05\x19\x56", b"\xd0\x0d\xfe\xed"), "U-Boot's image, or a FIT"
    assert b"U-Boot" in image.at(384 << 10, 2 << 20)


def check(board, built):
    """All that can be said of a board's image without booting it."""
    path = os.path.join(built, f"holdfast-{board}.img")
    with open(os.path.join(built, f"holdfast-{board}.json"), encoding="ascii") as file:
        about = json.load(file)
    with open(path, "rb") as file:
        assert hashlib.sha256(file.read()).hexdigest() == about["sha256"] and about["board"] == board
    image = Image(path)
    partitions(image)
    names = image.fat_names()
    assert {"boot.scr", "holdfast"} <= names, names
    if board in BOOTS:
        assert {"bootcode.bin", "start.elf", "fixup.dat", "start4.elf", "fixup4.dat", *BOOTS[board], *TREES[board]} <= names
        config = image.fat("config.txt").decode()
        for name in BOOTS[board]:
            assert f"kernel={name}\n" in config and image.fat(name)
        assert "gpio=4-13,16-27=ip,pd" in config
    labels = [image.check_ext4(offset) for offset in (SLOT_A, SLOT_B, DATA_AT)]
    assert labels == ["holdfast-a", "holdfast-b", "holdfast-data"], labels
    assert board in image.file(SLOT_A, "VERSION").decode()
    kernel = image.file(SLOT_A, "vmlinuz")
    assert kernel[56:60] == b"ARM\x64" or kernel[36:40] == b"\x18\x28\x6f\x01", "Image of arm64, or a zImage"
    for name in TREES.get(board, ()):
        assert image.file(SLOT_A, f"dtbs/{name}")[:4] == b"\xd0\x0d\xfe\xed", name
    drivers(image.file(SLOT_A, "initrd"), board)
    boot_blocks(image, board)
    if "xz_size" in about:
        assert about["xz_size"] <= 25e6, about["xz_size"]


def twice(board, built):
    """Built again, in another folder: the same bytes."""
    with tempfile.TemporaryDirectory(prefix="holdfast-twice-") as folder:
        with open(os.path.join(built, f"holdfast-{board}.json"), encoding="ascii") as file:
            about = json.load(file)
        environment = {**os.environ, "PYTHONPATH": os.path.join(ROOT, "firmware")}
        subprocess.run(["/usr/bin/python3", "-B", "-m", "image", board, "--version", about["version"], "--epoch",
                        str(about["epoch"]), "--raw", "--out", folder], env=environment, check=True, cwd=ROOT,
                       stdout=subprocess.DEVNULL)
        subprocess.run(["cmp", os.path.join(folder, f"holdfast-{board}.img"),
                        os.path.join(built, f"holdfast-{board}.img")], check=True)
