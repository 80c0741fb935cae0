"""The five that judge from outside. Each returns findings, one line each; an empty list is innocence.

 relays    the bench's witness: what the relays did; and its trace, reckoned anew by `check`
 pages     the sampler: what applications were told, on all boards, 10,000 times a second
 actuator  what reached the actuator: whose write, with which token, in which order
 history   lease_history.py: what agents said and heard, against all of that
 acts      the issuers' logs: what operators were told is done is there, once, and obeyed
"""

import collections
import json
import os
import re
import subprocess
import time

import lease_history
from cluster import BIN, now_ns

from .master import REGISTER

WRITE_MULTIPLE = 16


def seconds(ns):
    return f"{ns / 1e9:.6f} s"


# ---- welded relays


def late_words(stage):
    """
    The welds whose board could not tell, for whatever reason, before its lease was over: the resource
    goes to another board then, whatever the relay does, as the README says. Each must show that in the
    replicated history: another board's grant comes before the word of the stuck output, none after.
    """
    entries, _, first = stage.logs.history()
    found = []
    for begin, end, board, resource in stage.welds:
        early = wall_of(begin) - 0.5
        here = [e for e in entries if e.resource == resource
                and early <= first[e.index] <= wall_of(end or now_ns())]
        told = [e.index for e in here if e.holder == board and "stuck on" in e.why]
        granted = [e.index for e in here if e.token == e.index and e.holder != board]
        if granted and (not told or max(granted) < min(told)):
            found.append((begin, end or now_ns(), board, resource))
    return found


def wall_of(ns):
    return time.time() - (now_ns() - ns) / 1e9


def excused(late, resource, boards, at):
    return any(resource == of and board in boards and begin <= at <= end
               for begin, end, board, of in late)


# ---- relays


def relays(stage, late=()):
    found = [f"{e['board']} and {e['other']} drive {e['resource']} at {seconds(e['t_ns'])}"
             if e["kind"] == "drive" else
             f"{e['board']} writes to {e['resource']}'s actuator while {e['other']} drives, at"
             f" {seconds(e['t_ns'])}" for e in stage.cluster.overlaps()
             if not excused(late, e["resource"], (e["board"], e["other"]), e["t_ns"])]
    result = subprocess.run([os.path.join(BIN, "holdfast-bench"), "check",
                             stage.cluster.path("trace.jsonl")], capture_output=True, text=True,
                            stdin=subprocess.DEVNULL, check=False)
    if result.returncode != 0 and not found and not late:
        found.append(f"the trace's checker disagrees: {result.stdout[-200:]}{result.stderr[-200:]}")
    return found


# ---- pages


def read_rows(path):
    rows = []
    if os.path.exists(path):
        for line in lease_history.read_lines(path):
            try:
                rows.append(json.loads(line))
            except ValueError:
                continue  # cut off when its writer was ended
    return rows


def stretches(stage):
    """resource -> rows of the sampler, in order of their beginning."""
    found = collections.defaultdict(list)
    for row in read_rows(stage.cluster.path("pages.jsonl")):
        if "board" in row:
            found[row["resource"]].append(row)
    return {r: sorted(rows, key=lambda row: row["from_ns"]) for r, rows in found.items()}


def pages(stage):
    """
    Two boards' stretches overlap only if one board was found valid between two looks at which the
    other was, with one token at both: nothing of that depends on how often the sampler looked.
    """
    found = []
    for resource, rows in sorted(stretches(stage).items()):
        latest = []
        for row in rows:
            for other in latest:
                if other["board"] != row["board"] and other["until_ns"] > row["from_ns"]:
                    found.append(f"{resource} valid on {other['board']} (token {other['token']}) and"
                                 f" {row['board']} (token {row['token']}) at"
                                 f" {seconds(row['from_ns'])}")
                if other["token"] > row["token"] or (other["token"] == row["token"]
                                                     and other["board"] != row["board"]):
                    found.append(f"{resource}: token {row['token']} valid on {row['board']} at"
                                 f" {seconds(row['from_ns'])}, after token {other['token']} on"
                                 f" {other['board']}")
            latest = [o for o in latest if o["until_ns"] > row["from_ns"]] + [row]
    return found


def pages_seen(stage):
    """(stretches, looks, share of the time in which the sampler looked at least every 5 ms)."""
    rows = read_rows(stage.cluster.path("pages.jsonl"))
    blind = sum(row["blind_ns"] for row in rows if "blind_ns" in row and
                row["blind_from_ns"] >= stage.faults_from)
    count = sum("board" in row for row in rows)
    looks = sum(row.get("looks", 0) for row in rows)
    return count, looks, 1 - blind / max(1, stage.ended - stage.faults_from)


# ---- actuator

Write = collections.namedtuple("Write", "at board said token count")


def writes(stage):
    """What the masters' writes said when they took effect, in that order."""
    found = []
    for event in stage.cluster.events():
        if event["ev"] == "modbus" and event["function"] == WRITE_MULTIPLE and \
                event["register"] == REGISTER and len(event["values"]) == 6:
            board, high, middle, low, count_high, count_low = event["values"]
            found.append(Write(event["t_ns"], event["board"], stage.cluster.boards[board]
                               if board < len(stage.cluster.boards) else f"board {board}",
                               high << 32 | middle << 16 | low, count_high << 16 | count_low))
    return sorted(found)


