"""Unit tests that want a board's kernel, on one emulated board: `python3 -m qemu.units TARGET...`

What qemu-user has not (robust futexes, so no lease page), and the HAL's contract on real lines: pl061 through
the GPIO character device, i6300esb behind /dev/watchdog0. The kernel is arm64's, for all userlands; all run
as root, on ext4. A line each, and in the end "N passed, M failed".
"""

import os
import re
import signal
import socket
import sys
import tempfile
import threading
import time
import shutil

from cluster import ROOT, own_address

from . import image
from .machine import Board
from .pins import EDGE

sys.path.insert(0, os.path.join(ROOT, "toolchain"))
import check  # noqa: E402

CONTRACT = "hal/test_contract"
TESTS = ("client/test_page", "client/test_speed", "guard/test_platform", "guard/test_process", CONTRACT)
WIRES = {0: 1, 2: 3}  # outputs that are led to inputs
ENVIRONMENT = {"HOLDFAST_WIRED": "gpiochip0 0 1 2 3", "HOLDFAST_WATCHDOG": "watchdog0"}
LIMIT_S = 300  # only bounds a hang


class Wires:
    """Stands for pins.py: two wires on the board, from pins to pins."""

    def __init__(self):
        self.levels = dict.fromkeys(WIRES, 0)
        self.qtest = self.chip = None

    def attach(self, board, qtest, chip):
        self.qtest, self.chip = qtest, chip
        qtest.sendall(f"irq_intercept_out {chip}\n".encode())
        self.redrive(board)
        threading.Thread(target=self._run, daemon=True).start()

    def redrive(self, board):
        for pin, level in self.levels.items():
            self._drive(WIRES[pin], level)

    def detach(self, board):
        self.qtest.shutdown(socket.SHUT_RDWR)

    def _drive(self, pin, level):
        self.qtest.sendall(f"set_irq_in {self.chip} unnamed-gpio-in {pin} {level}\n".encode())

    def _run(self):
        with self.qtest.makefile("r", encoding="ascii", errors="replace") as lines:
            for line in lines:
                found = EDGE.search(line)
                if found and int(found[2]) in WIRES:
                    level, pin = int(found[1] == "raise"), int(found[2])
                    self.levels[pin] = level
                    self._drive(WIRES[pin], level)


def make_base(targets, tests):
    """A system with the tests of all targets, each below build/TARGET as in the tree."""
    archive = image.Archive()
    image.add_system(archive)
    archive.file("tree/firmware/limits/holdfast.conf", image.shipped("limits", "holdfast.conf").encode())
    for target in targets:
        names = [f"build/{target}/bin/holdfast-guard", *(f"build/{target}/tests/unit/{test}" for test in tests)]
        image.add_programs(archive, target, {f"tree/{name}": os.path.join(ROOT, name) for name in names})
    return archive.data()


def run_test(board, target, test):
    """Runs it in the guest; what it printed, and its status."""
    words = " ".join(f'{key}="{value}"' for key, value in ENVIRONMENT.items())
    text = board.shell.run(f"cd /tree && HOLDFAST_BIN=/tree/build/{target}/bin {words} "
                           f"build/{target}/tests/unit/{test} 2>&1; echo status $?", LIMIT_S)
    found = re.search(r"status (\d+)\n\Z", text)
    return text[:found.start()], int(found[1])


def run_all(board, targets, tests):
    passed = failed = 0
    for target in targets:
        for test in tests:
            began = time.monotonic()
            output, status = run_test(board, target, test)
            good, bad = check.report(f"board {target} tests/unit/{test}", output, status, time.monotonic() - began)
            skipped = sum(map(int, check.CMOCKA_SKIPPED.findall(output)))
            if skipped:
                print(f"    {skipped} skipped", flush=True)
            passed, failed = passed + good, failed + bad
    if board.resets():
        print("FAIL: the watchdog has bitten", flush=True)
        failed += 1
    return passed, failed


def run(targets, tests=TESTS):
    """Boots a board for them; how many passed and failed."""
    image.make_tools()
    folder = tempfile.mkdtemp(prefix="holdfast-")
    board = Board("board-u", 1, folder, (own_address(), 7500), Wires())
    try:
        image.make_initramfs(board.path("cpio"), make_base(targets, tests), {})
        image.make_disk(board.path("disk"))
        board.power_on()
        board.wait_init()
        board.shell.run("mount -o bind /data /tmp && chmod 1777 /tmp")
        return run_all(board, targets, tests)
    finally:
        board.power_off()
        shutil.rmtree(folder)


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that no board is left running
    passed, failed = run(sys.argv[1:])
    print(f"{passed} passed, {failed} failed", flush=True)
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
