"""Random faults and operators' acts on real processes, each host in a network namespace of its own.

    python3 -m chaos [--minutes 10] [--seed N] [--ttl 1000] [--layout apart|combined]
                     [--actions weld,wipe] [--planted] [--keep]

The seed alone makes the schedule: what comes when, and to which of the candidates. README.md has the
rules of the game, and who judges. --planted: no schedule, but a fault for each of the witnesses,
which have to see it.
"""

import argparse
import os
import random
import shutil
import sys

from arena import Verdict

from . import plant, world
from .run import Run, chaos

SKIPPED = 77  # the exit status where the kernel refuses namespaces


def planted(verdict, ttl_ms=1000, layout="combined"):
    """Every witness sees what was planted for it, and nothing else is found."""
    run = Run(1, 0, ttl_ms, layout)
    try:
        run.begin()
        words = plant.plant_all(run.stage)
        silent = Verdict(tell=False)
        found = run.judge(silent)
        for name, word in words.items():
            verdict.judge(any(word in line for line in found[name]),
                          f"witness {name} saw what was planted: {found[name][:2]}")
        strange = plant.strangers(found)
        verdict.judge(not strange, f"found, though not planted: {strange}")
    finally:
        run.stage.close()
        shutil.rmtree(run.stage.cluster.folder, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 31))
    parser.add_argument("--ttl", type=int, default=1000)
    parser.add_argument("--layout", choices=("apart", "combined"))
    parser.add_argument("--actions", default="", help="of these kinds alone, with commas")
    parser.add_argument("--planted", action="store_true")
    parser.add_argument("--keep", action="store_true", help="the run's folder, whatever it shows")
    given = parser.parse_args()
    refusal = world.refusal() if world.INSIDE not in os.environ else None
    if refusal:
        print(f"skipped: no network namespaces here: {refusal}")
        return SKIPPED
    world.enter([sys.executable, "-m", "chaos", *sys.argv[1:], "--seed", str(given.seed)])
    verdict = Verdict()
    if given.planted:
        planted(verdict)
    else:
        print(f"chaos: {given.minutes:g} minutes, seed {given.seed}, ttl {given.ttl} ms", flush=True)
        chaos(verdict, given.seed, given.minutes * 60, given.ttl, given.layout,
              [a for a in given.actions.split(",") if a], given.keep)
    return verdict.end()


if __name__ == "__main__":
    sys.exit(main())
