"""Takeovers, availability, and leases that were lost though nothing was done that should cost one."""

import collections
import re
import time

from cluster import median, now_ns

from . import leaders
from .stage import ALL, RESOURCES
from .witnesses import read_rows

NS = 1000000000
CHANGE = re.compile(r"^(\d\d):(\d\d):(\d\d\.\d+) .*?(\w+): (\w+) -(.+?)-> (\w+)")
SPENT = re.compile(r"^(\S+): over its budget: .* the next in (\d+) s")
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
    found += [[begin, stage.ended, board] for board, begin in since.items()]
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


def longest_gaps(stage, begin, end, count=3):
    """(length, from, resource) in ns of the longest stretches in which nobody drove."""
    gaps = []
    for resource in RESOURCES:
        at = begin
        for first, last, _ in drives(stage, resource):
            if min(first, end) > at:
                gaps.append((min(first, end) - at, at, resource))
            at = max(at, last)
        gaps.append((max(0, end - at), at, resource))
    return sorted(gaps, reverse=True)[:count]


def away(stage, resource):
    """[begin, end] of when nobody could be asked to drive it: pinned to nobody, or no majority."""
    found = [[wall_to_raw(s.begin), wall_to_raw(s.end)]
             for s in leaders.without_majority(stage, stage.ended_wall)]
    since = None
    for act in sorted(stage.operator.acts, key=lambda a: a.asked):
        if act.words[:2] == ["pin", resource] and act.words[2] == "none" and since is None:
            since = act.asked
        elif act.words[0] in ("pin", "unpin") and act.words[1] == resource and \
                act.words[-1] != "none" and act.outcome == "done" and since is not None:
            found.append([since, act.answered])
            since = None
    return sorted(found + ([[since, stage.ended]] if since is not None else []))


def availability_when_possible(stage, begin, end):
    """Of the time that is not away(), the share in which some board drove: by resource."""
    shares = {}
    for resource in RESOURCES:
        free, at = [], begin
        for first, last in away(stage, resource):
            if first > at:
                free.append((at, min(first, end)))
            at = max(at, last)
        free.append((at, max(at, end)))
        driven = sum(max(0, min(b, d) - max(a, c)) for a, b in free
                     for c, d, _ in drives(stage, resource))
        shares[resource] = min(1.0, driven / max(1, sum(b - a for a, b in free)))
    return shares


# ---- L1: with a majority and a healthy candidate it is driven again


def faulty(stage, board, resource):
    """[begin, end] in which the board's guard waited for an operator, by its log."""
    found, since = [], None
    for at, state, _, to in guard_changes(stage, board, resource):
        if to == "fault" and since is None:
            since = at
        elif state == "fault" and since is not None:
            found.append([since, at])
            since = None
    return found + ([[since, stage.ended]] if since is not None else [])


def spent(stage, board):
    """[begin, end] in which an issuer let the board's acquires wait for its budget (holdfast.7)."""
    found = []
    for log in stage.logs.read().logs.values():
        for at, text in log.others:
            told = SPENT.match(text)
            if told and told[1] == board:
                found.append([wall_to_raw(at), wall_to_raw(at + int(told[2]))])
    return found


def all_spent(stage, boards, begin, end):
    """Each of these boards had used up its budget at some time of this stretch."""
    return all(starved_within([Starved("budget", *span) for span in spent(stage, board)], begin, end)
               for board in boards)


def free_of(spans, begin, end):
    """What is left of begin..end without these spans."""
    free, at = [], begin
    for first, last in sorted(spans):
        if first > at:
            free.append((at, min(first, end)))
        at = max(at, last)
        if at >= end:
            return free
    return [*free, (at, end)]


def unled(stage):
    """[begin, end] of when no majority of issuers was up, or none of them led it."""
    return [[wall_to_raw(s.begin), wall_to_raw(s.end)] for s in leaders.spans_of(
        stage, stage.ended_wall, lambda council: not (council.majority() and council.led()))]


