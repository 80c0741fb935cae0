"""Faults on real processes: stopped agents and guards, stuck hardware, failing disks, lost majority."""

import os
import signal
import subprocess
import sys

from cluster import BIN, Cluster, now_ns, run_tests, wait_until
from measure import ms, primary_and_standby, waits


def stopped_agent_is_dropped_at_the_deadline():
    cluster = Cluster(ttl_ms=600).start_all()
    primary, standby = primary_and_standby(cluster)
    stopped = cluster.kill(primary, number=signal.SIGSTOP)
    off = cluster.first_drive_after(stopped, [primary], level=0)
    on = cluster.first_drive_after(stopped, [standby])
    print(f"figure: stopped agent at ttl 600 ms: outputs off after {ms(off['t_ns'] - stopped):.1f}"
          f" ms, other board drives after {ms(on['t_ns'] - stopped):.1f} ms")
    # No permit arrives any more: the last deadline is at most ttl after the stop, then the hold.
    assert ms(off["t_ns"] - stopped) <= 1.5 * (600 + cluster.hold_ms), "driven past the deadline"
    assert off["t_ns"] <= on["t_ns"]
    # Awake again, it must not believe in its old lease.
    cluster.kill(primary, number=signal.SIGCONT)
    wait_until(lambda: waits(cluster, "pump", primary), what="it queues again", poll=0.02)
    assert cluster.driver() == standby
    assert not cluster.overlaps() and cluster.close() == 0


def stopped_guard_is_reset_by_its_watchdog():
    cluster = Cluster(ttl_ms=600, watchdog_ms=1000).start_all()
    primary, standby = primary_and_standby(cluster)
    stopped = cluster.kill(f"{primary}-guard", number=signal.SIGSTOP)
    on = cluster.first_drive_after(stopped, [standby])
    reset = wait_until(lambda: next((e for e in cluster.events() if e["ev"] == "reset"
                                     and e["board"] == primary), None), what="watchdog reset")
    print(f"figure: stopped guard: watchdog reset after {ms(reset['t_ns'] - stopped):.1f} ms, other"
          f" board drives after {ms(on['t_ns'] - stopped):.1f} ms")
    for name in cluster.board_processes(primary):
        wait_until(lambda n=name: cluster.processes[n].poll() is not None, what=f"{name} killed")
        cluster.processes.pop(name)
    assert not cluster.overlaps() and cluster.close() == 0


def stuck_relay_is_a_latched_fault_until_an_operator_clears_it():
    cluster = Cluster(ttl_ms=600).start_all()
    primary, standby = primary_and_standby(cluster)
    cluster.bench_ctl("stuck", "readback", primary, "pump/enable", "on")
    cluster.ctl("issuer-1", "transfer", "pump", standby, role="operator", check=False)
    fault = wait_until(lambda: next((r for r in cluster.ctl(primary, "guard")["resources"]
                                     if r["guard"] == "fault"), None), what="fault shown", poll=0.02)
    assert fault["fault"] != "none", fault
    refused = cluster.ctl(primary, "fault", "clear", "pump", role="viewer", check=False)
    assert refused.returncode == 1 and "ERR 403" in refused.stdout + refused.stderr, refused
    cluster.bench_ctl("stuck", "readback", primary, "pump/enable", "none")
    cluster.ctl(primary, "fault", "clear", "pump", role="operator")
    wait_until(lambda: cluster.ctl(primary, "guard")["resources"][0]["guard"] == "safe",
               what="safe again", poll=0.02)
    history = wait_until(lambda: [e for e in cluster.ctl("issuer-1", "history")["history"]
                                  if e["event"] == "operator"
                                  and e["who"] == f"operator via {primary}, unproven"],
                         what="the act is in the history", poll=0.02)
    assert "fault" in history[-1]["why"], history
    assert cluster.wait_driver([standby]) == standby
    assert not cluster.overlaps() and cluster.close() == 0


def minority_of_issuers_grants_and_renews_nothing():
    cluster = Cluster(ttl_ms=600).start_all()
    primary, standby = primary_and_standby(cluster)
    leader = cluster.leader()
    lost = cluster.kill(*[i for i in cluster.issuers if i != leader])
    off = cluster.first_drive_after(lost, [primary], level=0)
    assert ms(off["t_ns"] - lost) <= 1.5 * (600 + cluster.hold_ms), "driven without a majority"
    for issuer in cluster.issuers:
        if issuer != leader:
            cluster.start_daemon(issuer)
    on = cluster.first_drive_after(off["t_ns"], cluster.boards)
    print(f"figure: majority back, {on['board']} drives")
    assert standby and not cluster.overlaps() and cluster.close() == 0


