"""The offline checker itself: written histories with one claim broken each; planted violations.

These are planted at random places of a real run's history, made here in a few seconds.
SEED=n repeats a run.
"""

import copy
import json
import os
import random
import shutil
import sys

import lease_history
from cluster import Cluster, run_tests, wait_until
from measure import primary_and_standby
from modbus import Master, ModbusException

SEED = int(os.environ.get("SEED", random.randrange(1 << 32)))
PLANTED = 400  # violations
CLAIMS = {"trace", "log", "history", "S1", "S2", "S4", "S5", "S6"}


class Record:
    """A history as parsed events, to be changed and then judged."""

    def __init__(self):
        self.trace, self.logs, self.issuers, self.bench = [], {}, {}, ""

    def judge(self):
        history = lease_history.History()
        history.read_bench_file(self.bench)
        # The bench and the agents write each what they learn next; `sorted` keeps equals in order.
        trace = sorted(self.trace, key=lambda e: e["t_ns"])
        history.read_trace(json.dumps(event) + "\n" for event in trace)
        for name, log in self.logs.items():
            history.read_lease_log(name, [json.dumps(event, separators=(",", ":"))
                                          for event in sorted(log, key=lambda e: e["t_us"])])
        for name, lines in self.issuers.items():
            history.read_issuer_log(name, lines)
        return history.judge()

    # ---- written by hand; times in ms

    def board(self, name):
        self.logs[name] = []
        self.say(name, 0, "start", board=name, pid=1, drift_ppm=2000)
        self.say(name, 0, "resource", ttl_us=1000000, release_us=5000, fence_us=20000)

    def say(self, writer, at, event, **more):
        entry = {"t_us": round(at * 1000), "ev": event}
        if event != "start":
            entry["resource"] = "pump"
        self.logs[writer].append(entry | more)

    def see(self, at, event, **more):
        self.trace.append({"t_ns": round(at * 1000000), "ev": event, "resource": "pump"} | more)

    def drive(self, board, begin, end):
        for at, level in ((begin, 1), (end, 0)):
            self.see(at, "line", board=board, line="enable", level=level)
            self.see(at, "drive", board=board, level=level)

    def write(self, at, board):
        self.see(at, "modbus", actuator="valve", board=board, function=6, register=7, count=1,
                 values=[111], peer="", received_ns=0)

    def renew(self, board, token, sent, answered=None, permit=True):
        nonce = f"{board}{sent}"
        self.say(board, sent, "renew", token=token, nonce=nonce)
        self.say(board, answered or sent + 2, "renewed", token=token, nonce=nonce)
        if permit:
            self.say(board, answered or sent + 2, "permit", token=token,
                     deadline_us=round((sent + 998 - 5) * 1000))

    def hold(self, board, token, begin, end):
        """Granted at `begin`, renewed until `end`, driven until then and the pulse's hold after."""
        self.say(board, begin, "granted", token=token, ttl_us=1000000, fence_us=20000)
        for sent in range(begin, end, 200):
            self.renew(board, token, sent)
        self.drive(board, begin + 3, end + 20)


def written():
    """board-a holds token 5, dies, board-b gets token 9; each writes once. Nothing is wrong."""
    record = Record()
    record.bench = """bench = { resources = (
      { name = "fan"; lines = ( { name = "enable"; kind = "gpio"; hold_ms = 90; } ); },
      { name = "pump"; lines = ( { name = "enable"; kind = "pulse"; hold_ms = 20; } ); } ); };"""
    record.board("board-a")
    record.board("board-b")
    record.hold("board-a", 5, 1000, 3000)
    record.hold("board-b", 9, 4100, 6000)
    record.write(2000, "board-a")
    record.write(5000, "board-b")
    record.issuers["issuer-1.log"] = [
        "05:57:38.369 pump: entry 5: holder board-a, token 5, by issuer-1: ",
        "05:57:38.954 pump: entry 9: holder board-a, token 5, by issuer-1: ",
        "05:57:38.954 pump: entry 9: holder board-b, token 9, by issuer-1: "]
    return record


def find(record, claim, *words):
    """The claim is found violated, in one line that says these words."""
    violations = record.judge().violations
    assert all(line.split()[0].rstrip(":") in CLAIMS for line in violations), violations
    assert any(line.startswith(claim) and all(str(word) in line for word in words)
               for line in violations), (claim, words, violations)


