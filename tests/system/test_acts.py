"""What an operator is told: that an act is done only if every later leader has it."""

import json
import random
import signal
import sys
import threading
import time

from cluster import Cluster, run_tests, wait_until
from measure import primary_and_standby


def pinned(cluster, node):
    """The state of the pump's lease, by a majority's word."""
    answer = wait_until(lambda: ask(cluster, node), what="a leader that a majority confirms")
    return "pinned" in answer["leases"][0]["state"]


def ask(cluster, node):
    result = cluster.ctl(node, "leases", "--consistency", "quorum", check=False)
    return None if result.returncode else json.loads(result.stdout)


def history(cluster, node):
    return {e["index"]: e for e in cluster.ctl(node, "history", "-n", "256")["history"]}


def nothing_is_said_to_be_done_that_no_majority_has():
    cluster = Cluster().start_all()
    primary_and_standby(cluster)
    leader = cluster.leader()
    followers = [i for i in cluster.issuers if i != leader]
    for words in (("pin", "pump", "none"), ("unpin", "pump"), ("member", "remove", followers[0])):
        cluster.kill(*followers, number=signal.SIGSTOP)
        result = cluster.ctl(leader, *words, role="operator", check=False)
        cluster.kill(*followers, number=signal.SIGCONT)
        said = result.stdout + result.stderr
        assert result.returncode == 1 and "ERR 50" in said and '"done"' not in said, said
        if "not known yet" in said:
            assert "entry " in said and "see history" in said, said
        leader = cluster.leader()
        followers = [i for i in cluster.issuers if i != leader]
    assert not cluster.overlaps() and cluster.close() == 0


def a_pin_that_is_lost_with_its_leader_was_never_said_to_be_done():
    cluster = Cluster().start_all()
    primary_and_standby(cluster)
    leader = cluster.leader()
    followers = [i for i in cluster.issuers if i != leader]
    cluster.kill(*followers, number=signal.SIGSTOP)
    answer = []
    asking = threading.Thread(target=lambda: answer.append(
        cluster.ctl(leader, "pin", "pump", "none", role="operator", check=False)))
    asking.start()
    wait_until(lambda: "pin pump none" in cluster.log(leader), what="the act is accepted")
    cluster.kill(leader)
    cluster.kill(*followers, number=signal.SIGCONT)
    asking.join()
    assert answer[0].returncode != 0 and "pinned" not in answer[0].stdout, answer
    assert not pinned(cluster, followers[0])
    cluster.wait_driver()
    assert not cluster.overlaps() and cluster.close() == 0


def an_act_whose_leader_is_lost_behind_a_relay_is_not_known():
    cluster = Cluster(issuers=5).start_all()
    primary_and_standby(cluster)
    leader = cluster.leader()
    relay, *others = [i for i in cluster.issuers if i != leader]
    cluster.kill(*others, number=signal.SIGSTOP)
    answer = []
    asking = threading.Thread(target=lambda: answer.append(
        cluster.ctl(relay, "pin", "pump", "none", role="operator", check=False)))
    asking.start()
    wait_until(lambda: f"via {relay}: pin pump none" in cluster.log(leader), what="it is relayed")
    cluster.kill(leader)
    asking.join()
    cluster.kill(*others, number=signal.SIGCONT)
    said = answer[0].stdout + answer[0].stderr
    assert answer[0].returncode == 1 and "not known yet" in said and "see history" in said, said
    wait_until(lambda: ask(cluster, relay), what="a leader that a majority confirms")
    assert not cluster.overlaps() and cluster.close() == 0


def whatever_was_acknowledged_holds():
    """Acts all the time, asked anywhere, while leaders are stopped and killed under them."""
    cluster = Cluster().start_all()
    primary_and_standby(cluster)
    seed = time.time_ns() % 10**6
    chance = random.Random(seed)
    done, open_, over = {}, [], threading.Event()

    def operate(number):
        turn = random.Random(seed + number)
        while not over.is_set():
            words = turn.choice([("pin", "pump", "board-a"), ("unpin", "pump"),
                                 ("pin", "pump", "none"), ("pin", "pump", "board-b")])
            node = turn.choice(cluster.nodes)
            result = cluster.ctl(node, *words, role="operator", check=False)
            if result.returncode == 0:
                answer = json.loads(result.stdout)
                done[answer["index"]] = words
            else:
                open_.append(result.stdout + result.stderr)
            time.sleep(turn.random() * 0.05)

    operators = [threading.Thread(target=operate, args=(i,)) for i in range(2)]
    for thread in operators:
        thread.start()
    for _ in range(6):
        before = len(done)
        wait_until(lambda b=before: len(done) > b, what="an act is done", timeout=20)
        leader = cluster.leader()
        followers = [i for i in cluster.issuers if i != leader]
        cluster.kill(*followers, number=signal.SIGSTOP)
        time.sleep(chance.random() * 0.4)
        cluster.kill(leader)
        cluster.kill(*followers, number=signal.SIGCONT)
        cluster.leader()
        cluster.start_daemon(leader)
    over.set()
    for thread in operators:
        thread.join()
    leader = cluster.leader()
    wait_until(lambda: ask(cluster, leader), what="a leader that a majority confirms")
    kept = history(cluster, leader)
    oldest = min(kept)
    for index, words in done.items():
        event = kept.get(index)
        assert index < oldest or event, (seed, index, words)
        wanted = {"pin": words[2] if len(words) > 2 and words[2] != "none" else "", "unpin": ""}
        assert index < oldest or event["holder"] == wanted[words[0]], (seed, event, words)
    assert len(done) > 6 and open_, (len(done), open_)
    assert not [text for text in open_ if "ERR 409" in text], open_
    last = max(done)
    if all(i <= last or e["event"] != "operator" for i, e in kept.items()):
        assert pinned(cluster, leader) == (done[last][0] == "pin"), (done[last], seed)
    assert not cluster.overlaps() and cluster.close() == 0


def a_leader_transfer_is_done_when_the_other_leads():
    cluster = Cluster().start_all()
    cluster.wait_driver()
    leader = cluster.leader()
    follower, other = [i for i in cluster.issuers if i != leader]
    answer = cluster.ctl(leader, "leader", "transfer", follower, role="operator")
    assert answer["leader"] == follower and cluster.leader() == follower, answer
    cluster.kill(other, number=signal.SIGSTOP)
    result = cluster.ctl(follower, "leader", "transfer", other, role="operator", check=False)
    cluster.kill(other, number=signal.SIGCONT)
    said = result.stdout + result.stderr
    assert result.returncode == 1 and "leads on" in said, said
    assert not cluster.overlaps() and cluster.close() == 0


if __name__ == "__main__":
    sys.exit(run_tests([
        nothing_is_said_to_be_done_that_no_majority_has,
        a_pin_that_is_lost_with_its_leader_was_never_said_to_be_done,
        an_act_whose_leader_is_lost_behind_a_relay_is_not_known,
        whatever_was_acknowledged_holds,
        a_leader_transfer_is_done_when_the_other_leads,
    ]))
