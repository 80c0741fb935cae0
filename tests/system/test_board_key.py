"""What the key of one board is worth to whoever has stolen it: that board's own leases, and no more.
It fills no table and no card, and moves nobody else's."""

import json
import struct
import sys

from cluster import Cluster, now_ns, run_tests, wait_until
from measure import primary_and_standby
from test_console import human, undisturbed
from test_refusals import Peer, field, frame, query, said
from tls_client import Console

ACQUIRE, RELEASE, GRANTED, RELEASED = 1, 4, 7, 9
BURST = 49152  # daemon/core/lease/budget.h


def zigzag(value):
    return value << 1 if value >= 0 else -value * 2 - 1


def acquire(resource, priority=0, failback=0, ttl_us=1000000, fence_us=200000):
    return frame(field(3, field(1, ACQUIRE) + field(2, resource) + field(7, ttl_us) +
                       field(8, fence_us) + field(9, zigzag(priority)) +
                       (field(10, 1) if failback else b"")))


def release(resource, token, nonce):
    return frame(field(3, field(1, RELEASE) + field(2, resource) + field(4, token) +
                       field(5, nonce) + field(11, 1)))


def stolen(cluster, board, leader):
    """A connection under the board's key; its own agent is gone."""
    peer = Peer(cluster, leader, board)
    peer.greet(board)
    peer.tls.settimeout(5)
    return peer


def fields(data):
    """The fields of a message, the last of each number."""
    found, at = {}, 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        key = varint()
        if key & 7 == 0:
            found[key >> 3] = varint()
        else:
            length = 8 if key & 7 == 1 else varint()
            found[key >> 3] = data[at:at + length]
            at += length
    return found


class Lease:
    """A board's side of the lease protocol, as far as one needs it to do mischief."""

    def __init__(self, peer):
        self.peer, self.data = peer, b""

    def heard(self, kind):
        """The next message of that kind; None: nothing came for a second."""
        while True:
            while len(self.data) >= 4:
                length = struct.unpack(">I", self.data[:4])[0]
                if len(self.data) < 4 + length:
                    break
                envelope, self.data = fields(self.data[4:4 + length]), self.data[4 + length:]
                lease = fields(envelope[3]) if 3 in envelope else {}
                if lease.get(1) == kind:
                    return lease
            try:
                more = self.peer.tls.recv(65536)
            except TimeoutError:
                return None
            assert more, "closed"
            self.data += more


def written(cluster, leader):
    return {i["id"]: i["written_bytes"] for i in cluster.ctl(leader, "issuers")["issuers"]}[leader]


def agent(cluster, leader, board):
    return {a["board"]: a for a in cluster.ctl(leader, "agents")["agents"]}[board]


def it_fills_no_table_and_has_no_say_in_anything():
    cluster = Cluster(resources={"pump": ["board-a"], "fan": ["board-b"]}).start_all()
    leader = cluster.leader()
    wait_until(lambda: cluster.driver() and cluster.driver("fan"), what="both drive")
    cluster.kill("board-b")
    started = now_ns()
    peer = stolen(cluster, "board-b", leader)
    before = written(cluster, leader)
    term = cluster.ctl(leader, "status")["term"]
    for number in range(1, 300):
        for line in (f"unpin z{number}", f"pin z{number} none", f"note fault-cleared z{number}",
                     "pin pump none", "transfer pump board-b", "leader transfer issuer-2", "backup"):
            peer.send(query(number, line))
        peer.send(acquire(f"z{number}"))
    cluster.ctl(leader, "leases", "--consistency", "quorum")
    peer.send(query(1000, "leases"))
    leases = {lease["resource"] for lease in cluster.ctl(leader, "leases")["leases"]}
    assert leases == {"pump", "fan"}, leases
    history = cluster.ctl(leader, "history", "-n", "256")["history"]
    assert not [e for e in history if e["event"] == "operator"], history
    assert not [e for e in history if e["resource"] not in ("pump", "fan")], history
    assert cluster.ctl(leader, "status")["term"] == term
    assert written(cluster, leader) - before < 4096, written(cluster, leader) - before
    peer.tls.close()
    undisturbed(cluster, "board-a", started)
    assert cluster.close() == 0


def it_wears_no_card_and_says_when_its_budget_bites():
    cluster = Cluster(resources={"pump": ["board-a"], "fan": ["board-b"]}).start_all()
    leader = cluster.leader()
    wait_until(lambda: cluster.driver() and cluster.driver("fan"), what="both drive")
    cluster.kill("board-b-guard", "board-b")
    started = now_ns()
    peer = stolen(cluster, "board-b", leader)
    before = written(cluster, leader)

    def lease():
        return next(l for l in cluster.ctl(leader, "leases")["leases"] if l["resource"] == "fan")

    wait_until(lambda: lease()["state"] == "free", what="free")
    peer.tls.settimeout(1)
    heard, rounds = Lease(peer), 0
    while rounds < 500:
        peer.send(acquire("fan"))
        granted = heard.heard(GRANTED)
        if granted is None:
            break
        rounds += 1
        peer.send(release("fan", granted[4], rounds) + acquire("fan", ttl_us=6000000))
        heard.heard(RELEASED)
    assert agent(cluster, leader, "board-b")["budget"][:5] == "SPENT", rounds
    said(cluster, leader, "board-b: over its budget")
    spent = written(cluster, leader) - before
    for _ in range(100):
        peer.send(acquire("fan") + acquire("fan", ttl_us=6000000))
    assert written(cluster, leader) - before <= BURST + 8192, spent
    assert cluster.log(leader).count("over its budget") == 1
    metrics = cluster.ctl(leader, "metrics")["metrics"]
    assert 'holdfast_board_budget_bites_total{board="board-b"} 1' in metrics, metrics
    print(f"     {rounds} grants and releases, {spent} bytes of journal until its budget was spent",
          flush=True)
    peer.tls.close()
    undisturbed(cluster, "board-a", started)
    assert cluster.close() == 0


