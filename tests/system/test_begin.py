"""How a cluster begins, and what can't be taken for a beginning: blank cards, lost journals, wrong numbers."""

import glob
import json
import os
import re
import signal
import sys

from cluster import Cluster, now_ns, run_tests, wait_until
from measure import primary_and_standby
from test_members import act, address_of, promote

TTL_MAX_MS, FENCE_MAX_MS = 2000, 500
HOLD_OFF_MS = TTL_MAX_MS + FENCE_MAX_MS


def bounded(**arguments):
    """The policy bounds the time for which an unknown lease may count."""
    cluster = Cluster(**arguments)
    for issuer in cluster.issuers:
        cluster.write_conf(issuer, bound)
    return cluster


def bound(text):
    return text.replace("ttl_max_ms = 5000;",
                        f"ttl_max_ms = {TTL_MAX_MS}; fence_max_ms = {FENCE_MAX_MS};")


def alone(text):
    """The file of a node that knows of issuer-1 only."""
    return re.sub(r',\n    \{ id = "issuer-[23]"; address = "[^"]*"; \}', "", bound(text))


def lose_card(cluster, issuer):
    for path in glob.glob(cluster.path(issuer, "data", "journal.*")):
        os.unlink(path)


def told(cluster, issuer, *words):
    """Nothing while it does not listen, or knows of no leader."""
    result = cluster.ctl(issuer, *words, check=False)
    return json.loads(result.stdout) if result.returncode == 0 else {}


def status(cluster, issuer):
    return told(cluster, issuer, "status")


def whole(cluster, issuer):
    now = status(cluster, issuer)
    return now.get("recovery") == "none" and now["leader"] not in (None, "")


def held_off(cluster, issuer):
    return {row["resource"]: row for row in told(cluster, issuer, "leases").get("held_off", [])}


def barred(cluster, issuer):
    return {row["resource"]: row for row in told(cluster, issuer, "leases").get("barred", [])}


def hand_to(cluster, board):
    if cluster.driver() != board:
        cluster.ctl(cluster.leader(), "transfer", "pump", board, role="operator")
        wait_until(lambda: cluster.driver() == board, 5, f"{board} drives")
    return told(cluster, cluster.leader(), "leases")["leases"][0]["token"]


def one_line(text, words):
    found = [line for line in text.splitlines() if words in line]
    assert len(found) == 1, (words, text)
    return found[0]


def a_blank_card_beside_a_grown_cluster_never_has_a_say():
    """Begun with one issuer and grown to three; the first one's file still lists itself alone."""
    cluster = bounded(issuers=3, boards=2, ttl_ms=1000)
    for node in ("issuer-1", "board-a"):
        cluster.write_conf(node, alone)
    cluster.init("issuer-1")
    cluster.start_bench()
    cluster.start_daemon("issuer-1")
    wait_until(lambda: status(cluster, "issuer-1").get("leader") == "issuer-1", 10, "it leads")
    for issuer in ("issuer-2", "issuer-3"):
        cluster.start_daemon(issuer)
        act(cluster, "issuer-1", "add", issuer, address_of(cluster, issuer))
        promote(cluster, "issuer-1", issuer)
    for board in cluster.boards:
        cluster.start_board(board)
    wait_until(lambda: cluster.driver() and told(cluster, cluster.leader(), "leases")["leases"][0]
               ["waiters"], 10, "one drives, one waits")
    token = hand_to(cluster, "board-b")

    cluster.kill("issuer-1")
    since, before = now_ns(), len(cluster.log("issuer-1"))
    lose_card(cluster, "issuer-1")
    # The board that knows of nobody else keeps its own file of the tokens it had.
    cluster.kill_board("board-a")
    cluster.start_board("board-a")
    cluster.start_daemon("issuer-1")
    line = wait_until(lambda: [l for l in cluster.log("issuer-1")[before:].splitlines()
                               if "holds no journal" in l], 5, "it says so")[0]
    assert "this issuer has no say" in line and "list the others" in line, line
    assert f"holdfastd -c {cluster.conf('issuer-1')} --init" in line and "--restore" in line, line
    others = [i for i in cluster.issuers if i != "issuer-1"]
    wait_until(lambda: any(status(cluster, i).get("issuer") == "leader" for i in others), 10,
               "the other two lead")
    # More than ten elections: it would have led long since.
    wait_until(lambda: now_ns() - since > 10 * cluster.election_ms * 1_000_000, 10, "time")
    assert not told(cluster, "issuer-1", "leases", "--consistency", "local")["leader"]
    assert "raft: leader" not in cluster.log("issuer-1")[before:]
    assert not cluster.losses("board-b", since), cluster.losses("board-b", since)
    assert told(cluster, cluster.leader(), "leases")["leases"][0]["token"] == token

    # Its file is mended, as it was told: it recovers.
    cluster.kill("issuer-1")
    cluster.write_conf("issuer-1", bound)
    cluster.start_daemon("issuer-1")
    wait_until(lambda: whole(cluster, "issuer-1"), 10, "it has recovered", poll=0.02)
    assert not cluster.losses("board-b", since), cluster.losses("board-b", since)
    assert not cluster.overlaps() and cluster.close() == 0


