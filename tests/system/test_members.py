"""Issuers are added, promoted and removed while a board drives; nobody notices but the consoles."""

import re
import sys

from cluster import Cluster, now_ns, run_tests, wait_until

OLD = ["issuer-1", "issuer-2", "issuer-3"]
NEW = ["issuer-4", "issuer-5"]


def forget_new(text):
    """The file of a node from before the new issuers were thought of."""
    for issuer in NEW:
        text = re.sub(r',\n    \{ id = "%s"; address = "[^"]*"; \}' % issuer, "", text)
    return text


def address_of(cluster, issuer):
    return f"{cluster.address}:{7400 + cluster.issuers.index(issuer)}"


def members(cluster, node):
    """What a node's own log says: id -> row of `issuers`."""
    return {row["id"]: row for row in cluster.ctl(node, "issuers")["issuers"]}


def act(cluster, node, *words):
    return cluster.ctl(node, "member", *words, role="operator")


def promote(cluster, node, issuer):
    def tried():
        result = cluster.ctl(node, "member", "promote", issuer, role="operator", check=False)
        assert result.returncode in (0, 1), result.stdout + result.stderr
        assert result.returncode == 0 or "caught up" in result.stdout + result.stderr, result
        return result.returncode == 0
    wait_until(tried, 10, f"{issuer} promoted; logs in {cluster.folder}", poll=0.05)


def three_become_five_the_leader_leaves_and_grants_go_on():
    cluster = Cluster(issuers=5, boards=2)
    for node in OLD + cluster.boards:
        cluster.write_conf(node, forget_new)
    cluster.init(*OLD)
    cluster.start_bench()
    for issuer in OLD:
        cluster.start_daemon(issuer)
    for board in cluster.boards:
        cluster.start_board(board)
    holder = cluster.wait_driver()
    other = [board for board in cluster.boards if board != holder][0]
    began = cluster.drives()[-1]["t_ns"]
    leader = cluster.leader()
    follower = [issuer for issuer in OLD if issuer != leader][0]

    viewer = cluster.ctl(leader, "member", "add", NEW[0], address_of(cluster, NEW[0]), check=False)
    assert viewer.returncode == 1 and "operator" in viewer.stdout + viewer.stderr, viewer
    # A board's console has no say in it.
    board = cluster.ctl(other, "member", "remove", follower, role="operator", check=False)
    assert board.returncode == 1 and "vouch" in board.stdout + board.stderr, board

    for issuer in NEW:
        cluster.start_daemon(issuer)
        done = act(cluster, follower, "add", issuer, address_of(cluster, issuer))
        assert "learner" in done["done"], done
        # Its journal is empty, so it recovers first, perhaps still when it is added.
        wait_until(lambda i=issuer: members(cluster, leader)[i]["role"] == "learner", 5,
                   f"{issuer} learns", poll=0.02)
        promote(cluster, follower, issuer)
    rows = cluster.ctl(leader, "issuers")
    assert (rows["voters"], rows["majority"]) == (5, 3), rows
    for issuer in NEW:
        wait_until(lambda i=issuer: len(members(cluster, i)) == 5, 5, f"{issuer} knows all five")

    def told():
        out_of_date = cluster.ctl(holder, "status").get("config_out_of_date") or ""
        return all(f"add {i} at {address_of(cluster, i)}" in out_of_date for i in NEW)
    wait_until(told, 5, "the board knows of the new issuers")
    assert "config_out_of_date" not in cluster.ctl(NEW[0], "status")

    done = act(cluster, leader, "remove", leader)
    assert done["done"] == "removed" and done["voters"] == 4 and "warning" in done, done
    cluster.kill(leader)
    second = cluster.leader()
    assert second != leader
    cluster.kill(follower)
    third = cluster.leader()
    wait_until(lambda: cluster.ctl(third, "status")["quorum"], 5, "a quorum of three of four")
    assert not cluster.losses(holder, began), cluster.losses(holder, began)

    cluster.ctl(third, "transfer", "pump", other, role="operator")
    wait_until(lambda: cluster.driver() == other, 5, f"{other} drives")
    texts = [row["why"] for row in cluster.ctl(third, "history")["history"]]
    for text in [f"member add {NEW[0]} {address_of(cluster, NEW[0])}", f"member promote {NEW[1]}",
                 f"member remove {leader}"]:
        assert text in texts, (text, texts)
    assert cluster.close() == 0


def refused(cluster, node, *words):
    result = cluster.ctl(node, *words, role="operator", check=False)
    assert result.returncode == 1, result
    return result.stdout + result.stderr


