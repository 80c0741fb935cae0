"""`make chaos`: random faults and operators' acts on real processes, judged by what must always hold.

    chaos.py [--minutes 10] [--seed N] [--ttl 1000] [--layout apart|combined] [--actions weld,wipe]

The seed alone makes the schedule: what comes when, and to which of the candidates. Each step is told
as it is done; a step that would break the rules below is told as passed over. At the end all is
mended, and in that quiet everything must work again.

Rules of the game, so that what is judged was promised: journals are lost or rolled back of a
minority at a time; a relay is welded, and a card rolled back, only while all else is calm; a guard
is stopped for less than half a ttl (longer stops are the watchdog's, see test_faults.py).

Judged: overlaps (witness and lease_history.py), entries that issuers applied differently, acts that
were acknowledged and are not in the history, drives against a pin, the longest time without a
leader while a majority of whole issuers was up, and the quiet at the end.
"""

import argparse
import collections
import glob
import heapq
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time

from arena import Verdict
from cluster import BIN, Cluster, now_ns, wait_until
from raft_log import RaftLogs

ELECTIONS = 10  # timeouts within which a healthy majority has a leader
RESOURCES = {"pump": ["board-a", "board-b", "board-c"], "lamp": ["board-b", "board-c"],
             "fan": ["board-a", "board-b"]}
ACTIONS = {  # name -> weight
    "kill agent": 8, "kill guard": 6, "kill board": 8, "stop agent": 8, "stop guard": 4,
    "kill issuer": 10, "stop issuer": 8, "kill leader": 8, "stop leader": 6, "kill all issuers": 1,
    "kill two": 5, "wipe": 6, "wipe again": 6, "roll back": 3, "weld": 3, "leader transfer": 5,
    "transfer": 8, "pin none": 6, "pin board": 4, "unpin": 8, "member": 8, "fault clear": 2,
    "act unheard": 6, "cut off": 4,
}
CALM = ("roll back", "weld")

Step = collections.namedtuple("Step", "wait action first second span")
Act = collections.namedtuple("Act", "who words asked answered outcome answer")


def schedule(seed, seconds, ttl_ms, actions=None):
    """Steps, of these actions or all, until `seconds` are over; `first`, `second` choose among candidates when it comes."""
    chance = random.Random(seed)
    names = [name for name in ACTIONS if not actions or name in actions]
    weights = [ACTIONS[name] for name in names]
    steps, at = [], 0.0
    while at < seconds:
        wait = chance.choice([0.0, 0.02, 0.1, 0.3, 0.6, 1.0, 1.5]) * (0.5 + chance.random())
        at += wait
        span = chance.choice([0.01, 0.1, 0.3, 0.6, 1.0, 2.0, 4.0]) * (0.5 + chance.random())
        steps.append(Step(wait, chance.choices(names, weights)[0], chance.randrange(1 << 16),
                          chance.randrange(1 << 16), span * max(0.4, ttl_ms / 1000)))
    return steps


class Operator:
    """Asks consoles, each act under a certificate of its own, so that the history can tell them."""

    def __init__(self, chaos):
        self.chaos, self.cluster = chaos, chaos.cluster
        self.acts, self.numbers = [], itertools.count()
        self.lock = threading.Lock()
        self.threads = []

    def ask(self, node, words, limit=9):
        """One act, to its end."""
        with self.lock:
            who = f"op-{next(self.numbers)}"
            self.cluster.issue(who, "operator")
        command = [os.path.join(BIN, "holdfastctl"), "-H", self.cluster.console(node), "--ca",
                   self.cluster.path("pki", "ca.crt"), "--cert",
                   self.cluster.path("pki", f"{who}.crt"), "--key",
                   self.cluster.path("pki", f"{who}.key"), "-o", "json", *words]
        asked = now_ns()
        try:
            result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True,
                                    text=True, timeout=limit, check=False)
            text = result.stdout + result.stderr
            outcome = "done" if result.returncode == 0 else "unknown" \
                if "ERR 50" in text or result.returncode == 3 else "refused"
            answer = json.loads(result.stdout) if result.returncode == 0 else text.strip()
        except subprocess.TimeoutExpired:
            outcome, answer = "unknown", "no answer"
        act = Act(who, words, asked, now_ns(), outcome, answer)
        self.acts.append(act)
        self.chaos.tell(f"{who} at {node}: {' '.join(words)}: {outcome} {str(answer)[:90]}")
        return act

    def start(self, node, words, after=None):
        def work():
            act = self.ask(node, words)
            if after:
                after(act)
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        self.threads = [t for t in self.threads if t.is_alive()] + [thread]

    def finish(self):
        for thread in self.threads:
            thread.join(15)
        self.threads = []


