"""A short run of chaos with a fixed seed (`make chaos` is the long one); its witnesses and judges."""

import os
import subprocess
import sys
import tempfile
import time
import types

import chaos.run  # registers the actions
from chaos import clocks, figures, leaders, wires, witnesses, world
from chaos.acts import Act
from chaos.schedule import ACTIONS, schedule
from cluster import now_ns, run_tests
from lease_history import Clock
from raft_log import RaftLogs

NOON = time.mktime(time.strptime("2026-03-04 12:00:00", "%Y-%m-%d %H:%M:%S"))
SECONDS = 8
SEED = "1"
NS = 1000000000
SKIPPED = 77


def run_chaos(*arguments):
    """`python3 -m chaos`; its output, or None where it can't be."""
    folder = os.path.dirname(os.path.abspath(__file__))
    result = subprocess.run([sys.executable, "-m", "chaos", *arguments], cwd=folder, timeout=120,
                            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if result.returncode == SKIPPED:
        print(f"     {result.stdout.strip()}")
        return None
    output = result.stdout + result.stderr
    assert result.returncode == 0, output[-6000:]
    return output


def random_faults_and_acts_break_no_promise():
    output = run_chaos("--minutes", str(SECONDS / 60), "--seed", SEED, "--layout", "apart")
    for line in (output or "").splitlines():
        if line.startswith("     "):
            print(line)


def every_witness_sees_what_is_planted_for_it():
    output = run_chaos("--planted")
    assert output is None or output.count("saw what was planted") == 5, output


def a_seed_is_a_schedule():
    assert chaos.run.KINDS
    assert schedule(5, 60, 1000) == schedule(5, 60, 1000) != schedule(6, 60, 1000)
    assert {s.action for s in schedule(5, 60, 1000, ["wipe", "weld"])} == {"wipe", "weld"}
    assert {s.action for s in schedule(5, 3600, 1000)} == set(ACTIONS)


def cables_keep_the_worst_of_what_is_wrong_until_it_is_mended():
    cables = wires.Wires.__new__(wires.Wires)
    cables.hosts, cables.holds = {"a": 0, "b": 1}, []
    cables.table = bytearray(wires.HOSTS_MAX ** 2 * wires.WIRE.size)

    def there():
        return wires.WIRE.unpack_from(cables.table, wires.WIRE.size)
    slow = cables.spoil([("a", "b")], delay_us=5000)
    cut = cables.spoil([("a", "b"), ("a", "a")], loss_ppm=wires.CUT)
    assert there() == (wires.CUT, 5000, 0, 0)
    slow()
    assert there() == (wires.CUT, 0, 0, 0)
    cables.heal()
    cut()
    assert there() == (0, 0, 0, 0) and not cables.holds


def a_clock_of_a_boards_own_is_read_back_as_true_time():
    clock = Clock([(1000.0, 5000.0, 2000000), (2000.0, 6002.0, -10 ** 9), (3000.0, 6002.0, 0)])
    assert clock.own(1500) == 5501 and clock.true(5501) == 1500
    assert clock.own(2500) == 6002 and clock.own(3100) == 6102
    assert clock.true(6102) == 3100 and clock.true(6002) == 2000


# ---- judges, on what was written down


def written(folder, **logs):
    """A chaos that has run already: logs as issuers write them, seconds after noon in front."""
    issuers = [name.replace("_", "-") for name in logs]
    for issuer, lines in zip(issuers, logs.values()):
        with open(os.path.join(folder, f"{issuer}.log"), "w", encoding="ascii") as file:
            for second, text in lines:
                file.write(f"12:00:{second:06.3f} {text}\n")
    cluster = types.SimpleNamespace(path=lambda *names: os.path.join(folder, *names),
                                    issuers=issuers, drives=lambda resource: [])
    stage = types.SimpleNamespace(cluster=cluster, spare=[], logs=RaftLogs(cluster),
                                  operator=types.SimpleNamespace(acts=[]))
    for log in stage.logs.logs.values():
        log.began = NOON - 1
    stage.marks = [(NOON, issuer, "up") for issuer in issuers]
    return stage


def logs_of_three(leader, **more):
    """All three start at 1 s; issuer-1 leads as told."""
    start = (1, ": started in cluster line-3 as issuer")
    rows = {f"issuer_{n}": [start] for n in (1, 2, 3)}
    rows["issuer_1"] = rows["issuer_1"] + [(at, f"raft: {role} in term 1, leader issuer-1")
                                           for at, role in leader]
    return {name: sorted(lines + more.get(name, [])) for name, lines in rows.items()}


def longest(stage, until):
    spans = leaders.leaderless(stage, until)
    return max(((s.end - s.begin, s.begin) for s in spans), default=(0, until))


def time_without_a_leader_counts_while_a_whole_majority_is_up():
    with tempfile.TemporaryDirectory() as folder:
        stage = written(folder, **logs_of_three([(2, "leader"), (10, "follower"),
                                                 (14.5, "leader")]))
        span, at = longest(stage, NOON + 20)
        assert abs(span - 4.5) < 0.01 and abs(at - NOON - 10) < 0.01, (span, at - NOON)
        # One that stands, is cut off or has lost its journal is no part of that majority.
        for what in ("paused", "down", "lost", "cut"):
            stage.marks = stage.marks[:3] + [(NOON + 11, i, what) for i in ("issuer-2", "issuer-3")]
            span, _ = longest(stage, NOON + 20)
            assert abs(span - 1) < 0.01, (what, span)
        # Nor is a leader that stands one.
        stage.marks = stage.marks[:3] + [(NOON + 5, "issuer-1", "paused")]
        span, _ = longest(stage, NOON + 20)
        assert abs(span - 15) < 0.01, span


def a_leader_that_was_killed_is_a_loss_when_the_next_one_comes():
    with tempfile.TemporaryDirectory() as folder:
        stage = written(folder, **logs_of_three([(2, "leader")], issuer_2=[
            (9, "raft: leader in term 2, leader issuer-2"),
            (12, "raft: follower in term 2, leader unknown")]))
        assert [round(at - NOON) for at in leaders.leader_losses(stage)] == [2, 9, 12]


def judged(acts, **logs):
    """(lost acts, entries applied differently, grants against a pin)"""
    with tempfile.TemporaryDirectory() as folder:
        entries, differ, _ = written(folder, **logs).logs.history()
        return witnesses.lost_acts(acts, entries), differ, witnesses.against_pins(entries)


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


def page_findings(*rows):
    with tempfile.TemporaryDirectory() as folder:
        stage = written(folder)
        with open(stage.cluster.path("pages.jsonl"), "w", encoding="ascii") as file:
            for board, token, begin, end in rows:
                file.write(f'{{"board":"{board}","resource":"pump","token":{token},'
                           f'"from_ns":{begin},"until_ns":{end}}}\n')
            file.write('{"blind_from_ns":5,"blind_ns":9}\n{"board":"boa')
        return witnesses.pages(stage)


def pages_that_are_valid_on_two_boards_are_found():
    assert page_findings(("board-a", 3, 10, 20), ("board-b", 4, 20, 30)) == []
    assert len(page_findings(("board-a", 3, 10, 21), ("board-b", 4, 20, 30))) == 1
    assert len(page_findings(("board-a", 3, 10, 90), ("board-b", 4, 95, 99),
                             ("board-c", 2, 100, 110))) == 1
    assert len(page_findings(("board-a", 3, 10, 20), ("board-b", 3, 30, 40))) == 1


def write_findings(rows, sure=()):
    """Rows of (through whom, said to be of which number, token, count)."""
    with tempfile.TemporaryDirectory() as folder:
        stage = written(folder)
        stage.cluster.boards = ["board-a", "board-b"]
        for board in stage.cluster.boards:
            with open(stage.cluster.path(f"{board}.writes"), "w", encoding="ascii") as file:
                file.writelines(f"{count} same\n" for count in sure)
        stage.cluster.events = lambda: [
            {"t_ns": at, "ev": "modbus", "function": 16, "register": witnesses.REGISTER,
             "board": board, "values": [number, 0, 0, token, 0, count]}
            for at, (board, number, token, count) in enumerate(rows)]
        return witnesses.actuator(stage)


def writes_out_of_order_are_found():
    good = [("board-a", 0, 3, 1), ("board-b", 1, 4, 1), ("board-a", 0, 5, 2)]
    assert write_findings(good, sure=[1, 2]) == []
    assert len(write_findings([*good, ("board-b", 1, 4, 3)], sure=[1, 2, 3])) == 1
    # Its master was paused between question and write, as it says itself.
    assert write_findings([*good, ("board-b", 1, 4, 3)], sure=[1, 2]) == []
    assert len(write_findings([("board-b", 0, 3, 1)])) == 1
    assert len(write_findings([("board-a", 0, 3, 1), ("board-b", 1, 3, 1)])) == 1


def a_drive_against_a_pin_is_found():
    with tempfile.TemporaryDirectory() as folder:
        stage = written(folder)
        stage.operator.acts = [Act("op-1", ["pin", "pump", "board-b"], 1, 2, "done", {})]
        edges = [{"t_ns": 1, "board": "board-a", "level": 1}]
        stage.cluster.drives = lambda resource: edges
        assert len(witnesses.drives_against_pins(stage, 1000)) == 1
        edges.append({"t_ns": 500, "board": "board-a", "level": 0})
        assert witnesses.drives_against_pins(stage, 1000) == []
        edges.append({"t_ns": now_ns() // 2, "board": "board-a", "level": 1})
        assert len(witnesses.drives_against_pins(stage, 1000)) >= 1


def a_weld_that_was_told_in_time_excuses_nothing():
    stuck = (4, "fan: entry 8: holder board-a, token 0, by board-a: an output is stuck on: held")
    before = (3.9, "fan: entry 7: holder board-b, token 7, by board-a")
    after = (4.1, "fan: entry 9: holder board-b, token 9, by board-a")

    def late(*lines, until=6):
        def raw(second):
            return int(now_ns() - (time.time() - NOON - second) * NS)
        with tempfile.TemporaryDirectory() as folder:
            stage = written(folder, issuer_1=list(lines))
            stage.welds = [[raw(3.5), raw(until), "board-a", "fan"]]
            words = witnesses.late_words(stage)
            return bool(words) and witnesses.excused(words, "fan", ("board-b", "board-a"), raw(5)) \
                and not witnesses.excused(words, "fan", ("board-b", "board-c"), raw(5))
    assert late(before, stuck)
    assert late(before)  # it was cut off, or dead
    assert not late(stuck, after)
    assert not late(before, stuck, after)
    assert not late(stuck)
    assert not late(before, stuck, until=4.5), "the overlap came when the weld was over"


# ---- figures


def figured(folder, edges=(), faults=(), starved=(), guard=()):
    """A run of 100 s that ended now; instants are seconds since its beginning."""
    stage = written(folder)
    stage.ended, stage.ended_wall = now_ns(), time.time()
    zero = stage.ended - 100 * NS
    stage.began, stage.ttl_ms = time.monotonic() - 100, 1000
    stage.cluster.boards, stage.cluster.election_ms = ["board-a", "board-b"], 300
    stage.cluster.failback = "manual"
    stage.cluster.drives = lambda resource: [
        {"t_ns": zero + int(at * NS), "board": board, "level": level}
        for at, board, level in edges if resource == "pump"]
    stage.faults = [types.SimpleNamespace(begin=zero + int(a * NS), end=zero + int(b * NS),
                                          costs={board}, kind="test") for a, b, board in faults]
    with open(stage.cluster.path("starved.jsonl"), "w", encoding="ascii") as file:
        for a, b in starved:
            file.write(f'{{"what":"processor","from_ns":{zero + int(a * NS)},'
                       f'"until_ns":{zero + int(b * NS)}}}\n')
    began = time.time() - 100
    lines = [time.strftime("%H:%M:%S", time.localtime(began + at)) + f".{(began + at) % 1:.3f}"[2:]
             + f" {text}" for at, text in guard]
    stage.cluster.log = lambda name: "\n".join(lines) if name == "board-a-guard" else ""
    return stage, zero


def takeovers_and_availability_are_those_of_the_relays():
    edges = [(10, "board-a", 1), (40, "board-a", 0), (40.05, "board-a", 1), (60, "board-a", 0),
             (61.5, "board-b", 1), (81.5, "board-b", 0)]
    with tempfile.TemporaryDirectory() as folder:
        stage, zero = figured(folder, edges)
        gaps = figures.takeovers(stage, "pump")
        assert len(gaps) == 1 and abs(gaps[0] - 1.5 * NS) < NS / 100, gaps
        share = figures.availability(stage, zero, stage.ended)["pump"]
        assert abs(share - 0.70) < 0.002, share  # what a late pulse leaves is no gap
        stage.operator.acts = [
            Act("op-1", ["pin", "pump", "none"], zero + 80 * NS, 0, "done", {}),
            Act("op-2", ["unpin", "pump"], 0, zero + 100 * NS, "done", {})]
        stage.operator.acts[1] = stage.operator.acts[1]._replace(asked=zero + 99 * NS)
        assert abs(figures.away(stage, "pump")[-1][0] - zero - 80 * NS) < NS
        length, at, resource = figures.longest_gaps(stage, zero, stage.ended)[0]
        assert resource != "pump" and abs(length - 100 * NS) < NS and at == zero


def a_lease_lost_without_a_reason_is_needless():
    lost = [(50, "pump: driving -deadline-> dropping, token 5"),
            (50.5, "pump: dropping -shown off-> safe, token 5")]
    with tempfile.TemporaryDirectory() as folder:
        def needless(**more):
            bare, blamed = figures.needless(figured(folder, guard=lost, **more)[0], 877)
            return len(bare), len(blamed)
        assert needless() == (1, 0)
        assert needless(faults=[(48, 49, "board-a")]) == (0, 0)
        assert needless(faults=[(48, 49, "board-b")]) == (1, 0)
        assert needless(faults=[(20, 21, "board-a")]) == (1, 0)
        assert needless(starved=[(49.5, 49.7)]) == (0, 1)
        assert needless(starved=[(10, 10.5)]) == (1, 0)


def a_resource_that_stays_undriven_is_found_unless_something_explains_it():
    edges = [(0, "board-a", 1), (20, "board-a", 0), (80, "board-b", 1)]
    with tempfile.TemporaryDirectory() as folder:
        def idle(leaderless=(), pin=None, budget=(), **more):
            stage, zero = figured(folder, edges, **more)
            log = types.SimpleNamespace(others=[(stage.ended_wall - 100 + at, text)
                                                for at, text in budget])
            stage.logs = types.SimpleNamespace(
                read=lambda: types.SimpleNamespace(logs={"issuer-1": log}))
            stage.faults_from, stage.zero, stage.healed_at = zero, zero, []
            if pin:
                stage.operator.acts = [Act("op-1", ["pin", "pump", "none"], zero + pin * NS, 0,
                                           "unknown", "")]
            spans = [[zero + a * NS, zero + b * NS] for a, b in leaderless]
            return [(round(length / NS), round((at - zero) / NS)) for length, at, resource
                    in figures.idle(stage, 10 * NS, spans) if resource == "pump"]
        assert idle() == [(60, 20)]
        assert idle(leaderless=[(25, 75)]) == []
        assert idle(leaderless=[(25, 60)]) == [(20, 60)]
        assert idle(pin=21) == []
        assert idle(starved=[(28, 70)]) == []
        told = "board-a: over its budget: it has caused 50890 bytes: its acquires wait; the next in 90 s"
        assert idle(budget=[(15, told)]) == [(60, 20)]
        assert idle(budget=[(15, told.replace("-a", end)) for end in ("-a", "-b", "-c")]) == []
        # Another candidate is whole: one board's fault explains nothing.
        assert idle(faults=[(15, 90, "board-a")]) == [(60, 20)]
        assert idle(faults=[(15, 90, board) for board in ("board-a", "board-b", "board-c")]) == []


SEE = "import time; print(*(time.clock_gettime_ns(c) for c in (time.CLOCK_MONOTONIC_RAW,"\
    " time.CLOCK_MONOTONIC, time.CLOCK_BOOTTIME)))"
SEE_SLEEP = "import time; b = time.monotonic(); time.sleep(0.05); print(time.monotonic() - b)"


def a_hosts_programs_see_its_clocks():
    with tempfile.TemporaryDirectory() as folder:
        clock = clocks.HostClock(f"{folder}/c", f"{folder}/c.jsonl", 0)
        environment = {**os.environ, "CLOCK_FILE": clock.path,
                       "LD_PRELOAD": os.path.join(world.TOOLS, "chaos-clock.so")}

        def see(program=SEE):
            """How far RAW, MONOTONIC and BOOTTIME were ahead of this machine's, in ms: so much
            at least, and as much less as the second value says."""
            def clock_ns():
                return [time.clock_gettime_ns(c) for c in (
                    time.CLOCK_MONOTONIC_RAW, time.CLOCK_MONOTONIC, time.CLOCK_BOOTTIME)]
            before = clock_ns()
            text = subprocess.run([sys.executable, "-c", program], env=environment, check=True,
                                  capture_output=True, text=True).stdout
            if program != SEE:
                return float(text)
            slack = (clock_ns()[0] - before[0]) / 1e6
            return [(int(t) - b) / 1e6 for t, b in zip(text.split(), before)], slack
        ahead, slack = see()
        assert all(0 <= a <= slack for a in ahead), ahead
        clock.step(-3 * NS)
        time.sleep(0.05)
        ahead, slack = see()
        assert 0 <= ahead[0] <= slack and -3000 <= ahead[1] <= -3000 + slack, ahead
        assert 0.05 <= see(SEE_SLEEP) < 2.9, "a sleep is as long as it was"
        clock.fall_asleep()
        time.sleep(0.2)
        clock.wake()
        rows = clock.rows()
        slept = (rows[3]["from_ns"] - rows[2]["from_ns"]) / 1e6
        ahead, slack = see()
        assert slept >= 200 and -slept - 1 <= ahead[0] <= -slept + slack, (ahead, slept)
        assert -3001 <= ahead[2] <= -2999 + slack, "BOOTTIME has gone on"
        assert [r["rate_ppb"] for r in rows] == [0, 0, clocks.STANDS, 0]
        history = Clock([(r["from_ns"] / 1000, r["raw_ns"] / 1000, r["rate_ppb"]) for r in rows])
        told, true = int(subprocess.run([sys.executable, "-c", SEE], env=environment, check=True,
                                        capture_output=True, text=True).stdout.split()[0]), now_ns()
        assert 0 <= true / 1000 - history.true(told / 1000) < 5e6


if __name__ == "__main__":
    if world.refusal():
        print(f"no network namespaces here, runs are skipped: {world.refusal()}")
    sys.exit(run_tests([random_faults_and_acts_break_no_promise,
                        every_witness_sees_what_is_planted_for_it, a_seed_is_a_schedule,
                        cables_keep_the_worst_of_what_is_wrong_until_it_is_mended,
                        a_clock_of_a_boards_own_is_read_back_as_true_time,
                        time_without_a_leader_counts_while_a_whole_majority_is_up,
                        a_leader_that_was_killed_is_a_loss_when_the_next_one_comes,
                        acts_that_were_acknowledged_and_are_not_there_are_found,
                        entries_applied_differently_and_grants_against_a_pin_are_found,
                        pages_that_are_valid_on_two_boards_are_found,
                        writes_out_of_order_are_found,
                        a_weld_that_was_told_in_time_excuses_nothing, a_drive_against_a_pin_is_found,
                        takeovers_and_availability_are_those_of_the_relays,
                        a_lease_lost_without_a_reason_is_needless,
                        a_resource_that_stays_undriven_is_found_unless_something_explains_it,
                        a_hosts_programs_see_its_clocks]))
