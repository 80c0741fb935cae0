"""Faults planted for the witnesses alone: a run in which none of them speaks up shows nothing else.

Each plant is made where its witness looks, on a resource or under a name of its own, so that what
comes back tells who saw it.
"""

import json
import os
import socket
import struct
import time

from cluster import now_ns, wait_until
from modbus import Master

from .acts import Act
from .master import REGISTER
from .stage import RESOURCES

HEADER = struct.Struct("=4IQ2I")      # page.h: magic, version, size, count, boot, owner, change
ROW = struct.Struct("=32s2IQqq")      # name, sequence, state, token, deadline, slept
DRIVING = 1
NOBODY = "op-planted"


def other_board(stage, resource):
    driver = wait_until(lambda: stage.cluster.driver(resource), 10, f"{resource} is driven")
    return driver, next(b for b in RESOURCES[resource] if b != driver)


def own_us(stage, host):
    """A host's raw clock now."""
    clock = stage.cluster.clocks[host]
    segment = clock.file.segment[clock.now]
    passed = now_ns() - segment.from_ns
    return (segment.raw_ns + passed + passed * segment.rate_ppb // 1000000000) // 1000


def relays(stage):
    """A second board's relay goes on, though nobody told it to."""
    _, other = other_board(stage, "lamp")
    stage.cluster.bench_ctl("stuck", "relay", other, "lamp/enable", "on")
    wait_until(stage.cluster.overlaps, 5, "the bench sees it")
    stage.cluster.bench_ctl("stuck", "relay", other, "lamp/enable", "none")
    return "lamp"


def pages(stage):
    """A second board's lease page says that its lease is valid: one of a guard that errs."""
    _, other = other_board(stage, "fan")
    stage.cluster.kill(f"{other}-guard")
    path = stage.cluster.path(other, "run", "lease.page")
    with open(path, "rb") as file:
        data = bytearray(file.read())
    header = list(HEADER.unpack_from(data))
    header[5] = os.getpid()
    HEADER.pack_into(data, 0, *header)
    for at in range(HEADER.size, HEADER.size + header[3] * ROW.size, ROW.size):
        row = list(ROW.unpack_from(data, at))
        if row[0].rstrip(b"\0") == b"fan":
            row[1:] = [2, DRIVING, 1, own_us(stage, other) + 400000, 1 << 62]
            ROW.pack_into(data, at, *row)
    with open(path + ".planted", "wb") as file:
        file.write(data)
    os.rename(path + ".planted", path)
    time.sleep(0.5)
    stage.start(f"{other}-guard")
    return "fan"


def actuator(stage):
    """The driver's actuator is written to through another board's gateway, with a token long over."""
    driver, other = other_board(stage, "pump")
    wait_until(lambda: any(e["ev"] == "modbus" and e["board"] == driver
                           for e in stage.cluster.events()), 10, "the driver writes")
    bench = socket.socket(socket.AF_UNIX)
    bench.connect(stage.cluster.path("bench.sock"))
    bench.sendall(f"hello {other} gateway {os.getpid()}\n".encode())
    with in_namespace(stage, "operator"):
        master = Master((stage.cluster.host("bench"), 5020))
    bench.sendall(f"modbus {master.socket.getsockname()[1]}\n".encode())
    data = struct.pack(">HHHHHH", stage.cluster.boards.index(other), 0, 0, 1, 0, 7)
    with open(stage.cluster.path(f"{other}.writes"), "a", encoding="ascii") as file:
        file.write("7 same\n")
    master.request(struct.pack(">BHHB", 16, REGISTER, 6, len(data)) + data)
    master.close()
    bench.close()
    return f"{other}, token 1"


class in_namespace:  # pylint: disable=invalid-name
    """Sockets that are made within are the host's."""

    def __init__(self, stage, host):
        self.holder = stage.cluster.hosts[host].holder.pid

    def __enter__(self):
        self.own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        enter_namespace(f"/proc/{self.holder}/ns/net")

    def __exit__(self, *_):
        enter_namespace(f"/proc/self/fd/{self.own}")
        os.close(self.own)


def enter_namespace(path):
    """setns(2) of this thread; Python 3.12 has it."""
    import ctypes  # pylint: disable=import-outside-toplevel
    fd = os.open(path, os.O_RDONLY)
    result = ctypes.CDLL(None, use_errno=True).setns(fd, 0)
    os.close(fd)
    if result != 0:
        raise OSError(ctypes.get_errno(), "setns")


def history(stage):
    """The driver's agent is said to have permitted more than the renewal was good for."""
    driver, _ = other_board(stage, "pump")
    path = stage.cluster.path(driver, "run", "lease.log")

    def last_permit():
        with open(path, encoding="utf-8", errors="replace") as file:
            rows = [line for line in file if '"permit"' in line and '"pump"' in line]
        return json.loads(rows[-1]) if rows else None
    row = wait_until(last_permit, 10, "a permit")
    row.update(t_us=own_us(stage, driver), deadline_us=own_us(stage, driver) + 20000000)
    with open(path, "a", encoding="ascii") as file:
        file.write(json.dumps(row, separators=(",", ":")) + "\n")
    return "permit"


def acts(stage):
    """An act was acknowledged that is nowhere."""
    stage.operator.acts.append(Act(NOBODY, ["unpin", "lamp"], now_ns(), now_ns(), "done",
                                   {"done": "unpinned"}))
    return NOBODY


PLANTS = {"relays": relays, "pages": pages, "actuator": actuator, "history": history, "acts": acts}


def plant_all(stage):
    """name of a witness -> the word by which its finding tells that it saw its plant."""
    return {name: work(stage) for name, work in PLANTS.items()}


def unseen(found, words):
    """Witnesses that did not see what was planted for them."""
    return [name for name, word in words.items()
            if not any(word in line for line in found[name])]


def strangers(found):
    """Findings that no plant explains, by witnesses that have nothing to do with it."""
    allowed = {"relays": ("lamp", "pump's actuator"), "pages": ("fan",), "actuator": ("token 1,",),
               "history": ("lamp", "permit", "pump"), "acts": (NOBODY,)}
    return [f"{name}: {line}" for name, lines in found.items() for line in lines
            if not any(word in line for word in allowed[name])]