def failing_disk_silences_one_issuer_and_the_others_go_on():
    fault = os.path.join(os.path.dirname(BIN), "lib", "disk-fault.so")
    for error in ("ENOSPC", "EROFS"):
        cluster = Cluster(ttl_ms=600)
        for issuer in cluster.issuers:
            cluster.preload[issuer] = {"LD_PRELOAD": fault, "DISK_FAULT_ERROR": error,
                                       "DISK_FAULT_FILE": cluster.path(f"{issuer}.fault")}
        cluster.start_all()
        primary, standby = primary_and_standby(cluster)
        leader = cluster.leader()
        open(cluster.path(f"{leader}.fault"), "wb").close()
        # A grant needs the disk: the standby takes over, whoever leads then.
        death = cluster.kill_board(primary)
        cluster.first_drive_after(death, [standby])
        wait_until(lambda: "votes and answers no more" in cluster.log(leader),
                   what="the issuer says so")
        line = next(l for l in cluster.log(leader).splitlines() if "answers no more" in l)
        words = {"ENOSPC": "No space left", "EROFS": "Read-only file system"}[error]
        assert words in line, line
        status = cluster.ctl(leader, "status")
        assert status["issuer"] == "halted" and words in status["store"], status
        wait_until(lambda: cluster.leader() != leader, what="another leader", poll=0.05)
        assert cluster.processes[leader].poll() is None, "the process itself must go on"
        assert not cluster.overlaps() and cluster.close() == 0


def hooks_run_and_never_delay_a_drop():
    cluster = Cluster(ttl_ms=600, hooks=True)
    with open(cluster.path("hook"), "w", encoding="ascii") as file:
        file.write(f"""#!/bin/sh
echo "$HOLDFAST_RESOURCE $HOLDFAST_EVENT $HOLDFAST_TOKEN" >> {cluster.path('hooks')}
exec sleep 2
""")
    os.chmod(cluster.path("hook"), 0o755)
    cluster.start_all()
    primary, standby = primary_and_standby(cluster)
    asked = now_ns()
    answer = cluster.ctl("issuer-1", "transfer", "pump", standby, role="operator")
    assert answer["to"] == standby, answer
    off = cluster.first_drive_after(asked, [primary], level=0)
    print(f"figure: planned transfer: gap {answer['gap_ms']} ms by the issuer, outputs off"
          f" {ms(off['t_ns'] - asked):.1f} ms after the command")
    assert ms(off["t_ns"] - asked) < 1500, "the drop waited for a hook"

    def lines():
        with open(cluster.path("hooks"), encoding="ascii") as file:
            return file.read().split("\n")[:-1]
    # Hooks are processes of their own, of two boards: they write in any order.
    wait_until(lambda: sorted(l.rsplit(" ", 1)[0] for l in lines()) ==
               ["pump acquired", "pump acquired", "pump lost"], what="all three hooks ran")
    assert not cluster.overlaps() and cluster.close() == 0


def second_daemon_of_one_board_is_refused():
    cluster = Cluster(boards=2).start_all()
    primary = cluster.wait_driver()
    started = now_ns()
    for node in ("issuer-1", primary):
        result = subprocess.run([os.path.join(BIN, "holdfastd"), "-c", cluster.conf(node)],
                                capture_output=True, text=True, timeout=10, check=False)
        assert result.returncode == (74 if node == "issuer-1" else 1), result
        assert "lock" in result.stderr, result.stderr
    losses = cluster.losses(primary, started)
    assert not losses and cluster.close() == 0, losses


if __name__ == "__main__":
    sys.exit(run_tests([
        stopped_agent_is_dropped_at_the_deadline,
        stopped_guard_is_reset_by_its_watchdog,
        stuck_relay_is_a_latched_fault_until_an_operator_clears_it,
        minority_of_issuers_grants_and_renews_nothing,
        failing_disk_silences_one_issuer_and_the_others_go_on,
        hooks_run_and_never_delay_a_drop,
        second_daemon_of_one_board_is_refused,
    ]))
