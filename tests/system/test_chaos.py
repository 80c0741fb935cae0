"""A short run of chaos.py with a fixed seed; `make chaos` is the long one."""

import sys

from arena import Verdict
from chaos import chaos
from cluster import run_tests

SECONDS = 12


def random_faults_and_acts_break_no_promise():
    verdict = Verdict()
    chaos(verdict, seed=8, seconds=SECONDS, ttl_ms=1000, layout="apart")
    assert verdict.failed == 0, f"{verdict.failed} claims, see above"


if __name__ == "__main__":
    sys.exit(run_tests([random_faults_and_acts_break_no_promise]))