def a_lost_journal_of_the_only_issuer_waits_and_begun_anew_it_holds_off():
    """With the board that drove stopped: its guard goes on until its deadline, and nobody hears it."""
    cluster = bounded(issuers=1, boards=2, ttl_ms=TTL_MAX_MS).start_all()
    primary, standby = primary_and_standby(cluster)
    token = hand_to(cluster, standby)
    primary, standby = standby, primary
    cluster.kill(primary, number=signal.SIGSTOP)
    lost = cluster.kill("issuer-1")
    lose_card(cluster, "issuer-1")
    before = len(cluster.log("issuer-1"))
    cluster.start_daemon("issuer-1")
    wait_until(lambda: "holds no journal" in cluster.log("issuer-1")[before:], 5, "it says so")
    line = one_line(cluster.log("issuer-1")[before:], "holds no journal")
    assert f"if the cluster is new: holdfastd -c {cluster.conf('issuer-1')} --init" in line, line
    assert "lists nobody to recover from" in line and "--restore BACKUP" in line, line
    wait_until(lambda: "nobody to recover from" in status(cluster, "issuer-1").get("recovery", ""),
               5, "status says so")
    cluster.kill("issuer-1")

    cluster.init("issuer-1", above=token)
    cluster.start_daemon("issuer-1")
    row = wait_until(lambda: [r for r in held_off(cluster, "issuer-1").values()
                              if r["waits_for"] == primary], 5, "it is held off", poll=0.02)[0]
    assert row["resource"] == "pump" and 0 < row["left_ms"] <= HOLD_OFF_MS * 1.01, row
    now = status(cluster, "issuer-1")
    assert f"waits for {primary}" in now["held_off"] and "ms left" in now["held_off"], now
    metrics = cluster.ctl("issuer-1", "metrics")["metrics"]
    assert 'holdfast_lease_held_off_seconds{resource="pump"}' in metrics, metrics
    state = told(cluster, "issuer-1", "leases")
    assert "hold_off_ms" in state, state
    on = cluster.first_drive_after(lost + 1, [standby])
    off = [e for e in cluster.drives() if e["board"] == primary and not e["level"]][-1]
    assert off["t_ns"] < on["t_ns"], (off, on)
    waited = (on["t_ns"] - lost) / 1e6
    assert waited > HOLD_OFF_MS, waited
    print(f"figure: the only issuer lost its journal with token {token}, begun anew, the driving board"
          f" not heard: another drives {waited:.0f} ms after the loss; hold-off {HOLD_OFF_MS} ms")
    cluster.kill(primary, number=signal.SIGCONT)
    assert hand_to(cluster, primary) > token
    assert not cluster.overlaps() and cluster.close() == 0


def no_token_at_or_below_one_that_a_board_had():
    """Both boards are there: they say what they had, and what mends it is told and does."""
    cluster = bounded(issuers=1, boards=2, ttl_ms=600).start_all()
    primary_and_standby(cluster)
    token = 0
    for board in cluster.boards * 3:
        token = max(token, hand_to(cluster, board))
    cluster.kill("issuer-1")
    lose_card(cluster, "issuer-1")
    # Restarted agents know it too.
    for board in cluster.boards:
        cluster.kill_board(board)
        cluster.start_board(board)
    cluster.init("issuer-1")
    since = now_ns()
    cluster.start_daemon("issuer-1")
    row = wait_until(lambda: barred(cluster, "issuer-1").get("pump"), 10, "barred", poll=0.02)
    assert row["took_token"] == token and row["next_here"] < token, (row, token)
    assert "--restore BACKUP --force or" in row["mend"], row
    assert f"--init --above {token} --force; " in row["mend"], row
    assert (f"token overrule pump {row['board']}, then restart its agent and guard" in
            row["mend"]), row
    words = f"{row['board']} took token {token}, here is "
    for board in cluster.boards:
        wait_until(lambda b=board: words in cluster.log(b) and f"--init --above {token}" in
                   cluster.log(b), 5, f"{board} was told")
    assert "barred" in status(cluster, "issuer-1")
    metrics = cluster.ctl("issuer-1", "metrics")["metrics"]
    assert f'holdfast_lease_barred_token{{resource="pump",board="{row["board"]}"}} {token}' in metrics
    # Past the hold-off, too.
    wait_until(lambda: now_ns() - since > HOLD_OFF_MS * 1_100_000, 10, "the hold-off is over")
    assert barred(cluster, "issuer-1")
    assert not [e for e in cluster.drives() if e["t_ns"] > since and e["level"]]
    notes = [e for e in cluster.ctl("issuer-1", "history")["history"] if words in e["why"]]
    assert 1 <= len(notes) <= 2, notes  # one for each board, however often they ask

    cluster.kill("issuer-1")
    refused = cluster.act("issuer-1", "--init", "--above", str(token))
    assert refused.returncode == 1 and "has a journal" in refused.stderr, refused
    assert "--init --above N --force" in refused.stderr, refused
    done = cluster.act("issuer-1", "--init", "--above", str(token), "--force")
    assert done.returncode == 0, done
    cluster.start_daemon("issuer-1")
    cluster.first_drive_after(since, cluster.boards)
    lease = told(cluster, "issuer-1", "leases")["leases"][0]
    assert lease["token"] > token, lease
    assert not cluster.overlaps() and cluster.close() == 0


