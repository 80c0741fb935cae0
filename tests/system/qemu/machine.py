"""One emulated board: a QEMU process, its QMP, its console's shell and its logs.

Nothing in the guest knows the host. What the host knows of the guest: the levels of its pins (qtest),
its watchdog and resets (QMP), and what comes over four virtio consoles, so that nothing is lost with
a reset. Two networks: the cluster's, which is wires of switch.py, and one for the console's TLS port alone.
"""

import glob
import itertools
import json
import os
import re
import select
import signal
import socket
import subprocess
import threading
import time

from cluster import now_ns, wait_until

from . import image
from .pins import SPARE

BOOT_S = 240.0  # only bounds a hang: a busy machine boots slowly


def connect(path, process):
    """A Unix socket that QEMU listens at."""
    def attempt():
        if process.poll() is not None:
            raise AssertionError(f"{path}: qemu ended with {process.returncode}")
        link = socket.socket(socket.AF_UNIX)
        try:
            link.connect(path)
            return link
        except OSError:
            link.close()
            return None
    return wait_until(attempt, 20, path, poll=0.01)


class Monitor:
    """QMP. Events go to `on_event`, called on this monitor's own thread."""

    def __init__(self, path, process, on_event):
        self.link = connect(path, process)
        self.file = self.link.makefile("r", encoding="utf-8")
        self.on_event = on_event
        self.answers, self.news = [], threading.Condition()
        self.gone = False
        self.lock = threading.Lock()
        threading.Thread(target=self._read, daemon=True).start()
        self.ask("qmp_capabilities")

    def _read(self):
        try:
            for line in self.file:
                message = json.loads(line)
                if "event" in message:
                    self.on_event(message["event"], now_ns())
                elif "QMP" not in message:
                    with self.news:
                        self.answers.append(message)
                        self.news.notify_all()
        except (OSError, ValueError):
            pass
        with self.news:
            self.gone = True
            self.news.notify_all()

    def ask(self, command, **arguments):
        with self.lock:
            text = json.dumps({"execute": command, "arguments": arguments})
            self.link.sendall(text.encode())
            with self.news:
                if not self.news.wait_for(lambda: self.answers or self.gone, 60) or \
                        not self.answers:
                    raise AssertionError(f"qmp: {command}: no answer")
                answer = self.answers.pop()
        if "error" in answer:
            raise AssertionError(f"qmp: {command}: {answer['error']}")
        return answer["return"]

    def close(self):
        self.link.close()


class Shell:
    """The shell on hvc0, a command at a time."""

    def __init__(self, path, process):
        self.link = connect(path, process)
        self.text, self.count = "", itertools.count()

    def _take(self, timeout):
        if select.select([self.link], [], [], timeout)[0]:
            data = self.link.recv(65536)
            if not data:
                raise AssertionError("the board's console is closed")
            self.text += data.decode("utf-8", "replace").replace("\r", "")

    def expect(self, pattern, timeout, what):
        """The match; what stood before it and itself are taken away."""
        limit = time.monotonic() + timeout
        while True:
            found = re.search(pattern, self.text, re.S)
            if found:
                self.text = self.text[found.end():]
                return found
            if time.monotonic() > limit:
                raise AssertionError(f"not within {timeout} s: {what}; console: {self.text[-500:]!r}")
            self._take(0.5)

    def send(self, command):
        self.link.sendall(command.encode() + b"\n")

    def run(self, command, timeout=60.0, check=True):
        """Its output; with `check`, a status other than 0 is an error."""
        number = next(self.count)
        self.text = ""
        # The marks are split, so that an echo of the command is none.
        self.send(f"echo '<'{number}; {command}\necho '>'{number} $?")
        found = self.expect(rf"<{number}\n(.*?)>{number} (\d+)\n", timeout, command)
        if check and found[2] != "0":
            raise AssertionError(f"{command}: status {found[2]}: {found[1]}")
        return found[1]

    def close(self):
        self.link.close()