def of(record, board, event, token=None):
    return [e for e in record.logs[board] if e["ev"] == event and token in (None, e.get("token"))]


def clean_history_passes_and_is_counted():
    history = written().judge()
    assert not history.violations, history.violations
    assert history.total("grants") == 2 and history.total("renewals") == 20, history.counts
    assert history.total("drives") == 2 and history.total("writes") == 2, history.counts
    assert list(history.summary())[-1] == "0 violations"


def nothing_to_judge_is_an_error_when_something_is_expected():
    assert not Record().judge().violations
    assert "0 grants" in Record().judge().expect(grants=1).violations[0]
    assert not written().judge().expect(grants=2, drives=2, writes=2).violations
    assert written().judge().expect(writes=3).violations


def s1_two_boards_at_once_are_found():
    record = written()
    record.drive("board-b", 2000, 2500)
    find(record, "S1", "board-a and board-b both drive", 2.0, 2.5)


def s1_a_drive_within_another_is_found():
    record = written()
    record.drive("board-b", 2000, 2001)
    record.drive("board-b", 2500, 2501)
    violations = [v for v in record.judge().violations if "both drive" in v]
    assert len(violations) == 2, violations


def s1_the_witness_is_held_to_its_own_lines():
    record = written()
    record.see(2000, "overlap", kind="drive", board="board-a", other="board-b")
    find(record, "S1", "reported an overlap")
    record = written()
    record.trace = [e for e in record.trace if e["ev"] != "drive" or e["t_ns"] < 4e9]
    find(record, "S1", "board-b", "not those of its lines")
    record = written()
    record.drive("board-b", 2000, 2500)
    find(record, "S1", "missed an overlap")


def s1_a_pulse_shorter_than_its_hold_time_is_found():
    for length, good in ((20, True), (19.999, False)):
        record = written()
        record.trace = [e for e in record.trace if e["board"] != "board-b" or e["ev"] == "modbus"]
        record.drive("board-b", 4200, 4200 + length)
        found = [v for v in record.judge().violations if "one edge holds it" in v]
        assert bool(found) != good, (length, found)


def s1_a_drive_past_ttl_and_fence_latency_of_its_last_renewal_is_found():
    # Sent at 2800, ttl 1000, fence latency 20.
    for end, good in ((3820, True), (3821, False)):
        record = written()
        record.trace = [e for e in record.trace if e["board"] != "board-a" or e["ev"] == "modbus"]
        record.drive("board-a", 1003, end)
        found = [v for v in record.judge().violations if "lease and fence latency ended" in v]
        assert bool(found) != good, (end, found)


def s1_a_permit_longer_than_its_renewal_allows_is_found():
    record = written()
    of(record, "board-a", "permit")[3]["deadline_us"] += 1
    find(record, "S1", "board-a token 5: permit")


def s1_a_lease_for_which_the_issuer_waits_too_short_is_found():
    record = written()
    of(record, "board-b", "granted")[0]["fence_us"] = 19999
    find(record, "S1", "board-b token 9", "19999 us only")


def s2_a_token_with_two_holders_is_found():
    record = written()
    record.say("board-a", 6000, "granted", token=9, ttl_us=1000000, fence_us=20000)
    find(record, "S2", "token 9 has 2 holders")
    record = written()
    record.issuers["issuer-2.log"] = ["pump: entry 9: holder board-c, token 9, by issuer-2: "]
    find(record, "S2", "token 9 has 2 holders", "board-c")


def s2_a_token_that_falls_is_found():
    record = written()
    record.hold("board-a", 4, 7500, 8000)
    find(record, "S2", "board-a token 4: granted", "after token 5")
    find(record, "S2", "board-a token 4: drives", "after board-b token 9")
    record = written()
    record.issuers["issuer-1.log"] += ["pump: entry 12: holder board-a, token 7, by issuer-1: "]
    find(record, "S2", "entry 12 names token 7")


def s2_what_was_never_granted_is_not_renewed():
    record = written()
    record.renew("board-b", 12, 5000)
    find(record, "S2", "board-b token 12: renewed", "never granted")


