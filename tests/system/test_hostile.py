"""A few seconds of hostile.py: a bad board, and strangers; `make hostile` is the long run."""

import sys

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


if __name__ == "__main__":
    sys.exit(run_tests([one_board_gone_bad_wears_out_and_disturbs_nobody,
                        strangers_at_every_port_keep_nobody_out]))
