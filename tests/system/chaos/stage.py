"""Who is up, what is broken just now, and what waits to be mended: what all steps act upon."""

import collections
import contextlib
import heapq
import itertools
import json
import os
import random
import signal
import sys
import time

from cluster import now_ns, wait_until
from raft_log import RaftLogs

from .world import World

RESOURCES = {"pump": ["board-a", "board-b", "board-c"], "lamp": ["board-b", "board-c"],
             "fan": ["board-a", "board-b"]}
DRIFT_PPB = 1900000  # rates are drawn within it; the configured drift_ppm is 2000
ALL = "*"
DISK_STATUS = 74  # of a daemon that can't begin on its disk, as it has to be
# Numbers of system calls in which a program waits. Source: Linux, unistd.h of each machine.
WAITING = {"x86_64": (7, 23, 202, 230, 232, 270, 271, 281, 35, 43, 288),
           "aarch64": (22, 72, 73, 98, 101, 115, 202, 242)}


class Fault:
    """One thing done to the world: from when until when, and whose leases it may cost."""

    def __init__(self, kind, costs):
        self.kind, self.costs = kind, frozenset(costs)
        self.begin, self.end = now_ns(), None

    def over(self):
        self.end = self.end or now_ns()


def waits_only(pid):
    """No thread of it is between a look at the clock or a lease and what it does then."""
    numbers = WAITING.get(os.uname().machine)
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/syscall", encoding="ascii") as file:
                word = file.read().split()[0]
            if numbers and (not word.isdigit() or int(word) not in numbers):
                return False
    return True


def stopped(pid):
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/stat", encoding="ascii") as file:
                if file.read().rsplit(")", 1)[1].split()[0] != "T":
                    return False
    return True


