"""An issuer whose journal is damaged or gone recovers from its peers by itself, and counts again."""

import glob
import json
import os
import sys

from cluster import Cluster, now_ns, run_tests, wait_until
from measure import primary_and_standby

IMAGE_AT = 4 * 4096  # daemon/store/FORMAT.md
STATE_AT = 12
CURRENT = 1


def status(cluster, issuer):
    """Nothing while it does not listen yet."""
    result = cluster.ctl(issuer, "status", check=False)
    return json.loads(result.stdout) if result.returncode == 0 else {}


def damage(cluster, issuer):
    """Flips one bit of the first record of the current slot."""
    for path in (cluster.path(issuer, "data", f"journal.{i}") for i in (0, 1)):
        with open(path, "r+b") as file:
            file.seek(STATE_AT)
            if file.read(4)[0] != CURRENT:
                continue
            file.seek(IMAGE_AT + 60)
            byte = file.read(1)[0]
            file.seek(IMAGE_AT + 60)
            file.write(bytes([byte ^ 0x10]))
            return
    raise AssertionError("no slot is current")


def empty(cluster, issuer):
    for path in glob.glob(cluster.path(issuer, "data", "journal.*")):
        os.unlink(path)


def whole(cluster, issuer):
    told = status(cluster, issuer)
    return told.get("recovery") == "none" and told["leader"] not in (None, "")


def roles(cluster):
    leader = cluster.leader()
    followers = [i for i in cluster.issuers if i != leader]
    return leader, followers


def recovers(cluster, spoil, words):
    """A follower is spoilt while it is down, and has recovered soon after it is back."""
    primary, standby = primary_and_standby(cluster)
    leader, (spoilt, other) = roles(cluster)
    cluster.kill(spoilt)
    spoil(cluster, spoilt)
    since, before = now_ns(), len(cluster.log(spoilt))
    cluster.start_daemon(spoilt)
    wait_until(lambda: whole(cluster, spoilt), 10, f"{spoilt} has recovered", poll=0.02)
    told = cluster.log(spoilt)[before:]
    assert words in told and "this issuer votes again" in told, told
    assert not cluster.losses(primary, since), cluster.losses(primary, since)
    return primary, standby, leader, spoilt, other


def a_flipped_bit_is_reported_and_mended_from_the_peers():
    cluster = Cluster(ttl_ms=600).start_all()
    primary, standby, leader, spoilt, other = recovers(
        cluster, damage, "kept as journal.*.damaged: this issuer has no say until it has recovered")
    assert len(glob.glob(cluster.path(spoilt, "data", "journal.?.damaged"))) == 2

    # The last majority needs it: a grant is committed with it, and it may lead.
    cluster.kill(other)
    death = cluster.kill_board(primary)
    cluster.first_drive_after(death, [standby])
    assert status(cluster, spoilt)["applied"] == status(cluster, leader)["applied"]
    cluster.start_daemon(other)
    wait_until(lambda: whole(cluster, other), 10, f"{other} is back", poll=0.02)
    cluster.kill(leader)
    wait_until(lambda: status(cluster, spoilt).get("leader") in (spoilt, other), 10, "a new leader",
               poll=0.02)
    assert not cluster.overlaps() and cluster.close() == 0


def a_replaced_card_is_filled_from_the_peers():
    cluster = Cluster(ttl_ms=600).start_all()
    recovers(cluster, empty, "holds no journal: this issuer has no say until it has recovered")
    assert not cluster.overlaps() and cluster.close() == 0


def without_one_of_the_others_it_waits_and_says_so():
    cluster = Cluster().start_all()
    leader, (spoilt, other) = roles(cluster)
    cluster.kill(spoilt, other)
    damage(cluster, spoilt)
    cluster.start_daemon(spoilt)
    wait_until(lambda: f"recovering: waits for {other}" in cluster.log(spoilt), 10, "it says so",
               poll=0.02)
    kept = glob.glob(cluster.path(spoilt, "data", "journal.?.damaged"))
    assert len(kept) == 2, kept
    told = status(cluster, spoilt)
    assert told["issuer"] == "recovering" and told["recovery"] == f"waits for {other}", told
    # Two of three are up, and one of them has no say: nobody leads.
    assert status(cluster, leader)["issuer"] != "leader", status(cluster, leader)
    # A crash in the middle changes nothing.
    cluster.kill(spoilt)
    cluster.start_daemon(spoilt)
    wait_until(lambda: status(cluster, spoilt).get("recovery") == f"waits for {other}", 10,
               "it goes on recovering", poll=0.02)
    cluster.start_daemon(other)
    wait_until(lambda: all(whole(cluster, i) for i in cluster.issuers), 10, "all are whole",
               poll=0.02)
    assert cluster.close() == 0


def a_majority_without_a_memory_says_what_is_left_to_do():
    cluster = Cluster().start_all()
    leader, (one, other) = roles(cluster)
    cluster.kill(one, other)
    for issuer in (one, other):
        empty(cluster, issuer)
        cluster.start_daemon(issuer)
    for issuer, peer in ((one, other), (other, one)):
        told = wait_until(
            lambda i=issuer: next((r for r in [status(cluster, i).get("recovery", "")]
                                   if "--restore" in r), None), 10, "it names the way out")
        assert told.startswith(f"waits for {peer} (up, but has no memory); "), told
        assert "majority has lost its journal" in told and "--init" not in told, told
        wait_until(lambda i=issuer, t=told: t in cluster.log(i), 10, "and its log says so")
    assert status(cluster, leader)["recovery"] == "none"
    assert cluster.close() == 0


if __name__ == "__main__":
    sys.exit(run_tests([
        a_flipped_bit_is_reported_and_mended_from_the_peers,
        a_replaced_card_is_filled_from_the_peers,
        without_one_of_the_others_it_waits_and_says_so,
        a_majority_without_a_memory_says_what_is_left_to_do,
    ]))
