#!/usr/bin/env python3
"""Builds every mutant of tests/mutants and lets it live in the simulator until an oracle finds it
out. Ends with one line "N passed, M failed"; a mutant that survives is a failure.

  run.py [NAME...]   those mutants (numbers or parts of names), or all
  run.py --check     only: is every patch well formed, does it apply
  run.py --table [NAME...]   writes their rows of README.md's table anew, from what was found
  run.py --who       who finds each: the unit test that it names, the simulator by any oracle, or
                     both; writes the rows of those mutants into README.md's second table
  run.py --fresh FOLDER [NAME...]   the patches of a folder outside of the tree: who finds each
"""

import argparse
import concurrent.futures
import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True
import fresh  # noqa: E402
from patch import ORACLES, PatchError, load  # noqa: E402

SIMULATOR = "build/bin/holdfast-sim"
MAKE_PARTS = ("Makefile", "firmware/install.mk")
SIM_PARTS = MAKE_PARTS + ("daemon", "hal", "conf", "tests/sim", "build/gen", "build/obj/daemon",
                          "build/obj/hal", "build/obj/conf", "build/obj/tests/sim", "build/lib")
UNIT_PARTS = ("Makefile", "README.md", "firmware", "daemon", "hal", "conf", "tests", "build/gen", "build/obj", "build/lib")
FOUND = re.compile(r"^hunt: (\w+) broken in seed ([\d.]+) after (\d+) seeds, ([\d.]+) simulated hours, "
                   r"([\d.]+) s$", re.M)
NOT_FOUND = re.compile(r"^hunt: nothing broken after .*$", re.M)
TABLE_BEGIN, TABLE_END = "<!-- table begins -->", "<!-- table ends -->"
WHO_BEGIN, WHO_END = "<!-- who begins -->", "<!-- who ends -->"
WHO_SEEDS = 8000
# What the simulator links: a fault elsewhere it can't find.
SIM_SOURCES = ("daemon/core/", "daemon/store/", "daemon/agent/", "daemon/issuer/",
               "daemon/node/", "daemon/guard/", "daemon/client/")


class Result:
    """What became of one mutant."""

    def __init__(self, mutant, killed, text, row=None):
        self.mutant, self.killed, self.text, self.row = mutant, killed, text, row


def copy_parts(parts, tree):
    """With their times, so that make builds only what the patch changes."""
    for part in parts:
        source, target = os.path.join(ROOT, part), os.path.join(tree, part)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if os.path.isdir(source):
            shutil.copytree(source, target, symlinks=True)
        else:
            shutil.copy2(source, target)


def run(command, tree, seconds):
    """Returns (exit status, output); -1 if it took too long."""
    try:
        done = subprocess.run(command, cwd=tree, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=seconds, check=False)
    except subprocess.TimeoutExpired as error:
        return -1, (error.stdout or b"").decode(errors="replace") + "\ntimed out"
    return done.returncode, done.stdout.decode(errors="replace")


def build(tree, target):
    status, output = run(["make", "-s", "--no-print-directory", target], tree, 300)
    return None if status == 0 else "does not build:\n" + "\n".join(output.splitlines()[-15:])


def baseline_passes(mutant, seed):
    status, output = run([SIMULATOR, "--seed", seed, *mutant.options], ROOT, 600)
    return status == 0 and "nothing broken" in output


def hunt(mutant, tree, limits, oracles):
    status, output = run([os.path.join(tree, SIMULATOR), "--hunt", ",".join(oracles), "--seeds",
                          str(limits.seeds), "--cpu", str(limits.cpu), *mutant.options], tree,
                         limits.cpu * 10 + 120)
    found = FOUND.search(output)
    if status == 0 and found:
        oracle, seed, seeds, hours, seconds = found.groups()
        if not baseline_passes(mutant, seed):
            return Result(mutant, False, f"seed {seed} fails without the mutation too")
        told = [line for line in output.splitlines() if line.startswith(f"seed {seed}:")]
        text = f"{oracle} in seed {seed}: {seeds} seeds, {hours} simulated hours, {seconds} s"
        if limits.verbose and told:
            text += "\n     " + told[-1]
        return Result(mutant, True, text, (oracle, seed, seeds, hours))
    ended = NOT_FOUND.search(output)
    if status == 1 and ended:
        others = [line for line in output.splitlines() if "not what was asked for" in line]
        return Result(mutant, False, "\n     ".join(["SURVIVED " + ended.group()[6:], *others]))
    tail = "\n     ".join(output.splitlines()[-6:])
    return Result(mutant, False, f"the simulator ended with status {status}:\n     {tail}")


