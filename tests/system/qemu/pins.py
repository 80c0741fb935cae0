"""Between boards' pins and the plant: what QEMU's qtest tells of edges goes to the bench, and back.

For the bench, each emulated board is a guard that speaks hal/sim/PROTOCOL.md; it never hears of a
watchdog, since the board has a real one. One thread carries everything, so that the plant
learns of all boards' edges in one order.
"""

import os
import re
import selectors
import socket
import threading

from cluster import now_ns

OUTPUT, READBACK = 0, 1
SPARE = 7  # its rise tells the guest's clock
EDGE = re.compile(r"IRQ (raise|lower) (\d+)")


class _Wired:
    """One board's pins while it has power."""

    def __init__(self, board, qtest, path, bench):
        self.board, self.qtest, self.path, self.bench = board, qtest, path, bench
        self.unread = {qtest: b"", bench: b""}
        self.contact = 0
        self.forced = None  # level of the readback pin whatever the contact shows
        self.spare = []

    def drive(self):
        level = self.contact if self.forced is None else self.forced
        self.qtest.sendall(f"set_irq_in {self.path} unnamed-gpio-in {READBACK} {level}\n".encode())

    def lines(self, source):
        data = source.recv(65536)
        if not data:
            raise OSError("closed")
        *lines, self.unread[source] = (self.unread[source] + data).split(b"\n")
        return [line.decode("ascii", "replace").strip() for line in lines]


class Pins:
    def __init__(self, bench_socket, line="pump/enable"):
        self.bench_socket, self.line = bench_socket, line
        self.wired = {}    # board's name -> _Wired
        self.forces = {}   # board's name -> level, kept over its power
        self.edges = {}    # board's name -> number of the output's rising edges
        self.last = {}     # board's name -> (level, ns) of the output pin
        self.selector = selectors.DefaultSelector()
        self.lock = threading.RLock()
        self.stop = False
        threading.Thread(target=self._run, daemon=True).start()

    def attach(self, board, qtest, path):
        bench = socket.socket(socket.AF_UNIX)
        bench.connect(self.bench_socket)
        bench.sendall(f"hello {board.name} guard {os.getpid()}\n".encode())
        wired = _Wired(board, qtest, path, bench)
        wired.forced = self.forces.get(board.name)
        with self.lock:
            self.wired[board.name] = wired
            qtest.sendall(f"irq_intercept_out {path}\n".encode())
            wired.drive()
            for source in (qtest, bench):
                self.selector.register(source, selectors.EVENT_READ, (wired, source))

    def detach(self, board):
        """Without power the plant sees nothing driven."""
        with self.lock:
            wired = self.wired.pop(board.name, None)
            if wired is not None:
                self._close(wired)

    def _close(self, wired):
        for source in (wired.qtest, wired.bench):
            try:
                self.selector.unregister(source)
            except (KeyError, ValueError):
                pass
            source.close()

    def redrive(self, board):
        with self.lock:
            if board.name in self.wired:
                self.wired[board.name].drive()

    def force_readback(self, board, level):
        """0 or 1 from outside, or None: the relay's contact again."""
        with self.lock:
            self.forces[board.name] = level
            self.wired[board.name].forced = level
            self.wired[board.name].drive()

    def spare(self, board):
        """Instants of the spare pin's rises since they were forgotten."""
        with self.lock:
            return list(self.wired[board.name].spare)

    def forget_spare(self, board):
        with self.lock:
            self.wired[board.name].spare.clear()

    def close(self):
        self.stop = True
        with self.lock:
            for wired in self.wired.values():
                self._close(wired)
            self.wired.clear()

    def _run(self):
        while not self.stop:
            for key, _ in self.selector.select(0.2):
                at = now_ns()
                wired, source = key.data
                with self.lock:
                    try:
                        for line in wired.lines(source):
                            self._take(wired, source, line, at)
                    except (OSError, ValueError):
                        self._close(wired)

    def _take(self, wired, source, line, at):
        name = wired.board.name
        if source is wired.bench:
            if line.startswith(f"in {self.line} "):
                wired.contact = int(line[-1])
                wired.drive()
            elif line.startswith("err"):
                print(f"{name}: bench: {line}", flush=True)
            return
        found = EDGE.search(line)
        if found is None:
            return
        level, pin = int(found[1] == "raise"), int(found[2])
        if pin == OUTPUT:
            wired.bench.sendall(f"out {self.line} {level}\n".encode())
            self.edges[name] = self.edges.get(name, 0) + level
            self.last[name] = (level, at)
        elif pin == SPARE and level:
            wired.spare.append(at)
