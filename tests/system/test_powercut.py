"""Power cuts on real processes: what was acknowledged is there, whatever part of the rest arrived.

POWERCUT_CUTS=n tries n cuts or more for each claim (`make powercut`), POWERCUT_SEED=s repeats them.
"""

import bisect
import collections
import json
import os
import random
import re
import subprocess
import sys
import threading
import time

from cluster import BIN, Cluster, now_ns, run_tests, wait_until
from powercut import FOLDER, RENAME, WRITE, Disk, lay_out, read_operations
from tls_client import Console

SHIM = os.path.join(os.path.dirname(BIN), "lib", "powercut.so")
CUTS = int(os.environ.get("POWERCUT_CUTS", "40"))
SEED = int(os.environ.get("POWERCUT_SEED", str(time.time_ns() % 10**6)))
HEADERS_END = 2 * 4096  # of a slot: the two headers
ENDS = 4  # of the points are after the last operation
ACTS_EACH = 115  # of one certificate, without a pause

# What was acknowledged; logs: how long each card's record was by then.
Act = collections.namedtuple("Act", "index term logs who", defaults=("",))


class Card:
    """What a node keeps its data on, and what its processes did to it since the power came."""

    def __init__(self, cluster, node):
        self.folder, self.log = cluster.path(node, "data"), cluster.path(f"{node}.operations")
        self.disk, self.done = None, 0  # and how many operations it has seen
        self.power_on()

    def environment(self, fault=""):
        return {"LD_PRELOAD": SHIM, "POWERCUT_DIR": self.folder, "POWERCUT_LOG": self.log,
                "POWERCUT_FAULT": fault}

    def power_on(self):
        self.disk, self.done = Disk(self.folder), 0
        open(self.log, "wb").close()

    def recorded(self):
        return os.path.getsize(self.log)

    def after_cut(self, operations, point, draw):
        """What may be there if the power was cut after `point` of the operations; points rise."""
        for operation in operations[self.done:point]:
            self.disk.apply(operation)
        self.done = max(self.done, point)
        return self.disk.after_cut(draw)

    def cut(self, draw):
        """The power was cut now, with the processes gone; it comes back."""
        operations = read_operations(self.log)
        lay_out(self.after_cut(operations, len(operations), draw), self.folder)
        self.power_on()


def acting(cluster, card, issuer, fault, *words):
    """An offline act on a card; its result."""
    return subprocess.run([os.path.join(BIN, "holdfastd"), "-c", cluster.conf(issuer), *words],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                          cwd=cluster.folder, env={**os.environ, **card.environment(fault)})


def begun(issuers, fault="", **arguments):
    """A cluster that was begun, on cards of its own, and its cards."""
    cluster = Cluster(issuers=issuers, boards=2, resources={"pump": ["board-a"],
                                                            "lamp": ["board-b"]}, **arguments)
    cards = {node: Card(cluster, node) for node in cluster.issuers + ["board-a"]}
    for node, card in cards.items():
        cluster.preload[node] = card.environment(fault)
    for issuer in cluster.issuers:
        result = acting(cluster, cards[issuer], issuer, fault, "--init")
        assert result.returncode == 0, result
    return cluster, cards


def lengths(cards):
    return {node: card.recorded() for node, card in cards.items()}


def operate(cluster, leader, cards, operator, acts, over=lambda: False):
    """Pins and unpins the lamp by one certificate; what was acknowledged goes to `acts`."""
    term = cluster.ctl(leader, "status")["term"]
    console = Console(cluster, leader, role=operator)
    for number in range(ACTS_EACH):
        try:
            answer = console.ask("unpin lamp" if number % 2 else "pin lamp none")
        except (OSError, AssertionError):
            assert over(), "the console went away"
            return
        logs = lengths(cards)
        index = re.search(r"index\W+(\d+)", answer)
        if not index:  # on a busy machine a leader may be lost in the middle
            assert over() or "ERR 50" in answer, answer
            return
        acts.append(Act(int(index[1]), term, logs, operator))


