"""`make bars`: the figures that Holdfast promises, measured in full, each against its bar.

Absolute times: run it on a quiet machine. Prints a line each and exits 1 if one is not met.
"""

import os
import subprocess
import sys
import tempfile

import cluster
import measure

RESULTS = []


def bar(name, figure, limit, good):
    RESULTS.append(good)
    print(f"{'met   ' if good else 'MISSED'} {name}: {figure} (bar: {limit})", flush=True)


def figures(values):
    return (f"median {cluster.median(values):.1f} ms, worst {max(values):.1f} ms,"
            f" {len(values)} trials")


def history(name, result):
    """The witness's overlaps, and all that the offline checker judges; both are in its status."""
    bar(f"{name}, overlaps and violations of its lease history",
        "none" if result["witness"] == 0 else "some, see above", "none", result["witness"] == 0)


def board_kill(ttl_ms):
    result = measure.board_kill(50, ttl_ms)
    values = result["takeover_ms"]
    bar(f"board killed at ttl {ttl_ms} ms, takeover median", figures(values),
        f"median <= {ttl_ms + 60} ms", cluster.median(values) <= ttl_ms + 60)
    bar(f"board killed at ttl {ttl_ms} ms, worst", f"{max(values):.1f} ms",
        f"<= budget's bound {result['bound_ms']:.1f} ms", max(values) <= result["bound_ms"])
    history(f"board killed at ttl {ttl_ms} ms", result)


def agent_kill():
    result = measure.agent_kill(20)
    bar("agent killed, guard's last edge", figures(result["guard_off_ms"]), "<= 20 ms",
        max(result["guard_off_ms"]) <= 20)
    bar("agent killed, a board drives again", figures(result["drives_ms"]), "<= 300 ms",
        max(result["drives_ms"]) <= 300)
    history("agent killed", result)


def leader_kill():
    result = measure.leader_kill(20)
    limit = 2 * result["election_ms"] + 100
    bar("leader killed, drops of the healthy holder", f"{result['drops']} {result['losses'] or ''}",
        "0", result["drops"] == 0)
    bar("leader killed, a new grant drives", figures(result["grant_ms"]), f"<= {limit} ms",
        max(result["grant_ms"]) <= limit)
    history("leader killed", result)


def steady_state():
    result = measure.steady_state(60)
    bar("60 s of renewals, bytes written by each issuer",
        f"{result['written']}, about {result['renewals']} renewals", "0 each",
        not any(result["written"].values()) and result["kept"])
    history("60 s of renewals", result)


def footprint():
    result = measure.footprint()
    rss = result["rss_kb"]
    issuer = max(v for k, v in rss.items() if k.startswith("issuer"))
    agents = max(v for k, v in rss.items() if k in ("board-a", "board-b"))
    guard = max(v for k, v in rss.items() if k.endswith("-guard"))
    bar("holdfastd RSS, largest issuer", f"{issuer} KB", "<= 6144 KB", issuer <= 6144)
    bar("holdfastd RSS, largest agent", f"{agents} KB", "<= 6144 KB", agents <= 6144)
    bar("holdfast-guard RSS", f"{guard} KB", "<= 2048 KB", guard <= 2048)
    with tempfile.NamedTemporaryFile() as stripped:
        subprocess.run(["strip", "-o", stripped.name, os.path.join(cluster.BIN, "holdfastd")],
                       check=True)
        size = os.path.getsize(stripped.name)
    bar("holdfastd stripped", f"{size} bytes", "<= 614400 bytes", size <= 614400)
    history("footprint", result)


def main():
    for part in (lambda: board_kill(1000), lambda: board_kill(200), agent_kill, leader_kill,
                 steady_state, footprint):
        part()
    print(f"{sum(RESULTS)} passed, {len(RESULTS) - sum(RESULTS)} failed")
    return 0 if all(RESULTS) else 1


if __name__ == "__main__":
    sys.exit(main())
