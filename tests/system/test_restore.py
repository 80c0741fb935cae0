"""Backup, loss of every issuer, restore: tokens rise, nobody drives beside another, leases return."""

import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys

from cluster import BIN, Cluster, now_ns, run_tests, wait_until
from measure import ms, primary_and_standby

FENCE_MAX_MS = 500


def bounded(ttl_ms=1000, ttl_max_ms=2000):
    """A cluster whose policy bounds the time for which an unknown lease may count."""
    cluster = Cluster(ttl_ms=ttl_ms)
    for issuer in cluster.issuers:
        cluster.write_conf(issuer, lambda text: text.replace(
            "ttl_max_ms = 5000;", f"ttl_max_ms = {ttl_max_ms}; fence_max_ms = {FENCE_MAX_MS};"))
    return cluster


def tool(cluster, *words, role="operator", node=None):
    """holdfastctl as a person calls it; its result."""
    node = node or cluster.issuers[0]
    command = [os.path.join(BIN, "holdfastctl"), "-c", cluster.conf(node), "-H",
               cluster.console(node), "--node", node,
               "--ca", cluster.path("pki", "ca.crt"), "--cert", cluster.path("pki", f"{role}.crt"),
               "--key", cluster.path("pki", f"{role}.key"), *words]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          check=False)


