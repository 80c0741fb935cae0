"""Unit tests, golden traces and seeds of the simulated world, built for boards and run here under
qemu-user; what needs more of a kernel than that has, on an emulated board. Ends with one line
"N passed, M failed".

  check_cross.py [--seeds N] TARGET...

Programs start each other, so each target's are run in a user namespace that has a binfmt_misc of its
own (Linux 6.7 or newer); nothing of this machine is changed.
"""

import argparse
import concurrent.futures
import os
import re
import shlex
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "toolchain"))
sys.dont_write_bytecode = True
import check  # noqa: E402

# Magic and mask of an ELF program's first 20 bytes: class, byte order, executable or shared, machine.
MASK = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
ELF = r"\x7fELF\x0{}\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00{}\x00"
TARGETS = {
    "arm64": ("aarch64-linux-gnu", "qemu-aarch64-static", ELF.format(2, r"\xb7")),
    "armhf": ("arm-linux-gnueabihf", "qemu-arm-static", ELF.format(1, r"\x28")),
}
# These run on an emulated board (tests/system/qemu/units.py): qemu-user has no robust futexes
# (set_robust_list), so no lease page.
ON_A_BOARD = {
    "tests/unit/client/test_page",
    "tests/unit/client/test_speed",
    "tests/unit/guard/test_platform",
    "tests/unit/guard/test_process",
}
BOARD = "emulated board: "
CPUS = os.cpu_count() or 1


def namespaced(target, command):
    """`command`, where programs of the target can be started as any other."""
    _, qemu, magic = TARGETS[target]
    register = f":{target}:M::{magic}:{MASK}:/usr/bin/{qemu}:F"
    # Within it as an ordinary user: what wants to be several users is for `make check`.
    script = ("mount -t binfmt_misc none /proc/sys/fs/binfmt_misc && "
              f"printf %s {shlex.quote(register)} >/proc/sys/fs/binfmt_misc/register && "
              f"exec unshare --user --map-user=1000 --map-group=1000 {shlex.join(command)}")
    return ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script]


def jobs_of(target, seeds):
    build = os.path.join("build", target)
    environment = {"QEMU_LD_PREFIX": os.path.abspath(os.path.join("build/sysroot", target)),
                   "HOLDFAST_BIN": os.path.abspath(os.path.join(build, "bin"))}
    simulator = os.path.join(build, "bin", "holdfast-sim")
    share = -(-seeds // CPUS)
    for first in range(1, seeds + 1, share):
        count = min(share, seeds + 1 - first)
        yield (f"{target} {count} seeds from {first}",
               [simulator, "--set", "--from", str(first), "--seeds", str(count)], environment)
    yield f"{target} golden traces", [simulator, "--golden", "tests/golden"], environment
    for name, command, more in check.unit_jobs(build, target):
        if name.split()[-1] not in ON_A_BOARD:
            yield name, command, {**environment, **more}
    yield (f"{target} core symbols", ["toolchain/core-symbols.sh", build, TARGETS[target][0] + "-"],
           {})


def run(target, job):
    name, command, environment = job
    if not command[0].startswith("toolchain/") and not name.startswith(BOARD):
        command = namespaced(target, command)
    return check.run((name, command, environment))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=500)
    parser.add_argument("--only", default="", help="run the jobs whose name contains this")
    parser.add_argument("targets", nargs="+", choices=sorted(TARGETS))
    arguments = parser.parse_args()
    passed = failed = 0
    board = (BOARD + " ".join(arguments.targets),
             ["/usr/bin/python3", "-m", "qemu.units", *arguments.targets],
             {"PYTHONPATH": os.path.join(ROOT, "tests", "system")})
    jobs = [(None, board)] + [(target, job) for target in arguments.targets
                              for job in jobs_of(target, arguments.seeds)]
    with concurrent.futures.ThreadPoolExecutor(CPUS) as pool:
        futures = [pool.submit(run, target, job) for target, job in jobs if arguments.only in job[0]]
        for future in concurrent.futures.as_completed(futures):
            good, bad = check.report(*future.result())
            passed, failed = passed + good, failed + bad
    print(f"{passed} passed, {failed} failed", flush=True)
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
