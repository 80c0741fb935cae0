"""Whoever is not authenticated can't keep known peers from each other: crowds of strangers at every
port of a running cluster, while an issuer restarts and then the leader dies."""

import re
import sys
import time

from cluster import Cluster, median, now_ns, run_tests, wait_until
from measure import primary_and_standby
from modbus import Master
from strangers import Strangers
from test_console import undisturbed
from tls_client import Console, split

CROWD = 64  # connections to each port


def ports(cluster):
    peers = [(cluster.address, 7400 + number) for number in range(len(cluster.issuers))]
    consoles = [split(cluster.console(node)) for node in cluster.nodes]
    gateways = [cluster.gateway_address(board) for board in cluster.boards] if cluster.gateway \
        else []
    return peers + consoles + gateways


def log_since(cluster, name, at):
    return cluster.log(name)[at:]


def restart(cluster, issuer):
    """Kills and starts it; seconds until it is connected to all other issuers."""
    others = [i for i in cluster.issuers if i != issuer]
    cluster.kill(issuer)
    at = len(cluster.log(issuer))
    started = time.monotonic()
    cluster.start_daemon(issuer)
    wait_until(lambda: all(re.search(rf"{o}: connected", log_since(cluster, issuer, at))
                           for o in others), 30, f"{issuer} rejoins")
    return time.monotonic() - started


def leader_and_followers(cluster):
    leader = cluster.leader()
    return leader, [i for i in cluster.issuers if i != leader]


def held_through(kind, source, count=CROWD, trials=2):
    """One crowd at every port: the figures of an issuer's restart followed by the leader's death."""
    cluster = Cluster(ttl_ms=1000, gateway=True).start_all()
    primary, _ = primary_and_standby(cluster)
    rejoined, drops = [], []
    with Strangers(kind, count, source, ports(cluster)) as crowd:
        started = now_ns()
        service(cluster, primary, 1 if kind == "hello" else 5)
        for _ in range(trials):
            leader, followers = leader_and_followers(cluster)
            rejoined.append(restart(cluster, followers[0]))
            death = cluster.kill(leader)
            wait_until(lambda: any(i for i in followers if "leader" in elected(cluster, i)),
                       what="another leader")
            # The holder lives on what it hears of the new one.
            wait_until(lambda d=death: now_ns() - d > 2.5e9, what="two and a half leases")
            drops += cluster.losses(primary, death)
            cluster.start_daemon(leader)
            wait_until(lambda i=leader: cluster.ctl(i, "status", check=False).returncode == 0,
                       what=f"{leader} is back", poll=0.05)
        undisturbed(cluster, primary, started)
        rate = crowd.close()
    print(f"figure: {kind}, {count} a port from {source}: a restarted issuer rejoins in"
          f" {max(rejoined) * 1000:.0f} ms at worst, {len(drops)} leases lost,"
          f" {rate:.0f} dials a second", flush=True)
    # Behind real handshakes from its own address it waits in line; behind silence it does not.
    assert max(rejoined) < (8.0 if kind == "hello" else 2.0), rejoined
    assert not drops, drops
    assert cluster.close() == 0


def operator_is_answered(cluster, node):
    """One try: on a busy machine a handshake may stand still for so long that it gives way."""
    try:
        console = Console(cluster, node, "operator", greeting=False)
        console.send("status\n")
        console.answer()
        good = console.answer().startswith("node ")
        console.close()
        return good
    except OSError:
        return False


def service(cluster, primary, rounds):
    """Operators and Modbus masters come and are served, one after the other."""
    taken = []
    for _ in range(rounds):
        began = time.monotonic()
        wait_until(lambda: operator_is_answered(cluster, primary), 15, "an operator is answered")
        master = Master(cluster.gateway_address(primary))
        master.write_register(0, 7)
        master.close()
        taken.append(time.monotonic() - began)
    print(f"figure: an operator and a Modbus master are served through the crowd in"
          f" {median(taken) * 1000:.0f} ms, {max(taken) * 1000:.0f} ms at worst", flush=True)


def elected(cluster, issuer):
    return cluster.ctl(issuer, "leases", "--consistency", "local", check=False).stdout or ""


def silent_strangers_behind_the_peers_own_address():
    held_through("silent", "127.0.0.1")


def strangers_with_half_a_word_from_elsewhere():
    held_through("half", "127.0.0.77", trials=1)


def strangers_that_stall_in_the_middle_of_the_handshake():
    held_through("hello", "127.0.0.1", trials=1)


if __name__ == "__main__":
    sys.exit(run_tests([
        silent_strangers_behind_the_peers_own_address,
        strangers_with_half_a_word_from_elsewhere,
        strangers_that_stall_in_the_middle_of_the_handshake,
    ]))
