"""`make hostile`: one board gone bad, then strangers, against a cluster in which a board drives.

    hostile.py [--minutes 60] [--seed N] [--modes churn,note,...] [--only board|strangers] [--together]

Three issuers; board-a drives the pump, board-c waits for it, board-b's certificate is the
attacker's: it may hold `fan` and `valve`, and has no say about the pump. Measured all the while:
what the issuers write and log, terms, leaders, the healthy board's leases, memory, processor time,
overlaps by the witness. Ends with one line "N passed, M failed".
"""

import argparse
import itertools
import json
import os
import random
import subprocess
import sys
import threading
import time

from arena import RSS_MAX_KB, Verdict, Watch, metrics
from cluster import Cluster, now_ns, wait_until
from siege import start_flood, strangers

HERE = os.path.dirname(os.path.abspath(__file__))
RESOURCES = {"pump": ["board-a", "board-c"], "fan": ["board-c", "board-b"], "valve": ["board-b"]}
OWN = ["fan", "valve"]  # what the attacker may hold
BYTES_AN_HOUR = 100 * 1024
BURST_BYTES = 64 * 1024  # of a run shorter than an hour, on top of its share
LOG_LINES_A_MINUTE = 120
OPERATOR_S = 5  # until an operator is answered


def grown(before, after, name):
    return {i: int(after[i][name] - before[i][name]) for i in after}


def attack_config(cluster, seed, seconds, modes, slice_s):
    path = cluster.path("attack.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"name": "board-b", "cluster": "line-3", "boards": cluster.boards,
                   "resources": list(cluster.resources), "own": OWN, "seed": seed,
                   "seconds": seconds, "slice": slice_s, "modes": modes,
                   "issuers": {i: (cluster.address, 7400 + n)
                               for n, i in enumerate(cluster.issuers)},
                   "consoles": [cluster.console(i).rsplit(":", 1) for i in cluster.issuers],
                   "ca": cluster.path("pki", "ca.crt"), "cert": cluster.path("pki", "board-b.crt"),
                   "key": cluster.path("pki", "board-b.key")}, file)
    return path


def start_attacked():
    """All boards have been there once; then board-b's certificate is taken out of its board."""
    # The bench that shows a guard its outputs is late on a computer that is busy: no fault of the guard's.
    cluster = Cluster(boards=3, resources=RESOURCES, hold_ms=100, within_ms=200).start_all()
    wait_until(lambda: all(cluster.driver(r) for r in RESOURCES), 20, "all is driven")
    cluster.kill_board("board-b")
    if cluster.driver("pump") != "board-a":
        cluster.ctl(cluster.leader(), "transfer", "pump", "board-a", role="operator")
    wait_until(lambda: cluster.driver("pump") == "board-a", 15, "board-a drives")
    wait_until(lambda: cluster.driver("fan") == "board-c", 15, "board-c drives")
    return cluster


def idle_stretch(watch, seconds):
    """What an idle cluster writes in that time, once what went before has ended; and its counters."""
    for _ in range(10):
        begin = watch.counters()
        time.sleep(seconds)  # the measurement itself
        end = watch.counters()
        if not any(grown(begin, end, "raft_commit_index").values()):
            break
    return grown(begin, end, "store_written_bytes_total"), end


class Operator:
    """Asks an issuer's console every second or so, as a person with the certificate does."""

    def __init__(self, cluster):
        self.cluster, self.took = cluster, []
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        for node in itertools.cycle(self.cluster.issuers):
            if self.over.wait(1):
                return
            began = time.monotonic()
            while self.cluster.ctl(node, "leases", role="operator", check=False).returncode != 0 \
                    and time.monotonic() < began + 30:
                pass
            self.took.append(time.monotonic() - began)

    def end(self):
        self.over.set()
        self.thread.join()
        return max(self.took, default=0)


