"""What operators ask for meanwhile: transfers, pins, members, backups; each act under its own name."""

import collections
import glob
import itertools
import json
import os
import subprocess
import threading

from cluster import BIN, now_ns, wait_until

from .schedule import action
from .stage import ALL, RESOURCES

Act = collections.namedtuple("Act", "who words asked answered outcome answer")
LIMIT_S = 9


class Operator:
    """Asks consoles, each act under a certificate of its own, so that the history can tell them."""

    def __init__(self, stage):
        self.stage, self.cluster = stage, stage.cluster
        self.acts, self.numbers = [], itertools.count()
        self.lock = threading.Lock()
        self.threads = []

    def _command(self, node, who, words):
        command = [os.path.join(BIN, "holdfastctl"), "-c", self.cluster.conf(node), "-H",
                   self.cluster.console(node), "--node", node, "--ca",
                   self.cluster.path("pki", "ca.crt"), "--cert",
                   self.cluster.path("pki", f"{who}.crt"), "--key",
                   self.cluster.path("pki", f"{who}.key"), "-o", "json", *words]
        return self.cluster.within("operator", command)

    def ask(self, node, words, limit=LIMIT_S):
        """One act, to its end."""
        with self.lock:
            who = f"op-{next(self.numbers)}"
            self.cluster.issue(who, "operator")
        asked = now_ns()
        try:
            result = subprocess.run(self._command(node, who, words), stdin=subprocess.DEVNULL,
                                    capture_output=True, text=True, timeout=limit, check=False)
            text = result.stdout + result.stderr
            outcome = "done" if result.returncode == 0 else "unknown" \
                if "ERR 50" in text or result.returncode == 3 else "refused"
            answer = json.loads(result.stdout) if result.returncode == 0 else text.strip()
        except subprocess.TimeoutExpired:
            outcome, answer = "unknown", "no answer"
        act = Act(who, words, asked, now_ns(), outcome, answer)
        self.acts.append(act)
        self.stage.tell(f"{who} at {node}: {' '.join(words)}: {outcome} {str(answer)[:90]}")
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
            thread.join(30)
        self.threads = []

    def progress(self, issuer):
        """The leader's row of an issuer, and what the leader itself has."""
        leader = self.stage.leader()
        result = self.cluster.ctl(leader, "issuers", check=False) if leader else None
        if result is None or result.returncode != 0:
            return None
        rows = {r["id"]: r for r in json.loads(result.stdout)["issuers"]}
        return (rows[issuer], rows[leader]) if issuer in rows and leader in rows else None


def act(stage, step, words, node=None, after=None):
    node = node or stage.pick(stage.members, step.second)
    if node is None:
        return None
    stage.operator.start(node, words, after)
    return f"{' '.join(words)} at {node}"


@action("leader transfer", 5)
def leader_transfer(stage, step):
    target = stage.pick(stage.members, step.first)
    return act(stage, step, ["leader", "transfer", target]) if target else None


@action("transfer", 8)
def transfer(stage, step):
    return act(stage, step, ["transfer", stage.resource(step), stage.board_of(step)])


@action("pin none", 4)
def pin_none(stage, step):
    """Nobody may have it for a while; an operator who forgot it would leave nothing to be seen."""
    resource = stage.resource(step)
    told = act(stage, step, ["pin", resource, "none"])

    def again():
        node = stage.pick(stage.members, step.first)
        if node:
            stage.operator.start(node, ["unpin", resource])
    if told:
        stage.later(1 + step.span, again)
    return told


@action("pin board", 4)
def pin_board(stage, step):
    return act(stage, step, ["pin", stage.resource(step), stage.board_of(step)])


@action("unpin", 9)
def unpin(stage, step):
    return act(stage, step, ["unpin", stage.resource(step)])


@action("fault clear", 3)
def fault_clear(stage, step):
    board = stage.pick(stage.cluster.boards, step.second)
    mine = [r for r in sorted(RESOURCES) if board in RESOURCES[r]]
    return act(stage, step, ["fault", "clear", mine[step.first % len(mine)]], board) \
        if board else None


@action("backup", 4)
def backup(stage, step):
    file = stage.cluster.path(f"backup-{next(stage.operator.numbers)}")
    return act(stage, step, ["backup", file])