class Reader:
    """Asks what a start would find on a card: the real recovery, in a folder beside it."""

    def __init__(self, cluster, issuer):
        self.cluster = cluster
        self.folder = cluster.path("read", "data")
        self.conf = cluster.path("read.conf")
        cluster.write_conf(issuer, lambda text: text.replace(f'"{issuer}/data"', '"read/data"'),
                           name=self.conf)

    def ask(self, contents):
        """(entry, term) of the journal that is there; None: nothing ever was; or what is wrong."""
        lay_out(contents, self.folder)
        said = subprocess.run([os.path.join(BIN, "holdfastd"), "-c", self.conf, "--init"],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                              cwd=self.cluster.folder)
        there = re.search(r"has a journal \(entry (\d+) of term (\d+)(?:, recovering)?\)", said.stderr)
        new = re.search(r"was begun already, at entry (\d+)", said.stderr)
        if there:
            return int(there[1]), int(there[2])
        if new:
            return int(new[1]), int(new[1])
        return None if said.returncode == 0 else said.stderr


def is_header(operation):
    return operation.kind == WRITE and operation.offset < HEADERS_END


def about_switches(operations, draw, number, since):
    """
    Each point of a few changes of headers or names, drawn, and each more than once: order counts
    within a few operations, and what arrives of them is drawn anew.
    """
    busy = [i for i, o in enumerate(operations) if is_header(o) or o.kind == RENAME]
    busy = [i for i in busy if i >= since] or busy
    begins = [i for n, i in enumerate(busy) if n == 0 or i - busy[n - 1] > 4]
    points = []
    while len(points) < number:
        begin = draw.choice(begins)
        points += 3 * [min(len(operations), max(0, begin + i)) for i in range(-1, 11)]
    return points