def run_attack(cluster, watch, config):
    """Lets the attacker run to its end; its report, and what each slice did to the issuers."""
    attacker = subprocess.Popen([sys.executable, os.path.join(HERE, "hostile_client.py"), config],
                                stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
    slices, former, name, since = {}, watch.counters(), None, time.monotonic()
    report, said = None, max(watch.logs.lines().values())
    for line in attacker.stdout:
        if not line.startswith("slice "):
            report = json.loads(line)
            continue
        now = {**former, **{i: m for i, m in ((i, metrics(cluster, i)) for i in cluster.issuers)
                            if m}}
        row = slices.setdefault(name, {"seconds": 0, "bytes": 0, "terms": 0, "events": 0, "lines": 0,
                                       "kb": 0})
        told, said = said, max(watch.logs.lines().values())
        row["lines"] += said - told
        watch.look()
        row["kb"] = max([row["kb"]] + [watch.now[i] for i in cluster.issuers])
        row["seconds"] += time.monotonic() - since
        row["bytes"] += max(grown(former, now, "store_written_bytes_total").values())
        row["terms"] += max(grown(former, now, "raft_term").values())
        row["events"] += max(grown(former, now, "history_events_total").values())
        if row["terms"]:
            print(f"     {time.strftime('%H:%M:%S')}: {row['terms']} terms so far in slices of {name}")
        former, name, since = now, line.split()[1], time.monotonic()
    attacker.wait()
    slices.pop(None, None)
    return report, slices


def forged_acts(cluster, watch, since_index):
    """Entries in somebody's name, of the issuers' own logs, that nobody proved and do not say so."""
    entries, _, _ = watch.logs.history()
    return [e for e in entries if e.index > since_index and e.by not in cluster.nodes
            and not ("unproven" in e.by + e.why and "fault cleared" in e.why)]


def tell_slices(slices, report):
    for name, row in sorted(slices.items(), key=lambda item: -item[1]["bytes"]):
        frames, answers = report["slices"].get(name, (0, 0))
        print(f"     {name:13} {row['seconds']:6.1f} s  {row['bytes']:9} bytes  {row['terms']:3} terms"
              f"  {row['events']:6} events  {row['lines']:6} log lines  {row['kb']:5} KB resident  {frames:8} frames  {answers:6} answers")


def hostile_board(verdict, minutes, seed, modes=None, slice_s=None, with_strangers=False):
    """The certificate's part; with strangers at every port at the same time, or not."""
    seconds = minutes * 60
    cluster = start_attacked()
    names = cluster.issuers + ["board-a", "board-c"]
    watch = Watch(cluster, names)
    try:
        idle_s = min(10, max(2, seconds / 20))
        idle, before = idle_stretch(watch, idle_s)
        lines = watch.logs.lines()
        processor, began, wall = watch.processor(), now_ns(), time.monotonic()
        last = max(int(m["raft_commit_index"]) for m in before.values())
        config = attack_config(cluster, seed, seconds, modes or [],
                               slice_s or min(20, max(1, seconds / 30)))
        flood = start_flood(cluster, "many", seconds + 60, seed) if with_strangers else None
        operator = Operator(cluster)
        report, slices = run_attack(cluster, watch, config)
        waited = operator.end()
        if flood:
            flood.terminate()
            flood.communicate(timeout=10)
        took = time.monotonic() - wall
        after, lines_after = watch.counters(), watch.logs.lines()
        used = {n: (s - processor[n]) / took for n, s in watch.processor().items()}
        judge_board(verdict, cluster, watch, {
            "before": before, "after": after, "idle": {i: b * took / idle_s for i, b in idle.items()},
            "took": took, "lines": {i: lines_after[i] - lines[i] for i in lines}, "used": used,
            "report": report, "slices": slices, "began": began, "last": last, "waited": waited})
    finally:
        watch.end()
        cluster.close()


def judge_board(verdict, cluster, watch, run):
    before, after, took = run["before"], run["after"], run["took"]
    report, minutes = run["report"], took / 60
    tell_slices(run["slices"], report)
    print(f"     answered: {dict(sorted(report['answers'].items()))}")
    print(f"     heard and done: {dict(sorted(report['counts'].items()))}")
    verdict.judge(report["frames"] > 100 * took / 60, f"attack: {report['frames']} frames,"
                  f" {report['bytes'] / 1e6:.1f} MB in {took:.0f} s")
    written = {i: b - run["idle"][i]
               for i, b in grown(before, after, "store_written_bytes_total").items()}
    bar = BYTES_AN_HOUR if took >= 3600 else \
        min(BYTES_AN_HOUR, BYTES_AN_HOUR * took / 3600 + BURST_BYTES)
    worst = max(written.values())
    verdict.judge(worst <= bar, f"bytes written for it by an issuer: {worst:.0f}, at most {bar:.0f}"
                  f" ({worst * 3600 / took / 1024:.0f} KB an hour)")
    terms = max(grown(before, after, "raft_term").values())
    own = 0 if took >= 600 else 2  # elections that a busy machine makes in a short run
    verdict.judge(terms <= own, f"terms changed: {terms}")
    leaders = sum(r.role == "leader" for log in watch.logs.logs.values() for r in log.roles)
    verdict.judge(leaders <= 1 + own, f"leader changes: {leaders - 1}")
    if leaders > 1:
        for issuer, log in watch.logs.logs.items():
            for role in log.roles[-12:]:
                at = time.strftime("%H:%M:%S", time.localtime(role.at)) + f"{role.at % 1:.3f}"[1:]
                print(f"     {at} {issuer}: {role.role} in term {role.term}, leader {role.leader}")
    rows = max(int(m["lease_rows"]) for m in after.values())
    verdict.judge(rows <= len(RESOURCES), f"rows of the lease table: {rows}, by policy"
                  f" {len(RESOURCES)}")
    forged = forged_acts(cluster, watch, run["last"])
    verdict.judge(not forged, f"acts in the history that nobody proved: {len(forged)} {forged[:2]}")
    accepted = {k: n for k, n in report["answers"].items() if k.endswith("accepted")
                and k.split(":")[0] in OPERATOR_WORDS}
    verdict.judge(not accepted, f"operators' acts accepted by a board's word: {accepted}")
    verdict.judge(run["waited"] <= OPERATOR_S, f"an operator waited {run['waited']:.2f} s at the"
                  f" most, bar {OPERATOR_S} s")
    lost = cluster.losses("board-a", run["began"])
    losses = [l for l in lost if "-late loop->" not in l]
    if lost != losses:  # its guard was kept from running by this machine, and another board drives
        print(f"     dropped because this machine was late: {len(lost) - len(losses)}")
    verdict.judge(not losses and cluster.driver("pump") in (["board-a", "board-c"] if lost else ["board-a"]),
                  f"leases lost by the healthy holder: {len(losses)} {losses[:2]}")
    watch.look()
    for what, table in (("resident", watch.rss), ("resident at the most", watch.peak)):
        verdict.judge(max(table.values()) <= RSS_MAX_KB, f"{what}: " + ", ".join(
            f"{n} {kb} KB" for n, kb in table.items()))
    lines = {i: n / minutes for i, n in run["lines"].items()}
    text = "log lines a minute: " + ", ".join(f"{i} {n:.0f}" for i, n in lines.items())
    if minutes < 10:  # a burst that its budget allows is most of it
        print(f"     {text}")
    else:
        verdict.judge(max(lines.values()) <= LOG_LINES_A_MINUTE, text)
    for kind, count in watch.logs.kinds().most_common(8):
        print(f"     {count:7} lines like: {kind}")
    print("     processor: " + ", ".join(f"{n} {u * 100:.0f} %" for n, u in run["used"].items()))
    judge_afterwards(verdict, cluster)


OPERATOR_WORDS = ("pin", "unpin", "note of another's", "leader transfer", "transfer", "member add",
                  "member promote", "member remove", "backup", "fault clear",
                  "resource remove")


def tell_why(cluster, board):
    """What an operator would look at, where nobody took over."""
    for words in (("leases",), ("agents",), ("history", "-n", "20")):
        print(cluster.ctl(cluster.leader(), *words, check=False).stdout)
    print(cluster.ctl(board, "guard", check=False).stdout)
    for name in (cluster.leader(), f"{board}", f"{board}-guard"):
        print(f"--- {name}\n" + "\n".join(cluster.log(name).splitlines()[-25:]))


def clear_latch(verdict, cluster, board):
    """A healthy board latches nothing. It is told, and cleared, so that the takeover is seen as well."""
    def row():
        rows = cluster.ctl(board, "guard")["resources"]
        return next(r for r in rows if r["resource"] == "pump")
    found = row()
    if found["guard"] != "fault":
        return
    verdict.judge(False, f"{board}: its guard latched '{found['fault']}' ('late' and 'stuck off' are"
                  f" also what this machine makes, where it lets guard or plant wait)")
    cluster.ctl(board, "fault", "clear", "pump", role="operator")
    wait_until(lambda: row()["agent"] == "waiting", 10, f"{board} waits for pump again")


def judge_afterwards(verdict, cluster):
    """The cluster still does what it is there for."""
    answer = cluster.ctl("issuer-1", "leases", "--consistency", "quorum", check=False)
    verdict.judge(answer.returncode == 0, "a quorum's answer afterwards")
    members = cluster.ctl("issuer-1", "issuers")["issuers"]
    verdict.judge({m["id"] for m in members} == set(cluster.issuers),
                  f"members afterwards: {[m['id'] for m in members]}")
    bound = cluster.bound_ms()["resources"][0]["bound"]["total_ms"]
    try:
        driver = cluster.wait_driver(["board-a", "board-c"])
    except AssertionError:
        tell_why(cluster, "board-a")
        tell_why(cluster, "board-c")
        raise
    other = "board-c" if driver == "board-a" else "board-a"
    clear_latch(verdict, cluster, other)
    death = cluster.kill_board(driver)
    try:
        drive = cluster.first_drive_after(death, [other], timeout=10)
        took = (drive["t_ns"] - death) / 1e6
    except AssertionError:
        took = float("inf")
        tell_why(cluster, other)
    verdict.judge(took <= 2 * bound, f"{driver} killed: {other} drives after {took:.0f} ms, bound"
                  f" {bound:.0f} ms")
    verdict.judge(not cluster.overlaps(), f"overlaps by the witness: {len(cluster.overlaps())}")
    verdict.judge(cluster.close() == 0, "the history as judged afterwards: "
                  + ("no violation" if cluster.history is None else
                     f"{len(cluster.history.violations)} violations"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 31))
    parser.add_argument("--modes", default="")
    parser.add_argument("--slice", type=float)
    parser.add_argument("--together", action="store_true", help="strangers beside the board, too")
    parser.add_argument("--only", choices=("board", "strangers"))
    given = parser.parse_args()
    print(f"hostile: {given.minutes:g} minutes, seed {given.seed}", flush=True)
    verdict = Verdict()
    if given.only != "strangers":
        hostile_board(verdict, given.minutes, given.seed,
                      [m for m in given.modes.split(",") if m], given.slice, given.together)
    if given.only != "board":
        strangers(verdict, max(2, given.minutes / 10) if given.minutes >= 1 else given.minutes,
                  given.seed)
    return verdict.end()


if __name__ == "__main__":
    sys.exit(main())
