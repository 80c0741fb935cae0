"""The hosts' own clocks, as clock_shim.c makes them: rates within the drift, steps, sleep."""

import ctypes
import json
import mmap
import time

from cluster import now_ns

LEAD_NS = 30000000   # a change is written so long before it begins
STANDS = -1000000000  # ppb
NEVER = (1 << 63) - 1


class Segment(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int64) for name in
                ("from_ns", "raw_ns", "rate_ppb", "monotonic_ns", "slept_ns")]


class ClockFile(ctypes.Structure):
    _fields_ = [("asleep", ctypes.c_uint64), ("segment", Segment * 2)]


class HostClock:
    """One host's: PATH is what its programs map, LOG what lease_history.py reads afterwards."""

    def __init__(self, path, log, rate_ppb):
        self.path, self.log = path, log
        with open(path, "wb") as file:
            file.write(bytes(ctypes.sizeof(ClockFile)))
        with open(path, "r+b") as file:
            self.file = ClockFile.from_buffer(mmap.mmap(file.fileno(), 0))
        self.now = 0  # which of the segments counts
        self.file.segment[1].from_ns = NEVER
        start = now_ns()
        self._fill(0, start, start, rate_ppb, 0, 0)

    def _fill(self, number, begin, raw, rate, monotonic, slept):
        segment = self.file.segment[number]
        segment.from_ns = NEVER
        segment.raw_ns, segment.rate_ppb = raw, rate
        segment.monotonic_ns, segment.slept_ns = monotonic, slept
        segment.from_ns = begin
        self.now = number
        with open(self.log, "a", encoding="ascii") as file:
            file.write(json.dumps({"from_ns": begin, "raw_ns": raw, "rate_ppb": rate,
                                   "monotonic_ns": monotonic, "slept_ns": slept}) + "\n")

    def _turn(self, begin, rate=None, step=0, sleep=0):
        """From `begin` on: another rate, MONOTONIC stepped, so much slept."""
        last = self.file.segment[self.now]
        passed = begin - last.from_ns
        raw = last.raw_ns + passed + passed * last.rate_ppb // 1000000000
        self._fill(1 - self.now, begin, raw, last.rate_ppb if rate is None else rate,
                   last.monotonic_ns + step, last.slept_ns + sleep)

    def _begin(self):
        """An instant to come; the segment before it has begun by now, so that the other one is over."""
        while now_ns() <= self.file.segment[self.now].from_ns:
            time.sleep(0.005)
        return now_ns() + LEAD_NS

    def rows(self):
        """What was written for lease_history.py, so far."""
        with open(self.log, encoding="ascii") as file:
            return [json.loads(line) for line in file]

    def asleep(self):
        return bool(self.file.asleep)

    def drift(self, rate_ppb):
        self._turn(self._begin(), rate=rate_ppb)

    def step(self, step_ns):
        self._turn(self._begin(), step=step_ns)

    def fall_asleep(self):
        """No process of the host may run. MONOTONIC and RAW stand, as the kernel has it."""
        self._begin()
        self.file.asleep = 1
        self.rate = self.file.segment[self.now].rate_ppb
        self.fell = now_ns()
        self._turn(self.fell, rate=STANDS)

    def wake(self):
        """Time of BOOTTIME alone has passed. Nothing, if it is awake."""
        if not self.file.asleep:
            return
        woke = now_ns()
        self._turn(woke, rate=self.rate, sleep=woke - self.fell)
        self.file.asleep = 0
