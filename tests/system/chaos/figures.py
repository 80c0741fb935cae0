"""Takeovers, availability, and leases that were lost though nothing was done that should cost one."""

import collections
import re
import time

from cluster import median, now_ns

from . import leaders
from .stage import ALL, RESOURCES
from .witnesses import read_rows

NS = 1000000000
LOSS = re.compile(r"^(\d\d):(\d\d):(\d\d\.\d+) .*?(\w+): (\w+) -(.+?)-> (dropping|fault)")
SHORT_NS = 100000000  # a gap of one board's own drive up to here is one of its pulse

Loss = collections.namedtuple("Loss", "at board resource cause")
Starved = collections.namedtuple("Starved", "what begin end")


def wall_to_raw(wall):
    return int(now_ns() - (time.time() - wall) * NS)


# ---- the computer


def starved(stage):
    return [Starved(row["what"], row["from_ns"], row["until_ns"])
            for row in read_rows(stage.cluster.path("starved.jsonl"))]


def starved_within(spans, begin, end):
    return any(s.begin < end and begin < s.end for s in spans)


# ---- drives


def drives(stage, resource):
    """[begin, end, board] of each drive; gaps of a pulse closed."""
    found, since = [], {}
    for event in sorted(stage.cluster.drives(resource), key=lambda e: e["t_ns"]):
        board = event["board"]
        if event["level"]:
            since.setdefault(board, event["t_ns"])
        elif board in since:
            found.append([since.pop(board), event["t_ns"], board])
    found += [[begin, now_ns(), board] for board, begin in since.items()]
    found.sort()
    merged = []
    for drive in found:
        if merged and merged[-1][2] == drive[2] and drive[0] - merged[-1][1] < SHORT_NS:
            merged[-1][1] = max(merged[-1][1], drive[1])
        else:
            merged.append(drive)
    return merged


def takeovers(stage, resource):
    """Gaps in ns from one board's drive to another's."""
    all_drives = drives(stage, resource)
    return [latter[0] - former[1] for former, latter in zip(all_drives, all_drives[1:])
            if former[2] != latter[2]]


def availability(stage, begin, end):
    """resource -> share of the time in which some board drove it."""
    shares = {}
    for resource in RESOURCES:
        driven, at = 0, begin
        for first, last, _ in drives(stage, resource):
            first, last = max(first, at), min(last, end)
            if last > first:
                driven += last - first
                at = last
        shares[resource] = driven / max(1, end - begin)
    return shares


def takeover_line(stage):
    parts = []
    for resource in sorted(RESOURCES):
        gaps = takeovers(stage, resource)
        parts.append(f"{resource} {len(gaps)}" + (
            f" (median {median(gaps) / 1e6:.0f} ms, worst {max(gaps) / 1e6:.0f} ms)"
            if gaps else ""))
    return ", ".join(parts)


# ---- needless losses


def losses(stage):
    """What the guards' logs say of leases that they gave up, and why, in order."""
    began = time.time() - (time.monotonic() - stage.began)
    day = time.localtime(began)
    start = day.tm_hour * 3600 + day.tm_min * 60 + day.tm_sec + began % 1
    found = []
    for board in stage.cluster.boards:
        for line in stage.cluster.log(f"{board}-guard").splitlines():
            told = LOSS.match(line)
            if told is None or told[5] != "driving":
                continue
            second = int(told[1]) * 3600 + int(told[2]) * 60 + float(told[3])
            wall = began + (second - start) % 86400
            found.append(Loss(wall_to_raw(wall), board, told[4], told[6]))
    return sorted(found)


def excuses(stage, recommended_ms):
    """(begin, end, boards) in ns: when the leases of these boards (ALL: of any) may be lost."""
    ttl, election = stage.ttl_ms * 1000000, stage.cluster.election_ms * 1000000
    after = ttl + 10 * election
    found = [(f.begin, (f.end or now_ns()) + after, f.costs) for f in stage.faults if f.costs]
    until = time.time()
    found += [(wall_to_raw(s.begin), wall_to_raw(s.end) + after, {ALL})
              for s in leaders.without_majority(stage, until)]
    gone = [wall_to_raw(at) for at in leaders.leader_losses(stage)] + [
        f.begin for f in stage.faults if "leader" in f.kind]
    gone.sort()
    for number, at in enumerate(gone):
        # One leader's loss costs nobody a lease at the ttl that `budget` recommends; two at once may.
        again = number and at - gone[number - 1] < 2 * recommended_ms * 1000000
        if stage.ttl_ms < recommended_ms or again:
            found.append((at - election, at + after, {ALL}))
    return found


def asked_away(stage, loss):
    """Somebody asked for it: a transfer, a pin; or a board of higher priority took it back."""
    limit = (2 * stage.ttl_ms + 10000) * 1000000
    return loss.cause in ("drop", "agent lost") and (
        stage.cluster.failback == "auto" or any(
            act.words[0] in ("transfer", "pin") and act.words[1] == loss.resource and
            act.asked - NS < loss.at < act.answered + limit for act in stage.operator.acts))


def needless(stage, recommended_ms):
    """(needless, blamed on the computer): losses that nothing that was done explains."""
    reasons = excuses(stage, recommended_ms)
    spans = starved(stage)
    bare, blamed = [], []
    for loss in losses(stage):
        if asked_away(stage, loss) or any(
                begin <= loss.at <= end and (ALL in boards or loss.board in boards)
                for begin, end, boards in reasons):
            continue
        early = loss.at - (stage.ttl_ms + 500) * 1000000
        late = loss.cause in ("late loop", "deadline overrun")
        (blamed if late or starved_within(spans, early, loss.at + NS // 10) else bare).append(loss)
    return bare, blamed
