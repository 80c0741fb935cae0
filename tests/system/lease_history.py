"""Judges the history of a real run, offline: the witness's trace and the agents' lease logs.

    lease_history.py RUN_DIR                        a folder as cluster.py leaves it
    lease_history.py --trace TRACE LOG...           lease.log files, and logs of issuers
    --expect-grants N, -renewals, -drives, -writes  fewer than N of it is an error

It shares no code with what it judges: it takes the messages that agents sent and heard, and the
relays' levels, and reckons anew. All processes of a run share one machine, so that the instants of
all files are of one CLOCK_MONOTONIC_RAW; but a board may have had a clock of its own, which its
BOARD.clock.jsonl then tells: rows of from_ns (true time), raw_ns (the board's) and rate_ppb, in order.
Its permits are judged by its clock, all else in true time. Exit status 0; 1 after violations, one line each; 2 usage.

A lease of a token covers its board from when the answer to a renewal came until that renewal was
*sent* + ttl; the hardware may be on for the fence latency F longer. What is judged:

 S1  two boards' drives never overlap, as the trace's `line` events tell; its `drive` and `overlap`
     events say the same, and no pulse output is on for less than its hold time (bench.conf), as any
     edge holds it; no drive leaves the cover of its token's lease + F, and no permit
     goes past sent + ttl * (1 - rho) - r.
 S2  a token has one holder; each board's tokens rise; drives of other boards come in token order.
 S4  no renewal was confirmed that was sent after a higher token was granted, or after its release.
 S5  a board drives only under a permit: begins between permit and deadline + r, ends by + F.
 S6  a write reaches an actuator only through a board whose lease covers it, never while
     another board drives, and never after another board's first write of a higher token.

The trace dates a relay's edge up to the bench's own lateness early (10 ms, or what it admits).
"""

import argparse
import bisect
import collections
import glob
import itertools
import json
import os
import re
import sys

NEVER = float("inf")
LATENESS_US = 10000  # more of it, the bench writes into its trace
READS = (1, 2, 3, 4)
CLOCK_FILE = ".clock.jsonl"
ISSUER_LINE = re.compile(r"(\S+): entry (\d+): holder (\S+), token (\d+), by ")
LATE = re.compile(r"bench late by (\d+) ms")
BENCH_RESOURCE = re.compile(r'\{\s*name = "([^"]+)";\s*lines = \((.*?)\);\s*\}', re.S)
BENCH_PULSE = re.compile(r'\{\s*name = "([^"]+)";\s*kind = "pulse";\s*hold_ms = (\d+)')
STUCK = re.compile(r"stuck relay (\S+) ([^/\s]+)/(\S+) (on|off|none)")

Cover = collections.namedtuple("Cover", "begin end")
Confirmed = collections.namedtuple("Confirmed", "sent received")
Drive = collections.namedtuple("Drive", "board begin end")
Write = collections.namedtuple("Write", "at board text")
Entry = collections.namedtuple("Entry", "index holder token source")


def seconds(us):
    return "the end" if us == NEVER else f"{us / 1e6:.6f} s"


class Clock:
    """A board's raw clock as a function of true time, both in us: rows of (from, raw, rate in ppb)."""

    def __init__(self, rows=()):
        self.rows = sorted(rows) or [(0.0, 0.0, 0)]
        self.froms, self.raws = [r[0] for r in self.rows], [r[1] for r in self.rows]
        self.slack = 2.0 if rows else 0.0  # of rounding

    def own(self, true):
        begin, raw, ppb = self.rows[max(0, bisect.bisect_right(self.froms, true) - 1)]
        return raw + (true - begin) * (1 + ppb / 1e9)

    def true(self, own):
        """The first such instant, where the clock stood."""
        begin, raw, ppb = self.rows[max(0, bisect.bisect_left(self.raws, own) - 1)]
        return begin + (own - raw) / (1 + ppb / 1e9) if ppb > -10 ** 9 else begin


TRUE_TIME = Clock()


