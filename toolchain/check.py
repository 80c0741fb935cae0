"""Runs all test programs side by side and counts. Ends with one line "N passed, M failed".

Who waits for much of the time runs beside who computes, so that no core is idle, least of all at
the end: as many system tests as there are cores, to which all else is nice; the build with
sanitizers, which half of all waits for; twice as many unit tests as there are cores; and, one on each
core, the simulator and static checks.

A test program passes its own count through: cmocka's closing lines, or a line "N passed, M failed".
A program that exits non-zero without naming a failed test counts as one failure.
"""

import argparse
import concurrent.futures
import contextlib
import os
import re
import subprocess
import sys
import time

# With the hours is what the simulator says of a set of runs.
PLAIN = re.compile(r"^(?:\w+: )?(\d+) passed, (\d+) failed(?:, (\d+) skipped|, [\d.]+ hours, .*)?$", re.M)
CMOCKA_PASSED = re.compile(r"^\[  PASSED  \] (\d+) test", re.M)
CMOCKA_FAILED = re.compile(r"^\[  FAILED  \] .*?(\d+) test", re.M)
CMOCKA_SKIPPED = re.compile(r"^\[  SKIPPED \] .*?(\d+) test", re.M)

SAN_BUILD = "san build"
LONGEST = 10  # that are listed at the end
LONG = ("test_stuck.py", "test_store.py", "test_console.py", "test_powercut.py",  # come first
        "test_issuer_shell.c", "test_peer.c", "test_slow_handshake.c", "test_power_cut.c",
        "test_flips.c", "test_session.c", "test_process.c")
TIMEOUT_S = 900  # only bounds a hang; a build on one slow core fits


def find(folder, pattern):
    for base, _, files in os.walk(folder):
        for name in sorted(files):
            if re.fullmatch(pattern, name):
                yield os.path.join(base, name)


def find_tests(folder, pattern):
    """Long ones first, so that the end of the run is not one lone program."""
    return sorted(find(folder, pattern), key=lambda path: (os.path.basename(path) not in LONG, path))


def unit_jobs(build, label):
    """Test programs of the present sources only: a renamed test leaves no ghost behind."""
    environment = {"HOLDFAST_BIN": os.path.abspath(os.path.join(build, "bin"))}
    for source in find_tests("tests/unit", r"test_.*\.c"):
        program = os.path.join(build, source[:-2])
        yield (f"{label} {source[:-2]}", [program], environment)


def all_jobs():
    yield (SAN_BUILD, ["make", "--no-print-directory", f"-j{os.cpu_count()}", "SAN=1", "tests"], {})
    for script in find_tests("tests/system", r"test_.*\.py"):
        yield (f"system {script[:-3]}", ["/usr/bin/python3", script], {})
    # 1,000 seeds are enough for every coverage counter; `make soak` is the long proof.
    yield ("sim", ["build/bin/holdfast-sim", "--check", "--seeds", "1000"], {})
    yield ("golden traces", ["build/bin/holdfast-sim", "--golden", "tests/golden"], {})
    yield ("cppcheck", ["toolchain/lint.sh", "cppcheck"], {})
    yield ("32 bits", ["toolchain/lint.sh", "bits"], {})
    yield from unit_jobs("build", "unit")
    yield ("mutants apply", ["/usr/bin/python3", "tests/mutants/run.py", "--check"], {})
    yield ("core symbols", ["toolchain/core-symbols.sh", "build"], {})
    yield ("includes", ["toolchain/includes.sh"], {})
    yield ("laws", ["/usr/bin/python3", "toolchain/laws.py"], {})
    yield ("san sim", ["build/san/bin/holdfast-sim", "--check", "--seeds", "40"], {})
    yield from unit_jobs("build/san", "san")


def count(output, status):
    plain = PLAIN.findall(output)
    if plain:
        passed = sum(int(p[0]) for p in plain)
        failed = sum(int(p[1]) for p in plain)
    else:
        passed = sum(map(int, CMOCKA_PASSED.findall(output)))
        failed = sum(map(int, CMOCKA_FAILED.findall(output)))
    if status != 0 and failed == 0:
        failed = 1
    return passed, failed


def run(job, after=None):
    """Runs it, once the future `after` is there."""
    name, command, extra = job
    if after:
        after.result()
    started = time.monotonic()
    try:
        result = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**os.environ, **extra}, timeout=TIMEOUT_S, check=False)
        output, status = result.stdout.decode(errors="replace"), result.returncode
    except subprocess.TimeoutExpired as error:
        output = (error.stdout or b"").decode(errors="replace") + "\ntimed out"
        status = 1
    except OSError as error:
        output, status = str(error), 1
    return name, output, status, time.monotonic() - started


def report(name, output, status, seconds):
    """Tells what came of a job; how many of its tests passed, and failed."""
    good, bad = count(output, status)
    if good + bad == 0 and name != SAN_BUILD:
        bad, output = 1, output + "\nran no test"
    print(f"{'ok  ' if bad == 0 else 'FAIL'} {name}: {good} passed, {bad} failed"
          f" ({seconds:.1f} s)", flush=True)
    if bad:
        print("    " + "\n    ".join(output.splitlines()[-60:]), flush=True)
    else:
        for line in output.splitlines():
            if line.startswith("figure: "):
                print("    " + line, flush=True)
    return good, bad


def submit_all(jobs, pools):
    """Each to its pool, at its niceness; what needs the sanitizers' build waits for it."""
    kinds = ((SAN_BUILD, "build", 10), ("system ", "system", 0), ("unit ", "unit", 15),
             ("san tests/", "unit", 15), ("", "busy", 15))
    futures, built = [], None
    for name, command, extra in jobs:
        _, pool, niceness = next(kind for kind in kinds if name.startswith(kind[0]))
        after = built if name.startswith("san ") else None
        polite = (name, ["nice", "-n", str(niceness)] + command, extra)
        futures.append(pools[pool].submit(run, polite, after))
        built = futures[-1] if name == SAN_BUILD else built
    return futures


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", default="", help="run the jobs whose name contains this")
    arguments = parser.parse_args()
    jobs = [job for job in all_jobs() if arguments.only in job[0]]
    if any(job[0].startswith("san ") for job in jobs):  # what they run is to be built
        jobs = [job for job in all_jobs() if job[0] == SAN_BUILD or job in jobs]
    passed = failed = 0
    took = []
    pool = concurrent.futures.ThreadPoolExecutor
    workers = {"system": arguments.jobs, "build": 1, "unit": 2 * arguments.jobs, "busy": arguments.jobs}
    with contextlib.ExitStack() as stack:
        pools = {name: stack.enter_context(pool(count)) for name, count in workers.items()}
        for future in concurrent.futures.as_completed(submit_all(jobs, pools)):
            name, output, status, seconds = future.result()
            good, bad = report(name, output, status, seconds)
            took.append((seconds, name))
            passed, failed = passed + good, failed + bad
    for seconds, name in sorted(took, reverse=True)[:LONGEST] if len(took) > LONGEST else []:
        print(f"longest: {seconds:6.1f} s  {name}")
    print(f"{passed} passed, {failed} failed", flush=True)
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
