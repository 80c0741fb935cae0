"""A short run of chaos.py with a fixed seed (`make chaos` is the long one), and its judge on written logs."""

import os
import sys
import tempfile
import time
import types

from arena import Verdict
from chaos import Act, Chaos, chaos, schedule
from cluster import run_tests
from raft_log import RaftLogs

SECONDS = 12
NOON = time.mktime(time.strptime("2026-03-04 12:00:00", "%Y-%m-%d %H:%M:%S"))


def random_faults_and_acts_break_no_promise():
    verdict = Verdict()
    chaos(verdict, seed=8, seconds=SECONDS, ttl_ms=1000, layout="apart")
    assert verdict.failed == 0, f"{verdict.failed} claims, see above"


def a_seed_is_a_schedule():
    assert schedule(5, 60, 1000) == schedule(5, 60, 1000) != schedule(6, 60, 1000)
    assert {s.action for s in schedule(5, 60, 1000, ["wipe", "weld"])} == {"wipe", "weld"}


def written(folder, **logs):
    """A chaos that has run already: logs as issuers write them, seconds after noon in front."""
    issuers = [name.replace("_", "-") for name in logs]
    for issuer, lines in zip(issuers, logs.values()):
        with open(os.path.join(folder, f"{issuer}.log"), "w", encoding="ascii") as file:
            for second, text in lines:
                file.write(f"12:00:{second:06.3f} {text}\n")
    cluster = types.SimpleNamespace(path=lambda name: os.path.join(folder, name), issuers=issuers)
    run = types.SimpleNamespace(cluster=cluster, spare=[], marks=[], logs=RaftLogs(cluster),
                                operator=types.SimpleNamespace(acts=[]))
    for log in run.logs.logs.values():
        log.began = NOON - 1
    run.marks = [(NOON, issuer, "up") for issuer in issuers]
    run.against_pins = lambda entries: Chaos.against_pins(run, entries)
    return run


def logs_of_three(leader, **more):
    """All three start at 1 s; issuer-1 leads as told."""
    start = (1, ": started in cluster line-3 as issuer")
    rows = {f"issuer_{n}": [start] for n in (1, 2, 3)}
    rows["issuer_1"] = rows["issuer_1"] + [(at, f"raft: {role} in term 1, leader issuer-1")
                                           for at, role in leader]
    return {name: sorted(lines + more.get(name, [])) for name, lines in rows.items()}


def time_without_a_leader_counts_while_a_whole_majority_is_up():
    with tempfile.TemporaryDirectory() as folder:
        run = written(folder, **logs_of_three([(2, "leader"), (10, "follower"), (14.5, "leader")]))
        longest, at = Chaos.longest_leaderless(run, NOON + 20)
        assert abs(longest - 4.5) < 0.01 and abs(at - NOON - 10) < 0.01, (longest, at - NOON)
        # One that stands or has lost its journal is no part of that majority.
        for what in ("paused", "down", "lost"):
            run.marks = run.marks[:3] + [(NOON + 11, i, what) for i in ("issuer-2", "issuer-3")]
            longest, _ = Chaos.longest_leaderless(run, NOON + 20)
            assert abs(longest - 1) < 0.01, (what, longest)
        # Nor is a leader that stands one.
        run.marks = run.marks[:3] + [(NOON + 5, "issuer-1", "paused")]
        longest, _ = Chaos.longest_leaderless(run, NOON + 20)
        assert abs(longest - 15) < 0.01, longest


def judged(acts, **logs):
    with tempfile.TemporaryDirectory() as folder:
        run = written(folder, **logs)
        run.operator.acts = acts
        return Chaos.lost_acts(run)


def acts_that_were_acknowledged_and_are_not_there_are_found():
    pin = Act("op-1", ["pin", "pump", "none"], 1, 2, "done", {"done": "pinned"})
    move = Act("op-2", ["transfer", "pump", "board-b"], 1, 2, "done", {"to": "board-b", "token": 9})
    kept = [(3, "pump: entry 5: holder none, token 0, by op-1: pinned to nobody"),
            (4, "pump: entry 9: holder board-b, token 9, by issuer-1")]
    assert judged([pin, move], issuer_1=[], issuer_2=kept)[0] == []
    assert len(judged([pin, move], issuer_1=[], issuer_2=kept[:1])[0]) == 1
    assert len(judged([pin, move], issuer_1=[], issuer_2=[])[0]) == 2
    assert judged([pin._replace(outcome="unknown")], issuer_1=[])[0] == []


def entries_applied_differently_and_grants_against_a_pin_are_found():
    pinned = (3, "pump: entry 5: holder none, token 0, by op-1: pinned to nobody")
    grant = (4, "pump: entry 9: holder board-b, token 9, by issuer-1")
    other = (4, "pump: entry 9: holder board-c, token 9, by issuer-1")
    unpin = (3.5, "pump: entry 7: holder none, token 0, by op-2: unpinned")
    _, differ, against = judged([], issuer_1=[pinned, grant], issuer_2=[pinned, other])
    assert len(differ) == 1 and against, (differ, against)
    _, differ, against = judged([], issuer_1=[pinned, unpin, grant], issuer_2=[pinned])
    assert not differ and not against, (differ, against)


if __name__ == "__main__":
    sys.exit(run_tests([random_faults_and_acts_break_no_promise, a_seed_is_a_schedule,
                        time_without_a_leader_counts_while_a_whole_majority_is_up,
                        acts_that_were_acknowledged_and_are_not_there_are_found,
                        entries_applied_differently_and_grants_against_a_pin_are_found]))