def an_operator_overrules_a_board_that_lies():
    cluster = bounded(issuers=1, boards=2, ttl_ms=600)
    liar, honest = cluster.boards
    cluster.start_all()
    primary_and_standby(cluster)
    hand_to(cluster, liar)
    cluster.kill("issuer-1", *cluster.board_processes(liar))
    with open(cluster.path(liar, "data", "tokens"), encoding="ascii") as file:
        assert "pump " in file.read()
    forge_tokens(cluster.path(liar, "data", "tokens"), 4000)
    lose_card(cluster, "issuer-1")
    cluster.init("issuer-1", above=50)
    # With the jump the number is far below: a lie must be larger.
    forge_tokens(cluster.path(liar, "data", "tokens"), 1 << 40)
    started = now_ns()
    cluster.start_daemon("issuer-1")
    cluster.start_board(liar)
    row = wait_until(lambda: barred(cluster, "issuer-1").get("pump"), 10, "barred", poll=0.02)
    assert (row["board"], row["took_token"]) == (liar, 1 << 40), row
    viewer = cluster.ctl("issuer-1", "token", "overrule", "pump", liar, check=False)
    assert viewer.returncode == 1 and "operator" in viewer.stdout + viewer.stderr, viewer
    wrong = cluster.ctl("issuer-1", "token", "overrule", "pump", honest, role="operator", check=False)
    assert wrong.returncode == 1 and "says of no token" in wrong.stdout + wrong.stderr, wrong
    done = cluster.ctl("issuer-1", "token", "overrule", "pump", liar, role="operator")
    assert "overruled" in done["done"], done
    wait_until(lambda: not barred(cluster, "issuer-1"), 5, "barred no more")
    assert any(e["why"].startswith("the board's word") and e["who"] == "operator"
               for e in cluster.ctl("issuer-1", "history")["history"])
    cluster.first_drive_after(started, cluster.boards)
    assert not cluster.overlaps() and cluster.close() == 0


def forge_tokens(path, token):
    text = f"holdfast tokens, format 1\npump {token}\n".encode()
    with open(path, "wb") as file:
        file.write(text + b"crc32c: %08x\n" % crc32c(text))


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def a_cluster_with_all_boards_there_starts_at_once_and_one_without_waits():
    cluster = bounded(issuers=3, boards=2)
    cluster.init()
    cluster.start_bench()
    since = now_ns()
    for issuer in cluster.issuers:
        cluster.start_daemon(issuer)
    cluster.start_board("board-a")
    leader = cluster.leader()
    row = wait_until(lambda: held_off(cluster, leader).get("pump"), 5, "it is held off", poll=0.02)
    assert "board-b" in row["waits_for"], row
    early = cluster.ctl(leader, "transfer", "pump", "board-a", role="operator", check=False)
    assert early.returncode == 1, early
    assert "pump: held off" in early.stderr and "board-b does not" in early.stderr, early
    cluster.start_board("board-b")
    on = cluster.first_drive_after(since, cluster.boards)
    assert (on["t_ns"] - since) / 1e6 < HOLD_OFF_MS, on
    wait_until(lambda: not held_off(cluster, leader), 5, "held off no more")
    assert cluster.close() == 0


