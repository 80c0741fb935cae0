"""An output that was seen stuck on holds its resource until an operator says go, on real processes."""

import json
import sys

from cluster import Cluster, now_ns, run_tests, wait_until
from measure import ms, primary_and_standby, waits


def lease(cluster, node=None):
    rows = cluster.ctl(node or cluster.leader(), "leases")["leases"]
    return next(r for r in rows if r["resource"] == "pump")


def history(cluster, event):
    return [e for e in cluster.ctl(cluster.leader(), "history", "-n", "200")["history"]
            if e["event"] == event]


def grants(cluster, since):
    """Of this resource, above a token."""
    return [e for e in history(cluster, "grant") if e["token"] > since]


def wait_held(cluster, board):
    wait_until(lambda: lease(cluster)["stuck"] == board, what="the leader knows it", poll=0.02)


def stays_held(cluster, board, token):
    """The lease is over, and for two more lease times nobody is granted it."""
    wait_until(lambda: lease(cluster)["holder"] == "", what="the lease is over", poll=0.02)
    over = now_ns()
    wait_until(lambda: ms(now_ns() - over) > 2 * cluster.ttl_ms or grants(cluster, token),
               what="time passed", poll=0.05)
    assert not grants(cluster, token), grants(cluster, token)
    row = lease(cluster)
    assert row["state"] == (f"stuck: {board}'s output is on, waits for an operator: "
                            f"fault clear pump at {board}"), row
    assert row["stuck"] == board, row


def transfer_with_a_welded_relay_is_held_until_an_operator_says_go():
    cluster = Cluster(ttl_ms=600, boards=3).start_all()
    primary, standby = primary_and_standby(cluster)
    third = next(b for b in cluster.boards if b not in (primary, standby))
    wait_until(lambda: waits(cluster, "pump", third), what="all wait", poll=0.02)
    token = lease(cluster)["token"]
    cluster.bench_ctl("stuck", "relay", primary, "pump/enable", "on")
    refused = cluster.ctl("issuer-1", "transfer", "pump", standby, role="operator", check=False)
    assert refused.returncode == 1 and "stuck on" in refused.stdout + refused.stderr, refused
    wait_held(cluster, primary)
    stays_held(cluster, primary, token)

    # Told in every place, as what it is.
    leader = cluster.leader()
    assert cluster.ctl(leader, "status")["stuck"] == f"pump at {primary}"
    assert cluster.ctl(primary, "status")["stuck"] == f"pump at {primary}"
    assert f'holdfast_lease_stuck{{resource="pump",board="{primary}"}} 1' in \
        cluster.ctl(leader, "metrics")["metrics"]
    fault = history(cluster, "fault")
    assert [e["holder"] for e in fault] == [primary] and "until fault clear" in fault[0]["why"], fault
    wait_until(lambda: f"held: an output of {primary} is stuck on" in cluster.log(standby),
               what="who waits is told", poll=0.05)
    assert sorted(lease(cluster)["waiters"].split(",")) == sorted([standby, third])

    # The next leader holds as well, and the board still welded changes nothing by being cleared.
    cluster.kill(leader)
    cluster.leader()
    cluster.start_daemon(leader)
    stays_held(cluster, primary, token)
    cluster.ctl(primary, "fault", "clear", "pump", role="operator")
    wait_until(lambda: cluster.log(f"{primary}-guard").count("-stuck on->") > 1 or
               cluster.log(f"{primary}-guard").count("stuck on") > 1, what="latched anew", poll=0.02)
    stays_held(cluster, primary, token)
    viewer = cluster.ctl(cluster.leader(), "fault", "clear", "pump", role="viewer", check=False)
    assert viewer.returncode == 1 and "ERR 403" in viewer.stdout + viewer.stderr, viewer

    # Repaired, but nothing of its guard's says so. Asked at a follower: the leader acts.
    cluster.bench_ctl("stuck", "relay", primary, "pump/enable", "none")
    follower = next(i for i in cluster.issuers if i != cluster.leader())
    asked = now_ns()
    cluster.ctl(follower, "fault", "clear", "pump", primary, role="operator")
    on = cluster.first_drive_after(asked, [standby, third])
    print(f"figure: after the operator's go the other board drives in {ms(on['t_ns'] - asked):.1f} ms")
    acts = [e for e in history(cluster, "operator") if "though an output" in e["why"]]
    assert len(acts) == 1 and acts[0]["who"].split()[0] == "operator", acts
    assert lease(cluster)["stuck"] == "" and "let go" in lease(cluster)["state"], lease(cluster)
    again = cluster.ctl("issuer-1", "fault", "clear", "pump", primary, role="operator", check=False)
    assert again.returncode == 1 and "let go already" in again.stdout + again.stderr, again
    assert not cluster.overlaps() and cluster.close() == 0


