"""A cluster of emulated boards: configuration and keys as cluster.py makes them, the bench as the plant.

What cluster.py's questions ask (drives, overlaps, ctl) holds here too. Each board is an issuer
and a candidate; a run's folder is in the end what lease_history.py reads: the guests' logs, with all
instants put on the host's clock.
"""

import json
import os
import shutil

from cluster import Cluster, wait_until

from . import image
from .console import Console
from .machine import Board
from .pins import OUTPUT, READBACK, Pins
from .switch import Switch

WATCHDOG_MS = 2000
RESET_MS = 1000  # from the watchdog's bite to the pin at its pull
DATA = "/var/lib/holdfast"


class Boards(Cluster):
    """Three emulated boards; `targets` gives their userlands in turn, `bases` image.make_parts()."""

    def __init__(self, bases, targets, kind="pulse"):
        self.bases, self.targets = bases, targets
        self.machines, self.consoles = {}, {}
        super().__init__(issuers=3, boards=3, combined=True, ttl_ms=5000, kind=kind,
                         hold_ms=200, rate_hz=50, election_ms=1500, heartbeat_ms=250,
                         release_ms=300, watchdog_ms=WATCHDOG_MS)
        self.switch, self.pins = Switch(), None

    # ---- files

    def host(self, node):
        """In the cluster's own network; the bench has none there."""
        return f"10.77.0.{self.nodes.index(node) + 1}" if node in self.nodes else self.address

    def console(self, node):
        """As an operator reaches it: a port of this computer, led to the board's."""
        return f"{self.address}:{7500 + self.nodes.index(node)}"

    def _conf_text(self, node):
        text = super()._conf_text(node)
        text = text.replace(f'"{node}/data"', f'"{DATA}"').replace(f'"{node}/run"', '"/run/holdfast"')
        return text.replace(f'"{self.console(node)}"', f'"0.0.0.0:{7500 + self.nodes.index(node)}"')

    def _board_text(self, node):
        if self.kind == "pulse":
            output = f'kind = "pulse"; rate_hz = {self.rate_hz}; hold_ms = {self.hold_ms};'
        else:
            output = f'kind = "gpio"; covers = "kernel"; reset_ms = {RESET_MS};'
        return f"""agent = {{ lease_log_kb = 65536; resources = ( {{ name = "pump"; ttl_ms = {self.ttl_ms};
    priority = 100; failback = "manual"; release_ms = {self.release_ms};
    outputs = ( {{ name = "enable"; {output} chip = "gpiochip0"; line = {OUTPUT};
                  readback = {{ chip = "gpiochip0"; line = {READBACK}; within_ms = 100; }}; }} ); }} ); }};
hal = {{ backend = "linux"; }};
watchdog = {{ device = "/dev/watchdog0"; timeout_ms = {self.watchdog_ms}; }};
"""

    def _make_board(self, node):
        number = self.nodes.index(node) + 1
        board = Board(node, number, self.folder, (self.address, 7499 + number), self.pins)

        def pki(name):
            with open(self.path("pki", name), "rb") as file:
                return file.read()
        numbers, _, _ = image.users()
        with open(self.conf(node), "rb") as file:
            files = {"etc/holdfast/holdfast.conf": (file.read(), 0o644, 0),
                     "etc/holdfast/pki/ca.crt": (pki("ca.crt"), 0o644, 0),
                     f"etc/holdfast/pki/{node}.crt": (pki(f"{node}.crt"), 0o644, 0),
                     f"etc/holdfast/pki/{node}.key": (pki(f"{node}.key"), 0o600, numbers["holdfast"])}
        base = self.bases[self.targets[(number - 1) % len(self.targets)]]
        image.make_initramfs(board.path("cpio"), base, files)
        image.make_disk(board.path("disk"))
        self.switch.plug(board)
        return board

    # ---- life

    def start_all(self):
        self.start_bench()
        self.pins = Pins(self.path("bench.sock"))
        for node in self.nodes:
            self.machines[node] = self._make_board(node)
            self.machines[node].power_on()
        for board in self.machines.values():
            board.wait_init()
        for board in self.machines.values():
            board.look_at_clock()  # once no other one boots beside it
        self._begin()
        return self

    def _begin(self):
        """
        Of three boards that meet at once on a busy computer, no handshake is done within its time, and
        they try again for ever: so they come one by one.
        """
        met = []
        for node, board in self.machines.items():
            board.begin()
            for other in met:
                wait_until(lambda: any(f"{x}: connected" in self.machines[y].log("daemon")
                                       for x, y in ((node, other), (other, node))), 120,
                           f"{node} and {other} are linked; logs in {self.folder}", poll=0.1)
            met.append(node)

    def recover(self):
        """After whatever: power, network and contacts as they should be, every board in service."""
        self.switch.heal()
        for board in self.machines.values():
            if board.process is None or not board.watchdog:
                board.power_off()
                board.watchdog = True
                board.power_on()
            self.pins.force_readback(board, None)
            if board.boot is None or board.resets(board.up_at):
                board.wait_up()

    def close(self, **expect):
        for console in self.consoles.values():
            console.close()
        if self.pins is not None:
            for board in self.machines.values():
                if board.process is not None and board.resets(board.up_at):
                    board.wait_up()  # so that its clock is known
        for board in self.machines.values():
            if board.process is not None and board.boot is not None:
                board.shell.run("usleep 500000")  # what its agent wrote last comes out
        for board in self.machines.values():
            board.power_off()
        self.switch.close()
        if self.pins is not None:
            self.pins.close()
        for board in self.machines.values():
            self._gather(board)
        return super().close(**expect)

    def discard(self):
        """The folder of a run that was to be found out."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _gather(self, board):
        """The guest's logs as a run's folder has them, its lease log by the host's clock."""
        for log, name in (("daemon", f"{board.name}.log"), ("guard", f"{board.name}-guard.log")):
            with open(self.path(name), "w", encoding="utf-8") as file:
                file.write(board.log(log))
        lines = []
        # A line that a reset cut off has what follows in its own line; the checker allows it there alone.
        for life in board.log("lease").split('{"boot":"')[1:]:
            boot, _, text = life.partition('"}')
            lines += self._by_host_clock(text.split("\n"), board.offsets.get(boot))
        os.makedirs(self.path(board.name, "run"), exist_ok=True)
        with open(self.path(board.name, "run", "lease.log"), "w", encoding="utf-8") as file:
            file.write("".join(line + "\n" for line in lines))

    @staticmethod
    def _by_host_clock(lines, offset_ns):
        """One life's lines. One that ended before its clock was read must not have had a lease."""
        out = []
        for text in filter(None, (line.strip() for line in lines)):
            try:
                event = json.loads(text)
            except ValueError:
                out.append(text)
                continue
            if offset_ns is None and event["ev"] in ("granted", "permit"):
                raise AssertionError(f"a lease in a life whose clock nobody has read: {event}")
            for key in ("t_us", "deadline_us", "changed_us"):
                if key in event:
                    event[key] += round((offset_ns or 0) / 1000)
            out.append(json.dumps(event, separators=(",", ":")))
        return [] if offset_ns is None else out

    # ---- questions

    def ctl(self, node, *arguments, role="viewer", check=True):
        """With `check`, a console that a slow board does not serve yet is asked again."""
        def ask():
            result = super(Boards, self).ctl(node, *arguments, role=role, check=False)
            return None if check and result.returncode == 3 else result
        result = wait_until(ask, 120, f"{node}'s console; logs in {self.folder}", poll=0.5)
        if not check:
            return result
        if result.returncode != 0:
            raise AssertionError(f"{arguments} at {node}: {result.stdout}{result.stderr}")
        return json.loads(result.stdout)

    def ask(self, node, words):
        """A viewer's question at a console that stays open; None without an answer."""
        if node not in self.consoles:
            self.consoles[node] = Console(self.console(node), self.path("pki", "ca.crt"),
                                          self.path("pki", "viewer.crt"), self.path("pki", "viewer.key"))
        return self.consoles[node].ask(words)

    def leases(self):
        """The lease of the pump and the issuer that leads, by the first board that knows; or None."""
        for board in self.machines.values():
            answer = self.ask(board.name, "leases") if board.process is not None else None
            if answer is not None:
                return {"leader": answer["from"], **answer["leases"][0]} if answer["leases"] else None
        return None

    def steady(self, boards=None, timeout=180.0):
        """Once one board drives, is the holder, and all others of `boards` wait: (driver, others, leader)."""
        boards = boards or self.boards

        def look():
            driver = self.driver()
            lease = self.leases() if driver else None
            if lease is None or lease["holder"] != driver or lease["left_ms"] < self.ttl_ms / 2:
                return None
            others = [b for b in boards if b != driver]
            waiting = lease["waiters"].split(",")
            return (driver, others, lease["leader"]) if set(others) <= set(waiting) else None
        return wait_until(look, timeout, f"a driver and the others waiting; logs in {self.folder}", poll=0.2)