def sure_counts(stage):
    """Of each board, the counts of writes under which its token stayed the same."""
    sure = {}
    for board in stage.cluster.boards:
        path = stage.cluster.path(f"{board}.writes")
        lines = lease_history.read_lines(path) if os.path.exists(path) else []
        sure[board] = {int(words[0]) for words in map(str.split, lines)
                       if len(words) == 2 and words[1] == "same"}
    return sure


def actuator(stage):
    found, holders, sure = [], {}, sure_counts(stage)
    top = Write(0, "", "", 0, 0)
    for write in writes(stage):
        who = f"{write.said}, token {write.token}, write {write.count} at {seconds(write.at)}"
        if write.board != write.said:
            found.append(f"{who}: came through {write.board or 'nobody known'}")
        if holders.setdefault(write.token, write.said) != write.said:
            found.append(f"{who}: that token was {holders[write.token]}'s")
        # A master that is paused between its question and its write may write under a later lease;
        # so may one that was killed before it could say. Its own gateway answers for those.
        if write.token < top.token and (write.said != write.board or top.said != write.said and
                                        write.count in sure.get(write.said, ())):
            found.append(f"{who}: after {top.said} wrote with token {top.token}")
        if write.token > top.token:
            top = write
    return found


# ---- history


BOTH = re.compile(r"^S[16] (\S+): (\S+)(?: token \d+)?(?: and (\S+))?[: ].*? (?:from|at) (\d+\.\d+) s")


def history(stage, late=()):
    """Also what close() finds: judged here once, on the files as they are then."""
    found = []
    for line in lease_history.read_run(stage.cluster.folder).judge().violations:
        told = BOTH.match(line)
        if not told or " both drive " not in line or not excused(
                late, told[1], told.groups()[1:3], float(told[4]) * 1e9):
            found.append(line)
    return found


# ---- acts


def against_pins(entries):
    """Grants that a pin forbade, in the order of the log."""
    pins, wrong = {}, []
    for entry in entries:
        if entry.why.startswith("pinned to ") and entry.by.startswith("op-"):
            pins[entry.resource] = entry.holder
        elif entry.why.startswith("unpinned"):
            pins.pop(entry.resource, None)
        elif entry.token == entry.index and entry.resource in pins and \
                entry.holder != pins[entry.resource]:
            wrong.append(f"granted against a pin: {entry}, pinned to {pins[entry.resource]}")
    return wrong


def lost_acts(acts, entries):
    """Acknowledged acts that no issuer ever applied."""
    by = {e.by.split(" ")[0]: e for e in entries}
    index = {e.index: e for e in entries if e.token == e.index}
    missing = []
    for act in acts:
        if act.outcome != "done" or act.words[0] in ("leader", "fault", "backup"):
            continue
        if act.words[0] == "transfer":
            entry = index.get(act.answer.get("token"))
            if entry is None or entry.holder != act.answer.get("to"):
                missing.append(f"lost: {act.who} {' '.join(act.words)}: {act.answer}, but {entry}")
        elif act.who not in by and "already" not in str(act.answer):
            missing.append(f"lost: {act.who} {' '.join(act.words)}: {act.answer}")
    return missing


def bad_backups(acts, entries):
    """Backups that don't verify, or don't know what was acknowledged before they were asked for."""
    by = {e.by.split(" ")[0]: e for e in entries}
    bad = []
    for act in acts:
        if act.outcome != "done" or act.words[0] != "backup":
            continue
        result = subprocess.run([os.path.join(BIN, "holdfastctl"), "backup", "--verify",
                                 act.words[1]], capture_output=True, text=True,
                                stdin=subprocess.DEVNULL, check=False)
        if result.returncode != 0:
            bad.append(f"backup of {act.who}: {result.stdout}{result.stderr}".strip())
            continue
        told = [int(line.split()[1]) for line in lease_history.read_lines(act.words[1])
                if line.startswith("index: ")]
        before = [by[a.who].index for a in acts if a.outcome == "done" and a.who in by
                  and a.answered < act.asked]
        if told and max(before, default=0) > told[0]:
            bad.append(f"backup of {act.who} ends with entry {told[0]}, but entry {max(before)} was"
                       " acknowledged before it was asked for")
    return bad


def drives_against_pins(stage, slack_ns):
    """Boards that drive long after an acknowledged pin, before anybody asked to change it."""
    wrong = []
    for act in stage.operator.acts:
        if act.outcome != "done" or act.words[0] != "pin":
            continue
        resource, board = act.words[1:3]
        later = [a.asked for a in stage.operator.acts if a.words[0] in ("pin", "unpin")
                 and a.words[1] == resource and a.answered > act.asked and a is not act]
        begin, end = act.answered + slack_ns, min(later, default=now_ns())
        on = {}
        for event in stage.cluster.drives(resource):
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


def acts(stage, slack_ns):
    entries, differ, _ = stage.logs.history()
    done = stage.operator.acts
    return lost_acts(done, entries) + [f"applied differently: {d}" for d in differ] + \
        against_pins(entries) + bad_backups(done, entries) + drives_against_pins(stage, slack_ns)


def all_of(stage, slack_ns):
    """name -> findings."""
    late = late_words(stage)
    for _, _, board, resource in late:
        stage.tell(f"limit: {board} could not tell that {resource}'s relay was stuck before its lease"
                   " was over")
    return {"relays": relays(stage, late), "pages": pages(stage), "actuator": actuator(stage),
            "history": history(stage, late), "acts": acts(stage, slack_ns)}
