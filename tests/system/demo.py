"""`make demo`: the whole job on real processes, real TLS, real Modbus and a simulated plant.

Three issuers and two boards on loopback. Shows a lease being granted, a write passing at the
primary's gateway and refused at the standby's, the primary's death, the takeover, and what the
independent witness saw. Finite; `--keep` (make demo KEEP=1) leaves it running.
"""

import subprocess
import sys
import time

from cluster import Cluster, now_ns, wait_until
from modbus import Master, ModbusException

START = time.monotonic()


def say(text):
    print(f"[{time.monotonic() - START:6.3f} s] {text}", flush=True)


def ms(nanoseconds):
    return nanoseconds / 1e6


def show(cluster, node, *command):
    """What an operator sees: holdfastctl's own table."""
    print(f"\n$ holdfastctl -H {cluster.console(node)} ... {' '.join(command)}", flush=True)
    result = subprocess.run(
        [f"{__import__('cluster').BIN}/holdfastctl", "-H", cluster.console(node), "--node", node, "--ca",
         cluster.path("pki", "ca.crt"), "--cert", cluster.path("pki", "viewer.crt"), "--key",
         cluster.path("pki", "viewer.key"), *command], capture_output=True, text=True, check=True)
    print(result.stdout, flush=True)


def lease(cluster):
    return next(l for l in cluster.ctl("issuer-1", "leases")["leases"] if l["resource"] == "pump")


def try_write(cluster, board, register, value):
    """One Modbus write through a board's gateway; its outcome in words."""
    master = Master(cluster.gateway_address(board))
    try:
        master.write_register(register, value)
        return "reached the actuator"
    except ModbusException as error:
        return f"refused: {error}"
    finally:
        master.close()


def actuator_writes(cluster, value):
    return [e for e in cluster.events() if e["ev"] == "modbus" and value in e.get("values", [])]


def main():
    keep = "--keep" in sys.argv[1:]
    say("making a certificate authority and a certificate for each node")
    cluster = Cluster(ttl_ms=1000, hold_ms=20, gateway=True, watchdog_ms=2000)
    cluster.keep = keep
    say("beginning a new cluster: holdfastd --init on each of its 3 issuers")
    cluster.init()
    say("starting the plant (bench), 3 issuers, 2 boards with guard and gateway")
    cluster.start_bench()
    started = now_ns()
    for issuer in cluster.issuers:
        cluster.start_daemon(issuer)
    leader = cluster.leader()
    elected = now_ns()
    say(f"{leader} was elected leader by a majority of the issuers")
    for board in cluster.boards:
        cluster.start_board(board)
    primary = cluster.wait_driver()
    standby = next(b for b in cluster.boards if b != primary)
    first = cluster.first_drive_after(started, [primary])
    wait_until(lambda: lease(cluster)["holder"] == primary, what="the lease table names the primary")
    wait_until(lambda: standby in lease(cluster)["waiters"], what="the standby waits")
    before = lease(cluster)
    say(f"{primary} holds the lease on pump, token {before['token']}, and drives; {standby} waits")

    say(f"Modbus write 111 through {primary}'s gateway: {wait_until(lambda: passed(cluster, primary, 111), what='a write passes')}")
    say(f"Modbus write 222 through {standby}'s gateway: {try_write(cluster, standby, 7, 222)}")
    reached = len(actuator_writes(cluster, 111)), len(actuator_writes(cluster, 222))
    say(f"the actuator saw {reached[0]} write(s) of 111 and {reached[1]} of 222")
    show(cluster, "issuer-1", "leases")

    bound = cluster.bound_ms()["resources"][0]["bound"]["total_ms"]
    say(f"killing {primary}: daemon, guard and gateway at once (SIGKILL)")
    death = cluster.kill_board(primary)
    off = cluster.first_drive_after(death, [primary], level=0)
    say(f"{primary}'s outputs are off {ms(off['t_ns'] - death):.1f} ms after its death")
    on = cluster.first_drive_after(death, [standby])
    say(f"{standby} drives {ms(on['t_ns'] - death):.1f} ms after the death")
    wait_until(lambda: lease(cluster)["holder"] == standby, what="the lease table names the standby")
    after = lease(cluster)
    say(f"its token is {after['token']}, higher than {before['token']}")
    say(f"Modbus write 333 through {standby}'s gateway: {wait_until(lambda: passed(cluster, standby, 333), what='a write passes')}")
    show(cluster, "issuer-1", "leases")
    show(cluster, "issuer-1", "history")

    overlaps = len(cluster.overlaps())
    rows = [
        ("leader elected after start of the issuers", f"{ms(elected - started):.0f} ms"),
        ("outputs off after the death", f"{ms(off['t_ns'] - death):.1f} ms"),
        ("takeover: other board drives after the death", f"{ms(on['t_ns'] - death):.1f} ms"),
        ("  of it with nobody driving", f"{ms(on['t_ns'] - off['t_ns']):.1f} ms"),
        ("bound that `budget` prints", f"{bound:.1f} ms"),
        ("first drive after start of the issuers", f"{ms(first['t_ns'] - started):.0f} ms"),
        ("fencing token before, after", f"{before['token']}, {after['token']}"),
        ("instants with two drivers, by the witness", str(overlaps)),
    ]
    print("measured")
    for name, value in rows:
        print(f"  {name:<46} {value:>12}")
    good = (overlaps == 0 and after["token"] > before["token"] and reached == (1, 0)
            and ms(on["t_ns"] - death) <= bound)
    if ms(on["t_ns"] - death) > bound:
        say(f"the takeover took longer than the bound of `budget`, {bound:.1f} ms: this machine is"
            f" busier than the estimates in it (`holdfastctl budget`) assume")
    if keep:
        leave_running(cluster)
        return 0 if good else 1
    witness = cluster.close(grants=2, renewals=2, drives=2, writes=2)
    say(f"the whole run judged anew from the witness's trace and the agents' lease logs:"
        f" {'; '.join(cluster.history.summary())}")
    say(f"the witness exits with status {witness}: "
        f"{'never two drivers' if witness == 0 else 'TWO DRIVERS'}")
    return 0 if good and witness == 0 else 1


def passed(cluster, board, value):
    """The gateway may see its lease a moment after the plant does: tried until it passes."""
    outcome = try_write(cluster, board, 7, value)
    return outcome if outcome.startswith("reached") else None


def leave_running(cluster):
    cluster.leave()
    pki = cluster.path("pki")
    survivors = " ".join(str(p.pid) for p in cluster.processes.values())
    print(f"\nLeft running in {cluster.folder}. Look around:\n"
          f"  alias hf='build/bin/holdfastctl -H {cluster.console('issuer-1')} --node issuer-1 --ca {pki}/ca.crt"
          f" --cert {pki}/operator.crt --key {pki}/operator.key'\n"
          f"  hf status; hf leases; hf issuers; hf agents; hf history; hf watch\n"
          f"  openssl s_client -quiet -connect {cluster.console('issuer-1')} -CAfile {pki}/ca.crt"
          f" -cert {pki}/viewer.crt -key {pki}/viewer.key\n"
          f"  tail -f {cluster.path('trace.jsonl')}\n"
          f"End it:\n  kill {survivors}; rm -r {cluster.folder}")


if __name__ == "__main__":
    sys.exit(main())