def s2_a_lease_of_the_agents_former_start_is_not_renewed():
    record = written()
    record.say("board-b", 5150, "start", board="board-b", pid=2, drift_ppm=2000)
    find(record, "S2", "board-b token 9: renewed", "in this start")


def s4_a_renewal_sent_after_anothers_grant_is_not_confirmed():
    for sent, good in ((4099, True), (4101, False)):
        record = written()
        record.renew("board-a", 5, sent, permit=False, answered=4200)
        found = [v for v in record.judge().violations if v.startswith("S4")]
        assert bool(found) != good, (sent, found)
    assert "board-a token 5" in found[0] and "board-b token 9" in found[0], found


def s4_a_renewal_sent_after_its_own_release_is_not_confirmed():
    record = written()
    record.say("board-a", 2700, "release", token=5, fenced=True)
    find(record, "S4", "board-a token 5", "after its release")


def s5_a_drive_without_a_permit_is_found():
    record = written()
    record.logs["board-a"] = [e for e in record.logs["board-a"] if e["ev"] != "permit"]
    find(record, "S5", "board-a", "without a permit")


def s5_a_drive_that_begins_before_its_permit_is_found():
    record = written()
    record.drive("board-b", 4080, 4090)
    find(record, "S5", "board-b", "without a permit")


def s5_a_drive_that_begins_after_its_permit_is_found():
    record = written()
    record.drive("board-a", 3799, 3805)
    find(record, "S5", "board-a token 5", "its permit ended")


def s5_a_permit_before_the_first_renewal_is_found():
    record = written()
    record.say("board-b", 4100, "permit", token=9, deadline_us=4100000)
    find(record, "S5", "board-b token 9", "before a renewal")


def s6_a_write_outside_of_the_lease_is_found():
    for at, good in ((3800, True), (3801, False)):
        record = written()
        record.write(at, "board-a")
        found = [v for v in record.judge().violations if v.startswith("S6")]
        assert bool(found) != good, (at, found)
    assert "board-a token 5" in found[0] and "[111]" in found[0], found


def s6_a_write_after_a_higher_tokens_first_is_found():
    record = written()
    record.write(5500, "board-a")
    find(record, "S6", "board-a token 5", "after board-b token 9's first write")


def s6_a_write_while_another_board_drives_is_found():
    record = written()
    record.write(4500, "board-a")
    find(record, "S6", "while board-b drives")
    find(record, "S6", "missed another board's drive")


def s6_a_write_by_nobody_known_is_found():
    record = written()
    record.write(2000, "")
    find(record, "S6", "nobody known")


def a_forced_relay_is_no_fault_of_the_product():
    record = written()
    record.see(6500, "fault", text="stuck relay board-a pump/enable on")
    record.drive("board-a", 6500, 6600)
    record.see(6600, "fault", text="stuck relay board-a pump/enable none")
    history = record.judge()
    assert not history.violations and history.total("forced drives") == 1, history.violations


def a_benchs_admitted_lateness_is_allowed_for():
    for late, good in ((13, True), (11, False)):
        record = written()
        record.trace = [e for e in record.trace if e.get("board") != "board-b"]
        record.drive("board-b", 4088.5, 6000)
        record.see(4100, "fault", text=f"bench late by {late} ms")
        assert bool(record.judge().violations) != good, late


def a_line_cut_off_by_a_kill_is_passed_over_and_any_other_is_not():
    start = '{"t_us":1,"ev":"start","board":"a","pid":1,"drift_ppm":1}'
    for lines, good in (([start, '{"t_us":12,"ev'], True), ([start, '{"t_u', start], True),
                        ([start, '{"t_u', '{"t_us":12,"ev":"stop"}'], False),
                        (['{"t_us":12,"ev":"stop"}', start], False)):
        history = lease_history.History()
        history.read_lease_log("lease.log", lines)
        assert bool(history.violations) != good, (lines, history.violations)


# ---- a real run, and violations planted in it


def write_through(cluster, board, value):
    def attempt():
        master = Master(cluster.gateway_address(board))
        try:
            return master.write_register(7, value)
        except ModbusException:
            return None
        finally:
            master.close()
    wait_until(attempt, what=f"a write passes at {board}", poll=0.01)