class Board:
    """`pins` (pins.py) hears of levels and resets; `number` counts from 1."""

    def __init__(self, name, number, folder, host, pins):
        self.name, self.number, self.folder, self.host, self.pins = name, number, folder, host, pins
        self.process = self.monitor = self.shell = None
        self.events = []  # (name, ns), of all its lives
        self.boot = None  # the present life's name, by its kernel; None until it is up
        self.up_at = 0    # when it was seen to be up
        self.on_at = 0    # when its power came
        self.boot_s = BOOT_S  # the shortest time from power to being up
        self.offsets = {}  # life -> host's clock less the guest's, in ns
        self.watchdog = True  # whether the machine has one

    def path(self, name):
        return os.path.join(self.folder, f"{self.name}.{name}")

    # ---- life

    def _command(self):
        number = f"{self.number:02x}"
        # Where its own addresses are random, the kernel changes tables at each system call: a third of a boot.
        append = f"console=ttyAMA0 quiet panic=0 nokaslr mitigations=off ADDRESS=10.77.0.{self.number}"
        command = ["qemu-system-aarch64", "-M", "virt", "-accel", "tcg", "-cpu", "cortex-a53", "-m", "192",
                   "-nodefaults", "-no-user-config", "-display", "none",
                   "-kernel", os.path.join(image.PARTS, "vmlinuz"), "-initrd", self.path("cpio"),
                   "-append", append, "-action", "watchdog=reset",
                   "-qmp", f"unix:{self.path('qmp')},server=on,wait=off",
                   "-qtest", f"unix:{self.path('qtest')},server=on,wait=off", "-qtest-log", "none",
                   "-chardev", f"file,id=serial,path={self.path('serial.log')},append=on",
                   "-serial", "chardev:serial",
                   "-drive", f"if=none,id=disk,format=raw,file={self.path('disk')}",
                   "-device", "virtio-blk-device,drive=disk",
                   "-netdev", f"dgram,id=line,local.type=unix,local.path={self.path('wire')},"
                              f"remote.type=unix,remote.path={self.path('hub')}",
                   "-device", f"virtio-net-device,netdev=line,mac=52:54:00:77:00:{number}",
                   "-netdev", f"user,id=desk,restrict=on,hostfwd=tcp:{self.host[0]}:{self.host[1]}"
                              f"-10.0.2.15:{self.host[1]}",
                   "-device", f"virtio-net-device,netdev=desk,mac=52:54:00:78:00:{number}",
                   "-device", "virtio-serial-device",
                   "-chardev", f"socket,id=shell,path={self.path('shell')},server=on,wait=off",
                   "-device", "virtconsole,chardev=shell"]
        if self.watchdog:
            command += ["-device", "i6300esb"]
        for log in ("daemon", "guard", "lease"):
            command += ["-chardev", f"file,id={log},path={self.path(log + '.log')},append=on",
                        "-device", f"virtconsole,chardev={log}"]
        return command

    def power_on(self):
        """Starts booting; wait_up() waits."""
        self.boot, self.on_at = None, now_ns()
        for name in ("qmp", "qtest", "shell", "wire"):
            if os.path.exists(self.path(name)):
                os.remove(self.path(name))
        with open(self.path("qemu.log"), "ab") as log:
            self.process = subprocess.Popen(self._command(), stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log)
        self.monitor = Monitor(self.path("qmp"), self.process, self._on_event)
        self.pins.attach(self, connect(self.path("qtest"), self.process), self._find_gpio())
        self.shell = Shell(self.path("shell"), self.process)

    def _find_gpio(self):
        for device in self.monitor.ask("qom-list", path="/machine/unattached"):
            if device["type"] == "child<pl061>":
                return f"/machine/unattached/{device['name']}"
        raise AssertionError("no pl061 in the machine")

    def _on_event(self, event, at):
        self.events.append((event, at))
        if event == "RESET":
            self.pins.redrive(self)

    def wait_init(self, timeout=BOOT_S):
        """Until its init is done."""
        self.boot = self.shell.expect(r"board: up (\S+)\n", timeout,
                                      f"{self.name} is up; {self.path('serial.log')}")[1]
        self.up_at = now_ns()
        self.boot_s = min(self.boot_s, (self.up_at - self.on_at) / 1e9)

    def wait_up(self):
        """Until its init is done; then its clock is looked at."""
        self.wait_init()
        self.look_at_clock()

    def look_at_clock(self):
        self.offsets[self.boot] = self.read_clock()

    def begin(self):
        """The services, the first time."""
        self.shell.run("services > /dev/null 2>&1", timeout=BOOT_S)

    def power_off(self):
        """As by pulling the plug; returns the instant just before."""
        at = now_ns()
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.pins.detach(self)
            self.monitor.close()
            self.shell.close()
            self.process = None
        return at

    def waited_ns(self):
        """How long its threads have waited for a processor of this computer, by the kernel's account."""
        total = 0
        for path in glob.glob(f"/proc/{self.process.pid}/task/*/schedstat") if self.process else []:
            try:
                with open(path, encoding="ascii") as file:
                    total += int(file.read().split()[1])
            except OSError:
                pass  # ended meanwhile
        return total

    def resets(self, since=0):
        return [at for event, at in list(self.events) if event == "RESET" and at > since]

    def watchdogs(self, since=0):
        return [at for event, at in list(self.events) if event == "WATCHDOG" and at > since]

    # ---- its clock

    def read_clock(self, pulses=20):
        """The guest raises a spare pin and says when; the least late look of the host counts."""
        self.pins.forget_spare(self)
        text = self.shell.run(f"board-tool clock /dev/gpiochip0 {SPARE} {pulses}")
        guest = [tuple(map(int, line.split())) for line in text.splitlines()]
        wait_until(lambda: len(self.pins.spare(self)) >= pulses, 20, "the pulses of the spare line")
        host = self.pins.spare(self)[:pulses]
        return min(seen - after for seen, (_, after) in zip(host, guest))

    def host_ns(self, guest_ns):
        """An instant of the guest's present life, on the host's clock."""
        return guest_ns + self.offsets[self.boot]

    # ---- acts in the guest; each returns the instant, on the host's clock

    def kill(self, number, *programs):
        """Signals programs by name."""
        pids = " ".join(f"$(pidof {program})" for program in programs)
        return self.host_ns(int(self.shell.run(f"board-tool kill {number} {pids}").split()[0]))

    def write(self, file, text):
        """Into a file of the kernel, e.g. c to /proc/sysrq-trigger; nothing is awaited after it."""
        return self._act(f"write {file} {text}")

    def load(self, file):
        """A kernel module; nothing is awaited after it."""
        return self._act(f"load {file}")

    def _act(self, words):
        self.shell.text = ""
        self.shell.send(f"board-tool {words}")
        return self.host_ns(int(self.shell.expect(r"(\d{6,})\n", 60, words)[1]))

    def log(self, name):
        try:
            with open(self.path(f"{name}.log"), encoding="utf-8", errors="replace") as file:
                return file.read().replace("\r", "")
        except FileNotFoundError:
            return ""