def unit_test(mutant, tree, clean):
    program = os.path.join("build/tests/unit", mutant.killer)
    wrong = build(tree, program)
    if wrong:
        return Result(mutant, False, wrong)
    before, _ = run([os.path.join(ROOT, program)], clean, 120)
    status, output = run([program], tree, 120)
    # "ERROR": its teardown failed, as it does after a test that failed half-way.
    failed = re.findall(r"^\[  (?:FAILED  |ERROR   )\] (\w+)$", output, re.M)
    if before != 0:
        return Result(mutant, False, f"{program} fails without the mutation too")
    if status == 0 or (not failed and status > 0):
        return Result(mutant, False, f"SURVIVED {mutant.killer}")
    text = failed[0] if failed else f"ended by signal {-status}"
    return Result(mutant, True, f"{mutant.killer}: {text}", (mutant.killer, text, "", ""))


def judge(mutant, limits):
    tree = tempfile.mkdtemp(prefix=mutant.name + ".", dir=os.path.join(ROOT, "build/mutants"))
    try:
        copy_parts(UNIT_PARTS if mutant.killer else SIM_PARTS, tree)
        mutant.apply(tree)
        if mutant.killer:
            return unit_test(mutant, tree, limits.clean)
        wrong = build(tree, SIMULATOR)
        return Result(mutant, False, wrong) if wrong else hunt(mutant, tree, limits,
                                                               mutant.expected)
    except PatchError as error:
        return Result(mutant, False, str(error))
    finally:
        if not limits.keep:
            shutil.rmtree(tree)


def judge_who(mutant, limits):
    """The row (mutant, unit test, oracle, seeds): who finds it out, each on its own."""
    tree = tempfile.mkdtemp(prefix=mutant.name + ".", dir=os.path.join(ROOT, "build/mutants"))
    unit, oracle, seeds = "none named", "not linked there", ""
    try:
        copy_parts(UNIT_PARTS if mutant.killer else SIM_PARTS, tree)
        mutant.apply(tree)
        if mutant.killer:
            result = unit_test(mutant, tree, limits.clean)
            unit = mutant.killer if result.killed else "NOT FOUND"
        if all(path.startswith(SIM_SOURCES) for path, _ in mutant.files):
            wrong = build(tree, SIMULATOR)
            if wrong:
                return Result(mutant, False, wrong)
            result = hunt(mutant, tree, limits, ORACLES)
            ended = FOUND.search(result.text) or re.search(r"after (\d+) seeds", result.text)
            oracle = result.row[0] if result.killed else "not found"
            seeds = result.row[2] if result.killed else f"of {ended.group(1)}" if ended else "?"
    except PatchError as error:
        return Result(mutant, False, str(error))
    finally:
        if not limits.keep:
            shutil.rmtree(tree)
    found = (oracle in ORACLES) + 2 * (unit == mutant.killer != "")
    by = ("NOBODY", "simulator", "unit", "both")[found]
    text = f"{by}; unit test: {unit}; simulator: {oracle} {seeds}"
    return Result(mutant, found > 0, text, (mutant.name, by, unit, oracle, seeds))


def check(mutants):
    """Applies each to a copy of the sources."""
    results = []
    for mutant in mutants:
        with tempfile.TemporaryDirectory() as tree:
            try:
                for path, _ in mutant.files:
                    target = os.path.join(tree, path)
                    os.makedirs(os.path.dirname(target), exist_ok=True)
                    if os.path.exists(os.path.join(ROOT, path)):
                        shutil.copy2(os.path.join(ROOT, path), target)
                mutant.apply(tree)
                results.append(Result(mutant, True, "applies"))
            except PatchError as error:
                results.append(Result(mutant, False, str(error)))
    return results


def between(text, begin, end):
    """What stands before the table, in it and after it."""
    before, _, rest = text.partition(begin)
    inside, _, after = rest.partition(end)
    return before + begin + "\n", inside.strip().splitlines(), end + after


def write_who(results):
    """Rows of mutants that were not tried now stay as they are."""
    file = os.path.join(HERE, "README.md")
    with open(file, encoding="utf-8") as text:
        before, lines, after = between(text.read(), WHO_BEGIN, WHO_END)
    rows = {line.split("|")[1].strip(): line for line in lines[2:]}
    for result in results:
        if result.row:
            rows[result.mutant.name] = "| " + " | ".join(result.row) + " |"
    head = ["| mutant | found by | unit test | oracle | seeds |", "| --- | --- | --- | --- | --- |"]
    with open(file, "w", encoding="utf-8") as text:
        text.write(before + "\n".join(head + [rows[name] for name in sorted(rows)]) + "\n" + after)