def an_operators_certificate_goes_where_acts_are_taken():
    cluster = Cluster().start_all()
    primary, standby = primary_and_standby(cluster)
    # By hand, the board says whom to ask; holdfastctl does so by itself.
    console = Console(cluster, standby, "operator")
    answer = console.ask("pin pump none")
    leader = cluster.leader()
    assert answer == (f"ERR 421 acts are taken at the console of an issuer: ask {leader} at "
                      f"{cluster.console(leader)}\n"), answer
    assert "ERR 403" in console.ask("member remove issuer-1")
    assert "pinned" in human(cluster, standby, "pin", "pump", primary, role="operator")[1]
    assert human(cluster, standby, "pin", "pump", primary)[0] == 1  # a viewer
    follower = [i for i in cluster.issuers if i != leader][0]
    cluster.ctl(follower, "unpin", "pump", role="operator")
    who = [e["who"] for e in cluster.ctl(standby, "history")["history"] if e["event"] == "operator"]
    assert who == ["operator", f"operator via {follower}"], who
    backup = cluster.path("state.backup")
    assert human(cluster, primary, "backup", backup, role="operator")[0] == 0
    # Where no console is told, there is no way but to say so.
    for issuer in cluster.issuers:
        cluster.kill(issuer)
        cluster.write_conf(issuer, lambda t: "\n".join(
            line for line in t.splitlines() if not line.startswith("console")))
        cluster.start_daemon(issuer)
    status, out, errors = wait_until(lambda: (lambda r: r if "such as" in r[2] else None)(
        human(cluster, standby, "unpin", "pump", role="operator")), what="a plain refusal", poll=0.1)
    assert status == 1 and out == "" and errors.startswith("ERR 421 "), (status, out, errors)
    assert not cluster.overlaps() and cluster.close() == 0


def what_no_policy_names_is_refused_and_a_left_row_can_be_removed():
    cluster = Cluster(resources={"pump": ["board-a"], "fan": ["board-b"]}).start_all()
    wait_until(lambda: cluster.driver() and cluster.driver("fan"), what="both drive")
    leader = cluster.leader()
    for words in (("unpin", "stray"), ("pin", "stray", "none"), ("transfer", "stray", "board-a"),
                  ("resource", "remove", "stray"), ("resource", "remove", "pump")):
        result = human(cluster, leader, *words, role="operator")
        assert result[0] == 1 and ("polic" in result[2] or "no such" in result[2] or
                                   "nobody holds" in result[2]), (words, result)
    # The fan is taken out of service: out of every issuer's file, and off its board.
    for node in cluster.board_processes("board-b"):
        cluster.kill(node)
    cluster.resources = {"pump": ["board-a"]}
    for issuer in cluster.issuers:
        cluster.kill(issuer)
        cluster.write_conf(issuer)
        cluster.start_daemon(issuer)
        cluster.leader()
    removed = wait_until(lambda: (lambda r: r if r.returncode == 0 else None)(
        cluster.ctl(cluster.leader(), "resource", "remove", "fan", role="operator", check=False)),
        what="the row is free and removed", poll=0.1)
    assert json.loads(removed.stdout)["done"] == "removed", removed
    leases = cluster.ctl(cluster.leader(), "leases")["leases"]
    assert [lease["resource"] for lease in leases] == ["pump"], leases
    wait_until(lambda: cluster.driver() == "board-a", what="the pump is driven")
    assert not cluster.overlaps() and cluster.close() == 0


def a_certificate_that_acts_in_a_loop_is_told_to_wait():
    cluster = Cluster().start_all()
    primary_and_standby(cluster)
    leader = cluster.leader()
    console = Console(cluster, leader, "operator")
    answers = [console.ask("unpin pump") for _ in range(150)]
    assert [a for a in answers[:100] if a.startswith("ERR")] == [], answers[:3]
    assert answers[-1].startswith("ERR 429 the certificate operator "), answers[-1]
    assert console.ask("leases").startswith("from ")
    cluster.issue("other", "operator")
    assert human(cluster, leader, "unpin", "pump", role="other")[0] == 0
    assert not cluster.overlaps() and cluster.close() == 0


if __name__ == "__main__":
    sys.exit(run_tests([
        it_fills_no_table_and_has_no_say_in_anything,
        it_wears_no_card_and_says_when_its_budget_bites,
        an_operators_certificate_goes_where_acts_are_taken,
        what_no_policy_names_is_refused_and_a_left_row_can_be_removed,
        a_certificate_that_acts_in_a_loop_is_told_to_wait,
    ]))
