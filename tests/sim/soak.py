"""Fresh seeds of the simulated world on all cores, for as many simulated hours as asked for.

  make soak [HOURS=n] [FROM=seed]

Reports every minute and at the end; goes on to the end when a seed fails. Ends with one line
"N passed, M failed", of seeds and of coverage counters that nothing met; exit 1 if there was a
failure, 130 if it was interrupted before its hours were done.
"""

import argparse
import collections
import concurrent.futures
import os
import re
import subprocess
import sys
import time

CHUNK_SEEDS = 400  # children come of what is rare among so many; some ten seconds of one core
REPORT_S = 60
TOTAL = re.compile(r"^total: (\d+) passed, (\d+) failed, ([\d.]+) hours, (\d+) events, ([\d.]+) s,"
                   r" commit (\S+)$", re.M)
COUNTER = re.compile(r"^ +(\d+)  (.+?)(: NEVER)?$", re.M)
FAILED = re.compile(r"^seed ([\d.]+): (.*)$", re.M)
BEGUN = re.compile(r"^run (\d+): ([\d.]+)$", re.M)
RARE = " (rare)"


class Chunk:
    """What one process of the simulator said of `count` runs: seeds from `first` on, and children."""

    def __init__(self, program, first, count, *more):
        self.first, self.count = first, count
        command = [program, "--set", "--from", str(first), "--seeds", str(count), *more]
        result = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, check=False)
        self.text = result.stdout.decode(errors="replace")
        self.total = TOTAL.search(self.text)
        self.status = result.returncode


class Soak:
    def __init__(self, program, hours):
        self.program, self.wanted = program, hours
        self.passed = self.failed = self.events = 0
        self.hours = self.cpu_s = 0.0
        self.commit = "unknown"
        self.coverage = collections.Counter()
        self.broken = []
        self.hopeless = False  # nothing runs at all: no hours would ever come together
        self.started = time.monotonic()

    def violation(self, seed, what):
        self.broken.append((seed, what))
        print(f"seed {seed}: {what}\n"
              f"    replay: {self.program} --seed {seed} -v (commit {self.commit})", flush=True)

    def add(self, chunk):
        if not chunk.total:
            self.add_died(chunk)
            return
        passed, failed, hours, events, cpu_s, self.commit = chunk.total.groups()
        self.passed, self.failed = self.passed + int(passed), self.failed + int(failed)
        self.hours, self.cpu_s = self.hours + float(hours), self.cpu_s + float(cpu_s)
        self.events += int(events)
        for count, name, _ in COUNTER.findall(chunk.text):
            self.coverage[name] += int(count)
        for seed, what in FAILED.findall(chunk.text):
            self.violation(seed, what)

    def add_died(self, chunk):
        """The process itself ended: in which of the runs? Those before it count, as do those after."""
        named = Chunk(self.program, chunk.first, chunk.count, "-v")
        begun = BEGUN.findall(named.text)
        if named.total or not begun:
            self.hopeless = not begun
            begun = begun or [("0", str(chunk.first))]
        number, name = int(begun[-1][0]), begun[-1][1]
        self.failed += 1
        last = chunk.text.strip().splitlines()[-1:] or ["nothing said"]
        self.violation(name, f"the simulator ended with status {chunk.status}: {last[0]}")
        if self.hopeless:
            return
        if number > 0:
            self.add(Chunk(self.program, chunk.first, number))
        if number + 1 < chunk.count:
            self.add(Chunk(self.program, chunk.first + number + 1, chunk.count - number - 1))

    def line(self):
        wall_s = time.monotonic() - self.started
        return (f"{self.hours:.1f} simulated hours, {self.passed + self.failed} seeds, "
                f"{self.events / 1e6:.1f} million events in {wall_s:.0f} s; "
                f"{self.hours / max(self.cpu_s, 1e-9):.2f} hours per CPU second of one core; "
                f"commit {self.commit}; {len(self.broken)} violations")

    def report(self):
        holes = [name for name, count in self.coverage.items()
                 if count == 0 and not name.endswith(RARE)]
        for name, count in self.coverage.items():
            print(f"  {count:12}  {name}{': NEVER' if count == 0 else ''}")
        for seed, what in self.broken:
            print(f"broken: seed {seed}: {what}")
        print(f"figure: soak: {self.line()}")
        print(f"{self.passed} passed, {self.failed + len(holes)} failed", flush=True)
        return self.failed + len(holes) > 0


def run(soak, first, jobs):
    """Keeps every core busy, and starts nothing beyond the hours that are wanted."""
    reported = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        running = set()
        while running or (soak.hours < soak.wanted and not soak.hopeless):
            while soak.hours < soak.wanted and not soak.hopeless and len(running) < jobs:
                running.add(pool.submit(Chunk, soak.program, first, CHUNK_SEEDS))
                first += CHUNK_SEEDS
            done, running = concurrent.futures.wait(
                running, timeout=5, return_when=concurrent.futures.FIRST_COMPLETED)
            for chunk in done:
                soak.add(chunk.result())
            if time.monotonic() - reported >= REPORT_S:
                reported = time.monotonic()
                print(soak.line(), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--hours", type=float, default=1000)
    parser.add_argument("--from", dest="first", type=int,
                        default=int.from_bytes(os.urandom(6), "big"))
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    arguments = parser.parse_args()
    soak = Soak(arguments.program, arguments.hours)
    print(f"soak: {arguments.hours:g} simulated hours on {arguments.jobs} cores from seed "
          f"{arguments.first}; again: make soak HOURS={arguments.hours:g} FROM={arguments.first}",
          flush=True)
    try:
        run(soak, arguments.first, arguments.jobs)
    except KeyboardInterrupt:
        print("interrupted")
        soak.report()
        return 130
    return 1 if soak.report() else 0


if __name__ == "__main__":
    sys.exit(main())
