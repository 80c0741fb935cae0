"""firmware/wiring: every figure of its README is what `holdfastctl budget` and pump.py say; the pictures are drawn."""

import json
import os
import re
import subprocess
import sys
import tempfile

from cluster import BIN, ROOT, run_tests

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(ROOT, "firmware/wiring"))
import pump  # noqa: E402

WIRING = os.path.join(ROOT, "firmware/wiring")
BLOCK = re.compile(r"^<!-- budget: (\w+), F = (\d+) ms -->\n```\n(.*?)^```$", re.M | re.S)
BOARD = """
node = {{ id = "board-a"; }};
cluster = {{ name = "line-3"; issuers = ( {{ id = "witness"; address = "10.0.0.3:7400"; }} ); }};
tls = {{ ca = "ca.crt"; cert = "board-a.crt"; key = "board-a.key"; }};
agent = {{ resources = ( {{ name = "valve"; ttl_ms = 2000; {outputs} }} ); }};
watchdog = {{ device = "/dev/watchdog0"; timeout_ms = 2000; }};
hal = {{ backend = "linux"; }};
"""


def page():
    with open(os.path.join(WIRING, "README.md"), encoding="utf-8") as file:
        return file.read()


def fence_ms(outputs):
    with tempfile.NamedTemporaryFile("w", suffix=".conf", encoding="utf-8") as file:
        file.write(BOARD.format(outputs=outputs))
        file.flush()
        done = subprocess.run([os.path.join(BIN, "holdfastctl"), "-c", file.name, "-o", "json", "budget"], capture_output=True, text=True, timeout=60,
                              check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["resources"][0]["fence_ms"]


def each_wiring_has_the_fence_latency_that_it_claims():
    blocks = BLOCK.findall(page())
    assert {name for name, _, _ in blocks} == {"level", "pulse"} and len(blocks) == page().count("```") / 2, blocks
    for name, claimed, outputs in blocks:
        assert fence_ms(outputs) == int(claimed), (name, outputs)


def the_charge_pump_holds_as_long_as_it_claims():
    worst = pump.Worst(82, 1, 22)
    text = page()
    assert worst.problem() is None and "C1 82 nF, C2 1 µF" in text and "R1 22 kΩ" in text
    for words in (f"**at most {worst.longest_ms:.1f} ms** after the last", f"on after {worst.on_ms:.1f} ms at the latest",
                  f"at least {worst.shortest_ms:.1f} ms after an edge", f"{worst.after_one:.2f} V at the gate after one edge"):
        assert words in text, words
    drop_ms, pull_ms = (int(ms) for ms in re.findall(r"the relay's (?:drop-out|pull-in), (\d+) ms", text))
    hold_ms, within_ms = (int(re.search(rf"\b{key} = (\d+);", text)[1]) for key in ("hold_ms", "within_ms"))
    with open(os.path.join(ROOT, "daemon/core/guard/guard.h"), encoding="utf-8") as file:
        edges = int(re.search(r"GUARD_PULSE_EDGES_TO_ON = (\d+)", file.read())[1])
    edges_ms = edges * 1000 / pump.RATE_HZ / 2
    assert f"less {edges} edges" in text
    assert 0 <= hold_ms - worst.longest_ms - drop_ms < 10 and 0 <= within_ms - worst.on_ms - pull_ms + edges_ms < 10
    assert f"`hold_ms`, rounded up: {hold_ms} |" in text and f"rounded up: {within_ms} |" in text
    assert set(re.findall(r"rate_hz = (\d+);", text)) == {str(pump.RATE_HZ)}


def values_that_are_none_are_refused():
    for words, status, why in ((["82", "1"], 2, "C1 in nF"), (["82", "x", "22"], 2, "C1 in nF"), (["0", "1", "22"], 2, "above 0"),
                               (["10", "1", "22"], 1, "not above the threshold"), (["470", "1", "22"], 1, "one edge alone")):
        done = subprocess.run([sys.executable, "-B", os.path.join(WIRING, "pump.py"), *words], capture_output=True, text=True,
                              timeout=60, check=False)
        assert done.returncode == status and why in done.stderr and not done.stdout, (words, done)


def the_pictures_are_what_is_drawn_and_all_shown():
    done = subprocess.run([sys.executable, "-B", os.path.join(WIRING, "draw.py"), "--check"], capture_output=True, text=True,
                          timeout=60, check=False)
    assert done.returncode == 0, done.stdout
    shown = set(re.findall(r"!\[[^\]]+\]\(([\w-]+\.svg)\)", page()))
    assert shown == {name for name in os.listdir(WIRING) if name.endswith(".svg")}, shown


if __name__ == "__main__":
    sys.exit(run_tests([
        each_wiring_has_the_fence_latency_that_it_claims,
        the_charge_pump_holds_as_long_as_it_claims,
        values_that_are_none_are_refused,
        the_pictures_are_what_is_drawn_and_all_shown,
    ]))
