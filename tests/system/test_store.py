"""Cards that are slow or fail, on real processes: renewals go on, each error has its one line."""

import os
import re
import shutil
import sys
import time

from cluster import BIN, Cluster, now_ns, run_tests, wait_until
from measure import ms, primary_and_standby, waits

FAULT = os.path.join(os.path.dirname(BIN), "lib", "disk-fault.so")
SLOW_MS = 2000


def preloaded(error, **arguments):
    """A cluster whose issuers' disks do what `error` says once break_disk() was called."""
    cluster = Cluster(**arguments)
    for issuer in cluster.issuers:
        cluster.preload[issuer] = {"LD_PRELOAD": FAULT, "DISK_FAULT_ERROR": error,
                                   "DISK_FAULT_MS": str(SLOW_MS),
                                   "DISK_FAULT_FILE": cluster.path(f"{issuer}.fault")}
    return cluster


def break_disk(cluster, *issuers):
    for issuer in issuers:
        open(cluster.path(f"{issuer}.fault"), "wb").close()


def mend_disk(cluster, *issuers):
    for issuer in issuers:
        os.unlink(cluster.path(f"{issuer}.fault"))


def row(cluster, asked, issuer):
    rows = cluster.ctl(asked, "issuers")["issuers"]
    return next(r for r in rows if r["id"] == issuer)


def leadership(cluster):
    """Terms and leaders as each issuer sees them."""
    told = [cluster.ctl(i, "status") for i in cluster.issuers]
    return sorted({(s["term"], s["leader"]) for s in told})


def steady(cluster, seconds, boards):
    """Boards drive all the time, nobody else, under one leader in one term."""
    since, before = now_ns(), leadership(cluster)
    assert len(before) == 1, before
    renewed = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        agents = cluster.ctl(cluster.issuers[0], "agents")["agents"]
        renewed = max(renewed, *[a["renewed_ms"] for a in agents if a["leases"] > 0])
        time.sleep(0.2)
    assert leadership(cluster) == before, (before, leadership(cluster))
    for board in boards:
        losses = cluster.losses(board, since)
        assert not losses, losses
    return renewed


# board-a holds the pump all the time; board-b holds the lamp, and asks for it again.
TWO = {"pump": ["board-a"], "lamp": ["board-b"]}


def ask_again(cluster):
    """board-b's agent is restarted: a release and a grant. Returns how long nobody drove, in ms."""
    began = cluster.kill("board-b")
    cluster.start_daemon("board-b")

    def look():
        return next((e for e in cluster.drives("lamp") if e["t_ns"] > began and e["level"]), None)
    return ms(wait_until(look, 40, "the lamp is driven again")["t_ns"] - began)


def with_every_disk_slow_only_grants_wait():
    cluster = preloaded("SLOW", resources=TWO).start_all()
    for resource in TWO:
        wait_until(lambda r=resource: cluster.driver(r), 15, f"{resource} driven")
    fast_ms = ask_again(cluster)
    since = now_ns()
    before = leadership(cluster)
    break_disk(cluster, *cluster.issuers)
    worst_ms = steady(cluster, 6, ["board-a", "board-b"])
    slow_ms = ask_again(cluster)
    leader = cluster.leader()
    for asked in cluster.issuers:
        for issuer in cluster.issuers:
            told = wait_until(lambda a=asked, i=issuer: (r := row(cluster, a, i))["store"] == "SLOW"
                              and r, what=f"{asked} shows that {issuer} is slow", poll=0.1)
            assert told["sync_worst_ms"] >= SLOW_MS and told["written_bytes"] > 0, told
    metrics = cluster.ctl(leader, "metrics")["metrics"]
    for issuer in cluster.issuers:
        assert f'holdfast_store_slow{{issuer="{issuer}"}} 1' in metrics, metrics
    steady(cluster, 2, ["board-a", "board-b"])
    mend_disk(cluster, *cluster.issuers)
    for issuer in cluster.issuers:
        lines = cluster.log(issuer)
        assert lines.count("store: slow:") == 1, lines
    wait_until(lambda: all("store: no longer slow" in cluster.log(i) for i in cluster.issuers),
               20, "every log says that it is over", poll=0.1)
    assert leadership(cluster) == before, (before, leadership(cluster))
    assert not cluster.losses("board-a", since), cluster.losses("board-a", since)
    assert slow_ms > SLOW_MS > fast_ms, (fast_ms, slow_ms)
    print(f"figure: every sync {SLOW_MS} ms: no leader change, no lease lost, longest time since a"
          f" renewal {worst_ms:.0f} ms; release and grant {slow_ms:.0f} ms, before {fast_ms:.0f} ms")
    assert not cluster.overlaps() and cluster.close() == 0