class Lease:
    """All that one board said and heard of one token of a resource."""

    def __init__(self, board, token, clock=TRUE_TIME):
        self.board, self.token, self.clock = board, token, clock
        self.granted = NEVER  # first receipt
        self.ttl = self.fence = self.release = self.drift_ppm = 0
        self.waited_fence = 0  # what the issuer waits for
        self.renewals = []   # Confirmed
        self.released = NEVER
        self.permits = []    # (at, deadline)

    def __str__(self):
        return f"{self.board} token {self.token}"

    def cover(self, extra):
        return merge([Cover(c.received, c.sent + self.ttl + extra) for c in self.renewals])


def merge(covers):
    """The same instants as fewest intervals."""
    merged = []
    for cover in sorted(covers):
        if merged and cover.begin <= merged[-1].end:
            merged[-1] = Cover(merged[-1].begin, max(merged[-1].end, cover.end))
        elif cover.end > cover.begin:
            merged.append(cover)
    return merged


def cover_at(covers, at, early=0):
    """The interval that holds an instant, which may be dated too early, or None."""
    index = bisect.bisect_right(covers, at + early, key=lambda c: c.begin) - 1
    return covers[index] if index >= 0 and at <= covers[index].end else None


# ---- what was recorded


class BoardLog:
    """One board's lease.log, with the starts of its agent in order."""

    def __init__(self, history, name):
        self.history, self.name = history, name
        self.board = None
        self.begun = False
        self.limits = {}  # resource -> its configured times
        self.drift_ppm = 0
        self.sent = {}    # (nonce, resource, token) -> instant, of this start of the agent
        self.known = set()  # (resource, token) granted to this start of the agent
        self.last = 0

    def take(self, event):
        kind = event["ev"]
        if kind in ("start", "continued"):
            self._begin(event)
            return
        if not self.begun:
            raise ValueError("an event before the first start: the log's beginning is lost")
        if event["t_us"] < self.last:
            self.history.fault("log", f"{self.name}: {kind} at {seconds(event['t_us'])} follows"
                                      f" {seconds(self.last)}: the clock went back")
        self.last = event["t_us"]
        clock = self.history.clocks.get(self.board, TRUE_TIME)
        if clock is not TRUE_TIME:
            event.update((key, clock.true(event[key])) for key in ("t_us", "deadline_us")
                         if key in event)
        handler = getattr(self, "_" + kind.replace(" ", "_"), None)
        if handler:
            handler(event)

    def _begin(self, event):
        if self.board not in (None, event["board"]):
            raise ValueError(f"of two boards, {self.board} and {event['board']}")
        if event["ev"] == "continued" and not self.begun:
            raise ValueError("the log's beginning is lost: it was turned over more than once")
        self.board, self.drift_ppm, self.begun = event["board"], event["drift_ppm"], True
        if event["ev"] == "start":
            self.sent.clear()
            self.known.clear()

    def _resource(self, event):
        self.limits[event["resource"]] = event

    def _lease(self, event):
        return self.history.lease(event["resource"], self.board, event["token"])

    def _granted(self, event):
        lease, limits = self._lease(event), self.limits[event["resource"]]
        self.known.add((event["resource"], event["token"]))
        self.history.counts[event["resource"], "grants"] += lease.granted == NEVER
        lease.granted = min(lease.granted, event["t_us"])
        lease.ttl = min(event["ttl_us"], limits["ttl_us"])
        lease.fence, lease.release = limits["fence_us"], limits["release_us"]
        lease.waited_fence = event["fence_us"]
        lease.drift_ppm = self.drift_ppm

    def _renew(self, event):
        key = event["resource"], event["token"]
        if key not in self.known:
            self.history.violate("S2", event["resource"], f"{self._lease(event)}: renewed at"
                                 f" {seconds(event['t_us'])}, but never granted in this start")
            self.known.add(key)
        self.sent.setdefault((event["nonce"],) + key, event["t_us"])

    def _renewed(self, event):
        key = event["nonce"], event["resource"], event["token"]
        if key in self.sent:
            self._lease(event).renewals.append(Confirmed(self.sent[key], event["t_us"]))
            self.history.counts[event["resource"], "renewals"] += 1
        else:
            self.history.counts[event["resource"], "unasked answers"] += 1

    def _release(self, event):
        lease = self._lease(event)
        lease.released = min(lease.released, event["t_us"])

    def _permit(self, event):
        self._lease(event).permits.append((event["t_us"], event["deadline_us"]))
        self.history.counts[event["resource"], "permits"] += 1