def idle(stage, bar_ns, leaderless):
    """
    (length, from, resource) of stretches in which nobody drove a resource for longer than bar_ns,
    though issuers had a leader all that time, no pin may have stood, no relay was welded, the computer
    did not starve, and one and the same candidate was whole.
    """
    found = []
    common = leaderless + [[s.begin, s.end] for s in starved(stage)]
    common += [[f.begin, f.end or stage.ended] for f in stage.faults if ALL in f.costs]
    heals = sorted(stage.healed_at) + [stage.ended]
    for resource, boards in RESOURCES.items():
        held = [[f.begin, next((h for h in heals if h > f.begin), stage.ended)]
                for f in stage.faults if f.kind.startswith("weld")]
        held += [[a.asked, next((h for h in heals if h > a.asked), stage.ended)]
                 for a in stage.operator.acts if a.words[0] == "pin" and a.words[1] == resource]
        driven = [[first, last] for first, last, _ in drives(stage, resource)]
        for board in boards:
            hurt = [[f.begin, f.end or stage.ended] for f in stage.faults if board in f.costs]
            hurt += faulty(stage, board, resource) + spent(stage, board)
            found += [(last - first, first, resource) for first, last in free_of(
                common + held + driven + hurt, stage.faults_from, stage.ended)
                if last - first > bar_ns]
    return sorted(set(found), reverse=True)


def takeover_line(stage):
    parts = []
    for resource in sorted(RESOURCES):
        gaps = takeovers(stage, resource)
        parts.append(f"{resource} {len(gaps)}" + (
            f" (median {median(gaps) / 1e6:.0f} ms, worst {max(gaps) / 1e6:.0f} ms)"
            if gaps else ""))
    return ", ".join(parts)


# ---- needless losses


def guard_changes(stage, board, resource=None):
    """(at, from, cause, to) of each change that a guard's log tells, of a resource or of (all, named)."""
    began = time.time() - (time.monotonic() - stage.began)
    day = time.localtime(began)
    start = day.tm_hour * 3600 + day.tm_min * 60 + day.tm_sec + began % 1
    found = []
    for line in stage.cluster.log(f"{board}-guard").splitlines():
        told = CHANGE.match(line)
        if told is None or resource not in (None, told[4]):
            continue
        second = int(told[1]) * 3600 + int(told[2]) * 60 + float(told[3])
        wall = began + (second - start) % 86400
        row = (wall_to_raw(wall), told[5], told[6], told[7])
        found.append(row if resource else (told[4], row))
    return found


def losses(stage):
    """What the guards' logs say of leases that they gave up, and why, in order."""
    return sorted(Loss(at, board, resource, cause) for board in stage.cluster.boards
                  for resource, (at, state, cause, _) in guard_changes(stage, board)
                  if state == "driving")


def excuses(stage, recommended_ms):
    """(begin, end, boards) in ns: when the leases of these boards (ALL: of any) may be lost."""
    ttl, election = stage.ttl_ms * 1000000, stage.cluster.election_ms * 1000000
    after = ttl + 10 * election
    found = [(f.begin, (f.end or stage.ended) + after, f.costs) for f in stage.faults if f.costs]
    found += [(wall_to_raw(s.begin), wall_to_raw(s.end) + after, {ALL})
              for s in leaders.without_majority(stage, stage.ended_wall)]
    gone = [wall_to_raw(at) for at in leaders.leader_losses(stage)] + [
        f.begin for f in stage.faults if "leader" in f.kind]
    gone.sort()
    for number, at in enumerate(gone):
        # One leader's loss, with its successor, costs nobody a lease at the ttl that `budget`
        # recommends; two losses at once may.
        again = number > 1 and at - gone[number - 2] < 2 * recommended_ms * 1000000
        if stage.ttl_ms < recommended_ms or again:
            found.append((at - 10 * election, at + after, {ALL}))
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
