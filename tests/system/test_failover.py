"""Claims on real processes: one driver, takeover in time, no drop when a leader dies.

Few trials; a busy machine may be slow, so times are judged with room, overlaps and order are not.
`make bars` measures the same in full against the promised figures.
"""

import sys

import measure
from cluster import Cluster, median, now_ns, run_tests, wait_until


def figure(name, values):
    print(f"figure: {name}: median {median(values):.1f} ms, worst {max(values):.1f} ms,"
          f" {len(values)} trials")


def board_killed_other_drives_within_the_bound_and_never_both():
    for ttl_ms, trials in ((1000, 5), (200, 10)):
        result = measure.board_kill(trials, ttl_ms)
        figure(f"takeover at ttl {ttl_ms} ms (bound {result['bound_ms']:.0f} ms)",
               result["takeover_ms"])
        assert result["overlaps"] == 0 and result["witness"] == 0, "overlap at the witness"
        assert median(result["takeover_ms"]) <= 1.5 * result["bound_ms"], result


def agent_killed_guard_drops_and_lease_is_free_at_once():
    result = measure.agent_kill(5)
    figure("guard's last edge after the agent's death", result["guard_off_ms"])
    figure("a board drives after the agent's death", result["drives_ms"])
    assert result["overlaps"] == 0 and result["witness"] == 0, "overlap at the witness"
    # Waiting for ttl + fence would take more than a second: this was the proven release.
    assert median(result["drives_ms"]) < 900, result


def leader_killed_holder_keeps_its_lease_and_grants_go_on():
    # An election on a busy machine may take twice as long; bars.py asks for it at 1000 ms.
    result = measure.leader_kill(4, ttl_ms=2000)
    figure("a new grant drives after the leader's death", result["grant_ms"])
    assert not result["losses"], f"the healthy holder was dropped: {result['losses']}"
    assert result["overlaps"] == 0 and result["witness"] == 0, "overlap at the witness"


def renewals_write_nothing():
    # On a busy machine so short a lease may move, which is written; bars.py allows it no time.
    for _ in range(4):
        result = measure.steady_state(3)
        assert result["witness"] == 0, "violation in the history"
        if result["kept"]:
            break
    print(f"figure: bytes written by about {result['renewals']} renewals: {result['written']}")
    assert result["kept"], "the lease moved during the measurement"
    assert not any(result["written"].values()), result["written"]


def memory_stays_within_the_bar():
    result = measure.footprint()
    rss = result["rss_kb"]
    print(f"figure: resident KB: {rss}")
    for name, kilobytes in rss.items():
        if name.endswith("-guard"):
            assert kilobytes <= 2048, (name, kilobytes)
        elif name.startswith(("issuer", "board")) and not name.endswith("-gateway"):
            assert kilobytes <= 6144, (name, kilobytes)
    assert result["witness"] == 0, "violation in the history"


def tokens_rise_over_restarts_of_everything():
    cluster = Cluster(ttl_ms=300).start_all()
    tokens = []
    for _ in range(3):
        cluster.wait_driver()
        lease = wait_until(lambda: next((l for l in cluster.ctl("issuer-1", "leases")["leases"]
                                         if l["holder"]), None), what="held", poll=0.02)
        tokens.append(lease["token"])
        daemons = [n for n in cluster.processes if n != "bench"]
        cluster.kill(*daemons)
        for issuer in cluster.issuers:
            cluster.start_daemon(issuer)
        cluster.leader()
        for board in cluster.boards:
            cluster.start_board(board)
        killed = now_ns()
        wait_until(lambda: any(e["level"] and e["t_ns"] > killed for e in cluster.drives()),
                   20, "drives after a restart of everything")
    assert tokens == sorted(set(tokens)), tokens
    assert not cluster.overlaps() and cluster.close() == 0


def combined_issuer_and_agent_processes_fail_over():
    """The configuration of the manual: two boards that are issuers as well, and a witness."""
    cluster = Cluster(ttl_ms=1000, combined=True).start_all()
    primary, standby = measure.primary_and_standby(cluster)
    death = cluster.kill_board(primary)
    drive = cluster.first_drive_after(death, [standby])
    print(f"figure: takeover with combined roles: {(drive['t_ns'] - death) / 1e6:.1f} ms")
    assert not cluster.overlaps() and cluster.close() == 0


if __name__ == "__main__":
    sys.exit(run_tests([
        board_killed_other_drives_within_the_bound_and_never_both,
        agent_killed_guard_drops_and_lease_is_free_at_once,
        leader_killed_holder_keeps_its_lease_and_grants_go_on,
        renewals_write_nothing,
        memory_stays_within_the_bar,
        tokens_rise_over_restarts_of_everything,
        combined_issuer_and_agent_processes_fail_over,
    ]))