class History:
    """Reads trace and logs, then judges once; `violations` are lines, `counts` what was judged."""

    def __init__(self):
        self.violations = []
        self.counts = collections.Counter()
        self.leases = collections.defaultdict(dict)   # resource -> (board, token) -> Lease
        self.entries = collections.defaultdict(list)  # resource -> Entry
        self.lines = collections.defaultdict(list)    # (resource, board, line) -> (at, level)
        self.recorded = collections.defaultdict(list)  # (resource, board) -> (at, level)
        self.overlaps = []   # (kind, resource, boards, at)
        self.writes = collections.defaultdict(list)   # resource -> Write
        self.forced = collections.defaultdict(list)   # (resource, board) -> Cover of a stuck relay
        self.clocks = {}     # board -> Clock, of those that are not true
        self.holds = {}      # (resource, line) of a pulse output -> its hold time
        self.late = LATENESS_US
        self.end = 0

    def violate(self, claim, resource, text):
        self.violations.append(f"{claim} {resource}: {text}")

    def fault(self, where, text):
        self.violations.append(f"{where}: {text}")

    def lease(self, resource, board, token):
        leases = self.leases[resource]
        if (board, token) not in leases:
            leases[board, token] = Lease(board, token, self.clocks.get(board, TRUE_TIME))
        return leases[board, token]

    # ---- reading

    def read_lease_log(self, name, lines):
        """`lines` of one board's lease.log; a line cut off by a SIGKILL is passed over."""
        log = BoardLog(self, name)
        texts = [line for line in lines if line.strip()]
        for number, text in enumerate(texts):
            following = texts[number + 1] if number + 1 < len(texts) else '"ev":"start"'
            try:
                event = json.loads(text)
            except ValueError:
                if '"ev":"start"' not in following:
                    self.fault("log", f"{name}: malformed: {text.strip()[:80]}")
                continue
            try:
                log.take(event)
            except (KeyError, TypeError, ValueError) as error:
                self.fault("log", f"{name}: {error!r}: {text.strip()[:80]}")
                return

    def read_issuer_log(self, name, lines):
        for line in lines:
            found = ISSUER_LINE.search(line)
            if found and found[3] != "none" and found[4] != "0":
                self.entries[found[1]].append(Entry(int(found[2]), found[3], int(found[4]), name))

    def read_clock(self, board, lines):
        rows = [json.loads(line) for line in lines]
        self.clocks[board] = Clock([(r["from_ns"] / 1000, r["raw_ns"] / 1000, r["rate_ppb"])
                                    for r in rows])

    def read_bench_file(self, text):
        for resource, lines in BENCH_RESOURCE.findall(text):
            for line, hold_ms in BENCH_PULSE.findall(lines):
                self.holds[resource, line] = int(hold_ms) * 1000

    def read_trace(self, lines):
        for number, text in enumerate(lines, 1):
            try:
                event = json.loads(text)
                at = event["t_ns"] / 1000
                getattr(self, "_trace_" + event["ev"], lambda *_: None)(event, at)
                self.end = max(self.end, at)
            except (KeyError, TypeError, ValueError) as error:
                if text.endswith("\n"):  # else cut off with the bench
                    self.fault("trace", f"line {number}: {error!r}: {text.strip()[:80]}")

    def _trace_line(self, event, at):
        key = event["resource"], event["board"], event["line"]
        self.lines[key].append((at, event["level"]))

    def _trace_drive(self, event, at):
        self.recorded[event["resource"], event["board"]].append((at, event["level"]))

    def _trace_overlap(self, event, at):
        boards = frozenset((event["board"], event["other"]))
        self.overlaps.append((event["kind"], event["resource"], boards, at))

    def _trace_modbus(self, event, at):
        if event["resource"] == "" or event["function"] in READS:
            return
        text = (f"write of {event['values']} to {event['actuator']} register {event['register']}"
                f" at {seconds(at)}")
        self.writes[event["resource"]].append(Write(at, event["board"], text))
        self.counts[event["resource"], "writes"] += 1

    def _trace_fault(self, event, at):
        late, stuck = LATE.search(event["text"]), STUCK.search(event["text"])
        if late:
            self.late = max(self.late, (int(late[1]) + 1) * 1000)
        if stuck:
            covers = self.forced[stuck[2], stuck[1]]
            if stuck[4] == "on":
                covers.append(Cover(at, NEVER))
            elif covers and covers[-1].end == NEVER:
                covers[-1] = Cover(covers[-1].begin, at)

    # ---- judging

    def judge(self):
        resources = {key[0] for key in itertools.chain(self.lines, self.recorded)}
        resources |= set(self.leases) | set(self.entries) | set(self.writes)
        for resource in sorted(resources):
            drives = self._drives(resource)
            self.counts[resource, "drives"] += len(drives)
            self._judge_tokens(resource)
            self._judge_renewals(resource)
            self._judge_permits(resource)
            self._judge_overlaps(resource, drives)
            self._judge_drives(resource, drives)
            self._judge_writes(resource, drives)
        return self

    def _intervals(self, resource, board, name, edges):
        """The intervals of one relay, or of a board's recorded drives."""
        intervals, since = [], None
        for at, level in edges:
            if (level == 1) == (since is not None):
                way = "on" if level else "off"
                self.violate("trace", resource, f"{board}: {name} goes {way} at {seconds(at)}, and"
                             " is so already")
            elif level == 1:
                since = at
            elif at < since:
                self.violate("trace", resource, f"{board}: {name} goes off at {seconds(at)}, before"
                             f" it went on at {seconds(since)}")
                since = None
            else:
                intervals.append(Cover(since, at))
                since = None
        if since is not None:
            intervals.append(Cover(since, NEVER))
        return intervals

    def _judge_hold(self, resource, board, line, intervals):
        hold = self.holds.get((resource, line), 0)
        for begin, end in intervals:
            if end - begin < hold and not self._forced(resource, Drive(board, begin, end)):
                self.violate("S1", resource, f"{board}: {line} is on from {seconds(begin)} until"
                             f" {seconds(end)}, but one edge holds it for {hold} us")

    def _drives(self, resource):
        """All boards' drives by their relays, in order; compared with what the bench recorded."""
        of_board = collections.defaultdict(list)
        lines = collections.Counter()
        for (name, board, line), edges in self.lines.items():
            if name == resource:
                intervals = self._intervals(resource, board, line, edges)
                self._judge_hold(resource, board, line, intervals)
                of_board[board] += intervals
                lines[board] += 1
        drives = []
        recorded = {board for name, board in self.recorded if name == resource}
        for board in sorted(recorded | set(of_board)):
            own = merge(of_board[board])
            said = merge(self._intervals(resource, board, "drive", self.recorded[resource, board]))
            # Of several lines, the bench may learn of an earlier one after it has told of a drive.
            ends = [cover.end for cover in own] == [cover.end for cover in said]
            same = own == said or (lines[board] > 1 and ends)
            if not same:
                odd = next(c for c in own + said if (c in own) != (c in said))
                self.violate("S1", resource, f"{board}: the trace's drives are not those of its"
                             f" lines, from {seconds(odd.begin)} until {seconds(odd.end)}")
            drives += [Drive(board, cover.begin, cover.end) for cover in own]
        return sorted(drives, key=lambda d: d.begin)

    def _judge_tokens(self, resource):
        holders = collections.defaultdict(dict)  # token -> holder -> where that was read
        for (board, token), lease in self.leases[resource].items():
            if lease.granted != NEVER:
                holders[token].setdefault(board, f"granted at {seconds(lease.granted)}")
        for entry in self.entries[resource]:
            holders[entry.token].setdefault(entry.holder, f"{entry.source}, entry {entry.index}")
        for token, named in sorted(holders.items()):
            if len(named) > 1:
                text = ", ".join(f"{board} ({where})" for board, where in sorted(named.items()))
                self.violate("S2", resource, f"token {token} has {len(named)} holders: {text}")
        highest = 0
        for entry in sorted(self.entries[resource], key=lambda e: (e.index, e.token)):
            if entry.token < highest:
                self.violate("S2", resource, f"entry {entry.index} names token {entry.token} of"
                             f" {entry.holder} after token {highest}, by {entry.source}")
            highest = max(highest, entry.token)
        for board in sorted({lease.board for lease in self.leases[resource].values()}):
            own = [l for l in self.leases[resource].values() if l.board == board
                   and l.granted != NEVER]
            for former, latter in itertools.pairwise(sorted(own, key=lambda l: l.granted)):
                if latter.token < former.token:
                    self.violate("S2", resource, f"{latter}: granted at {seconds(latter.granted)}"
                                 f" after token {former.token}")

    def _judge_renewals(self, resource):
        higher = None  # of the higher tokens, the one granted first
        leases = sorted(self.leases[resource].values(), key=lambda l: l.token, reverse=True)
        for lease in leases:
            sent = max((c.sent for c in lease.renewals), default=0)
            who = f"{lease}: renewal sent at {seconds(sent)} was confirmed"
            if higher and sent > higher.granted:
                self.violate("S4", resource, f"{who} after {higher} was granted at"
                             f" {seconds(higher.granted)}")
            if sent > lease.released:
                self.violate("S4", resource, f"{who} after its release at"
                             f" {seconds(lease.released)}")
            if higher is None or lease.granted < higher.granted:
                higher = lease

    def _judge_permits(self, resource):
        for lease in self.leases[resource].values():
            who, own = str(lease), lease.clock.own
            if lease.permits and lease.granted == NEVER:
                self.violate("S5", resource, f"{who}: permitted at {seconds(lease.permits[0][0])},"
                             " but never granted")
                continue
            if lease.permits and lease.waited_fence < lease.fence:
                self.violate("S1", resource, f"{who}: permitted, but the issuer waits for"
                             f" {lease.waited_fence} us only, not for {lease.fence} us")
            shrunk = lease.ttl - -(-lease.ttl * lease.drift_ppm // 1000000)
            answers = sorted((c.received, c.sent) for c in lease.renewals)
            best = list(itertools.accumulate((sent for _, sent in answers), max))
            for at, deadline in lease.permits:
                known = bisect.bisect_right(answers, (at, NEVER))
                if known == 0:
                    self.violate("S5", resource, f"{who}: permitted at {seconds(at)} before a"
                                 " renewal was confirmed")
                elif own(deadline) > own(best[known - 1]) + shrunk - lease.release + \
                        lease.clock.slack:
                    self.violate("S1", resource, f"{who}: permit of {seconds(at)} until"
                                 f" {seconds(deadline)}, but the renewal was sent at"
                                 f" {seconds(best[known - 1])} for {lease.ttl} us")

    def _forced(self, resource, drive):
        return any(c.begin < drive.end and drive.begin < c.end
                   for c in self.forced[resource, drive.board])

    def _judge_overlaps(self, resource, drives):
        found = set()
        running = []
        for drive in drives:
            running = [other for other in running if other.end > drive.begin]
            for other in running:
                if other.board != drive.board and drive.end > drive.begin:
                    found.add(frozenset((drive.board, other.board)))
                    both = " and ".join(sorted((drive.board, other.board)))
                    end = min(drive.end, other.end)
                    self.violate("S1", resource, f"{both} both drive from"
                                 f" {seconds(drive.begin)} until {seconds(end)}")
            running.append(drive)
        said = {boards for kind, name, boards, _ in self.overlaps
                if (kind, name) == ("drive", resource)}
        for boards in sorted(map(sorted, said ^ found)):
            how = "reported an overlap that its lines do not show" if set(boards) in said else \
                "missed an overlap"
            self.violate("S1", resource, f"{' and '.join(boards)}: the witness {how}")

    def _permitted(self, resource, board):
        """A board's permits of a resource, as (at, token) in order."""
        return sorted((at, lease.token) for lease in self.leases[resource].values()
                      if lease.board == board for at, _ in lease.permits)

    def _judge_drives(self, resource, drives):
        permits = {board: self._permitted(resource, board) for board in {d.board for d in drives}}
        latest = None  # of the drives so far, the one of the highest token
        for drive in drives:
            if self._forced(resource, drive):
                self.counts[resource, "forced drives"] += 1
                continue
            own = permits[drive.board]
            index = bisect.bisect_right(own, (drive.begin + self.late, NEVER)) - 1
            if index < 0:
                self.violate("S5", resource, f"{drive.board}: drives from {seconds(drive.begin)}"
                             " without a permit")
                continue
            lease = self.leases[resource][drive.board, own[index][1]]
            self._judge_drive(resource, drive, lease)
            if latest and (latest.token, latest.board) != (lease.token, lease.board) \
                    and latest.token >= lease.token:
                self.violate("S2", resource, f"{lease}: drives from {seconds(drive.begin)}, after"
                             f" {latest}")
            if latest is None or lease.token > latest.token:
                latest = lease

    def _judge_drive(self, resource, drive, lease):
        who = f"{lease}: drives from {seconds(drive.begin)}"
        end = drive.end if drive.end != NEVER else self.end
        deadline = max(until for at, until in lease.permits if at <= drive.begin + self.late)
        if drive.begin > deadline + lease.release:
            self.violate("S5", resource, f"{who}, but its permit ended at {seconds(deadline)}")
        permits = merge([Cover(at, until + lease.release + lease.fence)
                         for at, until in lease.permits])
        for claim, what, covers in (("S5", "permits", permits), (
                "S1", "lease and fence latency", lease.cover(lease.fence))):
            cover = cover_at(covers, drive.begin, self.late)
            if cover is None:
                self.violate(claim, resource, f"{who} until {seconds(end)}; at its beginning its"
                             f" {what} did not hold")
            elif end > cover.end:
                self.violate(claim, resource, f"{who} until {seconds(end)}; its {what} ended at"
                             f" {seconds(cover.end)}")

    def _judge_writes(self, resource, drives):
        firsts = {}  # token -> (at, board) of its first write
        permits = {}
        judged = []
        for write in sorted(self.writes[resource]):
            if write.board == "":
                self.violate("S6", resource, f"nobody known: {write.text}")
                continue
            if write.board not in permits:
                permits[write.board] = self._permitted(resource, write.board)
            own = permits[write.board]
            index = bisect.bisect_right(own, (write.at, NEVER)) - 1
            if index < 0:
                self.violate("S6", resource, f"{write.board}: {write.text} without a permit")
                continue
            lease = self.leases[resource][write.board, own[index][1]]
            firsts.setdefault(lease.token, write)
            judged.append((write, lease))
        for write, lease in judged:
            self._judge_write(resource, write, lease, firsts, drives)

    def _judge_write(self, resource, write, lease, firsts, drives):
        who = f"{lease}: {write.text}"
        if cover_at(lease.cover(0), write.at) is None:
            last = max((c.sent for c in lease.renewals), default=0) + lease.ttl
            self.violate("S6", resource, f"{who}, outside of its lease, which ends at"
                         f" {seconds(last)}")
        for token, first in sorted(firsts.items()):
            if first.board == write.board:
                continue
            if token == lease.token:
                self.violate("S6", resource, f"{who}, but {first.board} wrote with that token")
            if token > lease.token and first.at < write.at:
                self.violate("S6", resource, f"{who}, after {first.board} token {token}'s first"
                             f" write at {seconds(first.at)}")
        other = next((drive for drive in drives if drive.board != write.board
                      and drive.begin <= write.at < drive.end), None)
        said = any((kind, name, at) == ("modbus", resource, write.at) and write.board in boards
                   for kind, name, boards, at in self.overlaps)
        if other:
            self.violate("S6", resource, f"{who}, while {other.board} drives")
        if said != (other is not None):
            self.violate("S6", resource, f"{who}: the witness "
                         f"{'reported' if said else 'missed'} another board's drive")

    # ---- telling

    def total(self, what):
        return sum(count for (_, name), count in self.counts.items() if name == what)

    def expect(self, **least):
        """expect(grants=1): fewer than that is an error of the record."""
        for what, count in least.items():
            if self.total(what) < count:
                self.fault("history", f"{self.total(what)} {what} to judge, expected {count}")
        return self

    def summary(self):
        names = sorted({name for name, _ in self.counts})
        kinds = ("grants", "renewals", "permits", "drives", "writes")
        for name in names:
            extra = [f"{count} {kind}" for (of, kind), count in sorted(self.counts.items())
                     if of == name and kind not in kinds and count]
            yield f"{name}: " + ", ".join(
                [f"{self.counts[name, kind]} {kind}" for kind in kinds] + extra)
        yield f"{len(self.violations)} violations"


def read_lines(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.readlines()


def read_files(trace, logs):
    """
    A History of a trace (or None) and of logs. The bench's file is found beside the trace, a lease
    log's former part beside that.
    """
    history = History()
    if trace:
        bench = os.path.join(os.path.dirname(trace), "bench.conf")
        if os.path.exists(bench):
            history.read_bench_file("".join(read_lines(bench)))
        history.read_trace(read_lines(trace))
        for path in glob.glob(os.path.join(os.path.dirname(trace), "*" + CLOCK_FILE)):
            history.read_clock(os.path.basename(path)[:-len(CLOCK_FILE)], read_lines(path))
    for path in logs:
        if os.path.basename(path) != "lease.log":
            history.read_issuer_log(os.path.basename(path), read_lines(path))
            continue
        former = read_lines(path + ".1") if os.path.exists(path + ".1") else []
        history.read_lease_log(path, former + read_lines(path))
    return history


def read_run(folder):
    """A History of what a cluster (cluster.py) has left in its folder."""
    trace = os.path.join(folder, "trace.jsonl")
    logs = glob.glob(os.path.join(folder, "*", "run", "lease.log"))
    logs += glob.glob(os.path.join(folder, "*.log"))
    return read_files(trace if os.path.exists(trace) else None, sorted(logs))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("run", nargs="?", metavar="RUN_DIR")
    parser.add_argument("--trace")
    parser.add_argument("logs", nargs="*", metavar="LOG")
    for what in ("grants", "renewals", "drives", "writes"):
        parser.add_argument(f"--expect-{what}", type=int, default=0, metavar="N")
    given = parser.parse_args()
    paths = [path for path in [given.run, *given.logs] if path]
    try:
        if given.trace:
            history = read_files(given.trace, paths)
        elif len(paths) == 1 and os.path.isdir(paths[0]):
            history = read_run(paths[0])
        else:
            parser.error("one RUN_DIR, or --trace TRACE and LOGs")
    except OSError as error:
        parser.error(str(error))
    history.judge().expect(grants=given.expect_grants, renewals=given.expect_renewals,
                           drives=given.expect_drives, writes=given.expect_writes)
    for line in history.violations:
        print(line)
    for line in history.summary():
        print(line)
    return 1 if history.violations else 0


if __name__ == "__main__":
    sys.exit(main())