def print_who(results):
    """Of the faults in what the simulator links, how many does it find alone?"""
    core = [r for r in results if r.row and r.row[3] != "not linked there"]
    alone = sum(r.row[1] in ("simulator", "both") for r in core)
    tested = sum(r.row[1] in ("unit", "both") for r in core)
    print(f"figure: of {len(core)} faults in what the simulator links, {alone} found by it alone, "
          f"{tested} by the unit test that they name")


def write_table(results, there):
    """Rows of mutants that were not tried now stay as they are."""
    file = os.path.join(HERE, "README.md")
    with open(file, encoding="utf-8") as text:
        before, lines, after = between(text.read(), TABLE_BEGIN, TABLE_END)
    rows = {line.split("|")[1].strip(): line for line in lines[2:]}
    for result in results:
        row = result.row or ("NOT KILLED", "", "", "")
        rows[result.mutant.name] = (f"| {result.mutant.name} | {result.mutant.breaks} | " +
                                    " | ".join(row) + " |")
    head = ["| mutant | what it breaks | killed by | seed | seeds | simulated hours |",
            "| --- | --- | --- | --- | --- | --- |"]
    order = sorted(there, key=lambda mutant: (bool(mutant.killer), mutant.name))
    body = [rows[mutant.name] for mutant in order if mutant.name in rows]
    with open(file, "w", encoding="utf-8") as text:
        text.write(before + "\n".join(head + body) + "\n" + after)


def wanted(mutants, names):
    if not names:
        return mutants
    return [m for m in mutants if any(name in m.name for name in names)]


def parse():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--who", action="store_true")
    parser.add_argument("--fresh", metavar="FOLDER")
    parser.add_argument("--no-units", action="store_true", help="fresh: without the unit tests")
    parser.add_argument("--no-hunt", action="store_true", help="fresh: without the simulator")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seeds", type=int, help=f"tried at the most: 20000, or {WHO_SEEDS}")
    parser.add_argument("--cpu", type=int, help="seconds of a core at the most: 240; fresh: 900")
    parser.add_argument("--keep", action="store_true", help="keep the build trees")
    parser.add_argument("-v", "--verbose", action="store_true", help="what the oracle saw")
    limits = parser.parse_args()
    limits.seeds = limits.seeds or (WHO_SEEDS if limits.who or limits.fresh else 20000)
    limits.cpu = limits.cpu or (900 if limits.fresh else 240)
    return limits


def judge_fresh(fault, limits):
    return fresh.judge(sys.modules[__name__], fault, limits)


@contextlib.contextmanager
def clean_tree():
    """What a mutant is built in, without one: a test that fails there too was not made to by a mutant."""
    os.makedirs(os.path.join(ROOT, "build/mutants"), exist_ok=True)
    tree = tempfile.mkdtemp(prefix="clean.", dir=os.path.join(ROOT, "build/mutants"))
    try:
        copy_parts(UNIT_PARTS, tree)
        yield tree
    finally:
        shutil.rmtree(tree)


def run_all(mutants, limits):
    results = []
    how = judge_fresh if limits.fresh else judge_who if limits.who else judge
    with concurrent.futures.ThreadPoolExecutor(limits.jobs) as pool:
        futures = [pool.submit(how, mutant, limits) for mutant in mutants]
        for future in concurrent.futures.as_completed(futures):
            results.append(future.result())
            result = results[-1]
            print(f"{'ok  ' if result.killed else 'FAIL'} {result.mutant.name}: {result.text}",
                  flush=True)
    return results


def main():
    limits = parse()
    there, broken = fresh.load_fresh(limits.fresh, limits.names) if limits.fresh else load(HERE)
    mutants = there if limits.fresh else wanted(there, limits.names)
    begin = time.monotonic()
    if limits.check:
        results = check(mutants)
        broken += [(r.mutant.name, r.text) for r in results if not r.killed]
    else:
        with clean_tree() as limits.clean:
            results = run_all(mutants, limits)
    for name, what in broken if limits.check or not limits.names else []:
        print(f"FAIL {name}: {what}")
    passed = sum(result.killed for result in results)
    failed = len(results) - passed + sum(1 for name, _ in broken
                                         if name not in {r.mutant.name for r in results})
    if limits.table and not limits.who and not limits.fresh:
        write_table(results, there)
    if limits.fresh:
        fresh.print_shares(results)
    elif limits.who:
        write_who(results)
        print_who(results)
    elif not limits.check:
        by_unit = sum(result.killed and bool(result.mutant.killer) for result in results)
        print(f"{passed - by_unit} killed by an oracle of the simulator, {by_unit} by a unit test, "
              f"in {time.monotonic() - begin:.0f} s")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
