"""`make latency`: how late the shipped guard is, seen from outside; idle and under stress-ng.

The guard drives a simulated plant, whose bench sees each edge and says when by a clock of its own. A stand-in
for the agent (latency_agent.c) gives it permits that run out, or is killed. Told are: the fall of a level
output after its permit's deadline; the same after the agent's death; by how much the interval between two
rises of a pulse output is off its nominal length. Beside each stands how late the bench itself was, from marks
that a process sent it with the instant: what is seen is the guard's lateness and the bench's together.

Absolute times: on a machine with nothing else to do. Prints tables; draws the histograms into build/, or
with --update to where README.md shows them, and the tables into README.md.
"""

import argparse
import bisect
import contextlib
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from cluster import BIN, HANG_S, ROOT, now_ns, wait_until
import histogram

TOOL = os.path.join(os.path.dirname(BIN), "lib", "latency-agent")
# In memory: the bench must not wait for the disk that the load keeps busy.
SCRATCH = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
CONDITIONS = ("idle", "under load")
EARLY_US = 1000  # a fall so long before its deadline is a drop for another reason, counted beside
BENCH_PRIORITY = 60  # as holdfast-bench has
LOAD_BEFORE = os.getloadavg()[0]  # of anybody else

CONF = """node = {{ id = "board-a"; data_dir = "data"; run_dir = "run"; }};
cluster = {{ name = "line-3"; issuers = ( {{ id = "issuer-1"; address = "127.0.0.1:7401"; }},
    {{ id = "issuer-2"; address = "127.0.0.1:7402"; }}, {{ id = "issuer-3"; address = "127.0.0.1:7403"; }} ); }};
tls = {{ ca = "ca.crt"; cert = "a.crt"; key = "a.key"; }};
timing = {{ heartbeat_ms = 50; election_ms = 300; drift_ppm = 2000; }};
agent = {{ resources = (
  {{ name = "pump"; ttl_ms = 1000; release_ms = 50;
    outputs = ( {{ name = "enable"; kind = "pulse"; chip = "sim"; line = 1; rate_hz = {rate_hz}; hold_ms = 20; }} ); }},
  {{ name = "valve"; ttl_ms = 1000; release_ms = 50;
    outputs = ( {{ name = "enable"; kind = "gpio"; chip = "sim"; line = 2; covers = "process";
                  readback = {{ chip = "sim"; line = 3; within_ms = 40; }}; }} ); }} ); }};
watchdog = {{ device = "sim"; timeout_ms = 2000; }};
hal = {{ backend = "sim"; socket = "bench.sock"; }};
"""
# For the bench the pulse is a plain line: so its trace has each edge.
BENCH = """bench = { socket = "bench.sock"; ctl = "bench.ctl"; trace = "trace.jsonl"; boards = ( "board-a" );
  resources = ( { name = "pump"; lines = ( { name = "enable"; kind = "gpio"; } ); },
                { name = "valve"; lines = ( { name = "enable"; kind = "gpio"; readback = true; } ); } ); };
"""
RATE_HZ = 500


class Seen:
    """What was seen in one condition. Lists are in us."""

    def __init__(self):
        self.drops, self.kills, self.intervals = [], [], []
        self.observer, self.wakes = [], []
        self.early = self.faults = 0  # drops for another reason than the deadline; latched faults
        self.guard_worst_us = self.preflight_us = None
        self.realtime = False


# ---- from edges to lateness


def told(text, word):
    """The numbers of the lines that begin with `word`."""
    return [tuple(map(int, line.split()[1:])) for line in text.splitlines() if line.startswith(word + " ")]


def first_after(ordered, instant):
    at = bisect.bisect_right(ordered, instant)
    return ordered[at] if at < len(ordered) else None


def take_drops(seen, drops, falls):
    """`drops`: (sent, deadline) of permits that ran out; `falls`: of the line, in order. In ns."""
    for sent, deadline in drops:
        fall = first_after(falls, sent)
        if fall is None:
            raise AssertionError(f"the line never fell after the permit of {sent} ns")
        late_us = (fall - deadline) / 1000
        if late_us < -EARLY_US:
            seen.early += 1
        else:
            seen.drops.append(late_us)


def take_kills(seen, kills, falls):
    seen.kills += [(first_after(falls, at) - at) / 1000 for (at,) in kills]


def take_intervals(seen, rises, nominal_us):
    """Of a line that was driven all the while."""
    seen.intervals += [abs((later - earlier) / 1000 - nominal_us) for earlier, later in zip(rises, rises[1:])]


def take_guard(seen, permits_text):
    (seen.faults,), = told(permits_text, "faults")
    (seen.guard_worst_us, schedule_error, memory_error), = told(permits_text, "guard")
    seen.realtime = not schedule_error and not memory_error


