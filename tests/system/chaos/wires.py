"""The cables between the hosts: what frames meet on each pair and direction, by wires.c."""

import contextlib
import mmap
import os
import struct
import subprocess

from cluster import wait_until

HOSTS_MAX = 32
WIRE = struct.Struct("=4I")
CUT = 1000000  # loss in ppm
COUNTERS = struct.Struct("=5Q")


class Wires:
    """Hosts by name, in their order; every pair is whole until told otherwise."""

    def __init__(self, program, folder, hosts):
        self.hosts = {host: number for number, host in enumerate(hosts)}
        path = os.path.join(folder, "wires.table")
        log = open(os.path.join(folder, "wires.log"), "ab")
        self.process = subprocess.Popen([program, path, *(f"w{n + 1}" for n in range(len(hosts)))],
                                        stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.close()
        size = HOSTS_MAX * HOSTS_MAX * WIRE.size + COUNTERS.size

        def mapped():
            if self.process.poll() is not None:
                raise AssertionError(f"wires ended, see {path[:-6]}.log")
            with contextlib.suppress(FileNotFoundError, ValueError), open(path, "r+b") as file:
                self.table = mmap.mmap(file.fileno(), size)
                return self.counters()[4]
            return False
        wait_until(mapped, what="the wires are up")
        self.holds = []  # what is wrong just now: (from, to, wire)

    def counters(self):
        """Frames that passed, were lost, were delayed; us that one came late at most; 1 if it runs."""
        return COUNTERS.unpack_from(self.table, HOSTS_MAX * HOSTS_MAX * WIRE.size)

    def _put(self, sender, receiver):
        """Of several troubles on a wire, the worst of each kind counts."""
        wires = [wire for a, b, wire in self.holds if (a, b) == (sender, receiver)]
        worst = [max((wire[i] for wire in wires), default=0) for i in range(4)]
        at = (self.hosts[sender] * HOSTS_MAX + self.hosts[receiver]) * WIRE.size
        WIRE.pack_into(self.table, at, *worst)

    def spoil(self, pairs, loss_ppm=0, delay_us=0, jitter_us=0, reorders=0):
        """Spoils these (from, to); returns what mends exactly that again."""
        holds = [(a, b, (loss_ppm, delay_us, jitter_us, reorders)) for a, b in pairs if a != b]
        self.holds += holds
        for a, b, _ in holds:
            self._put(a, b)

        def mend():
            for hold in holds:
                if hold in self.holds:
                    self.holds.remove(hold)
                    self._put(hold[0], hold[1])
        return mend

    def heal(self):
        held, self.holds = self.holds, []
        for a, b, _ in held:
            self._put(a, b)

    def end(self):
        self.process.terminate()
        self.process.wait()