def real():
    """The record of a run with a hand-over, a death and a takeover, and writes at each stage."""
    cluster = Cluster(ttl_ms=400, hold_ms=20, gateway=True, response_ms=20).start_all()
    primary, standby = primary_and_standby(cluster)
    write_through(cluster, primary, 111)
    cluster.ctl("issuer-1", "transfer", "pump", standby, role="operator")
    write_through(cluster, standby, 222)
    primary_and_standby(cluster)
    cluster.kill_board(standby)
    cluster.wait_driver([primary])
    write_through(cluster, primary, 333)
    cluster.keep = True
    try:
        assert cluster.close(grants=3) == 0
        record = Record()
        with open(cluster.path("bench.conf"), encoding="ascii") as file:
            record.bench = file.read()
        with open(cluster.path("trace.jsonl"), encoding="ascii") as file:
            record.trace = [json.loads(line) for line in file]
        for board in cluster.boards:
            with open(cluster.path(board, "run", "lease.log"), encoding="ascii") as file:
                record.logs[board] = [json.loads(line) for line in file]
        for issuer in cluster.issuers:
            record.issuers[issuer] = cluster.log(issuer).splitlines()
        return record
    finally:
        shutil.rmtree(cluster.folder)


class Plant:
    """Each method breaks a record at a random place and names claims, one of which must show."""

    def __init__(self, record, chance):
        self.record, self.chance = record, chance
        history = record.judge()
        self.leases = sorted(history.leases["pump"].values(), key=lambda l: l.token)
        self.leases = [l for l in self.leases if l.permits]
        self.drives = history._drives("pump")

    def _edges(self, drive):
        """The four events of a drive."""
        for number, at in enumerate((drive.begin, drive.end)):
            yield [e for e in self.record.trace if e["ev"] in ("line", "drive")
                   and e["board"] == drive.board and e["level"] == 1 - number
                   and e["t_ns"] / 1000 == at]

    def _move(self, drive, begin, end):
        for events, at in zip(self._edges(drive), (begin, end)):
            for event in events:
                event["t_ns"] = round(at * 1000)

    def _say(self, lease, at, event, **more):
        self.record.logs[lease.board].append({"t_us": round(at), "ev": event, "resource": "pump",
                                              "token": lease.token} | more)

    def _renewal(self, lease, sent):
        for event, at in (("renew", sent), ("renewed", sent + self.chance.randrange(1, 5000))):
            self._say(lease, at, event, nonce="planted")

    def drive_shifted_into_anothers(self):
        number = self.chance.randrange(1, len(self.drives))
        former, drive = self.drives[number - 1], self.drives[number]
        self._move(drive, self.chance.uniform(former.begin + 1, former.end - 1), drive.end)
        return {"S1"}

    def drive_begun_before_its_permit(self):
        drive = self.chance.choice(self.drives)
        self._move(drive, drive.begin - self.chance.uniform(11000, 300000), drive.end)
        return {"S5"}

    def drive_that_goes_on(self):
        number = self.chance.randrange(len(self.drives))
        drive, lease = self.drives[number], self.leases[number]
        limit = lease.cover(lease.fence)[-1].end
        self._move(drive, drive.begin, limit + self.chance.uniform(1, 500000))
        return {"S1"}

    def pulse_cut_short(self):
        drive = self.chance.choice(self.drives)
        self._move(drive, drive.begin, drive.begin + self.chance.uniform(1, 19999))
        return {"S1"}

    def line_event_lost(self):
        lines = [e for e in self.record.trace if e["ev"] == "line"]
        self.record.trace.remove(self.chance.choice(lines))
        return {"S1", "trace"}

    def overlap_made_up(self):
        drive = self.chance.choice(self.drives)
        self.record.see(drive.begin / 1000, "overlap", kind="drive", board="board-a",
                        other="board-b")
        return {"S1"}

    def tokens_swapped(self):
        """In all files: only their order is wrong then."""
        one, two = self.chance.sample(self.leases, 2)
        swap = {one.token: two.token, two.token: one.token}
        for log in self.record.logs.values():
            for event in log:
                event["token"] = swap.get(event.get("token"), event.get("token"))
        return {"S2", "S4"}

    def tokens_swapped_in_one_message(self):
        lease, other = self.chance.sample(self.leases, 2)
        events = [e for e in self.record.logs[lease.board] if e.get("token") == lease.token
                  and e["ev"] in ("granted", "permit", "renew")]
        self.chance.choice(events)["token"] = other.token
        return {"S1", "S2", "S4", "S5"}

    def grant_to_another_board(self):
        lease = self.chance.choice(self.leases)
        other = next(l for l in self.leases if l.board != lease.board)
        event = next(e for e in self.record.logs[lease.board] if e["ev"] == "granted"
                     and e["token"] == lease.token)
        self.record.logs[other.board].append(dict(event))
        return {"S2"}

    def issuers_disagree(self):
        lines = self.record.issuers[self.chance.choice(list(self.record.issuers))]
        number = self.chance.choice([n for n, line in enumerate(lines)
                                     if "holder board" in line and "token 0" not in line])
        lines[number] = lines[number].replace("holder board-", "holder other-")
        return {"S2"}

    def renewal_answered_after_anothers_grant(self):
        number = self.chance.randrange(len(self.leases) - 1)
        later = self.chance.choice(self.leases[number + 1:])
        self._renewal(self.leases[number], later.granted + self.chance.randrange(1, 200000))
        return {"S4"}

    def renewal_answered_after_its_release(self):
        lease = self.chance.choice([l for l in self.leases if l.released != lease_history.NEVER])
        self._renewal(lease, lease.released + self.chance.randrange(1, 2000))
        return {"S4"}

    def permit_too_long(self):
        lease = self.chance.choice(self.leases)
        permits = [e for e in self.record.logs[lease.board] if e["ev"] == "permit"]
        self.chance.choice(permits)["deadline_us"] += self.chance.choice((1, 1000, 100000))
        return {"S1"}

    def renewals_unanswered(self):
        lease = self.chance.choice(self.leases)
        log = self.record.logs[lease.board]
        log[:] = [e for e in log if e["ev"] != "renewed" or e["token"] != lease.token]
        return {"S1", "S5"}

    def permits_lost(self):
        lease = self.chance.choice(self.leases)
        log = self.record.logs[lease.board]
        log[:] = [e for e in log if e["ev"] != "permit" or e["token"] != lease.token]
        return {"S2", "S5"}

    def _writes(self):
        return [e for e in self.record.trace if e["ev"] == "modbus"]

    def write_too_late(self):
        number = self.chance.randrange(len(self.leases))
        lease = self.leases[number]
        own = [l for l in self.leases if l.board == lease.board and l.granted > lease.granted]
        limit = min([l.granted for l in own], default=lease_history.NEVER)
        at = lease.cover(0)[-1].end + self.chance.uniform(1, 300000)
        event = next(e for e in self._writes() if e["board"] == lease.board)
        self.record.trace.append(event | {"t_ns": round(min(at, limit) * 1000)})
        return {"S6"}

    def write_of_another_board(self):
        event = self.chance.choice(self._writes())
        boards = {"board-a": "board-b", "board-b": "board-a"}
        event["board"] = self.chance.choice((boards[event["board"]], ""))
        return {"S6"}


def real_history_passes_and_every_planted_violation_is_found():
    print(f"seed {SEED}")
    record, chance = real(), random.Random(SEED)
    history = record.judge().expect(grants=3, renewals=6, drives=3, writes=3)
    assert not history.violations, history.violations
    print("figure: real history judged: " + "; ".join(history.summary()))
    kinds = [name for name in vars(Plant) if not name.startswith("_")]
    for number in range(PLANTED):
        broken = copy.deepcopy(record)
        kind = kinds[number % len(kinds)]
        claims = getattr(Plant(broken, chance), kind)()
        found = {line.split()[0].rstrip(":") for line in broken.judge().violations}
        assert found & claims, f"{kind} (number {number}, SEED={SEED}) not found: {found}"
    print(f"figure: {PLANTED} violations of {len(kinds)} kinds planted, all found")


if __name__ == "__main__":
    sys.exit(run_tests([test for name, test in list(globals().items()) if callable(test)
                        and getattr(test, "__module__", "") == "__main__"
                        and (name.startswith(("s1_", "s2_", "s4_", "s5_", "s6_", "a_", "clean_",
                                              "nothing_", "real_")))]))