@action("act unheard", 5)
def act_unheard(stage, step):
    """The followers stand while the leader is asked for an act; then it dies, and they go on."""
    leader = stage.leader()
    if leader is None or stage.changing:
        return None
    stopped = stage.stop([i for i in stage.running(stage.members) if i != leader], step.span + 1.5,
                         "followers stand")
    stage.faults[-1].costs |= {ALL}
    words = [["pin", stage.resource(step), "none"], ["unpin", stage.resource(step)],
             ["pin", stage.resource(step), stage.board_of(step)]][step.second % 3]
    if step.second % 5 == 0 and stage.layout == "apart":
        member(stage, step)
    else:
        stage.operator.start(leader, words)
    stage.rest(0.2 + step.span / 4)
    if leader in stage.running([leader]):
        stage.kill([leader], step.span, "leader dies with an act")
    return f"{' '.join(words)} at {leader}, which dies; {', '.join(stopped)} stood"


# ---- members: one change after the other


@action("member", 8)
def member(stage, step):
    if stage.layout != "apart" or stage.changing or stage.lost or stage.broken:
        return None
    if stage.learners:
        return promote(stage, step, stage.learners[0])
    out = [i for i in stage.cluster.issuers if i not in stage.members]
    if out and (len(stage.members) <= 3 or step.first % 2):
        return add(stage, step, out[step.second % len(out)])
    # A board that restarts finds the issuers by its file: two of those must be left.
    filed = [i for i in stage.members if i not in stage.spare]
    ins = [i for i in stage.members if i in stage.spare or len(filed) > 2]
    return remove(stage, step, ins[step.second % len(ins)]) if ins else None


def change(stage, step, words, done):
    stage.changing = True

    def after(result):
        if result.outcome == "done":
            done()
        elif result.outcome == "unknown":
            find_members(stage, result)
        stage.changing = False
    told = act(stage, step, words, after=after)
    if told is None:
        stage.changing = False
    return told


def add(stage, step, issuer):
    if issuer not in stage.cluster.processes:
        for path in glob.glob(stage.cluster.path(issuer, "data", "*")):
            os.unlink(path)
        stage.away.pop(issuer, None)
        stage.start(issuer)
    address = f"{stage.cluster.host(issuer)}:{7400 + stage.cluster.issuers.index(issuer)}"
    return change(stage, step, ["member", "add", issuer, address],
                  lambda: stage.learners.append(issuer))


def promote(stage, step, issuer):
    def done():
        stage.learners.remove(issuer)
        stage.members.append(issuer)
    return change(stage, step, ["member", "promote", issuer], done)


def remove(stage, step, issuer):
    return change(stage, step, ["member", "remove", issuer], lambda: removed(stage, issuer))


def removed(stage, issuer):
    """Its board is taken away for good: powered off, and its card emptied before it comes again."""
    stage.members = [i for i in stage.members if i != issuer]
    stage.lost.pop(issuer, None)
    stage.images.pop(issuer, None)
    if issuer in stage.cluster.processes:
        stage.cluster.kill(issuer)
    stage.away[issuer] = "gone"
    stage.mark(issuer, "down")


def find_members(stage, result):
    """What became of a change that nobody answered for: a majority's word, once there is one."""
    def known():
        leader = stage.logs.leader([i for i in stage.cluster.issuers
                                    if i in stage.cluster.processes])
        asked = stage.cluster.ctl(leader, "leases", "--consistency", "quorum", check=False) \
            if leader else None
        if asked is None or asked.returncode != 0:
            return None
        told = json.loads(stage.cluster.ctl(leader, "issuers", check=False).stdout or "{}")
        return told if told.get("issuers") and "change" not in told else None
    try:
        told = wait_until(known, 25, poll=0.1)
    except (AssertionError, ValueError):
        stage.trouble.append(f"members are not known after {result.words}")
        return
    ids = {r["id"]: r["role"] for r in told["issuers"]}
    stage.learners = [i for i, role in ids.items() if role == "learner"]
    gone = [i for i in stage.members if i not in ids]
    stage.members = [i for i in ids if i not in stage.learners]
    for issuer in gone:
        removed(stage, issuer)
