"""One emulated board that boots from a card, through its boot loader: a QEMU process, its serial console, its QMP."""

import os
import re
import signal
import subprocess
import threading
import time

from cluster import now_ns
from qemu.machine import Monitor, connect

MEMORY_MB = 192
# With ACPI, firmware would get another chip for its power button, and the board no pl061.
EMULATORS = {
    "qemu-arm64": ["qemu-system-aarch64", "-M", "virt,acpi=off", "-cpu", "cortex-a53"],
    "qemu-armhf": ["qemu-system-arm", "-M", "virt,acpi=off", "-cpu", "cortex-a15"],
}


class Machine:
    """`pins` (qemu/pins.py) hears of levels and resets, if there are some; `tap` is its network."""

    def __init__(self, kind, name, number, card, loader, folder, tap=None, pins=None):
        self.kind, self.name, self.number, self.card, self.loader = kind, name, number, card, loader
        self.folder, self.tap, self.pins = folder, tap, pins
        self.process = self.monitor = None
        self.on_at = 0
        self.lines = []  # of the present life: (ns since power, text)
        self.worked = {}  # text -> worked_s() then
        self.resets = []  # ns
        self.news = threading.Condition()

    def path(self, name):
        return os.path.join(self.folder, f"{self.name}.{name}")

    def _command(self):
        command = EMULATORS[self.kind] + [
            "-accel", "tcg", "-m", str(MEMORY_MB), "-nodefaults", "-no-user-config", "-display", "none",
            "-bios", self.loader, "-drive", f"if=none,id=card,format=raw,file={self.card.path}",
            "-device", "virtio-blk-device,drive=card", "-action", "watchdog=reset",
            "-qmp", f"unix:{self.path('qmp')},server=on,wait=off",
            "-qtest", f"unix:{self.path('qtest')},server=on,wait=off", "-qtest-log", "none",
            "-chardev", "stdio,id=serial,signal=off", "-serial", "chardev:serial"]
        if self.kind == "qemu-arm64":
            command += ["-device", "i6300esb"]
        if self.tap:
            command += ["-netdev", f"tap,id=line,ifname={self.tap},script=no,downscript=no",
                        "-device", f"virtio-net-device,netdev=line,mac=52:54:00:77:00:{self.number:02x}"]
        return command

    def power_on(self):
        for name in ("qmp", "qtest"):
            if os.path.exists(self.path(name)):
                os.remove(self.path(name))
        self.lines, self.worked, self.resets, self.on_at = [], {}, [], now_ns()
        with open(self.path("qemu.log"), "ab") as log:
            self.process = subprocess.Popen(self._command(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                            stderr=log)
        threading.Thread(target=self._listen, args=(self.process, self.lines), daemon=True).start()
        self.monitor = Monitor(self.path("qmp"), self.process, self._on_event)
        if self.pins is not None:
            self.pins.attach(self, connect(self.path("qtest"), self.process), self._find_gpio())
        return self

    def _listen(self, process, lines):
        with open(self.path("console"), "ab") as log:
            for line in process.stdout:
                at = now_ns() - self.on_at
                log.write(b"%9.3f %6.2f " % (at / 1e9, self.worked_s()) + line.rstrip(b"\r\n") + b"\n")
                log.flush()
                with self.news:
                    self.worked[line.decode("utf-8", "replace").strip()] = self.worked_s()
                    lines.append((at, line.decode("utf-8", "replace").strip()))
                    self.news.notify_all()

    def worked_s(self):
        """Seconds of a processor of this computer that this life has taken: on a busy one, what to go by."""
        try:
            with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as file:
                fields = file.read().rpartition(")")[2].split()
        except (OSError, AttributeError):
            return 0.0  # it ended
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _on_event(self, event, at):
        if event == "RESET":
            self.resets.append(at)
            if self.pins is not None:
                self.pins.redrive(self)

    def _find_gpio(self):
        for device in self.monitor.ask("qom-list", path="/machine/unattached"):
            if device["type"] == "child<pl061>":
                return f"/machine/unattached/{device['name']}"
        raise AssertionError("no pl061 in the machine")

    def heard(self, pattern, after=0):
        """The first console line that matches, of this life, as (seconds since power, match); or None."""
        for at, line in list(self.lines):
            found = re.search(pattern, line)
            if found and at / 1e9 >= after:
                return at / 1e9, found
        return None

    def wait_for(self, pattern, timeout, after=0):
        limit = time.monotonic() + timeout
        while True:
            found = self.heard(pattern, after)
            if found:
                return found
            left = limit - time.monotonic()
            if left < 0 or self.process is None or self.process.poll() is not None:
                tail = "\n".join(line for _, line in self.lines[-12:])
                raise AssertionError(f"{self.name}: not within {timeout} s: {pattern!r}; {self.path('console')}:\n{tail}")
            with self.news:
                self.news.wait(min(left, 0.5))

    def power_off(self):
        """As by pulling the plug; returns the instant just before."""
        at = now_ns()
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            if self.pins is not None:
                self.pins.detach(self)
            self.monitor.close()
            self.process = None
        return at
