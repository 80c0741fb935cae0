"""Faults that nobody has tried yet, from a folder outside of the tree: who finds each? The
simulator by any oracle, a golden trace, and the unit tests, each on its own. What stands above a
patch's diff is free text. The result is a table for people; nothing is written into the tree."""

import glob
import os
import re
import shutil
import tempfile

from patch import ORACLES, Mutant, PatchError, read_files

UNIT_SECONDS = 300
# Where a fault of the core or of a shell is looked for first; the other folders come after these.
NEAR = ("raft", "lease", "guard", "wire", "base", "store", "issuer", "agent", "node")


class FreshFault(Mutant):
    """One patch: its name, the first line of what it says, its diff."""

    def __init__(self, file):  # pylint: disable=super-init-not-called
        self.name = os.path.basename(file)[:-len(".patch")]
        with open(file, encoding="utf-8") as text:
            lines = text.read().splitlines()
        at = 0
        while at < len(lines) and not lines[at].startswith("--- "):
            at += 1
        self.breaks = lines[0] if at else ""
        self.options = []
        self.expected = ORACLES
        self.killer = ""
        self.files = read_files(lines, at)


def load_fresh(folder, names):
    """Returns ([FreshFault], [(name, what is wrong)]), by name."""
    faults, broken = [], []
    for file in sorted(glob.glob(os.path.join(folder, "*.patch"))):
        name = os.path.basename(file)[:-len(".patch")]
        if names and not any(part in name for part in names):
            continue
        try:
            faults.append(FreshFault(file))
        except PatchError as error:
            broken.append((name, str(error)))
    return faults, broken


def unit_tests(tree, fault):
    """Groups of unit test programs, those of the fault's own folder first."""
    sources = sorted(glob.glob(os.path.join(tree, "tests/unit/*/test_*.c")))
    programs = [os.path.relpath(source, tree)[:-len(".c")] for source in sources]
    own = [path.split("/")[-2] for path, _ in fault.files]
    near = own + [folder for folder in NEAR if folder not in own]

    def of_folder(folder):
        return [program for program in programs if program.split("/")[2] == folder]

    groups = [of_folder(folder) for folder in near]
    rest = [program for program in programs if program.split("/")[2] not in near]
    return [group for group in groups if group] + [rest]


def failed_test(runner, tree, program, clean):
    """The name of what fails with the fault and passes without it, or None."""
    built = os.path.join("build", program)
    status, output = runner.run([built], tree, UNIT_SECONDS)
    if status == 0:
        return None
    before, _ = runner.run([os.path.join(runner.ROOT, built)], clean, UNIT_SECONDS)
    if before != 0:
        return None
    failed = re.findall(r"^\[  (?:FAILED  |ERROR   )\] (\w+)$", output, re.M)
    what = failed[0] if failed else f"ended with status {status}"
    return f"{program[len('tests/unit/'):]}: {what}"


def try_units(runner, tree, fault, clean):
    for group in unit_tests(tree, fault):
        whole = group[0].split("/")[2] not in NEAR  # some of the rest start the programs
        targets = [os.path.join("build", program) for program in group] + ["build"] * whole
        status, output = runner.run(["make", "-s", "-j2", "--no-print-directory", *targets], tree, 1200)
        if status != 0:
            return "does not build: " + output.splitlines()[-1]
        for program in group:
            failed = failed_test(runner, tree, program, clean)
            if failed:
                return failed
    return ""


def try_golden(runner, tree):
    status, output = runner.run([runner.SIMULATOR, "--golden", "tests/golden"], tree, 600)
    lines = output.strip().splitlines()
    return "" if status == 0 else (lines[-1] if lines else f"status {status}")


def try_simulator(runner, tree, fault, limits):
    result = runner.hunt(fault, tree, limits, ORACLES)
    if result.killed:
        return result.row[0], result.row[2]
    tried = re.search(r"after (\d+) seeds", result.text)
    return "", f"of {tried[1]}" if tried else result.text


def judge(runner, fault, limits):
    """The row (name, oracle, seeds, golden, unit test); "" where it was not found."""
    tree = tempfile.mkdtemp(prefix=fault.name + ".",
                            dir=os.path.join(runner.ROOT, "build/mutants"))
    row = (fault.name, "", "", "", "")
    try:
        runner.copy_parts(runner.UNIT_PARTS, tree)
        fault.apply(tree)
        wrong = runner.build(tree, runner.SIMULATOR)
        if wrong:
            return runner.Result(fault, False, wrong, row)
        golden = try_golden(runner, tree)
        unit = "" if limits.no_units else try_units(runner, tree, fault, limits.clean)
        oracle, seeds = ("", "not tried") if limits.no_hunt else try_simulator(runner, tree, fault,
                                                                             limits)
        row = (fault.name, oracle, seeds, golden, unit)
    except PatchError as error:
        return runner.Result(fault, False, str(error), row)
    finally:
        if not limits.keep:
            shutil.rmtree(tree)
    text = f"simulator: {oracle or 'not found'} {seeds}; golden: {golden or '-'}; unit: {unit or '-'}"
    return runner.Result(fault, bool(oracle or golden or unit), text, row)


def print_shares(results):
    """A table, and how many were found by whom."""
    rows = sorted(result.row for result in results)
    print("\n| fault | simulator | seeds | golden trace | unit test |\n| --- | --- | --- | --- | --- |")
    for name, oracle, seeds, golden, unit in rows:
        print(f"| {name} | {oracle or 'not found'} | {seeds} | {golden and 'differs' or '-'} | "
              f"{unit or '-'} |")
    alone = sum(bool(row[1]) for row in rows)
    units = sum(bool(row[4]) for row in rows)
    any_of = sum(bool(row[1] or row[3] or row[4]) for row in rows)
    print(f"figure: of {len(rows)} fresh faults, {alone} found by the simulator alone, {units} by a "
          f"unit test, {any_of} by any")
