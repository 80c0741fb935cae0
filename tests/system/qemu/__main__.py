"""`make check-boards`: scenarios on emulated boards. Closing line `N passed, M failed`."""

import argparse
import signal
import sys
import time

from cluster import wait_until
from count import Count

from . import image, scenarios, units
from .pins import OUTPUT
from .world import Boards


def tell(kind, name, what, value, unit):
    print(f"figure: {kind}: {name}: {what} {value:.0f} {unit}", flush=True)


def judge(world):
    """At the outside witness nothing overlapped, and the whole history keeps its laws."""
    overlaps = world.overlaps()
    drove = len(world.drives())
    status = world.close()
    for line in world.history.summary():
        print(f"figure: {world.kind}: history: {line}", flush=True)
    assert drove and not overlaps and status == 0, f"{len(overlaps)} overlaps, bench status {status}"


def attempt(world, scenario):
    """A trial that was none is repeated, twice at the most."""
    for left in (2, 1, 0):
        try:
            scenario(scenarios.Trial(world, scenario.__name__, tell))
            return
        except scenarios.Missed as missed:
            if not left:
                raise
            print(f"again {world.kind}: {scenario.__name__}: {missed}", flush=True)
            world.recover()


def run_kind(count, kind, chosen, given, bases):
    """All scenarios in one world; one that failed gets a new world for the next."""
    world, worlds = None, 0
    for scenario in chosen:
        if world is None:
            world = Boards(bases, tuple(given.targets.split(",")), kind)
            world.keep = given.keep
            worlds += 1
            if not count.run(f"{kind}: boot of world {worlds}", world.start_all):
                break
        name = f"{kind}: {scenario.__name__}"
        if not count.run(name, lambda: attempt(world, scenario)):
            print(f"     kept in {world.folder}", flush=True)
            world.keep = True
            count.run(f"{kind}: no overlap in world {worlds}", lambda: judge(world))
            world = None
    if world is not None:
        count.run(f"{kind}: no overlap in world {worlds}", lambda: judge(world))


def planted(bases):
    """A standby whose pin pulses without a permit, its guard being gone, is what the witness must see."""
    world = Boards(bases, tuple(bases))
    world.start_all()
    trial = scenarios.Trial(world, "planted", tell)
    rogue = world.machines[trial.others[0]]
    rogue.shell.run("touch /run/keep/holdfast-guard")
    rogue.kill(9, "holdfast-guard")
    rogue.shell.run(f"board-tool clock /dev/gpiochip0 {OUTPUT} 20")
    wait_until(world.overlaps, 20, "the witness sees two drivers")
    assert world.close() == 1, "the bench's exit status"
    text = "\n".join(world.history.violations)
    assert "S1" in text and "S5" in text, text
    world.discard()


def contract(targets):
    """The HAL's contract on a board's own lines and watchdog."""
    passed, failed = units.run(targets, (units.CONTRACT,))
    assert passed and not failed, f"{failed} failed"


def main():
    parser = argparse.ArgumentParser(prog="check-boards", description=__doc__)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help="all if none is named")
    parser.add_argument("--kind", choices=("pulse", "gpio"), action="append", help="default: both")
    parser.add_argument("--targets", default="arm64,armhf,arm64", help="userlands of the boards in turn")
    parser.add_argument("--keep", action="store_true", help="keep the runs' folders")
    given = parser.parse_args()
    names = [s.__name__ for s in scenarios.ALL]
    unknown = [name for name in given.scenarios if name not in names]
    if unknown:
        parser.error(f"{unknown[0]}: allowed are {', '.join(names)}")
    chosen = [s for s in scenarios.ALL if not given.scenarios or s.__name__ in given.scenarios]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that no board is left running
    bases = image.make_parts(set(given.targets.split(",")))
    count = Count()
    began = time.monotonic()
    if not given.scenarios:
        count.run("contract of the HAL on real lines", lambda: contract(sorted(bases)))
    for kind in given.kind or ("pulse", "gpio"):
        run_kind(count, kind, chosen, given, bases)
    if not given.scenarios:
        count.run("planted: a pulse without a permit is found out", lambda: planted(bases))
    print(f"figure: the run took {time.monotonic() - began:.0f} s", flush=True)
    print(f"{count.passed} passed, {count.failed} failed", flush=True)
    return 1 if count.failed or not count.passed else 0


if __name__ == "__main__":
    sys.exit(main())
