"""A run: a schedule carried out, healed every minute, and judged from outside at its end."""

import json
import time

from cluster import now_ns, wait_until

from . import acts, faults_clock, faults_network, faults_process, figures, leaders, report, witnesses
from .schedule import ACTIONS, schedule
from .stage import RESOURCES, Stage

ELECTIONS = 10  # timeouts within which a healthy majority has a leader
HEAL_EVERY_S = 60
KINDS = (acts, faults_clock, faults_network, faults_process)  # their steps are in ACTIONS

assert all(kind.__name__ for kind in KINDS) and ACTIONS


class Run:
    def __init__(self, seed, seconds, ttl_ms, layout=None, names=None):
        self.seed, self.seconds, self.ttl_ms, self.names = seed, seconds, ttl_ms, names
        self.stage = Stage(seed, ttl_ms, layout)
        self.stage.operator = acts.Operator(self.stage)
        self.done, self.skipped = report.Counter(), report.Counter()
        self.heals = []  # what -> seconds until it was well again, of each time
        self.recommended_ms = 0

    # ---- carrying out

    def begin(self):
        self.stage.begin()
        board = self.stage.cluster.boards[0]
        self.recommended_ms = float(self.stage.cluster.bound_ms(board)["resources"][0][
            "recommended_ttl_ms"])
        self.stage.faults_from = now_ns()

    def take(self, step):
        stage = self.stage
        try:
            did = ACTIONS[step.action].work(stage, step)
        except KeyError:
            did = None  # the process went away by itself in between
        (self.done if did else self.skipped)[step.action] += 1
        if did:
            stage.tell(f"{step.action}: {did}")

    def carry_out(self):
        steps = schedule(self.seed, self.seconds, self.ttl_ms, self.names)
        self.stage.tell(f"{len(steps)} steps of seed {self.seed}, ttl {self.ttl_ms} ms,"
                        f" {self.stage.layout}, failback {self.stage.cluster.failback}; logs in"
                        f" {self.stage.cluster.folder}")
        self.begin()
        end = time.monotonic() + self.seconds
        healed = time.monotonic()
        for step in steps:
            self.stage.rest(step.wait)
            if time.monotonic() > end:
                break
            if time.monotonic() - healed > HEAL_EVERY_S:
                self.heal()
                healed = time.monotonic()
            self.take(step)
        self.heal()
        return self

    # ---- healing

    def heal(self):
        """Mends all; how long until each thing was well again, in seconds."""
        stage = self.stage
        stage.tell("healed")
        stage.heal()
        stage.healed_at.append(now_ns())
        began, took = time.monotonic(), {"at": now_ns()}

        def well(what, condition, limit):
            try:
                wait_until(condition, limit, poll=0.02)
                took[what] = time.monotonic() - began
            except AssertionError:
                took[what] = float("inf")
            stage.tell(f"{what}: {took[what]:.2f} s")
        well("a leader", stage.leader, 15)

        def whole():
            stage.look_after()
            return not stage.lost
        well("all journals whole", whole, 30)
        for resource in RESOURCES:
            well(f"{resource} unpinned", lambda r=resource: stage.operator.ask(
                stage.leader() or stage.members[0], ["unpin", r]).outcome == "done", 15)
        for resource, boards in RESOURCES.items():
            well(f"{resource} driven", lambda r=resource, b=boards: self.driven(r, b), 20)
        took["until"] = now_ns()
        self.heals.append(took)

    def driven(self, resource, boards):
        """Somebody drives it; what stands in the way is asked away, as an operator would."""
        cluster, operator = self.stage.cluster, self.stage.operator
        self.stage.look_after()
        if cluster.driver(resource):
            return True
        leader = self.stage.leader()
        result = cluster.ctl(leader, "leases", check=False) if leader else None
        rows = json.loads(result.stdout)["leases"] if result and result.returncode == 0 else []
        for board in (b for r in rows if r["resource"] == resource and r.get("stuck")
                      for b in r["stuck"].split(",")):
            operator.ask(leader, ["fault", "clear", resource, board])
        for board in boards:
            result = cluster.ctl(board, "guard", check=False)
            if result.returncode == 0 and any(
                    r["name" if "name" in r else "resource"] == resource and r["guard"] == "fault"
                    for r in json.loads(result.stdout)["resources"]):
                operator.ask(board, ["fault", "clear", resource])
        return False

    # ---- judging

    def slack_ns(self):
        """After an acknowledged act, until it must be seen to hold."""
        cluster = self.stage.cluster
        return int((self.ttl_ms + 100 + ELECTIONS * cluster.election_ms + 2000) * 1e6)

    def judge(self, verdict):
        """Claims about safety are judged whatever the computer did; those about time are not."""
        stage = self.stage
        stage.end()
        ended = stage.cluster.end_watchers()
        stage.logs.read()
        found = witnesses.all_of(stage, self.slack_ns())
        starved = figures.starved(stage)
        report.tell(self, starved)
        verdict.judge(sum(self.done.values()) >= self.seconds / 10,
                      f"{sum(self.done.values())} steps in {self.seconds:.0f} s,"
                      f" {len(stage.operator.acts)} acts")
        for name, lines in found.items():
            verdict.judge(not lines, f"witness {name}: {len(lines)} findings {lines[:3]}")
        verdict.judge(not stage.died, f"programs that ended by themselves: {stage.died[:3]}")
        verdict.judge(not stage.trouble, f"trouble on the way: {stage.trouble[:3]}")
        verdict.judge(set(ended.values()) <= {0, -15}, f"the watchers' ends: {ended}")
        self.judge_times(verdict, starved)
        if verdict.failed:
            stage.cluster.keep = True
            print(f"     kept in {stage.cluster.folder}", flush=True)
        known = bool(stage.cluster.overlaps() or found["history"])
        status = stage.close()
        verdict.judge(status == 0 or known, f"the bench ended with status {status}")
        return found

    def judge_times(self, verdict, starved):
        stage = self.stage
        bar = stage.cluster.election_ms / 1000 * ELECTIONS
        late, excused = [], 0
        for span in leaders.leaderless(stage, stage.ended_wall):
            if span.end - span.begin > bar:
                begin, end = figures.wall_to_raw(span.begin), figures.wall_to_raw(span.end)
                if figures.starved_within(starved, begin, end):
                    excused += 1
                else:
                    late.append(f"{span.end - span.begin:.2f} s at"
                                f" {time.strftime('%H:%M:%S', time.localtime(span.begin))}")
        verdict.judge(not late, f"longer than {bar:.1f} s without a leader while a whole majority"
                      f" was up: {late}" + (f"; {excused} while the computer starved"
                                            if excused else ""))
        bar_ns = self.slack_ns()
        idle = [f"{resource} for {length / 1e9:.1f} s from {(at - stage.zero) / 1e9:.1f} s on"
                for length, at, resource in figures.idle(stage, bar_ns, figures.unled(stage))]
        verdict.judge(not idle, f"undriven for longer than {bar_ns / 1e9:.1f} s with a leader and a"
                      f" whole candidate: {idle[:5]}")
        unled = [f"{took['a leader']:.2f} s" for took in self.heals if took["a leader"] > bar
                 and not figures.starved_within(starved, took["at"], took["until"])]
        verdict.judge(not unled, f"healed, and longer than {bar:.1f} s without a leader: {unled}")
        slow = [{k: round(v, 2) for k, v in took.items() if k not in ("at", "until")}
                for took in self.heals if self.not_well(took)]
        verdict.judge(not slow, f"healed {len(self.heals)} times, all well each time: {slow or ''}")

    def not_well(self, took):
        """What did not become well, but for resources whose boards had all used up their budgets."""
        never = [k for k, v in took.items() if v == float("inf")]
        return [k for k in never if not (k.endswith(" driven") and figures.all_spent(
            self.stage, RESOURCES[k.split()[0]], took["at"], took["until"]))]


def chaos(verdict, seed, seconds, ttl_ms, layout=None, names=None, keep=False):
    """One run; its findings by witness."""
    run = Run(seed, seconds, ttl_ms, layout, names)
    run.stage.cluster.keep = keep
    try:
        return run.carry_out().judge(verdict)
    finally:
        run.stage.close()
