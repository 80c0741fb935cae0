"""The world of a chaos run: each host in a network namespace of its own, with a clock of its own.

A host is what the configuration calls a node: a board, an issuer, or both. The bench and the operator
have hosts too. One end of each host's only cable is its eth0, the other ends where this program runs,
which therefore has to be in a namespace of its own: enter() sees to that, as root or, by a user
namespace, as anybody. All of it goes by itself when this program ends.
"""

import contextlib
import os
import subprocess
import sys

from cluster import BIN, ROOT, Cluster, wait_until

from .clocks import HostClock
from .wires import Wires

TOOLS = os.path.join(os.path.dirname(BIN), "lib")
INSIDE = "HOLDFAST_CHAOS_INSIDE"
SAMPLE_US = 100  # between two looks at the lease pages
DISK_ERRORS = ("SLOW", "EIO", "ENOSPC", "SHORT", "SYNC_ONCE")
PORTS = 2000  # a host's own ports, so that the bench can tell gateways by them


def refusal():
    """Why no namespaces can be had here, or None."""
    flags = [] if os.geteuid() == 0 else ["-Ur"]
    result = subprocess.run(["unshare", *flags, "-n", "true"], capture_output=True, text=True,
                            check=False)
    return result.stderr.strip() or "unshare failed" if result.returncode != 0 else None


def enter(command):
    """Goes on as `command` in a namespace where cables can end; returns if it is in one already."""
    if os.environ.get(INSIDE):
        return
    flags = [] if os.geteuid() == 0 else ["-Ur"]
    os.environ[INSIDE] = "1"
    os.execvp("unshare", ["unshare", *flags, "-n", *command])


def run_ip(*lines):
    result = subprocess.run(["ip", "-batch", "-"], input="\n".join(lines) + "\n", text=True,
                            capture_output=True, check=False)
    if result.returncode != 0:
        raise AssertionError(f"ip: {result.stderr.strip()}")


class Host:
    """A namespace: it lives as long as its holder, which ends with this program."""

    def __init__(self, number):
        self.number = number
        self.address = f"10.77.0.{number}"
        self.holder = subprocess.Popen(["unshare", "-n", "cat"], stdin=subprocess.PIPE,
                                       stdout=subprocess.DEVNULL)
        own = os.readlink("/proc/self/ns/net")

        def apart():
            with contextlib.suppress(OSError):
                return os.readlink(f"/proc/{self.holder.pid}/ns/net") != own
            return False
        wait_until(apart, what="a namespace")

    def within(self, command):
        return ["nsenter", f"--net=/proc/{self.holder.pid}/ns/net", "--", *command]

    def plug(self):
        """The cable: w<number> here, eth0 there."""
        pid, number = self.holder.pid, self.number
        run_ip(f"link add w{number} type veth peer name eth0 address 02:00:00:00:00:{number:02x}"
               f" netns {pid}", f"link set w{number} up")
        first = 20000 + PORTS * (number - 1)
        inside = f"""ip link set lo up
ip addr add {self.address}/24 dev eth0
ip link set eth0 up
echo {first} {first + PORTS - 1} > /proc/sys/net/ipv4/ip_local_port_range
for f in /proc/sys/net/ipv6/conf/*/disable_ipv6; do echo 1 > $f; done 2>/dev/null; true"""
        subprocess.run(self.within(["sh", "-ec", inside]), check=True)

    def end(self):
        self.holder.stdin.close()
        self.holder.wait()


class World(Cluster):
    """A Cluster whose nodes are hosts; rates: host -> ppb of its clock at the start."""

    def __init__(self, rates=None, **arguments):
        self.hosts, self.clocks, self.wires = {}, {}, None
        self.watchers, self.starts, self.disk_error = {}, 0, {}
        self.rates = rates or {}
        super().__init__(**arguments)
        for name in [*self.nodes, "bench", "operator"]:
            self.hosts[name] = Host(self.number(name))
        for host in self.hosts.values():
            host.plug()
        self.wires = Wires(os.path.join(TOOLS, "chaos-wires"), self.folder, list(self.hosts))
        for node in self.nodes:
            self.clocks[node] = HostClock(self.path(f"{node}.clock"),
                                          self.path(f"{node}.clock.jsonl"),
                                          self.rates.get(node, 0))

    # ---- where things are

    def number(self, name):
        return [*self.nodes, "bench", "operator"].index(name) + 1

    def host(self, node):
        return f"10.77.0.{self.number(node)}"

    def host_of(self, name):
        """The host of a program."""
        for ending in ("-guard", "-gateway", "-master"):
            name = name.removesuffix(ending)
        return name

    def within(self, name, command):
        return self.hosts[self.host_of(name)].within(command)

    # ---- processes

    def start(self, name, *command):
        """With its host's clock, and for daemons with a disk that can be told to fail."""
        host = self.host_of(name)
        if host in self.clocks:
            own = {"LD_PRELOAD": os.path.join(TOOLS, "chaos-clock.so"),
                   "CLOCK_FILE": self.clocks[host].path}
            if name in self.issuers:
                self.disk_error[name] = DISK_ERRORS[self.starts % len(DISK_ERRORS)]
                own.update({"LD_PRELOAD": f"{own['LD_PRELOAD']}:"
                                          f"{os.path.join(TOOLS, 'disk-fault.so')}",
                            "DISK_FAULT_FILE": self.path(f"{name}.fault"), "DISK_FAULT_MS": "200",
                            "DISK_FAULT_ERROR": self.disk_error[name]})
                self.starts += 1
            self.preload[name] = own
        return super().start(name, *command)

    def start_master(self, board):
        """The local master that writes to the actuator through the board's gateway."""
        host, port = self.gateway_address(board)
        script = os.path.join(os.path.dirname(__file__), "master.py")
        return self.start(f"{board}-master", sys.executable, script, str(self.boards.index(board)),
                          f"{host}:{port}", self.path(board, "run", "lease.page"),
                          os.path.join(TOOLS, "libholdfast.so"), self.path(f"{board}.writes"))

    def start_board(self, board):
        super().start_board(board)
        self.start_master(board)

    def board_processes(self, board):
        return [n for n in (*super().board_processes(board), f"{board}-master")
                if n in self.processes]

    def start_watchers(self):
        """What judges from outside: the lease pages' sampler, and whether the computer starves."""
        boards = [f"{b}={self.path(b, 'run')}={self.clocks[b].path}" for b in self.boards]
        self._watch("pages", "chaos-pages", str(SAMPLE_US), self.path("pages.jsonl"), *boards, "--",
                    *self.resources)
        self._watch("starved", "chaos-starved", self.path("starved.jsonl"), self.path("scratch"))

    def _watch(self, name, program, *arguments):
        with open(self.path(f"{name}.log"), "ab") as log:
            self.watchers[name] = subprocess.Popen([os.path.join(TOOLS, program), *arguments],
                                                   stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def end_watchers(self):
        """Their files are whole then."""
        ended = {}
        for name, process in self.watchers.items():
            process.terminate()
            ended[name] = process.wait()
        self.watchers = {}
        return ended

    def close(self, **expect):
        status = super().close(**expect)
        self.end_watchers()
        if self.wires:
            self.wires.end()
            self.wires = None
        for host in self.hosts.values():
            host.end()
        self.hosts = {}
        return status


def library_folder():
    """For programs that import from tests/system."""
    return os.path.join(ROOT, "tests", "system")