def with_one_disk_slow_nothing_waits():
    for slow in ("leader", "follower"):
        cluster = preloaded("SLOW", resources=TWO).start_all()
        for resource in TWO:
            wait_until(lambda r=resource: cluster.driver(r), 15, f"{resource} driven")
        since, before = now_ns(), leadership(cluster)
        leader = cluster.leader()
        one = leader if slow == "leader" else next(i for i in cluster.issuers if i != leader)
        break_disk(cluster, one)
        took_ms = ask_again(cluster)
        other = next(i for i in cluster.issuers if i != one)
        wait_until(lambda: row(cluster, other, one)["store"] == "SLOW", what="shown", poll=0.1)
        assert row(cluster, other, other)["store"] == "good"
        steady(cluster, 2, ["board-a", "board-b"])
        assert leadership(cluster) == before and not cluster.losses("board-a", since)
        assert took_ms < SLOW_MS, took_ms
        print(f"figure: the {slow}'s syncs {SLOW_MS} ms alone: release and grant {took_ms:.0f} ms")
        assert not cluster.overlaps() and cluster.close() == 0


def counters(cluster, issuer):
    """Bytes and syncs of its journal since it started."""
    text = cluster.ctl(issuer, "metrics")["metrics"]
    return [float(re.search(rf"^holdfast_store_{name} ([\d.e+]+)$", text, re.M)[1])
            for name in ("written_bytes_total", "syncs_total")]


def entries(cluster, issuer):
    return cluster.ctl(issuer, "status")["commit"]


def a_grant_costs_each_issuer_one_sync_and_idleness_nothing():
    cluster = Cluster(ttl_ms=600).start_all()
    primary_and_standby(cluster)
    leader = cluster.leader()

    def all_counters():
        return {i: counters(cluster, i) for i in cluster.issuers}
    idle = all_counters()
    time.sleep(3)
    assert all_counters() == idle, (idle, all_counters())
    first = entries(cluster, leader)
    for _ in range(12):
        _, standby = primary_and_standby(cluster)
        cluster.ctl(leader, "transfer", "pump", standby, role="operator")
    number = entries(cluster, leader) - first
    wait_until(lambda: all(entries(cluster, i) == entries(cluster, leader)
                           for i in cluster.issuers), what="all are level", poll=0.05)
    after = all_counters()
    for issuer in cluster.issuers:
        wrote, synced = (b - a for a, b in zip(idle[issuer], after[issuer]))
        print(f"figure: {'leader' if issuer == leader else 'follower'}: {number} entries, of them 12"
              f" grants: {synced / number:.2f} syncs and {wrote / number:.0f} bytes each")
        # A frame and its mark's copy of it, within two blocks.
        assert 0 < synced <= number and wrote / number <= 2 * 4096, (issuer, wrote, synced, number)
    assert not cluster.overlaps() and cluster.close() == 0


def an_error_of_the_disk_is_one_line_and_the_others_go_on():
    for error, words in (("EIO", "Input/output error"), ("SYNC_ONCE", "Input/output error")):
        cluster = preloaded(error, ttl_ms=600).start_all()
        primary, standby = primary_and_standby(cluster)
        leader = cluster.leader()
        break_disk(cluster, leader)
        death = cluster.kill_board(primary)
        cluster.first_drive_after(death, [standby])
        wait_until(lambda: "votes and answers no more" in cluster.log(leader), what="it says so")
        lines = [l for l in cluster.log(leader).splitlines() if "store:" in l]
        assert len(lines) == 1 and words in lines[0], (error, lines)
        other = next(i for i in cluster.issuers if i != leader)
        wait_until(lambda: row(cluster, other, leader)["store"] == "FAILED", what="shown", poll=0.1)
        assert cluster.processes[leader].poll() is None, "the process itself must go on"
        assert not cluster.overlaps() and cluster.close() == 0