def it_is_begun_once_on_each_and_all_must_agree():
    cluster = bounded(issuers=3, boards=2)
    cluster.init("issuer-1", "issuer-2")
    again = cluster.act("issuer-1", "--init")
    assert again.returncode == 1 and "was begun already, at entry 1" in again.stderr, again
    assert again.stderr.count("\n") == 1 and again.stdout == "", again
    agent = cluster.act("board-a", "--init")
    assert agent.returncode == 1 and "board-a is no issuer" in agent.stderr, agent
    bad = cluster.act("issuer-3", "--init", "--above", "many")
    assert bad.returncode == 2 and "must be a whole number" in bad.stderr, bad
    # Two of three, and the third one blank: no majority begins without all.
    cluster.start_bench()
    for issuer in cluster.issuers:
        cluster.start_daemon(issuer)
    wait_until(lambda: "waits for issuer-3" in status(cluster, "issuer-1").get("recovery", ""), 5,
               "it waits for the third")
    wait_until(lambda: "unsure: waits for issuer-3" in cluster.log("issuer-1"), 5, "and says so")
    wait_until(lambda: "issuer-3 (up, but has no memory); if the cluster is new: stop that one and "
               "begin it by --init" in status(cluster, "issuer-1").get("recovery", ""), 10,
               "and what is to be done")
    assert "holdfast_recovery_standing 1\n" in cluster.ctl("issuer-1", "metrics")["metrics"]
    assert "holdfast_recovery_standing 2\n" in cluster.ctl("issuer-3", "metrics")["metrics"]
    wait_until(lambda: "if the cluster is new: --init here" in
               status(cluster, "issuer-3").get("recovery", ""), 10, "the third one says it, too")
    running = cluster.act("issuer-3", "--init")
    assert running.returncode == 1 and "held by another process" in running.stderr, running
    cluster.kill("issuer-3")
    # Started too soon it has written that it waits, no more: it may be begun. Above another number:
    cluster.init("issuer-3", above=12)
    cluster.start_daemon("issuer-3")
    words = "begun by --init without --above, but issuer-3 by --init --above 12: "
    wait_until(lambda: words in status(cluster, "issuer-1").get("recovery", ""), 5, "they differ")
    wait_until(lambda: words in cluster.log("issuer-2"), 10, "and say so")
    assert "issuer-2 and begin it again with --init --above 12 --force" in one_line(
        cluster.log("issuer-2"), words)
    cluster.kill(*cluster.issuers)
    for issuer in ("issuer-1", "issuer-2"):
        done = cluster.act(issuer, "--init", "--above", "12", "--force")
        assert done.returncode == 0, done
    for issuer in cluster.issuers:
        cluster.start_daemon(issuer)
    for board in cluster.boards:
        cluster.start_board(board)
    cluster.wait_driver()
    lease = told(cluster, cluster.leader(), "leases")["leases"][0]
    assert lease["token"] > 12, lease
    cluster.kill("issuer-1")
    late = cluster.act("issuer-1", "--init")
    assert late.returncode == 1 and "has a journal" in late.stderr, late
    assert "start it, it needs no --init" in late.stderr and "--restore BACKUP" in late.stderr, late
    assert cluster.close() == 0


def a_replaced_card_that_was_begun_by_mistake_recovers_from_the_others():
    for above in (None, 500):
        cluster = bounded(issuers=3, boards=2, ttl_ms=1000).start_all()
        primary, _ = primary_and_standby(cluster)
        leader = cluster.leader()
        spoilt = [i for i in cluster.issuers if i != leader][0]
        cluster.kill(spoilt)
        lose_card(cluster, spoilt)
        cluster.init(spoilt, above=above)
        since, before = now_ns(), len(cluster.log(spoilt))
        cluster.start_daemon(spoilt)
        wait_until(lambda: whole(cluster, spoilt), 10, f"{spoilt} has recovered, --above {above}",
                   poll=0.02)
        text = cluster.log(spoilt)[before:]
        assert "the cluster has a history" in text and "raft: leader" not in text, text
        assert not cluster.losses(primary, since), cluster.losses(primary, since)
        assert cluster.leader() == leader
        assert not cluster.overlaps() and cluster.close() == 0


if __name__ == "__main__":
    sys.exit(run_tests([
        a_blank_card_beside_a_grown_cluster_never_has_a_say,
        a_lost_journal_of_the_only_issuer_waits_and_begun_anew_it_holds_off,
        no_token_at_or_below_one_that_a_board_had,
        an_operator_overrules_a_board_that_lies,
        a_cluster_with_all_boards_there_starts_at_once_and_one_without_waits,
        it_is_begun_once_on_each_and_all_must_agree,
        a_replaced_card_that_was_begun_by_mistake_recovers_from_the_others,
    ]))
