"""Runs all test programs side by side and counts. Ends with one line "N passed, M failed".

System tests mostly wait, so they run beside all else, which is nice to them: the build with
sanitizers, what is built with them, the simulator, unit tests, static checks.

A test program passes its own count through: cmocka's closing lines, or a line "N passed, M failed".
A program that exits non-zero without naming a failed test counts as one failure.
"""

import argparse
import concurrent.futures
import os
import re
import subprocess
import sys
import time

PLAIN = re.compile(r"^(?:\w+: )?(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$", re.M)
CMOCKA_PASSED = re.compile(r"^\[  PASSED  \] (\d+) test", re.M)
CMOCKA_FAILED = re.compile(r"^\[  FAILED  \] .*?(\d+) test", re.M)
CMOCKA_SKIPPED = re.compile(r"^\[  SKIPPED \] .*?(\d+) test", re.M)

SAN_BUILD = "san build"
LONGEST = 10  # that are listed at the end
TIMEOUT_S = 900  # only bounds a hang; a build on one slow core fits


def find(folder, pattern):
    for base, _, files in os.walk(folder):
        for name in sorted(files):
            if re.fullmatch(pattern, name):
                yield os.path.join(base, name)


def unit_jobs(build, label):
    """Test programs of the present sources only: a renamed test leaves no ghost behind."""
    environment = {"HOLDFAST_BIN": os.path.abspath(os.path.join(build, "bin"))}
    for source in sorted(find("tests/unit", r"test_.*\.c")):
        program = os.path.join(build, source[:-2])
        yield (f"{label} {source[:-2]}", [program], environment)


def all_jobs():
    # Long ones first, so that the end of the run is not one lone program.
    yield (SAN_BUILD, ["make", "--no-print-directory", f"-j{os.cpu_count()}", "SAN=1", "tests"], {})
    for script in sorted(find("tests/system", r"test_.*\.py")):
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


def submit_all(jobs, patient, busy):
    """System tests go to `patient`, the rest to `busy`; what needs the sanitizers' build waits."""
    futures, built = [], None
    waits = [job[0].startswith("system ") for job in jobs]
    for job, is_system in zip(jobs, waits):
        name, command, extra = job
        if is_system:
            futures.append(patient.submit(run, job))
            continue
        polite = ["nice", "-n", "10"] if any(waits) else []
        after = built if name.startswith("san ") else None
        futures.append(busy.submit(run, (name, polite + command, extra), after))
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
    with pool(arguments.jobs) as patient, pool(arguments.jobs) as busy:
        for future in concurrent.futures.as_completed(submit_all(jobs, patient, busy)):
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