def cleared_at_its_board_and_off_it_is_granted_again():
    cluster = Cluster(ttl_ms=600).start_all()
    primary, standby = primary_and_standby(cluster)
    token = lease(cluster)["token"]
    cluster.bench_ctl("stuck", "readback", primary, "pump/enable", "on")
    cluster.ctl("issuer-1", "transfer", "pump", standby, role="operator", check=False)
    wait_held(cluster, primary)
    stays_held(cluster, primary, token)
    cluster.bench_ctl("stuck", "readback", primary, "pump/enable", "none")
    cluster.ctl(primary, "fault", "clear", "pump", role="operator")
    assert cluster.wait_driver() in (primary, standby)
    # No row is left: what was cleared is over.
    wait_until(lambda: "stuck" not in lease(cluster)["state"], what="nothing is known", poll=0.02)
    assert any("outputs are off" in e["why"] for e in history(cluster, "fault"))
    assert not cluster.overlaps() and cluster.close() == 0


def with_on_stuck_go_the_next_board_is_granted_once_the_lease_is_over():
    cluster = Cluster(ttl_ms=600)
    for issuer in cluster.issuers:
        cluster.write_conf(issuer, lambda text: text.replace("ttl_max_ms", 'on_stuck = "go"; ttl_max_ms'))
    cluster.start_all()
    primary, standby = primary_and_standby(cluster)
    cluster.bench_ctl("stuck", "readback", primary, "pump/enable", "on")
    asked = now_ns()
    answer = cluster.ctl("issuer-1", "transfer", "pump", standby, role="operator")
    on = cluster.first_drive_after(asked, [standby])
    assert answer["to"] == standby, answer
    print(f"figure: with on_stuck = go the other board drives {ms(on['t_ns'] - asked):.1f} ms after"
          " the command, ttl 600 ms")
    off = cluster.first_drive_after(asked, [primary], level=0)
    assert on["t_ns"] - off["t_ns"] > 0.5 * 600e6, "no proof, and yet it did not wait"
    wait_until(lambda: "on_stuck = go" in lease(cluster)["state"], what="it is told", poll=0.02)
    assert lease(cluster)["holder"] == standby
    assert not cluster.overlaps() and cluster.close() == 0


def an_agent_that_restarts_tells_what_its_guard_saw():
    cluster = Cluster(ttl_ms=3000).start_all()
    primary, standby = primary_and_standby(cluster)
    token = lease(cluster)["token"]
    cluster.bench_ctl("stuck", "readback", primary, "pump/enable", "on")
    cluster.kill(primary)  # its guard drops, and sees it stuck while nobody listens
    cluster.start_daemon(primary)
    wait_held(cluster, primary)
    stays_held(cluster, primary, token)
    cluster.bench_ctl("stuck", "readback", primary, "pump/enable", "none")
    cluster.ctl("issuer-1", "fault", "clear", "pump", primary, role="operator")
    assert cluster.wait_driver([standby]) == standby
    assert not cluster.overlaps() and cluster.close() == 0


def a_standby_that_is_stuck_on_holds_what_another_drives():
    cluster = Cluster(ttl_ms=600).start_all()
    primary, standby = primary_and_standby(cluster)
    token = lease(cluster)["token"]
    cluster.bench_ctl("stuck", "readback", standby, "pump/enable", "on")
    wait_held(cluster, standby)
    row = lease(cluster)
    assert row["holder"] == primary and row["state"].startswith("held; stuck: " + standby), row
    # Who drives goes on, and when it is gone nobody follows.
    since = now_ns()
    wait_until(lambda: ms(now_ns() - since) > 2 * cluster.ttl_ms, what="time passed", poll=0.05)
    assert cluster.driver() == primary and not grants(cluster, token)
    cluster.kill_board(primary)
    stays_held(cluster, standby, token)
    cluster.start_board(primary)
    wait_until(lambda: waits(cluster, "pump", primary), what="it waits", poll=0.02)
    assert not grants(cluster, token)
    cluster.bench_ctl("stuck", "readback", standby, "pump/enable", "none")
    cluster.ctl("issuer-1", "fault", "clear", "pump", standby, role="operator")
    assert cluster.wait_driver([primary]) == primary
    assert not cluster.overlaps() and cluster.close() == 0


def resets(cluster, board):
    return [e for e in cluster.events() if e["ev"] == "reset" and e["board"] == board]


def come_back(cluster, board):
    """What the board's init does: whatever ended is started again, till the reset is over."""
    guard = f"{board}-guard"
    for name in (board, guard):
        wait_until(lambda n=name: cluster.processes[n].poll() is not None, what=f"{name} ended")
    starts = cluster.log(guard).count(f"{board}: 1 resources")

    def starts_again():
        if cluster.processes[guard].poll() is not None:
            cluster.start_guard(board)
        return cluster.log(guard).count(f"{board}: 1 resources") > starts
    wait_until(starts_again, what="its guard starts", poll=0.02)
    cluster.start_daemon(board)