def restore(cluster, issuer, file, *words):
    return subprocess.run([os.path.join(BIN, "holdfastd"), "-c", cluster.conf(issuer), "--restore",
                           file, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          check=False)


def lease(cluster):
    return cluster.ctl(cluster.leader(), "leases")["leases"][0]


def change_hands(cluster, times):
    """Each time to the board that waits; the last token."""
    def hand_over():
        # On a busy machine a board that waited may not wait any more when it is asked for.
        _, standby = primary_and_standby(cluster)
        return cluster.ctl(cluster.leader(), "transfer", "pump", standby, role="operator",
                           check=False).returncode == 0
    for _ in range(times):
        wait_until(hand_over, 60, "a transfer", poll=0.05)
    return lease(cluster)["token"]


def local_token(cluster, issuer):
    """The token that this issuer has, whoever leads; 0: it can't say."""
    result = cluster.ctl(issuer, "leases", "--consistency", "local", check=False)
    leases = json.loads(result.stdout)["leases"] if result.returncode == 0 else []
    return leases[0]["token"] if leases else 0


def lose_everything(cluster):
    lost = cluster.kill(*cluster.issuers)
    for issuer in cluster.issuers:
        shutil.rmtree(cluster.path(issuer, "data"))
        os.makedirs(cluster.path(issuer, "data"), mode=0o700)
    return lost


def restore_all(cluster, file):
    """By the book: a number from the first issuer, then the same command on each. Their outputs."""
    asked = restore(cluster, cluster.issuers[0], file)
    assert asked.returncode == 1 and asked.stderr == "", asked
    above = re.search(r"--above (\d+)", asked.stdout)[1]
    done = [restore(cluster, i, file, "--above", above) for i in cluster.issuers]
    for result in done:
        assert result.returncode == 0 and result.stderr == "", result
    states = {re.search(r"sha256 (\w{64})", r.stdout)[1] for r in done}
    assert len(states) == 1, "the issuers have different states"
    return int(above)


def a_lost_cluster_goes_on_from_a_backup():
    # So long that the hold-off is seen, however long it takes to ask for it.
    ttl_max_ms = 5000
    cluster = bounded(ttl_max_ms=ttl_max_ms).start_all()
    primary_and_standby(cluster)
    change_hands(cluster, 2)
    file = cluster.path("backup")
    taken = tool(cluster, "-o", "json", "backup", file)
    assert taken.returncode == 0, taken
    known = json.loads(taken.stdout)
    assert stat.S_IMODE(os.stat(file).st_mode) == 0o600
    token = change_hands(cluster, 3)
    assert token > known["index"], "the backup knows of the last grant: the test shows nothing"
    primary, standby = primary_and_standby(cluster)

    # The board that drives hears nothing any more: its guard goes on until its deadline.
    cluster.kill(primary, number=signal.SIGSTOP)
    lost = lose_everything(cluster)
    above = restore_all(cluster, file)
    for issuer in cluster.issuers:
        cluster.start_daemon(issuer)
    leader = cluster.leader()
    held_off = cluster.ctl(leader, "leases")
    assert held_off["hold_off_ms"] > 0 and "began_anew" in held_off, held_off
    on = cluster.first_drive_after(lost + 1, [standby])
    off = [e for e in cluster.drives() if e["board"] == primary and not e["level"]][-1]
    assert off["t_ns"] < on["t_ns"]
    new = lease(cluster)
    assert new["token"] > above > token and new["holder"] == standby, (token, above, new)
    assert "hold_off_ms" not in cluster.ctl(leader, "leases")
    waited = ms(on["t_ns"] - lost)
    assert waited > ttl_max_ms + FENCE_MAX_MS, waited
    cluster.kill(primary, number=signal.SIGCONT)
    primary_and_standby(cluster)
    again = change_hands(cluster, 1)
    assert again > new["token"]
    history = cluster.ctl(leader, "history")["history"]
    assert any(e["who"] == "restore" and "restored from a backup" in e["why"] for e in history)
    print(f"figure: all issuers lost with token {token}, restored from a backup of entry"
          f" {known['index']}: a board drives {waited:.0f} ms after the loss, with token"
          f" {new['token']}; hold-off {ttl_max_ms + FENCE_MAX_MS} ms")
    assert not cluster.overlaps() and cluster.close() == 0


def the_same_backup_restored_twice_reuses_no_token():
    cluster = bounded().start_all()
    primary_and_standby(cluster)
    file = cluster.path("backup")
    assert tool(cluster, "backup", file).returncode == 0
    tokens = [change_hands(cluster, 1)]
    for _ in range(2):
        lose_everything(cluster)
        restore_all(cluster, file)
        since = now_ns()
        for issuer in cluster.issuers:
            cluster.start_daemon(issuer)
        cluster.first_drive_after(since, cluster.boards)
        tokens.append(change_hands(cluster, 1))
    assert tokens == sorted(set(tokens)), tokens
    assert tokens[2] > tokens[1] + 100000, tokens
    assert not cluster.overlaps() and cluster.close() == 0


def an_issuer_of_before_that_was_forgotten_takes_nothing_back():
    """Two are restored, the third comes back with the journal of before: it follows."""
    cluster = bounded().start_all()
    primary_and_standby(cluster)
    file = cluster.path("backup")
    assert tool(cluster, "backup", file).returncode == 0
    token = change_hands(cluster, 2)
    cluster.kill(*cluster.issuers)
    forgotten = cluster.issuers[2]
    for issuer in cluster.issuers[:2]:
        refused = restore(cluster, issuer, file)
        assert refused.returncode == 1 and "has a journal" in refused.stderr, refused
    asked = restore(cluster, cluster.issuers[0], file, "--force")
    above = re.search(r"--above (\d+)", asked.stdout)[1]
    for issuer in cluster.issuers[:2]:
        done = restore(cluster, issuer, file, "--above", above, "--force")
        assert done.returncode == 0, done
        assert os.path.exists(cluster.path(issuer, "data", "before-restore-1", "journal.0"))
    since = now_ns()
    for issuer in cluster.issuers:
        cluster.start_daemon(issuer)
    cluster.first_drive_after(since, cluster.boards)
    assert lease(cluster)["token"] > int(above) > token
    wait_until(lambda: local_token(cluster, forgotten) > int(above), 60, "it follows", poll=0.1)
    assert not cluster.overlaps() and cluster.close() == 0


def every_refusal_names_what_is_wrong():
    # A lease that outlives a busy machine: what is lost here is lost by a refusal.
    cluster = bounded(ttl_ms=5000, ttl_max_ms=5000).start_all()
    primary, _ = primary_and_standby(cluster)
    since, file = now_ns(), cluster.path("backup")
    viewer = tool(cluster, "backup", file, role="viewer")
    assert viewer.returncode == 1 and "ERR 403" in viewer.stderr and not os.path.exists(file), viewer
    for node in (cluster.issuers[1], cluster.leader()):
        taken = tool(cluster, "backup", file, "--force", node=node)
        assert taken.returncode == 0 and "good; cluster line-3" in taken.stdout, taken
    again = tool(cluster, "backup", file)
    assert again.returncode == 1 and "--force replaces it" in again.stderr, again
    assert tool(cluster, "backup").returncode == 2
    verified = tool(cluster, "backup", "--verify", file)
    assert verified.returncode == 0 and "good; cluster line-3" in verified.stdout, verified
    with open(file, "r+b") as text:
        at = text.read().index(b"\nindex: ") + len(b"\nindex: ")
        text.seek(at)
        text.write(b"9")
    for result in (tool(cluster, "backup", "--verify", file),
                   restore(cluster, cluster.issuers[0], file)):
        assert result.returncode == 1 and "checksum does not hold" in result.stderr, result
    assert tool(cluster, "backup", file, "--force").returncode == 0
    running = restore(cluster, cluster.issuers[0], file, "--force")
    assert running.returncode == 1 and "held by another process" in running.stderr, running
    board = restore(cluster, primary, file)
    assert board.returncode == 1 and f"{primary} is no issuer" in board.stderr, board
    assert not cluster.losses(primary, since), cluster.losses(primary, since)
    assert not cluster.overlaps() and cluster.close() == 0


if __name__ == "__main__":
    sys.exit(run_tests([
        a_lost_cluster_goes_on_from_a_backup,
        the_same_backup_restored_twice_reuses_no_token,
        an_issuer_of_before_that_was_forgotten_takes_nothing_back,
        every_refusal_names_what_is_wrong,
    ]))