class Stage:
    """A world with its processes, faults and marks."""

    def __init__(self, seed, ttl_ms, layout=None):
        chance = random.Random(seed + 1)
        self.ttl_ms = ttl_ms
        self.layout = layout or chance.choice(["apart", "combined"])
        common = {"boards": 3, "ttl_ms": ttl_ms, "hold_ms": 20, "resources": RESOURCES,
                  "failback": chance.choice(["manual", "auto"]), "gateway": True,
                  "response_ms": max(20, min(100, ttl_ms // 10)),
                  "priorities": {"board-a": 100, "board-b": 100, "board-c": 90}}
        rates = collections.defaultdict(lambda: 0, {
            f"{kind}{end}": chance.choice([-DRIFT_PPB, 0, DRIFT_PPB])
            for kind, ends in (("board-", "abc"), ("issuer-", "12345")) for end in ends})
        self.cluster = World(issuers=5, rates=rates, **common) if self.layout == "apart" else \
            World(issuers=3, combined=True, rates=rates, **common)
        self.spare = self.cluster.issuers[3:] if self.layout == "apart" else []
        self.members = [i for i in self.cluster.issuers if i not in self.spare]
        self.learners, self.changing = [], False
        self.began, self.zero = time.monotonic(), now_ns()
        self.due, self.order = [], itertools.count()  # what is mended later
        self.away = {}      # process name -> "down" or "paused" or "gone"
        self.marks = []     # (time.time(), issuer, "up", "down", "paused", "lost", "whole", "cut" ..)
        self.lost = {}      # issuer whose memory is not whole -> time.time() of the loss
        self.images = {}    # issuer -> folder of an older copy of its data
        self.broken = set()  # issuers whose disk has failed
        self.frozen = set()  # hosts
        self.died = []
        self.trouble = []
        self.faults = []
        self.healed_at = []
        self.welds = []     # [begin, end, board, resource] in ns
        self.logs = RaftLogs(self.cluster)
        self.asked_whole = 0.0
        self.operator = None  # acts.Operator
        self.faults_from = now_ns()
        self.ended, self.ended_wall = now_ns(), time.time()

    # ---- telling and waiting

    def tell(self, text):
        print(f"{time.monotonic() - self.began:8.2f}  {text}", flush=True)

    def mark(self, name, what, at=None):
        if name in self.cluster.issuers:
            self.marks.append((at or time.time(), name, what))

    def fault(self, kind, costs=()):
        self.faults.append(Fault(kind, costs))
        return self.faults[-1]

    def later(self, seconds, work):
        heapq.heappush(self.due, (time.monotonic() + seconds, next(self.order), work))

    def rest(self, seconds):
        """Mends what is due meanwhile."""
        end = time.monotonic() + seconds
        while True:
            self.look_after()
            now = time.monotonic()
            if self.due and self.due[0][0] <= now:
                heapq.heappop(self.due)[2]()
            elif now >= end:
                return
            else:
                time.sleep(min(0.05, end - now, max(0.0, self.due[0][0] - now) if self.due else 1))

    def settle(self):
        """Mends everything that waits to be mended, now."""
        while self.due:
            heapq.heappop(self.due)[2]()

    def look_after(self):
        """Programs that ended by themselves; journals that are whole again."""
        for name, process in list(self.cluster.processes.items()):
            if process.poll() is None or name == "bench":
                continue
            if process.returncode == DISK_STATUS and name in self.broken:
                self.tell(f"{name} does not start: its disk fails")
                self.cluster.processes.pop(name)
                self.away[name] = "down"  # until its disk is mended
                self.mark(name, "down")
            else:
                self.died.append(f"{name}: status {process.returncode}:"
                                 f" {self.cluster.log(name)[-300:]}")
                self.tell(f"{name} ended by itself, status {process.returncode}")
                self.cluster.processes.pop(name)
                self.mark(name, "down")
                self.start(name)
        for issuer, since in list(self.lost.items()):
            if self.logs.logs[issuer].read().said("this issuer votes again", since) or \
                    self.says_whole(issuer, since):
                self.tell(f"{issuer} is whole again")
                self.mark(issuer, "whole")
                del self.lost[issuer]

    def says_whole(self, issuer, since):
        """It may have died between its recovery and the line that tells of it: asks, now and then."""
        if time.time() < max(since, self.asked_whole) + 1 or not self.running([issuer]):
            return False
        self.asked_whole = time.time()
        result = self.cluster.ctl(issuer, "status", check=False)
        told = json.loads(result.stdout) if result.returncode == 0 else {}
        return told.get("recovery") == "none" and bool(told.get("leader"))

    # ---- processes

    def start(self, name):
        if name in self.cluster.processes or self.away.get(name) == "gone":
            return
        self.away.pop(name, None)
        self.mark(name, "up")
        cluster = self.cluster
        if cluster.host_of(name) in cluster.clocks:
            cluster.clocks[cluster.host_of(name)].wake()
        if name.endswith("-guard"):
            cluster.start_guard(name[:-6])
        elif name.endswith("-gateway"):
            cluster.start_gateway(name[:-8])
        elif name.endswith("-master"):
            cluster.start_master(name[:-7])
        else:
            cluster.start_daemon(name)

    def costs_of(self, names):
        """The boards whose leases it may cost when these programs or hosts fail."""
        hosts = {self.cluster.host_of(n) for n in names if not n.endswith(("-gateway", "-master"))}
        return hosts & set(self.cluster.boards)

    def kill(self, names, span, kind, spoil=lambda: None):
        names = [n for n in names if n in self.cluster.processes]
        fault = self.fault(kind, self.costs_of(names))
        self.cluster.kill(*names)
        for name in names:
            self.away[name] = "down"
            self.mark(name, "down")
        spoil()

        def again():
            for name in names:
                self.start(name)
            fault.over()
        self.later(span, again)

    def stop_waiting(self, name):
        """
        Stopped where it waits, and nowhere else: a program that is paused between its last look and
        the act that follows is a limit that the README names, for which no run is needed.
        """
        process = self.cluster.processes[name]
        for _ in range(200):
            process.send_signal(signal.SIGSTOP)
            with contextlib.suppress(AssertionError):
                wait_until(lambda: stopped(process.pid), 1, poll=0.0002)
            if waits_only(process.pid):
                return True
            process.send_signal(signal.SIGCONT)
            time.sleep(0.0005)
        return False

    def stop(self, names, span, kind, after=lambda: None):
        """All of them at once, for a while; `after` comes right before they go on."""
        names = [n for n in names if n in self.cluster.processes and n not in self.away]
        fault = self.fault(kind, self.costs_of(names))
        processes = {name: self.cluster.processes[name] for name in names}
        done = [name for name in names if self.stop_waiting(name)]
        for name in done:
            self.away[name] = "paused"
            self.mark(name, "paused")

        def go():
            after()
            for name in done:
                if self.cluster.processes.get(name) is processes[name]:
                    processes[name].send_signal(signal.SIGCONT)
                    self.away.pop(name, None)
                    self.mark(name, "up")
            fault.over()
        self.later(span, go)
        return done

    def host_processes(self, host):
        return [n for n in self.cluster.processes if self.cluster.host_of(n) == host]

    def running(self, names):
        return [n for n in names if n in self.cluster.processes and n not in self.away]

    def pick(self, names, number):
        names = self.running(names)
        return names[number % len(names)] if names else None

    def leader(self):
        return self.logs.leader(self.running(self.members))

    def minority(self):
        return (len(self.members) - 1) // 2

    def resource(self, step):
        return sorted(RESOURCES)[step.first % len(RESOURCES)]

    def board_of(self, step):
        boards = RESOURCES[self.resource(step)]
        return boards[step.second // 7 % len(boards)]

    def calm(self):
        """All is up, whole and led, and nothing waits to be mended; else the step is passed over."""
        self.settle()
        self.operator.finish()
        limit = time.monotonic() + 10
        while time.monotonic() < limit:
            self.rest(0.1)
            if not self.lost and not self.learners and self.leader() and \
                    len(self.running(self.members)) == len(self.members):
                return True
        return False

    # ---- begin

    def _forget_spare(self, text):
        for issuer in self.spare:
            start = text.find(f',\n    {{ id = "{issuer}"')
            if start >= 0:
                text = text[:start] + text[text.index("}", start) + 1:]
        return text

    def begin(self):
        cluster = self.cluster
        for node in cluster.nodes:
            cluster.write_conf(node, self._forget_spare if node not in self.spare else
                               lambda text: text)
        cluster.init(*self.members)
        cluster.start_bench()
        cluster.start_watchers()
        for issuer in self.members:
            self.mark(issuer, "up")
        for node in self.members:
            if node not in cluster.boards:
                cluster.start_daemon(node)
        for board in cluster.boards:
            cluster.start_board(board)
        for issuer in self.spare:
            self.away[issuer] = "gone"
        wait_until(lambda: all(cluster.driver(r) for r in RESOURCES), 20, "all is driven")

    def everyone(self):
        """All programs that should run when nothing is broken."""
        boards = self.cluster.boards
        return [*self.members, *boards, *(f"{b}-{kind}" for b in boards
                                          for kind in ("guard", "gateway", "master"))]

    def heal(self):
        """Everything that is broken is mended: cables, processes, disks."""
        self.settle()
        self.operator.finish()
        self.settle()
        self.cluster.wires.heal()
        for name in self.everyone():
            self.start(name)

    def end(self):
        """From here on nothing is done that could be judged: all but the bench is ended."""
        self.ended, self.ended_wall = now_ns(), time.time()
        self.cluster.kill(*(n for n in self.cluster.processes if n != "bench"))

    def close(self):
        for name in list(self.away):
            if name in self.cluster.processes:
                self.cluster.processes[name].send_signal(signal.SIGCONT)
        return self.cluster.close()


def complain(error):
    print(f"     {error}", file=sys.stderr, flush=True)