class Chaos:
    def __init__(self, seed, seconds, ttl_ms, layout, actions=None):
        self.chance = random.Random(seed + 1)
        self.seed, self.seconds, self.ttl_ms, self.actions = seed, seconds, ttl_ms, actions
        self.layout = layout or self.chance.choice(["apart", "combined"])
        boards = 3
        common = {"boards": boards, "ttl_ms": ttl_ms, "hold_ms": 20, "resources": RESOURCES,
                  "failback": self.chance.choice(["manual", "auto"]),
                  "priorities": {"board-a": 100, "board-b": 100, "board-c": 90}}
        self.cluster = Cluster(issuers=5, **common) if self.layout == "apart" else \
            Cluster(issuers=3, combined=True, **common)
        self.spare = self.cluster.issuers[3:] if self.layout == "apart" else []
        self.members = [i for i in self.cluster.issuers if i not in self.spare]
        self.learners, self.changing = [], False
        self.began = time.monotonic()
        self.due, self.order = [], itertools.count()  # what is mended later
        self.away = {}      # process name -> "down" or "paused"
        self.marks = []     # (time.time(), issuer, "up", "down", "paused", "lost", "members")
        self.lost = {}      # issuer whose memory is not whole -> time.time() of the loss
        self.images = {}    # issuer -> folder of an older copy of its data
        self.died = []
        self.weldable = b"on_stuck" in open(os.path.join(BIN, "holdfastd"), "rb").read()
        self.logs = RaftLogs(self.cluster)
        self.operator = Operator(self)
        self.asked_whole = 0.0
        self.skipped = collections.Counter()
        self.done = collections.Counter()
        self.trouble = []

    # ---- telling and waiting

    def tell(self, text):
        print(f"{time.monotonic() - self.began:8.2f}  {text}", flush=True)

    def mark(self, name, what):
        if name in self.cluster.issuers:
            self.marks.append((time.time(), name, what))

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
            if process.poll() is not None and name != "bench":
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
                self.marks.append((time.time(), issuer, "whole"))
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
        if name in self.cluster.processes or name in self.away and self.away[name] == "gone":
            return
        self.away.pop(name, None)
        self.mark(name, "up")
        if name.endswith("-guard"):
            self.cluster.start_guard(name[:-6])
        else:
            self.cluster.start_daemon(name)

    def kill(self, names, span, spoil=lambda: None):
        names = [n for n in names if n in self.cluster.processes]
        self.cluster.kill(*names)
        for name in names:
            self.away[name] = "down"
            self.mark(name, "down")
        spoil()

        def again():
            for name in names:
                self.start(name)
        self.later(span, again)

    def stop(self, name, span):
        self.cluster.kill(name, number=signal.SIGSTOP)
        process = self.cluster.processes[name]
        self.away[name] = "paused"
        self.mark(name, "paused")

        def go():
            if self.cluster.processes.get(name) is process:
                self.cluster.kill(name, number=signal.SIGCONT)
                self.away.pop(name, None)
                self.mark(name, "up")
        self.later(span, go)

    def running(self, names):
        return [n for n in names if n in self.cluster.processes and n not in self.away]

    def pick(self, names, number):
        names = self.running(names)
        return names[number % len(names)] if names else None

    def leader(self):
        return self.logs.leader(self.running(self.members))

    def minority(self):
        return (len(self.members) - 1) // 2

    # ---- steps: each returns what it did, or None if it can't be now

    def _kill_some(self, names, span):
        names = [n for n in names if n]
        if not names:
            return None
        self.kill(names, span)
        return f"{', '.join(names)} for {span:.2f} s"

    def step_kill_agent(self, step):
        return self._kill_some([self.pick(self.cluster.boards, step.first)], step.span)

    def step_kill_guard(self, step):
        guards = [f"{b}-guard" for b in self.cluster.boards]
        return self._kill_some([self.pick(guards, step.first)], step.span)

    def step_kill_board(self, step):
        board = self.cluster.boards[step.first % len(self.cluster.boards)]
        return self._kill_some([n for n in (board, f"{board}-guard")
                                if n in self.cluster.processes], step.span)

    def step_kill_issuer(self, step):
        return self._kill_some([self.pick(self.members, step.first)], step.span)

    def step_kill_leader(self, step):
        return self._kill_some([self.leader()], step.span)

    def step_kill_two(self, step):
        everything = self.members + self.cluster.boards
        two = {self.pick(everything, step.first), self.pick(everything, step.second)}
        return self._kill_some(sorted(n for n in two if n), step.span)

    def step_kill_all_issuers(self, step):
        return self._kill_some([i for i in self.members if i in self.cluster.processes], step.span)

    def _stop_one(self, name, span):
        if name is None:
            return None
        self.stop(name, span)
        return f"{name} for {span:.2f} s"

    def step_stop_agent(self, step):
        return self._stop_one(self.pick(self.cluster.boards, step.first), step.span)

    def step_stop_guard(self, step):
        guards = [f"{b}-guard" for b in self.cluster.boards]
        return self._stop_one(self.pick(guards, step.first),
                              min(step.span, 0.5 * self.ttl_ms / 1000))

    def step_stop_issuer(self, step):
        return self._stop_one(self.pick(self.members, step.first), step.span)

    def step_stop_leader(self, step):
        return self._stop_one(self.leader(), step.span)

    def empty(self, issuer):
        for path in glob.glob(self.cluster.path(issuer, "data", "*")):
            os.unlink(path)
        self.lost[issuer] = time.time()
        self.marks.append((time.time(), issuer, "lost"))

    def step_wipe(self, step):
        issuer = self.pick(self.members, step.first)
        if issuer is None or issuer in self.lost or self.changing or \
                len(self.lost) >= self.minority():
            return None
        self.kill([issuer], step.span / 4, lambda: self.empty(issuer))
        return f"{issuer}, back in {step.span / 4:.2f} s"

    def step_wipe_again(self, step):
        lost = [i for i in sorted(self.lost) if i in self.cluster.processes]
        if not lost:
            return None
        issuer = lost[step.first % len(lost)]
        self.kill([issuer], step.span / 8, lambda: self.empty(issuer))
        return f"{issuer}, in the middle of its recovery"

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

    def progress(self, issuer):
        """The leader's row of an issuer, and what the leader itself has."""
        leader = self.leader()
        result = self.cluster.ctl(leader, "issuers", check=False) if leader else None
        if result is None or result.returncode != 0:
            return None
        rows = {r["id"]: r for r in json.loads(result.stdout)["issuers"]}
        return (rows[issuer], rows[leader]) if issuer in rows and leader in rows else None

    def step_roll_back(self, step):
        """An older copy of a card comes back; or, if there is none yet, a copy is taken."""
        if self.changing or not self.calm():
            return None
        followers = [i for i in self.running(self.members) if i != self.leader()]
        issuer = followers[step.first % len(followers)]
        data, image = self.cluster.path(issuer, "data"), self.cluster.path(f"{issuer}.image")
        self.cluster.kill(issuer)
        self.mark(issuer, "down")
        if issuer not in self.images:
            shutil.rmtree(image, ignore_errors=True)  # of its life before it was removed
            shutil.copytree(data, image)
            self.images[issuer] = image
            self.start(issuer)
            return f"{issuer}: a copy is taken"
        shutil.rmtree(data)
        shutil.copytree(image, data)
        shutil.rmtree(self.images.pop(issuer))
        self.marks.append((time.time(), issuer, "lost"))
        since = time.time()
        self.start(issuer)

        def caught_up():
            self.look_after()
            rows = self.progress(issuer)
            return rows and rows[0]["match"] is not None and rows[0]["role"] == "voter" and \
                rows[0]["match"] >= rows[1]["match"]
        try:
            wait_until(caught_up, 10, poll=0.05)
        except AssertionError:
            self.trouble.append(f"{issuer}, rolled back, has not caught up within 10 s")
        found = self.logs.logs[issuer].read().said("recover", since)
        self.marks.append((time.time(), issuer, "whole"))
        return f"{issuer}: the copy is back, {'found out' if found else 'caught up'}"

    def step_weld(self, step):
        """
        The driving board's relay sticks, and a transfer is asked for: it must not overlap. What was
        seen stuck stays held, whoever dies afterwards.
        """
        resource = sorted(RESOURCES)[step.first % len(RESOURCES)]
        if not self.weldable or self.changing or not self.calm():
            return None
        board = self.cluster.driver(resource)
        others = [b for b in RESOURCES[resource] if b != board]
        if board is None or not others:
            return None
        line = f"{resource}/enable"
        self.cluster.bench_ctl("stuck", "relay", board, line, "on")
        act = self.operator.ask(self.leader() or self.members[0], ["transfer", resource, others[0]])
        dies = [[], [self.leader()], [board], [board, f"{board}-guard"], list(self.members)][
            step.second % 5]
        if act.outcome == "refused" and "stuck" in str(act.answer):
            self.kill([n for n in dies if n], 0.3 + step.span / 4)
        self.rest(2.5 * self.ttl_ms / 1000 + 0.5)
        if any(e["resource"] == resource for e in self.cluster.overlaps()):
            self.trouble.append(f"{resource}: overlap while {board}'s relay was stuck on, transfer"
                                f" {act.answer}, then died: {dies}")
        self.settle()
        self.cluster.bench_ctl("stuck", "relay", board, line, "none")
        self.rest(0.5)
        clear = self.operator.ask(board, ["fault", "clear", resource])
        if step.first // 7 % 2 and clear.outcome == "done":
            self.kill([board], 0.05)  # before it can say that all is off again
            self.rest(1)
            self.operator.ask(self.leader() or self.members[0], ["fault", "clear", resource])
        return f"{resource} at {board}; transfer: {act.outcome}; then died: {', '.join(dies)}"

    def step_act_unheard(self, step):
        """The followers stand while the leader is asked for an act; then it dies, and they go on."""
        leader = self.leader()
        if leader is None or self.changing:
            return None
        stopped = [i for i in self.running(self.members) if i != leader]
        for issuer in stopped:
            self.stop(issuer, step.span + 1.5)
        words = [["pin", self._resource(step), "none"], ["unpin", self._resource(step)],
                 ["pin", self._resource(step), self._board_of(step)]][step.second % 3]
        if step.second % 5 == 0 and self.layout == "apart":
            self.step_member(step)
        else:
            self.operator.start(leader, words)
        self.rest(0.2 + step.span / 4)
        if leader in self.running([leader]):
            self.kill([leader], step.span)
        return f"{' '.join(words)} at {leader}, which dies; {', '.join(stopped)} stood"

    def step_cut_off(self, step):
        """All issuers but one stand or die at once, and come back one after the other."""
        here = self.running(self.members)
        if len(here) < 3:
            return None
        kept = here.pop(step.first % len(here))
        for number, issuer in enumerate(here):
            if step.second >> number & 1:
                self.kill([issuer], step.span * (number + 1) / 2)
            else:
                self.stop(issuer, step.span * (number + 1) / 2)
        return f"{kept} alone for {step.span / 2:.2f} s"

    def _act(self, step, words, node=None, after=None):
        node = node or self.pick(self.members, step.second)
        if node is None:
            return None
        self.operator.start(node, words, after)
        return f"{' '.join(words)} at {node}"

    def step_leader_transfer(self, step):
        target = self.pick(self.members, step.first)
        return self._act(step, ["leader", "transfer", target]) if target else None

    def _resource(self, step):
        return sorted(RESOURCES)[step.first % len(RESOURCES)]

    def _board_of(self, step):
        boards = RESOURCES[self._resource(step)]
        return boards[step.second // 7 % len(boards)]

    def step_transfer(self, step):
        return self._act(step, ["transfer", self._resource(step), self._board_of(step)])

    def step_pin_none(self, step):
        return self._act(step, ["pin", self._resource(step), "none"])

    def step_pin_board(self, step):
        return self._act(step, ["pin", self._resource(step), self._board_of(step)])

    def step_unpin(self, step):
        return self._act(step, ["unpin", self._resource(step)])

    def step_fault_clear(self, step):
        board = self.pick(self.cluster.boards, step.second)
        mine = [r for r in sorted(RESOURCES) if board in RESOURCES[r]]
        return self._act(step, ["fault", "clear", mine[step.first % len(mine)]], board) \
            if board else None

    # ---- members: one change after the other

    def step_member(self, step):
        if self.layout != "apart" or self.changing or self.lost:
            return None
        if self.learners:
            return self._promote(step, self.learners[0])
        out = [i for i in self.cluster.issuers if i not in self.members]
        if out and (len(self.members) <= 3 or step.first % 2):
            return self._add(step, out[step.second % len(out)])
        # A board that restarts finds the issuers by its file: two of those must be left.
        filed = [i for i in self.members if i not in self.spare]
        ins = [i for i in self.members if i in self.spare or len(filed) > 2]
        return self._remove(step, ins[step.second % len(ins)]) if ins else None

    def _change(self, step, words, done):
        self.changing = True

        def after(act):
            if act.outcome == "done":
                done()
            elif act.outcome == "unknown":
                self.find_members(act)
            self.changing = False
        return self._act(step, words, after=after) or setattr(self, "changing", False)

    def _add(self, step, issuer):
        if issuer not in self.cluster.processes:
            for path in glob.glob(self.cluster.path(issuer, "data", "*")):
                os.unlink(path)
            self.away.pop(issuer, None)
            self.start(issuer)
        address = f"{self.cluster.address}:{7400 + self.cluster.issuers.index(issuer)}"
        return self._change(step, ["member", "add", issuer, address],
                            lambda: self.learners.append(issuer))

    def _promote(self, step, issuer):
        def done():
            self.learners.remove(issuer)
            self.members.append(issuer)
        return self._change(step, ["member", "promote", issuer], done)

    def _remove(self, step, issuer):
        return self._change(step, ["member", "remove", issuer], lambda: self.removed(issuer))

    def removed(self, issuer):
        """Its board is taken away for good: powered off, and its card emptied before it comes again."""
        self.members = [i for i in self.members if i != issuer]
        self.lost.pop(issuer, None)
        self.images.pop(issuer, None)
        if issuer in self.cluster.processes:
            self.cluster.kill(issuer)
        self.away[issuer] = "gone"
        self.mark(issuer, "down")

    def find_members(self, act):
        """What became of a change that nobody answered for: a majority's word, once there is one."""
        def known():
            leader = self.logs.leader([i for i in self.cluster.issuers
                                       if i in self.cluster.processes])
            result = self.cluster.ctl(leader, "leases", "--consistency", "quorum", check=False) \
                if leader else None
            if result is None or result.returncode != 0:
                return None
            told = json.loads(self.cluster.ctl(leader, "issuers", check=False).stdout or "{}")
            return told if told.get("issuers") and "change" not in told else None
        try:
            told = wait_until(known, 20, poll=0.1)
        except (AssertionError, ValueError):
            self.trouble.append(f"members are not known after {act.words}")
            return
        ids = {r["id"]: r["role"] for r in told["issuers"]}
        self.learners = [i for i, role in ids.items() if role == "learner"]
        gone = [i for i in self.members if i not in ids]
        self.members = [i for i in ids if i not in self.learners]
        for issuer in gone:
            self.removed(issuer)

    # ---- the run

    def begin(self):
        cluster = self.cluster
        for node in cluster.nodes:
            cluster.write_conf(node, self.forget_spare if node not in self.spare else
                               lambda text: text)
        cluster.init(*self.members)
        cluster.start_bench()
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

    def forget_spare(self, text):
        for issuer in self.spare:
            start = text.find(f',\n    {{ id = "{issuer}"')
            if start >= 0:
                text = text[:start] + text[text.index("}", start) + 1:]
        return text

    def run(self):
        steps = schedule(self.seed, self.seconds, self.ttl_ms, self.actions)
        self.tell(f"{len(steps)} steps of seed {self.seed}, ttl {self.ttl_ms} ms, {self.layout},"
                  f" failback {self.cluster.failback}; logs in {self.cluster.folder}")
        self.begin()
        end = time.monotonic() + self.seconds
        for step in steps:
            self.rest(step.wait)
            if time.monotonic() > end:
                break
            try:
                did = getattr(self, f"step_{step.action.replace(' ', '_')}")(step)
            except KeyError:
                did = None  # the process went away by itself in between
            (self.done if did else self.skipped)[step.action] += 1
            if did:
                self.tell(f"{step.action}: {did}")
        return self

    # ---- the quiet at the end

    def quiet(self):
        """Mends all; how long until each thing was well again, in seconds."""
        self.tell("quiet")
        self.settle()
        self.operator.finish()
        self.settle()
        for name in self.members + self.cluster.boards + [f"{b}-guard" for b in self.cluster.boards]:
            self.start(name)
        began = time.monotonic()
        took = {}

        def well(what, condition, limit):
            try:
                wait_until(condition, limit, poll=0.02)
                took[what] = time.monotonic() - began
            except AssertionError:
                took[what] = float("inf")
            self.tell(f"{what}: {took[what]:.2f} s")
        well("a leader", self.leader, 15)

        def whole():
            self.look_after()
            return not self.lost
        well("all journals whole", whole, 20)
        for resource in RESOURCES:
            well(f"{resource} unpinned", lambda r=resource: self.operator.ask(
                self.leader() or self.members[0], ["unpin", r]).outcome == "done", 15)
        for resource, boards in RESOURCES.items():
            well(f"{resource} driven", lambda r=resource, b=boards: self.driven(r, b), 20)
        return took

    def driven(self, resource, boards):
        if self.cluster.driver(resource):
            return True
        leader = self.leader()
        result = self.cluster.ctl(leader, "leases", check=False) if leader else None
        if result and result.returncode == 0 and any(
                r["resource"] == resource and r.get("stuck")
                for r in json.loads(result.stdout)["leases"]):
            self.operator.ask(leader, ["fault", "clear", resource])
        for board in boards:
            result = self.cluster.ctl(board, "guard", check=False)
            if result.returncode == 0 and any(
                    r["name" if "name" in r else "resource"] == resource and r["guard"] == "fault"
                    for r in json.loads(result.stdout)["resources"]):
                self.operator.ask(board, ["fault", "clear", resource])
        return False

    # ---- judging

    def longest_leaderless(self, until):
        """(seconds, when): of the longest stretch without a leader while a whole majority was up."""
        _, _, first = self.logs.history()
        events = [(at, 0, issuer, what) for at, issuer, what in self.marks]
        for issuer, log in self.logs.logs.items():
            events += [(r.at, 2, issuer, r) for r in log.roles]
            events += [(at, 1, issuer, "whole") for at, text in log.others
                       if "this issuer votes again" in text]
            events += [(at, 1, issuer, "listens") for at, text in log.others
                       if ": started in cluster" in text]
        entries, _, _ = self.logs.history()
        for entry in entries:
            words = entry.why.split()
            if words[:1] == ["member"] and words[1] in ("promote", "remove"):
                events.append((first[entry.index], 1, words[2], f"member {words[1]}"))
        state = {i: "down" for i in self.cluster.issuers}
        voters = set(i for i in self.cluster.issuers if i not in self.spare)
        lost, leads, top, longest, since = set(), {}, 0, (0.0, 0.0), None
        for at, _, issuer, what in sorted(events, key=lambda e: e[:3]) + [(until, 0, "", "end")]:
            if since is not None and at - since > longest[0]:
                longest = (at - since, since)
            if isinstance(what, str):
                if what in ("down", "paused"):
                    state[issuer] = what
                if what == "down":
                    leads.pop(issuer, None)
                elif what == "up":
                    state[issuer] = "up" if state[issuer] == "paused" else "starts"
                elif what == "listens":
                    state[issuer] = "up"
                elif what == "lost":
                    lost.add(issuer)
                elif what == "whole":
                    lost.discard(issuer)
                elif what == "member promote":
                    voters.add(issuer)
                elif what == "member remove":
                    voters.discard(issuer)
            elif what.role == "leader":
                leads[issuer] = what.term
            else:
                leads.pop(issuer, None)
            top = max([top, *leads.values()])
            healthy = [i for i in voters if state[i] == "up" and i not in lost]
            led = any(state[i] == "up" and term == top for i, term in leads.items())
            if led or 2 * len(healthy) <= len(voters):
                since = None
            elif since is None:
                since = at
        return longest

    def lost_acts(self):
        """Acknowledged acts that no issuer ever applied."""
        entries, differ, _ = self.logs.history()
        by = {e.by.split(" ")[0]: e for e in entries}
        index = {e.index: e for e in entries if e.token == e.index}
        missing = []
        for act in self.operator.acts:
            if act.outcome != "done" or act.words[0] in ("leader", "fault"):
                continue
            if act.words[0] == "transfer":
                entry = index.get(act.answer.get("token"))
                if entry is None or entry.holder != act.answer.get("to"):
                    missing.append(f"{act.who} {' '.join(act.words)}: {act.answer}, but {entry}")
            elif act.who not in by and "already" not in str(act.answer):
                missing.append(f"{act.who} {' '.join(act.words)}: {act.answer}")
        return missing, differ, self.against_pins(entries)

    def against_pins(self, entries):
        """Grants that a pin forbade, in the order of the log."""
        pins, wrong = {}, []
        for entry in entries:
            if entry.why.startswith("pinned to ") and entry.by.startswith("op-"):
                pins[entry.resource] = entry.holder
            elif entry.why.startswith("unpinned"):
                pins.pop(entry.resource, None)
            elif entry.token == entry.index and entry.resource in pins and \
                    entry.holder != pins[entry.resource]:
                wrong.append(f"{entry}, pinned to {pins[entry.resource]}")
        return wrong

    def drives_against_pins(self):
        """Boards that drive long after an acknowledged pin, before anybody asked to change it."""
        slack = int((self.ttl_ms + 100 + ELECTIONS * self.cluster.election_ms + 2000) * 1e6)
        wrong = []
        for act in self.operator.acts:
            if act.outcome != "done" or act.words[0] != "pin":
                continue
            resource, board = act.words[1:3]
            later = [a.asked for a in self.operator.acts if a.words[0] in ("pin", "unpin")
                     and a.words[1] == resource and a.answered > act.asked and a is not act]
            begin, end = act.answered + slack, min(later, default=now_ns())
            on = {}
            for event in self.cluster.drives(resource):
                if event["t_ns"] > end:
                    break
                if event["t_ns"] > begin and event["level"] and event["board"] != board:
                    wrong.append(f"{event['board']} drives {resource} after {act.who}'s"
                                 f" {' '.join(act.words)}")
                on[event["board"]] = event["level"] if event["t_ns"] <= begin else 0
            if end > begin:
                wrong += [f"{b} still drives {resource} after {act.who}'s {' '.join(act.words)}"
                          for b, level in on.items() if level and b != board]
        return wrong

    def judge(self, verdict):
        took = self.quiet()
        until = time.time()
        elections = self.cluster.election_ms / 1000 * ELECTIONS
        self.logs.read()
        longest, when = self.longest_leaderless(until)
        missing, differ, pinned = self.lost_acts()
        outcomes = collections.Counter(a.outcome for a in self.operator.acts)
        print(f"     done {dict(self.done)}\n     passed over {dict(self.skipped)}\n"
              f"     acts {dict(outcomes)}", flush=True)
        verdict.judge(sum(self.done.values()) >= self.seconds / 10, f"{sum(self.done.values())} steps"
                      f" in {self.seconds:.0f} s, {len(self.operator.acts)} acts")
        verdict.judge(not self.died, f"programs that ended by themselves: {self.died[:3]}")
        verdict.judge(not self.trouble, f"trouble on the way: {self.trouble[:3]}")
        verdict.judge(not missing, f"acknowledged acts lost: {len(missing)} {missing[:3]}")
        verdict.judge(not differ, f"entries applied differently: {len(differ)} {differ[:3]}")
        verdict.judge(not pinned, f"grants against a pin: {len(pinned)} {pinned[:3]}")
        wrong = self.drives_against_pins()
        verdict.judge(not wrong, f"drives against a pin: {len(wrong)} {wrong[:3]}")
        verdict.judge(longest <= elections, f"longest time without a leader while a whole majority"
                      f" was up: {longest:.2f} s, bar {elections:.2f} s"
                      f" (at {time.strftime('%H:%M:%S', time.localtime(when))})")
        verdict.judge(took["a leader"] <= elections, f"quiet: a leader after"
                      f" {took['a leader']:.2f} s, bar {elections:.2f} s")
        verdict.judge(max(took.values()) < float("inf"), "quiet: all is well after "
                      + ", ".join(f"{k} {v:.2f} s" for k, v in took.items()))
        verdict.judge(not self.cluster.overlaps(), f"overlaps by the witness:"
                      f" {len(self.cluster.overlaps())} {self.cluster.overlaps()[:2]}")
        if verdict.failed:
            self.cluster.keep = True
            print(f"     kept in {self.cluster.folder}", flush=True)
        status = self.cluster.close()
        verdict.judge(status == 0, f"the history as judged afterwards: {', '.join(self.cluster.history.summary())}")


def chaos(verdict, seed, seconds, ttl_ms, layout=None, actions=None):
    run = Chaos(seed, seconds, ttl_ms, layout, actions)
    try:
        run.run().judge(verdict)
    finally:
        for name in list(run.away):
            if name in run.cluster.processes:
                run.cluster.processes[name].send_signal(signal.SIGCONT)
        run.cluster.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 31))
    parser.add_argument("--ttl", type=int, default=1000)
    parser.add_argument("--layout", choices=("apart", "combined"))
    parser.add_argument("--actions", default="", help="of these kinds alone, with commas")
    given = parser.parse_args()
    print(f"chaos: {given.minutes:g} minutes, seed {given.seed}, ttl {given.ttl} ms", flush=True)
    verdict = Verdict()
    chaos(verdict, given.seed, given.minutes * 60, given.ttl, given.layout,
          [a for a in given.actions.split(",") if a])
    return verdict.end()


if __name__ == "__main__":
    sys.exit(main())