def a_disk_that_writes_in_parts_loses_nothing():
    cluster = preloaded("SHORT", ttl_ms=600)
    break_disk(cluster, *cluster.issuers)
    cluster.start_all()
    primary, standby = primary_and_standby(cluster)
    death = cluster.kill_board(primary)
    cluster.first_drive_after(death, [standby])
    token = cluster.ctl("issuer-1", "leases")["leases"][0]["token"]
    cluster.kill(*cluster.issuers)
    for issuer in cluster.issuers:
        cluster.start_daemon(issuer)
    lease = cluster.ctl(cluster.leader(), "leases")["leases"][0]
    assert lease["token"] >= token and lease["holder"] == standby, (token, lease)
    cluster.wait_driver([standby])
    assert not cluster.overlaps() and cluster.close() == 0


def refused_start(cluster, issuer, words):
    """The issuer does not start: one line of its store, exit status 74, the driver keeps its lease."""
    since, driver = now_ns(), cluster.wait_driver()
    before = len(cluster.log(issuer))
    status = cluster.start_daemon(issuer).wait(10)
    cluster.processes.pop(issuer)
    lines = cluster.log(issuer)[before:].splitlines()
    assert status == 74 and len(lines) == 1 and words in lines[0], (status, words, lines)
    assert not cluster.losses(driver, since), cluster.losses(driver, since)


def journal(cluster, issuer):
    return [open(cluster.path(issuer, "data", f"journal.{i}"), "rb").read() for i in (0, 1)]


def what_cannot_be_its_journal_is_refused_with_one_line():
    cluster = preloaded("READ", ttl_ms=1000).start_all()
    primary_and_standby(cluster)
    leader = cluster.leader()
    one, other = [i for i in cluster.issuers if i != leader]
    cluster.kill(one)
    own = cluster.path(one, "data")
    kept = cluster.path("kept")
    shutil.copytree(own, kept)

    break_disk(cluster, one)
    refused_start(cluster, one, "journal.0: cannot read: Input/output error")
    mend_disk(cluster, one)

    for i in (0, 1):
        shutil.copy(cluster.path(other, "data", f"journal.{i}"), own)
    foreign = journal(cluster, one)
    refused_start(cluster, one, f"belongs to node '{other}', this is '{one}'")
    assert journal(cluster, one) == foreign, "what is another's was written to"
    for i in (0, 1):
        shutil.copy(os.path.join(kept, f"journal.{i}"), own)

    cluster.write_conf(one, lambda text: text.replace('name = "line-3"', 'name = "line-4"'))
    refused_start(cluster, one, "belongs to cluster 'line-3', this is 'line-4'")
    cluster.write_conf(one)

    os.chmod(own, 0o777)
    refused_start(cluster, one, "mode 0777, must not be writable by others")
    os.chmod(own, 0o700)
    os.chmod(os.path.join(own, "journal.1"), 0o666)
    refused_start(cluster, one, "journal.1: mode 0666, must not be writable by others")
    os.chmod(os.path.join(own, "journal.1"), 0o600)

    # Nothing of it did harm: with its own journal it is back.
    cluster.start_daemon(one)
    wait_until(lambda: row(cluster, leader, one)["contact_ms"] is not None and
               row(cluster, leader, one)["contact_ms"] < 1000, what="it is back", poll=0.1)
    assert not cluster.overlaps() and cluster.close() == 0


if __name__ == "__main__":
    sys.exit(run_tests([
        with_every_disk_slow_only_grants_wait,
        with_one_disk_slow_nothing_waits,
        a_grant_costs_each_issuer_one_sync_and_idleness_nothing,
        an_error_of_the_disk_is_one_line_and_the_others_go_on,
        a_disk_that_writes_in_parts_loses_nothing,
        what_cannot_be_its_journal_is_refused_with_one_line,
    ]))
