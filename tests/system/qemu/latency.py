"""The guard's lateness on an emulated arm64 board, seen at its pins: the guest's half of `make latency`.

One board with the shipped guard alone, its real GPIO driver and its real watchdog. A stand-in for the agent
(../latency_agent.c) runs beside it. Edges come out by qtest; who looks at them says when, by the clock that
QEMU's own virtual time goes by, and gets marks with the instant from a process of this computer, which tell
how late it looks. The processor is an emulated one: of a real board these figures say nothing.
"""

import os
import re
import select
import shutil
import socket
import subprocess
import tarfile
import tempfile
import threading
import time

from cluster import BIN, ROOT, now_ns, own_address, wait_until
import latency

from . import image
from .machine import Board
from .pins import EDGE, SPARE
from .switch import Switch

PUMP, VALVE = 0, 2  # pins; the machine's power button is on 3
RATE_HZ = 100
RT_PRIORITY = 49  # the guard's, as guard_message.h has it
MACHINE = "emulated arm64 processor (QEMU TCG, one cortex-a53), Debian's kernel"
RUN_S = 900.0  # only bounds a hang

CONF = """node = {{ id = "board-a"; data_dir = "/data/holdfast"; run_dir = "/run/holdfast"; }};
cluster = {{ name = "line-3"; issuers = ( {{ id = "issuer-1"; address = "10.77.0.2:7401"; }},
    {{ id = "issuer-2"; address = "10.77.0.3:7402"; }}, {{ id = "issuer-3"; address = "10.77.0.4:7403"; }} ); }};
tls = {{ ca = "ca.crt"; cert = "a.crt"; key = "a.key"; }};
timing = {{ heartbeat_ms = 250; election_ms = 1500; drift_ppm = 2000; }};
agent = {{ resources = (
  {{ name = "pump"; ttl_ms = 5000; release_ms = 100; outputs = ( {{ name = "enable"; kind = "pulse";
    chip = "gpiochip0"; line = {pump}; rate_hz = {rate_hz}; hold_ms = 50; }} ); }},
  {{ name = "valve"; ttl_ms = 5000; release_ms = 100; outputs = ( {{ name = "enable"; kind = "gpio";
    chip = "gpiochip0"; line = {valve}; covers = "kernel"; reset_ms = 1000; }} ); }} ); }};
watchdog = {{ device = "/dev/watchdog0"; timeout_ms = 8000; }};
hal = {{ backend = "linux"; }};
"""


class Edges:
    """In the place of pins.Pins for one board: all that its pins do, and marks of the observer's lateness."""

    def __init__(self, marks_path):
        self.edges, self.late_us = [], []
        self.qtest = None
        self.stop = False
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(marks_path)
        self.listener.listen(1)
        self.lock = threading.Lock()

    def attach(self, _board, qtest, path):
        qtest.sendall(f"irq_intercept_out {path}\n".encode())
        self.qtest = qtest
        threading.Thread(target=self._run, daemon=True).start()

    def detach(self, _board):
        self.stop = True

    def redrive(self, _board):
        """Nothing outside drives the board's pins."""

    def spare(self, _board):
        return self.rises(SPARE)

    def forget_spare(self, _board):
        with self.lock:
            self.edges = [edge for edge in self.edges if edge[0] != SPARE]

    def rises(self, pin):
        return self.of(pin, 1)

    def of(self, pin, level):
        with self.lock:
            return [at for number, to, at in self.edges if (number, to) == (pin, level)]

    def forget(self):
        with self.lock:
            self.edges, self.late_us = [], []

    def _run(self):
        try:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(latency.BENCH_PRIORITY))
        except PermissionError:
            pass  # then it is late, and its marks say so
        unread, sources = {}, [self.qtest, self.listener]
        while not self.stop:
            for source in select.select(sources, [], [], 0.2)[0]:
                at, raw = time.clock_gettime_ns(time.CLOCK_MONOTONIC), now_ns()
                if source is self.listener:
                    sources.append(source.accept()[0])
                    continue
                data = self._read(source)
                if not data:
                    sources.remove(source)
                    continue
                *lines, unread[source] = (unread.get(source, b"") + data).split(b"\n")
                for line in lines:
                    self._take(line.decode("ascii", "replace"), at, raw)
        for source in sources:
            source.close()

    @staticmethod
    def _read(source):
        try:
            return source.recv(65536)
        except OSError:
            return b""

    def _take(self, line, at, raw):
        found = EDGE.search(line)
        with self.lock:
            if found:
                self.edges.append((int(found[2]), int(found[1] == "raise"), at))
            elif line.startswith("mark "):
                self.late_us.append((raw - int(line[5:])) / 1000)


# ---- what is put on the board


def make_tool():
    """The stand-in for the agent, for arm64 and without libraries; its bytes."""
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "latency-agent")
        subprocess.run(["aarch64-linux-gnu-gcc", "-std=c11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-static",
                        f"--sysroot={os.path.join(ROOT, 'build', 'sysroot', 'arm64')}",
                        f"-I{os.path.join(ROOT, 'daemon', 'core')}", "-o", out,
                        os.path.join(ROOT, "tests", "system", "latency_agent.c"),
                        os.path.join(ROOT, "build", "arm64", "lib", "libcore.a")], check=True)
        return image.read(out)