def a_leader_that_removes_itself_answers_whoever_dialled_whom():
    cluster = Cluster(issuers=3, boards=2).start_all()
    cluster.wait_driver()
    for leader, asked, voters in (("issuer-3", "issuer-3", 2), ("issuer-2", "issuer-1", 1)):
        def leads(wanted=leader):
            now = cluster.leader()
            if now != wanted:
                cluster.ctl(now, "leader", "transfer", wanted, role="operator", check=False)
            return now == wanted
        wait_until(leads, 10, f"{leader} leads", poll=0.2)
        if voters == 2:
            text = refused(cluster, "issuer-1", "member", "add", "issuer-9",
                           address_of(cluster, "issuer-2"))
            assert address_of(cluster, "issuer-2") in text and "issuer issuer-2" in text, text
            for act_words in (("member", "add", "issuer-2", f"{cluster.address}:7409"),
                              ("member", "promote", "issuer-9"), ("member", "remove", "issuer-9"),
                              ("leader", "transfer", "issuer-9")):
                text = refused(cluster, "issuer-1", *act_words)
                assert f"409 {act_words[2]}: " in text, text
        done = act(cluster, asked, "remove", leader)
        assert done["done"] == "removed" and done["voters"] == voters, done
        wait_until(lambda wanted=leader: cluster.leader() != wanted, 10, "another leads")
        cluster.kill(leader)
    assert "last voter" in refused(cluster, "issuer-1", "member", "remove", "issuer-1")
    assert cluster.close() == 0


def led(cluster, issuer):
    """In how many terms so far."""
    return cluster.log(issuer).count("raft: leader in term")


def a_leader_that_removes_itself_hands_over():
    """Not heard, it would cost those who stay an election timeout or two without a leader."""
    cluster = Cluster(issuers=3, boards=1, election_ms=1000, heartbeat_ms=100, ttl_ms=4000)
    cluster.start_all()
    holder = cluster.wait_driver()
    began = cluster.drives()[-1]["t_ns"]
    leader = cluster.leader()
    others = [issuer for issuer in cluster.issuers if issuer != leader]
    before = {issuer: led(cluster, issuer) for issuer in others}
    done = act(cluster, others[0], "remove", leader)
    assert done["done"] == "removed", done
    without = now_ns()
    wait_until(lambda: any(led(cluster, issuer) > before[issuer] for issuer in others), 5,
               "another leads")
    took_ms = (now_ns() - without) / 1e6
    assert took_ms < cluster.election_ms / 2, took_ms
    print(f"     {took_ms:.0f} ms from the answer to another leader")
    second = cluster.leader()
    if second < leader:  # the smaller id dials
        wait_until(lambda: "left the cluster" in cluster.log(second),
                   5 * cluster.election_ms / 1000, "it is hung up on in the end")
    assert not cluster.losses(holder, began), cluster.losses(holder, began)
    assert cluster.close() == 0


def one_that_missed_a_return_hears_who_came_back():
    """issuer-4 goes and comes back while issuer-1 is off; those who could tell issuer-1 die then."""
    cluster = Cluster(issuers=4, boards=1)
    cluster.start_all()
    cluster.wait_driver()
    asked = "issuer-2"
    act(cluster, asked, "remove", "issuer-4")
    voters = ["issuer-1", "issuer-2", "issuer-3"]
    # The leader must know issuer-1's word of it before it goes.
    wait_until(lambda: all("issuer-4" not in members(cluster, node) for node in voters), 10,
               "the removal is known", poll=0.05)
    cluster.kill("issuer-1")
    wait_until(lambda: cluster.leader() in voters[1:], 10, "another leads", poll=0.05)
    act(cluster, asked, "add", "issuer-4", address_of(cluster, "issuer-4"))
    promote(cluster, asked, "issuer-4")
    act(cluster, asked, "remove", "issuer-3")
    wait_until(lambda: "issuer-3" not in members(cluster, "issuer-4"), 10, "it is known", poll=0.05)
    left = ("issuer-1", "issuer-4")
    before = {node: led(cluster, node) for node in left}
    cluster.kill("issuer-2", "issuer-3")
    cluster.start_daemon("issuer-1")
    began = now_ns()
    wait_until(lambda: any(led(cluster, node) > before[node] for node in left), 20,
               "the two that are left elect")
    print(f"     {(now_ns() - began) / 1e6:.0f} ms to a leader of the two")
    assert cluster.close() == 0


if __name__ == "__main__":
    sys.exit(run_tests([one_that_missed_a_return_hears_who_came_back,
                        three_become_five_the_leader_leaves_and_grants_go_on,
                        a_leader_that_removes_itself_answers_whoever_dialled_whom,
                        a_leader_that_removes_itself_hands_over]))
