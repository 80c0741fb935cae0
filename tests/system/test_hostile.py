"""A few seconds of hostile.py: a bad board, and strangers; `make hostile` is the long run."""

import os
import subprocess
import sys

import wire
from arena import Verdict
from cluster import run_tests
from hostile import hostile_board
from siege import attack_from

MODES = ["random", "replay", "mutate", "lengths", "unpin", "note", "operator", "transfers", "churn",
         "failback", "refusals", "queries", "highest", "stuck", "issuers"]


def one_board_gone_bad_wears_out_and_disturbs_nobody():
    verdict = Verdict()
    hostile_board(verdict, 8 / 60, seed=3, modes=MODES, slice_s=0.5)
    assert verdict.failed == 0, f"{verdict.failed} claims, see above"


def strangers_at_every_port_keep_nobody_out():
    verdict = Verdict()
    attack_from(verdict, "one", 1, seed=5)
    assert verdict.failed == 0, f"{verdict.failed} claims, see above"


SAID = """lease { kind: ACQUIRE resource: "pump" ttl_us: 1000000 fence_us: 20000 priority: -7
                 failback_auto: true address: "127.0.0.1:7400" slack_us: -3
                 items { resource: "fan" token: 4611686018427387903 } }"""


def the_wire_by_hand_is_what_protoc_writes():
    """Else the attacker speaks to itself."""
    folder, name = os.path.split(os.path.abspath(wire.PROTO))
    told = subprocess.run(["protoc", f"-I{folder}", "--encode=holdfast.Envelope", name],
                          input=SAID.encode(), capture_output=True, check=True,
                          env={**os.environ, "PATH": f"/usr/bin:{os.environ['PATH']}"}).stdout
    lease = {"kind": "ACQUIRE", "resource": "pump", "ttl_us": 1000000, "fence_us": 20000,
             "priority": -7, "failback_auto": True, "address": "127.0.0.1:7400", "slack_us": -3,
             "items": [{"resource": "fan", "token": 2**62 - 1}]}
    assert wire.envelope(lease=lease) == told, (wire.envelope(lease=lease).hex(), told.hex())
    assert wire.decode("Envelope", told)["lease"] == {**lease, "failback_auto": 1}
    frames, rest = wire.split_frames(wire.frame(told) + wire.frame(b"x") + b"\0\0")
    assert (frames, rest) == ([told, b"x"], b"\0\0")


if __name__ == "__main__":
    sys.exit(run_tests([the_wire_by_hand_is_what_protoc_writes,
                        one_board_gone_bad_wears_out_and_disturbs_nobody,
                        strangers_at_every_port_keep_nobody_out]))
