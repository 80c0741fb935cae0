"""`make check-image`: images booted from cards in emulated boards. Closing line `N passed, M failed`."""

import argparse
import json
import os
import signal
import sys
import time

from cluster import ROOT
from count import Count

from . import pi, scenarios, structure
from .machine import EMULATORS
from .world import Cards, make_network

IN_NETWORK = "HOLDFAST_CARDS_NETWORK"


def tell(kind, what, value, unit):
    print(f"figure: {kind}: {what} {value:.1f} {unit}" if isinstance(value, float) else
          f"figure: {kind}: {what} {value} {unit}", flush=True)


def run_kind(count, kind, built, given):
    if given.scenarios and not set(given.scenarios) & {s.__name__ for s in scenarios.ALONE + scenarios.TOGETHER}:
        return
    world = Cards(kind, built)
    world.keep = given.keep
    with open(os.path.join(built, f"holdfast-{kind}.json"), encoding="ascii") as file:
        about = json.load(file)
    tell(kind, "image", about["size"] / 1e6, "MB")
    if "xz_size" in about:
        tell(kind, "image as .xz", about["xz_size"] / 1e6, "MB")
    more = {"power_cuts": {"cuts": given.cuts, "seed": given.seed}}
    for scenario in scenarios.ALONE + scenarios.TOGETHER:
        name = scenario.__name__
        needed = scenario is scenarios.begins and set(given.scenarios) & {s.__name__ for s in scenarios.TOGETHER}
        if given.scenarios and name not in given.scenarios and not needed:
            continue
        if not count.run(f"{kind}: {name}", lambda: scenario(world, lambda *words: tell(kind, *words),
                                                             **more.get(name, {}))):
            world.keep = True
            if scenario in scenarios.TOGETHER:
                break  # what follows goes on from it
    if world.machines:
        count.run(f"{kind}: nobody drove beside another", lambda: no_overlap(world))
    if world.keep:
        print(f"     kept in {world.folder}", flush=True)
    world.close()


def no_overlap(world):
    assert world.drives() and not world.overlaps(), world.overlaps()


def main():
    names = ["structure", "twice", "pi_system", "pi_loader"] + [s.__name__ for s in scenarios.ALONE + scenarios.TOGETHER]
    parser = argparse.ArgumentParser(prog="check-image", description=__doc__)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=f"of {', '.join(names)}")
    parser.add_argument("--board", action="append", help="default: qemu-arm64")
    parser.add_argument("--cuts", type=int, default=3)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--keep", action="store_true", help="keep the run's folder")
    given = parser.parse_args()
    unknown = [name for name in given.scenarios if name not in names]
    if unknown:
        parser.error(f"{unknown[0]}: allowed are {', '.join(names)}")
    if IN_NETWORK not in os.environ:
        # A network of its own, as anybody: nothing of this computer's is touched.
        environment = {**os.environ, IN_NETWORK: "yes"}
        os.execvpe("unshare", ["unshare", "--user", "--map-root-user", "--net", "/usr/bin/python3", "-m", "cards",
                               *sys.argv[1:]], environment)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that no board is left running
    make_network(3)
    count, began = Count(), time.monotonic()
    for kind in given.board or ("qemu-arm64",):
        built = os.path.join(ROOT, "build", "image", kind)
        if not given.scenarios or "structure" in given.scenarios:
            count.run(f"{kind}: structure", lambda: structure.check(kind, built))
        if not given.scenarios or "twice" in given.scenarios:
            count.run(f"{kind}: built twice, the same", lambda: structure.twice(kind, built))
        for act in (pi.system, pi.loader) if kind == "rpi-arm64" else ():
            if not given.scenarios or f"pi_{act.__name__}" in given.scenarios:
                count.run(f"{kind}: {act.__name__} in raspi3b", lambda: tell(kind, f"raspi3b: {act.__name__}", act(built), "s"))
        if kind in EMULATORS:
            run_kind(count, kind, built, given)
    print(f"figure: the run took {time.monotonic() - began:.0f} s", flush=True)
    print(f"{count.passed} passed, {count.failed} failed", flush=True)
    return 1 if count.failed or not count.passed else 0


if __name__ == "__main__":
    sys.exit(main())
