"""What a healthy holder bears, a stopped agent and slow links; and a guard of another file is none."""

import random
import signal
import sys
import time

from cluster import Cluster, now_ns, run_tests, wait_until
from measure import ms, primary_and_standby
from slow_links import SlowLinks


def holds_all(cluster, board):
    return all(cluster.driver(resource) == board for resource in cluster.resources)


def an_agent_that_stands_still_for_most_of_a_ttl_keeps_every_lease():
    names = ["pump"] + [f"valve{i}" for i in range(9)]
    cluster = Cluster(boards=1, ttl_ms=1000, hold_ms=20,
                      resources={name: ["board-a"] for name in names}).start_all()
    board = "board-a"
    wait_until(lambda: holds_all(cluster, board), 20, "all ten driven", poll=0.02)
    lost, longest, whole = [], 0, 0
    for _ in range(6):
        time.sleep(random.uniform(0.3, 0.5))  # any phase of the renewals
        stopped = cluster.kill(board, number=signal.SIGSTOP)
        time.sleep(0.7)
        cluster.kill(board, number=signal.SIGCONT)
        longest = max(longest, ms(now_ns() - stopped))
        time.sleep(0.6)  # what is lost by then was lost to this stall
        losses = len({line.split(":")[2].split()[-1] for line in cluster.losses(board, stopped)})
        lost.append(losses)
        whole += losses == len(names)
        wait_until(lambda: holds_all(cluster, board), 20, "all ten driven again", poll=0.02)
    print(f"figure: agent of ten resources stopped for 700 ms (longest {longest:.0f}) at ttl 1000"
          f" ms: leases lost {', '.join(map(str, lost))}")
    # One resource alone survives it by 90 ms, which a busy machine may need once; then all go.
    assert all(n in (0, len(names)) for n in lost) and whole <= 1, lost
    assert not cluster.overlaps() and cluster.close() == 0


def links_that_are_slow_as_far_as_budget_says_cost_no_lease():
    cluster = Cluster(boards=1, ttl_ms=1000, hold_ms=20)
    borne = cluster.bound_ms()["resources"][0]["bearable_delay_ms"]
    links = SlowLinks(cluster)
    cluster.start_all()
    board = cluster.wait_driver()
    leader = cluster.leader()
    began = now_ns()
    # The fifth that is left over is for a busy machine.
    slow = 0.8 * borne / 1000
    for step in range(50):
        links.delay = slow * (step + 1) / 50
        time.sleep(0.05)
    time.sleep(5)
    losses = cluster.losses(board, began)
    agents = cluster.ctl(leader, "agents")["agents"]
    print(f"figure: links of {1000 * slow:.0f} ms one way ({borne} borne) at ttl 1000 ms: "
          f"{len(losses)} leases lost, renewals took {agents[0]['round_trip_ms']} ms")
    assert agents[0]["round_trip_ms"] > 3.5 * 1000 * slow, agents
    assert not losses and cluster.leader() == leader, losses
    links.delay = 0.0
    assert not cluster.overlaps() and cluster.close() == 0


def a_guard_of_another_file_drives_nothing_until_its_agent_has_that_file_too():
    cluster = Cluster(ttl_ms=600, hold_ms=20).start_all()
    primary, standby = primary_and_standby(cluster)
    cluster.write_conf(primary, lambda text: text.replace("hold_ms = 20;", "hold_ms = 120;"))
    restarted = cluster.kill(f"{primary}-guard")
    cluster.start_guard(primary)
    cluster.first_drive_after(restarted, [standby])
    said = "fence latency is 120 ms by the guard's configuration, 20 ms by the agent's"
    row = wait_until(lambda: next((r for r in cluster.ctl(primary, "guard")["resources"]
                                   if r["mismatch"]), None), what="the guard is not used", poll=0.02)
    assert said in row["mismatch"] and row["agent"] != "holding", row
    assert "configured otherwise" in cluster.ctl(primary, "status")["guard"]
    for name in (primary, f"{primary}-guard"):
        lines = [l for l in cluster.log(name).splitlines() if said in l]
        assert len(lines) == 1 and "pump: " in lines[0], (name, lines)
    # With nobody else there: two leases long, nothing.
    gone = cluster.kill_board(standby)
    time.sleep(2 * 0.6)
    drives = [e for e in cluster.drives() if e["board"] == primary and e["level"] == 1
              and e["t_ns"] > gone]
    assert not drives, drives
    cluster.kill(primary)
    cluster.start_daemon(primary)
    on = cluster.first_drive_after(gone, [primary])
    print(f"figure: agent restarted with the guard's file, {on['board']} drives")
    # The other way round: the agent alone gets the old file back.
    cluster.write_conf(primary)
    back = cluster.kill(primary)
    cluster.start_daemon(primary)
    wait_until(lambda: cluster.log(primary).count("guard not used: fence latency is 120 ms") == 2,
               what="the agent says so", poll=0.02)
    off = cluster.first_drive_after(back, [primary], level=0)
    assert not [e for e in cluster.drives() if e["level"] == 1 and e["t_ns"] > off["t_ns"]]
    assert not cluster.overlaps() and cluster.close() == 0


if __name__ == "__main__":
    sys.exit(run_tests([
        an_agent_that_stands_still_for_most_of_a_ttl_keeps_every_lease,
        links_that_are_slow_as_far_as_budget_says_cost_no_lease,
        a_guard_of_another_file_drives_nothing_until_its_agent_has_that_file_too,
    ]))
