"""The measurements behind the bars: each runs trials on a real cluster and returns figures in ms.

Used with few trials by the tests of `make check`, which judge what may not fail on a busy machine,
and with the full number by bars.py, which judges the figures themselves.
"""

import random
import time

from cluster import Cluster, now_ns, wait_until


FENCE_MS = 20  # of the pulse outputs, where the bars name it


def ms(nanoseconds):
    return nanoseconds / 1e6


def waits(cluster, resource, board):
    """True when the leader shows the board in the resource's queue."""
    try:
        leases = cluster.ctl(cluster.issuers[0], "leases")["leases"]
    except AssertionError:
        return False
    return any(l["resource"] == resource and board in l["waiters"].split(",") for l in leases)


def primary_and_standby(cluster, resource="pump"):
    """The driving board and one that waits behind it, once the leader agrees with the plant."""
    def look():
        primary = cluster.driver(resource)
        others = [b for b in cluster.resources[resource] if b != primary]
        if primary is None:
            return None
        return next(((primary, b) for b in others if waits(cluster, resource, b)), None)
    return wait_until(look, 60, f"a primary and a standby; logs in {cluster.folder}", poll=0.02)


def board_kill(trials, ttl_ms):
    """Kills the driving board's processes; takeover time of the other one, each trial."""
    cluster = Cluster(ttl_ms=ttl_ms, hold_ms=FENCE_MS).start_all()
    bound = cluster.bound_ms()["resources"][0]["bound"]["total_ms"]
    takeovers = []
    while len(takeovers) < trials:
        primary, standby = primary_and_standby(cluster)
        # What was polled for above comes at one phase of the renewals; deaths come at any.
        time.sleep(random.uniform(0, ttl_ms / 1000 / 5))
        death = cluster.kill_board(primary)
        # On a busy machine a short lease moves by itself, also between question and death.
        if drove_at(cluster, primary, death):
            takeovers.append(ms(cluster.first_drive_after(death, [standby])["t_ns"] - death))
        cluster.start_board(primary)
    overlaps = len(cluster.overlaps())
    status = cluster.close(grants=trials + 1)
    return {"takeover_ms": takeovers, "bound_ms": bound, "overlaps": overlaps, "witness": status}


def drove_at(cluster, board, instant):
    levels = [e["level"] for e in cluster.drives() if e["board"] == board and e["t_ns"] <= instant]
    return bool(levels) and levels[-1] == 1


def agent_kill(trials):
    """Kills the driving board's holdfastd alone and starts it again, as systemd would."""
    cluster = Cluster(ttl_ms=1000, hold_ms=FENCE_MS).start_all()
    guard_off, plant_off, drives = [], [], []
    for _ in range(trials):
        primary, _ = primary_and_standby(cluster)
        death = cluster.kill(primary)
        cluster.start_daemon(primary)
        off = cluster.first_drive_after(death, [primary], level=0)["t_ns"]
        plant_off.append(ms(off - death))
        # The charge pump holds hold_ms after the guard's last edge.
        guard_off.append(ms(off - death) - cluster.hold_ms)
        drives.append(ms(cluster.first_drive_after(death, cluster.boards)["t_ns"] - death))
    overlaps = len(cluster.overlaps())
    return {"guard_off_ms": guard_off, "plant_off_ms": plant_off, "drives_ms": drives,
            "overlaps": overlaps, "witness": cluster.close(grants=trials + 1)}


def leader_kill(trials, ttl_ms=1000):
    """
    Kills the leader of the issuers. board-a holds the pump all the time and must never drop it;
    board-b's agent dies at the same instant and starts again, so that its lamp needs a new grant.
    """
    cluster = Cluster(ttl_ms=ttl_ms, hold_ms=FENCE_MS,
                      resources={"pump": ["board-a"], "lamp": ["board-b"]})
    cluster.start_all()
    wait_until(lambda: cluster.driver("pump") and cluster.driver("lamp"), what="both drive")
    started = now_ns()
    grants = []
    for _ in range(trials):
        # Both other issuers must be up, or the kill would leave no majority.
        leader = wait_until(lambda: leader_of_all(cluster), what="followers up", poll=0.02)
        wait_until(lambda: cluster.driver("lamp"), what="lamp driven")
        # Each trial begins healthy: the holder is linked to every issuer.
        wait_until(lambda: all(i["link"] == "up" for i in cluster.ctl("board-a", "status")["issuers"]),
                   what="board-a linked to all issuers", poll=0.02)
        death = cluster.kill(leader, "board-b")
        cluster.start_daemon("board-b")
        drive = wait_until(lambda: next((e for e in cluster.drives("lamp") if e["level"]
                                         and e["t_ns"] > death), None), 20, "lamp granted again")
        grants.append(ms(drive["t_ns"] - death))
        cluster.start_daemon(leader)
    drops = [e for e in cluster.drives("pump") if e["t_ns"] > started and not e["level"]]
    overlaps = len(cluster.overlaps())
    losses = cluster.losses("board-a", started)
    return {"grant_ms": grants, "drops": len(drops), "losses": losses, "overlaps": overlaps,
            "election_ms": cluster.election_ms,
            "witness": cluster.close(grants=trials + 2)}


def leader_of_all(cluster):
    """The leader, if the others follow it now. On a busy machine it may be another one each time."""
    leader = cluster.leader()
    rows = cluster.ctl(leader, "issuers")["issuers"]
    followed = all(row["role"] == "leader" or (row["contact_ms"] is not None and row["match"] > 0
                                               and row["contact_ms"] < 200) for row in rows)
    return leader if followed else None


def written_bytes(cluster):
    figures = {}
    for issuer in cluster.issuers:
        row = next(i for i in cluster.ctl(issuer, "issuers")["issuers"] if i["id"] == issuer)
        figures[issuer] = row["written_bytes"]
    return figures


def steady_state(seconds):
    """Renewals for some seconds: bytes that each issuer wrote, renewals that a leader answered."""
    cluster = Cluster(ttl_ms=200).start_all()
    holder, _ = primary_and_standby(cluster)
    token = cluster.ctl("issuer-1", "leases")["leases"][0]["token"]
    before = written_bytes(cluster)
    time.sleep(seconds)  # the measurement itself: a stretch of steady state
    after = written_bytes(cluster)
    lease = cluster.ctl("issuer-1", "leases")["leases"][0]
    kept = lease["token"] == token and lease["holder"] == holder
    renewals = int(seconds / (cluster.ttl_ms / 1000 / 5))
    return {"written": {i: after[i] - before[i] for i in after}, "kept": kept,
            "renewals": renewals, "witness": cluster.close()}


def footprint():
    """Resident memory in KB with three issuers, two agents and one console connected."""
    cluster = Cluster(gateway=True).start_all()
    cluster.wait_driver()
    leader = cluster.leader()
    viewer = cluster.ctl_stream(leader, "watch")
    time.sleep(2)  # let buffers settle at what steady traffic needs
    figures = {name: cluster.rss_kb(name) for name in cluster.processes}
    viewer.terminate()
    viewer.wait()
    return {"leader": leader, "rss_kb": figures, "witness": cluster.close()}