def a_welded_readback_resets_its_board_once_and_clear_reaches_it():
    """The board with the fault is an issuer, too: it stays one."""
    cluster = Cluster(ttl_ms=600, watchdog_ms=1000, combined=True).start_all()
    primary, standby = primary_and_standby(cluster)
    cluster.bench_ctl("stuck", "readback", standby, "pump/enable", "on")
    wait_until(lambda: resets(cluster, standby), what="the watchdog bites", poll=0.02)
    come_back(cluster, standby)

    def fault():
        answer = cluster.ctl(standby, "guard", check=False)
        rows = json.loads(answer.stdout) if answer.returncode == 0 else {"resources": []}
        return next((rows | r for r in rows["resources"] if r["fault"] == "stuck on"), None)
    shown = wait_until(fault, what="it starts in its fault", poll=0.02)
    assert shown["fault_kept"] and shown["fault_since"].startswith("20"), shown
    assert shown["guard"] == "fault" and shown["agent"] != "holding", shown
    assert f"pump: stuck on since {shown['fault_since']}" == cluster.ctl(standby, "status")["fault"]
    since = now_ns()
    wait_until(lambda: ms(now_ns() - since) > 3 * cluster.watchdog_ms
               or len(resets(cluster, standby)) > 1, what="time passed", poll=0.05)
    assert len(resets(cluster, standby)) == 1, resets(cluster, standby)
    assert fault()["watchdog"] == "fed", fault()
    assert cluster.driver() == primary

    # It votes, the others know its fault, and it outlives a restart of the guard alone.
    assert [e["holder"] for e in history(cluster, "fault")][:1] == [standby], history(cluster, "fault")
    cluster.kill("witness")
    assert cluster.leader() in (primary, standby)
    cluster.start_daemon("witness")
    cluster.kill(f"{standby}-guard")
    cluster.start_guard(standby)
    again = wait_until(lambda: (row := fault()) and row["pid"] != shown["pid"] and row,
                       what="it is there again", poll=0.02)
    assert again["fault_kept"], again

    # Repaired, and cleared: it is over for good.
    cluster.bench_ctl("stuck", "readback", standby, "pump/enable", "none")
    cluster.ctl(standby, "fault", "clear", "pump", role="operator")
    wait_until(lambda: waits(cluster, "pump", standby), what="it waits again", poll=0.02)
    assert cluster.ctl(standby, "status")["fault"] == ""
    cluster.kill(f"{standby}-guard")
    cluster.start_guard(standby)
    cluster.kill_board(primary)
    assert cluster.wait_driver([standby]) == standby
    assert len(resets(cluster, standby)) == 1
    assert not cluster.overlaps() and cluster.close() == 0


def typed_at_the_wrong_board_it_is_no_go():
    """Each board an issuer, as is usual: who types it at another board must not free what is welded on."""
    cluster = Cluster(ttl_ms=600, combined=True).start_all()
    primary, standby = primary_and_standby(cluster)
    token = lease(cluster)["token"]
    cluster.bench_ctl("stuck", "relay", primary, "pump/enable", "on")
    cluster.ctl("witness", "transfer", "pump", standby, role="operator", check=False)
    wait_held(cluster, primary)
    stays_held(cluster, primary, token)
    for node in (standby, "witness"):
        wrong = cluster.ctl(node, "fault", "clear", "pump", role="operator", check=False)
        words = wrong.stdout + wrong.stderr
        assert wrong.returncode == 1 and f"no fault of it is latched at {node}" in words, wrong
        assert f"{primary}'s output is stuck on" in words and f"console of {primary}" in words, wrong
    other = cluster.ctl(standby, "fault", "clear", "pump", standby, role="operator", check=False)
    assert other.returncode == 1 and "no output of that board" in other.stdout + other.stderr, other
    stays_held(cluster, primary, token)
    # By its name it is one, at any issuer's console, and what it frees is that operator's word.
    cluster.bench_ctl("stuck", "relay", primary, "pump/enable", "none")
    cluster.ctl(standby, "fault", "clear", "pump", primary, role="operator")
    assert cluster.wait_driver() in (primary, standby)
    acts = [e for e in history(cluster, "operator") if "though an output" in e["why"]]
    assert [e["holder"] for e in acts] == [primary], acts
    assert not cluster.overlaps() and cluster.close() == 0


if __name__ == "__main__":
    sys.exit(run_tests([
        transfer_with_a_welded_relay_is_held_until_an_operator_says_go,
        cleared_at_its_board_and_off_it_is_granted_again,
        with_on_stuck_go_the_next_board_is_granted_once_the_lease_is_over,
        an_agent_that_restarts_tells_what_its_guard_saw,
        a_standby_that_is_stuck_on_holds_what_another_drives,
        a_welded_readback_resets_its_board_once_and_clear_reaches_it,
        typed_at_the_wrong_board_it_is_no_go,
    ]))