def preflight_worst_us(text):
    """What `holdfastctl preflight` says of wake-ups."""
    found = re.search(r"late by (\d+) us at the worst", text)
    if found is None:
        raise AssertionError(f"preflight tells no wake-ups: {text[-500:]}")
    return int(found[1])


# ---- the host


class Site:
    """A bench and a guard, in a folder of their own."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="holdfast-latency-", dir=SCRATCH)
        self.processes = []
        self.write("bench.conf", BENCH)
        self.write("board.conf", CONF.format(rate_hz=RATE_HZ))
        os.mkdir(self.path("data"), 0o700)
        os.mkdir(self.path("run"), 0o755)

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="ascii") as file:
            file.write(text)

    def text(self, name):
        with open(self.path(name), encoding="utf-8", errors="replace") as file:
            return file.read()

    def start(self, name, *command, **more):
        """A process with its output in NAME.log and NAME.err."""
        with open(self.path(f"{name}.log"), "wb") as out, open(self.path(f"{name}.err"), "wb") as err:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                       cwd=self.folder, **more)
        self.processes.append(process)
        return process

    def finish(self, name, process):
        """Its output, once it has ended by itself."""
        if process.wait() != 0:
            raise AssertionError(f"{name}: status {process.returncode}: {self.text(name + '.err')[-500:]}")
        return self.text(f"{name}.log")

    def run(self, name, *command):
        return self.finish(name, self.start(name, *command))

    def start_all(self):
        self.start("bench", os.path.join(BIN, "holdfast-bench"), "-c", "bench.conf")
        wait_until(lambda: "bench ready" in self.text("bench.log"), HANG_S, "bench ready")
        self.start("guard", os.path.join(BIN, "holdfast-guard"), "-f", "-c", "board.conf")
        wait_until(lambda: os.path.exists(self.path("run", "guard.sock")), HANG_S, "the guard's socket")

    def events(self):
        return [json.loads(line) for line in self.text("trace.jsonl").splitlines()]

    def edges(self, resource, level):
        return [e["t_ns"] for e in self.events()
                if e["ev"] == "line" and e["resource"] == resource and e["level"] == level]

    def close(self):
        for process in reversed(self.processes):
            if process.poll() is None:
                process.terminate()
                process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def running():
    """Processes of this computer that run or would like to."""
    with open("/proc/loadavg", encoding="ascii") as file:
        return int(file.read().split()[3].split("/")[0])


@contextlib.contextmanager
def load(folder):
    """stress-ng on all processors: arithmetic, sync() and memory."""
    count = str(os.cpu_count())
    process = subprocess.Popen(["stress-ng", "--cpu", count, "--io", count, "--vm", count, "--vm-bytes", "64M",
                                "--temp-path", folder], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        wait_until(lambda: running() > os.cpu_count(), HANG_S, "stress-ng is at work")
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def measure_host(loaded, seconds=30, kills=120):
    """One condition: permits that run out, preflight beside the same guard; then agents that are killed."""
    seen, site = Seen(), Site()
    try:
        site.start_all()
        with load(site.folder) if loaded else contextlib.nullcontext():
            # Its status is of the whole board, which is not looked at here.
            preflight = site.start("preflight", os.path.join(BIN, "holdfastctl"), "-c", "board.conf", "preflight",
                                   "--seconds", str(seconds))
            watch = site.start("wakes", TOOL, "wakes", str(BENCH_PRIORITY), str(seconds), site.path("bench.ctl"))
            permits = site.run("permits", TOOL, "permits", site.path("run"), "board-a", str(seconds), "5000", "25000")
            ended = now_ns()
            wakes = site.finish("wakes", watch)
            preflight.wait()
            killed = site.run("kills", TOOL, "kills", site.path("run"), "board-a", str(kills))
        falls = site.edges("valve", 0)
        take_drops(seen, told(permits, "drop"), falls)
        take_kills(seen, told(killed, "kill"), falls)
        take_intervals(seen, [at for at in site.edges("pump", 1) if at < ended], 1e6 / RATE_HZ)
        take_guard(seen, permits)
        seen.wakes = [late / 1000 for (late,) in told(wakes, "wake")]
        seen.observer = [(e["t_ns"] - int(e["text"])) / 1000 for e in site.events()
                         if e["ev"] == "fault" and e["text"].isdigit()]
        seen.preflight_us = preflight_worst_us(site.text("preflight.log"))
        return seen
    finally:
        site.close()


def host_machine():
    kind = "PREEMPT_RT" if "PREEMPT_RT" in platform.version() else \
        (re.search(r"PREEMPT\w*", platform.version()) or ["no preemption"])[0]
    return f"{os.cpu_count()} processors {platform.machine()}, Linux {platform.release().split('-')[0]} {kind}"


# ---- telling it


def summary(samples):
    return " / ".join(text for _, text in histogram.figures(samples)) + f" ({len(samples):,})"


def table(conditions, nominal_us, observer):
    """Markdown: a row for each quantity, a column for each condition."""
    period = histogram.time_text(nominal_us)
    rows = [("level output falls after its permit's deadline", lambda s: summary(s.drops)),
            ("level output falls after its agent is killed", lambda s: summary(s.kills)),
            (f"pulse: interval between two rises is off {period} by", lambda s: summary(s.intervals)),
            (f"{observer}, is late by", lambda s: summary(s.observer)),
            ("a real-time process beside the guard wakes late by", lambda s: summary(s.wakes)),
            ("guard's loop late by its own word, at the worst", lambda s: histogram.time_text(s.guard_worst_us)),
            ("wake-up late as `holdfastctl preflight` finds, at the worst",
             lambda s: histogram.time_text(s.preflight_us)),
            ("drops for another reason; latched faults", lambda s: f"{s.early}; {s.faults}")]
    lines = ["| p50 / p99 / p99.9 / max (samples) | " + " | ".join(CONDITIONS) + " |", "| --- | --- | --- |"]
    lines += [f"| {name} | " + " | ".join(tell(seen) for seen in conditions) + " |" for name, tell in rows]
    return "\n".join(lines) + "\n"


def picture(title, conditions, nominal_us):
    def panels(samples):
        return [[histogram.Series("seen", samples(seen)), histogram.Series("observer", seen.observer, beside=True)]
                for seen in conditions]
    period = histogram.time_text(nominal_us)
    note = "Share of samples by how late it was seen. The line: how late the observer itself looked, in the same run."
    return histogram.render(title, note, CONDITIONS, [
        histogram.Row("level output falls after its permit's deadline", panels(lambda s: s.drops)),
        histogram.Row("level output falls after its agent is killed", panels(lambda s: s.kills)),
        histogram.Row(f"pulse output: interval between two rises, off {period} by", panels(lambda s: s.intervals))])


def put_between(text, name, new):
    """The document with `new` between the marks of `name`."""
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    head, found, rest = text.partition(begin)
    _, closed, tail = rest.partition(end)
    if not found or not closed:
        raise AssertionError(f"no lines \"{begin.strip()}\" and \"{end}\" in the document")
    return head + begin + new + end + tail


def publish(name, machine, conditions, nominal_us, observer, drawn, update):
    """Prints the table; the picture goes to `drawn`, and the table to README.md, if it is to `update`."""
    text = (f"{machine}; guard {'real-time' if all(s.realtime for s in conditions) else 'NOT real-time'}; load"
            f" average of the computer before all {LOAD_BEFORE:.1f}.\n\n")
    text += table(conditions, nominal_us, observer)
    print(f"{name}: {text}", flush=True)
    path = os.path.join(ROOT, drawn) if update else os.path.join(ROOT, "build", os.path.basename(drawn))
    with open(path, "w", encoding="utf-8") as file:
        file.write(picture(f"The guard's lateness {name}: {machine}", conditions, nominal_us))
    print(f"drawn: {os.path.relpath(path, ROOT)}", flush=True)
    if update:
        readme = os.path.join(ROOT, "README.md")
        with open(readme, encoding="utf-8") as file:
            document = file.read()
        with open(readme, "w", encoding="utf-8") as file:
            file.write(put_between(document, f"latency {name}", text))


def on_host(update):
    conditions = [measure_host(loaded) for loaded in (False, True)]
    publish("on the host", host_machine(), conditions, 1e6 / RATE_HZ, "observer: the bench",
            "tests/system/latency-host.svg", update)


def in_guest(update):
    from qemu import latency as guest  # only it needs an emulator
    conditions = guest.measure()
    publish("in the guest", guest.MACHINE, conditions, 1e6 / guest.RATE_HZ, "observer: who looks at the pins",
            "tests/system/qemu/latency-guest.svg", update)


def main():
    places = {"host": on_host, "guest": in_guest}
    parser = argparse.ArgumentParser(prog="latency", description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("places", nargs="*", metavar="PLACE", help="host or guest; both if none is named")
    parser.add_argument("--update", action="store_true", help="put tables and pictures into the tree")
    given = parser.parse_args()
    unknown = [place for place in given.places if place not in places]
    if unknown:
        parser.error(f"{unknown[0]}: allowed are {', '.join(places)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that nothing is left running
    for place in given.places or places:
        began = time.monotonic()
        places[place](given.update)
        print(f"{place}: {time.monotonic() - began:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