def stress_files():
    """stress-ng of Debian's arm64 package and the libraries that it needs, by name in the image."""
    packed = os.path.join(ROOT, "build", "boards", "stress.tar")
    if not os.path.exists(packed):
        subprocess.run([os.path.join(ROOT, "toolchain", "extract.sh"), "arm64", "stress-ng", packed + ".new"],
                       check=True)
        os.rename(packed + ".new", packed)
    with tarfile.open(packed) as tar:
        members = {os.path.basename(m.name): m for m in tar.getmembers()
                   if m.name.startswith(("./usr/bin/stress-ng", "./usr/lib/aarch64", "./lib/aarch64"))}
        files, asked, known = {}, ["stress-ng"], {image.LOADERS["arm64"], "libc.so.6", "stress-ng"}
        while asked:
            name = asked.pop()
            member = members[name]
            while member.issym():
                member = members[os.path.basename(member.linkname)]
            data = tar.extractfile(member).read()
            place = "bin" if name == "stress-ng" else f"lib/{image.TRIPLETS['arm64']}"
            files[f"{place}/{name}"] = (data, 0o755)
            more = set(needed(data)) - known
            known |= more
            asked += more
    return files


def needed(data):
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        text = subprocess.run(["readelf", "-d", file.name], capture_output=True, text=True, check=True).stdout
    return re.findall(r"\(NEEDED\).*\[(.*)\]", text)


# ---- the measurement


class Guest:
    """A board that is up, and who looks at it."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="holdfast-latency-")
        self.switch, self.edges = Switch(), Edges(os.path.join(self.folder, "marks"))
        self.board = Board("board-a", 1, self.folder, (own_address(), 7500), self.edges)
        self.switch.plug(self.board)
        conf = CONF.format(pump=PUMP, valve=VALVE, rate_hz=RATE_HZ).encode()
        base = image.make_parts({"arm64"})["arm64"]
        image.make_initramfs(self.board.path("cpio"), base, {
            "etc/holdfast/holdfast.conf": (conf, 0o644), "bin/latency-agent": (make_tool(), 0o755),
            **stress_files()})
        image.make_disk(self.board.path("disk"))
        self.board.power_on()

    def run(self, command, check=True):
        return self.board.shell.run(command, timeout=RUN_S, check=check)

    def clock_offset_ns(self, pulses=100):
        """
        The observer's clock less the guest's, at the most: the least of the times from before a rise until it was
        seen. So what is told of deadlines is too little by the quickest way out, less than the observer's median.
        """
        self.edges.forget_spare(self.board)
        before = [first for first, _ in (map(int, line.split()) for line in self.run(
            f"board-tool clock /dev/gpiochip0 {SPARE} {pulses}").splitlines())]
        wait_until(lambda: len(self.edges.rises(SPARE)) >= pulses, 60, "the pulses of the spare pin")
        return min(at - first for at, first in zip(self.edges.rises(SPARE), before))

    def close(self):
        self.board.power_off()
        self.switch.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def watch_observer(guest, seconds):
    return subprocess.Popen([os.path.join(os.path.dirname(BIN), "lib", "latency-agent"), "wakes",
                             str(latency.BENCH_PRIORITY), str(seconds), os.path.join(guest.folder, "marks")],
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def measure_once(guest, loaded, seconds, kills, preflight_s):
    """One condition, with a guard of its own."""
    seen = latency.Seen()
    guest.run("holdfast-guard -f -c /etc/holdfast/holdfast.conf > /dev/hvc2 2>&1 & guard=$!")
    offset = guest.clock_offset_ns()
    if loaded:
        guest.run("cd /tmp; stress-ng --cpu 1 --io 1 --vm 1 --vm-bytes 16M > /dev/null 2>&1 & stress=$!; cd /")
        wait_until(lambda: int(guest.run("cat /proc/loadavg").split()[3].split("/")[0]) >= 3, 120, "stress-ng", poll=0.5)
    guest.edges.forget()
    observer = watch_observer(guest, seconds)
    guest.run(f"latency-agent wakes {RT_PRIORITY} {seconds} > /run/wakes & wakes=$!")
    permits = guest.run(f"latency-agent permits /run/holdfast board-a {seconds} 30000 80000")
    ended = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    observer.wait()
    wakes = guest.run("wait $wakes; cat /run/wakes")
    killed = guest.run(f"latency-agent kills /run/holdfast board-a {kills}")
    preflight = guest.run(f"holdfastctl -c /etc/holdfast/holdfast.conf preflight --seconds {preflight_s}", check=False)
    falls = guest.edges.of(VALVE, 0)
    rises = [at for at in guest.edges.rises(PUMP) if at < ended]
    observed = list(guest.edges.late_us)
    guest.run(("kill $stress; wait $stress; " if loaded else "") + "kill $guard; wait $guard", check=False)
    latency.take_drops(seen, [(a + offset, b + offset) for a, b in latency.told(permits, "drop")], falls)
    latency.take_kills(seen, [(at + offset,) for (at,) in latency.told(killed, "kill")], falls)
    latency.take_intervals(seen, rises, 1e6 / RATE_HZ)
    latency.take_guard(seen, permits)
    seen.observer = observed
    seen.wakes = [late / 1000 for (late,) in latency.told(wakes, "wake")]
    seen.preflight_us = latency.preflight_worst_us(preflight)
    return seen


def measure(seconds=45, kills=110, preflight_s=10):
    """Both conditions, one after the other, on one board."""
    guest = Guest()
    try:
        guest.board.wait_up(RUN_S)
        guest.run("mkdir -p -m 0700 /data/holdfast")
        return [measure_once(guest, loaded, seconds, kills, preflight_s) for loaded in (False, True)]
    finally:
        guest.close()