def cut_points(operations, draw, number, acts=(), node=None):
    """After how many operations the power goes: as an act is acknowledged, about switches, anywhere."""
    ends = [operation.end for operation in operations]
    since = bisect.bisect_right(ends, acts[0].logs[node]) if acts else 0
    points = [bisect.bisect_right(ends, draw.choice(acts).logs[node])
              for _ in range(number // 3 if acts else 0)]
    points += about_switches(operations, draw, number // 3, since)
    rest = max(number // 3, number - ENDS - len(points))
    points += [draw.randint(0, len(operations)) for _ in range(rest)]
    return sorted(points + ENDS * [len(operations)])


def findings(reader, card, points, draw, must):
    """What is wrong at these points; `must`(end of the record) is the least that is to be there."""
    operations = read_operations(card.log)
    wrong = []
    for point in points:
        found = reader.ask(card.after_cut(operations, point, draw))
        least = must(operations[point - 1].end if point else 0)
        if isinstance(found, str) or (least and (found is None or found < least)):
            wrong.append(f"power cut after operation {point} of {len(operations)}: {found}, must be"
                         f" {least} at least")
    return wrong


def least_of(acts, node):
    """Entry and term that were acknowledged by then, as a function of the end of the record."""
    return lambda end: max(((act.index, act.term) for act in acts if act.logs[node] <= end),
                           default=None)


def one_issuer(fault, operators, cuts):
    """One issuer alone, that acknowledges what its own card has: acts, and what cuts leave."""
    draw = random.Random(SEED)
    cluster, cards = begun(1, fault)
    issuer = cluster.issuers[0]
    card = cards[issuer]
    for operator in operators:
        cluster.issue(operator, "operator")
    acts = [Act(1, 1, lengths(cards))]
    cluster.start_daemon(issuer)
    assert cluster.leader(60) == issuer
    for operator in operators:
        operate(cluster, issuer, cards, operator, acts)
    cluster.kill(issuer)
    operations = read_operations(card.log)
    points = cut_points(operations, draw, cuts, acts, issuer)
    wrong = findings(Reader(cluster, issuer), card, points, draw, least_of(acts, issuer))
    switches = sum(is_header(o) for o in operations) // 4
    assert cluster.close(grants=0, renewals=0) in (None, 0)
    return acts, switches, operations, len(points), wrong


def at_any_operation_what_one_issuer_acknowledged_is_on_its_card():
    acts, switches, operations, cuts, wrong = one_issuer("", [f"operator-{i}" for i in range(10)], CUTS)
    print(f"figure: {len(acts)} acts, {switches} slots begun, {len(operations)} operations on the"
          f" card; the power cut {cuts} times, seed {SEED}: {len(wrong)} losses")
    assert len(acts) > 1100 and acts[-1].index > 1100 and switches >= 3, (len(acts), switches)
    assert not wrong, wrong[:5]


def recovered(cluster, issuer):
    told = cluster.ctl(issuer, "status", check=False)
    return told.returncode == 0 and json.loads(told.stdout).get("recovery") == "none"


def an_issuer_with_a_new_card_keeps_what_it_acknowledged_since():
    """It makes its slots itself, without an act; every act then needs its word."""
    draw = random.Random(SEED)
    cluster, cards = begun(3, election_ms=600)
    cluster.issue("operator-0", "operator")
    for issuer in cluster.issuers:
        cluster.start_daemon(issuer)
    leader = cluster.leader(60)
    fresh, other = [issuer for issuer in cluster.issuers if issuer != leader]
    cluster.kill(fresh)
    lay_out({}, cards[fresh].folder)
    cards[fresh].power_on()
    cluster.start_daemon(fresh)
    wait_until(lambda: recovered(cluster, fresh), 30, f"{fresh} has recovered")
    cluster.kill(other)
    acts = []
    operate(cluster, leader, cards, "operator-0", acts)
    cluster.kill(leader, fresh)
    operations = read_operations(cards[fresh].log)
    points = [draw.randint(0, len(operations)) for _ in range(CUTS)]
    wrong = findings(Reader(cluster, fresh), cards[fresh], sorted(points), draw,
                     least_of(acts, fresh))
    print(f"figure: a new card: {len(acts)} acts, {len(operations)} operations on it; the power cut at"
          f" {CUTS} of them, seed {SEED}: {len(wrong)} losses")
    assert len(acts) > 20, len(acts)
    assert not wrong, (SEED, wrong[:5])
    assert cluster.close(grants=0, renewals=0) in (None, 0)


def a_disk_that_lies_is_found_out():
    """The test itself: with syncs that are none, or come late, what was acknowledged gets lost."""
    for fault in ("DATA", "FOLDER", "LATE"):
        acts, _, operations, cuts, wrong = one_issuer(fault, ["operator-0"], 30)
        assert len(acts) == 1 + ACTS_EACH and wrong, (fault, len(operations), SEED)
        print(f"figure: {fault}: {len(wrong)} of {cuts} power cuts lose what was acknowledged")


class Acting(threading.Thread):
    """operate() beside the test; what it found wrong is the test's."""

    def __init__(self, *arguments):
        super().__init__()
        self.arguments, self.wrong = arguments, None

    def run(self):
        try:
            operate(*self.arguments)
        except AssertionError as error:
            self.wrong = error

    def end(self):
        self.join()
        if self.wrong:
            raise self.wrong


def told(cluster, leader):
    return cluster.ctl(leader, "status"), cluster.ctl(leader, "history")["history"]


def a_site_that_loses_its_power_comes_back_with_all_that_was_acknowledged():
    """All issuers and the board that drives at once, in the middle of acts; again and again."""
    draw = random.Random(SEED)
    cluster, cards = begun(3, ttl_ms=2000, election_ms=600)
    cluster.start_bench()
    term, acts, rounds = 0, [], max(3, CUTS // 14)
    for turn in range(rounds):
        since = now_ns()
        for node in [*cluster.issuers, "board-a"]:
            cluster.start_daemon(node)
        cluster.start_guard("board-a")
        leader = cluster.leader(60)
        cluster.first_drive_after(since, ["board-a"], timeout=60)
        status, history = told(cluster, leader)
        assert status["term"] > term, (SEED, turn, status, term)
        last = acts[-1].index if acts else 0
        assert status["commit"] > last, (SEED, turn, status, last)
        kept = {event["index"]: event["who"] for event in history}
        lost = [a.index for a in acts if a.index >= min(kept) and kept.get(a.index) != a.who]
        assert not lost, (SEED, turn, lost)
        term = status["term"]
        operator = f"operator-{turn}"
        cluster.issue(operator, "operator")
        over = threading.Event()
        wanted = len(acts) + draw.randint(1, ACTS_EACH - 10)
        thread = Acting(cluster, leader, cards, operator, acts, over.is_set)
        thread.start()
        wait_until(lambda n=wanted, t=thread: len(acts) >= n or not t.is_alive(), 60, "acts are done")
        over.set()
        cluster.kill(*draw.sample(cluster.issuers, 3), "board-a", "board-a-guard")
        thread.end()
        for card in cards.values():
            card.cut(draw)
    print(f"figure: {rounds} power cuts of a whole site, {len(acts)} acts acknowledged, seed {SEED}:"
          " all are there")
    assert len(acts) > rounds, len(acts)
    assert not cluster.overlaps() and cluster.close() == 0


def whole(reader, contents):
    """Of the contents of a card, those of a folder that an act keeps what was there in."""
    found = []
    for name, what in contents.items():
        if what == FOLDER and name.startswith("before-"):
            found.append(reader.ask({os.path.basename(n): d for n, d in contents.items()
                                     if os.path.dirname(n) == name}))
    return found


def act_over_a_journal(cluster, cards, words, made):
    """The power goes at any operation of an offline act. What is wrong."""
    draw = random.Random(SEED)
    issuer = cluster.issuers[0]
    card, reader = cards[issuer], Reader(cluster, issuer)
    card.cut(random.Random(0))
    old = reader.ask(card.after_cut([], 0, draw))
    result = acting(cluster, card, issuer, "", *words)
    assert result.returncode == 0, result
    operations = read_operations(card.log)
    wrong, kept = [], 0
    for point in cut_points(operations, draw, CUTS // 2):
        contents = card.after_cut(operations, point, draw)
        found = reader.ask(contents)
        aside = whole(reader, contents)
        kept += old in aside
        refused = isinstance(found, str) and "cannot be read" in found
        over = point == len(operations)  # so it was said to be done
        if not (found == made or (not over and (found == old or refused))):
            wrong.append(f"{words}: power cut after {point} of {len(operations)}: {found}")
        if found != old and old not in aside:
            wrong.append(f"{words}: power cut after {point} of {len(operations)}: what was there is"
                         f" lost: {old}, {found}, {aside}")
    assert kept > 0, "no cut came late enough to show anything"
    return wrong


def an_offline_act_that_loses_its_power_has_made_nothing_or_all_and_keeps_what_was():
    cluster, cards = begun(1)
    issuer = cluster.issuers[0]
    cluster.issue("operator-0", "operator")
    cluster.start_daemon(issuer)
    cluster.leader(60)
    operate(cluster, issuer, cards, "operator-0", [])
    backup = cluster.path("backup")
    cluster.ctl(issuer, "backup", backup, role="operator")
    cluster.kill(issuer)
    above = time.time_ns() // 1000
    made = above + 2**32
    wrong = act_over_a_journal(cluster, cards, ("--restore", backup, "--above", str(above),
                                                "--force"), (made, made + 1))
    again = made + 2**33
    wrong += act_over_a_journal(cluster, cards, ("--init", "--above", str(again), "--force"),
                                (again + 2**32, again + 2**32))
    assert not wrong, (SEED, wrong[:5])
    assert cluster.close(grants=0, renewals=0) in (None, 0)


if __name__ == "__main__":
    sys.exit(run_tests([
        at_any_operation_what_one_issuer_acknowledged_is_on_its_card,
        an_issuer_with_a_new_card_keeps_what_it_acknowledged_since,
        a_disk_that_lies_is_found_out,
        a_site_that_loses_its_power_comes_back_with_all_that_was_acknowledged,
        an_offline_act_that_loses_its_power_has_made_nothing_or_all_and_keeps_what_was,
    ]))
