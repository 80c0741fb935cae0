"""Three boards that boot from cards: the cluster of cluster.py, with its bench, in a network namespace of its own.

The test's process is in that namespace too: it reaches the boards as an operator does, by their addresses.
"""

import json
import os
import shutil
import subprocess

from cluster import Cluster, wait_until
from qemu.pins import OUTPUT, READBACK, Pins

from .card import Card
from .machine import Machine

NETWORK = "10.77.0"
HANG_S = 600.0  # only bounds a hang: the computer may have other work that comes first


def make_network(count):
    """A bridge, and a tap for each board."""
    lines = ["link set lo up", "link add lan type bridge", f"addr add {NETWORK}.254/24 dev lan", "link set lan up"]
    for number in range(1, count + 1):
        lines += [f"tuntap add board{number} mode tap", f"link set board{number} master lan", f"link set board{number} up"]
    for line in lines:
        subprocess.run(["ip", *line.split()], check=True)


class Cards(Cluster):
    """Each board is an issuer and a candidate. Times are those of a computer that has other work to do."""

    def __init__(self, kind, folder_of_image):
        self.kind_of_board, self.built = kind, folder_of_image
        self.machines, self.pins = {}, None
        super().__init__(issuers=3, boards=3, combined=True, ttl_ms=20000, kind="gpio", election_ms=5000,
                         heartbeat_ms=500, release_ms=1000, watchdog_ms=15000)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.path("ssh")], check=True)

    # ---- files

    def host(self, node):
        return f"{NETWORK}.{self.nodes.index(node) + 1}" if node in self.nodes else f"{NETWORK}.254"

    def _conf_text(self, node):
        text = super()._conf_text(node)
        text = text.replace(f'"{node}/data"', '"/var/lib/holdfast"').replace(f'"{node}/run"', '"/run/holdfast"')
        text = text.replace("ttl_max_ms = 5000", f"ttl_max_ms = {self.ttl_ms}")
        for there, here in (("ca.crt", "ca.crt"), (f"{node}.crt", "node.crt"), (f"{node}.key", "node.key")):
            text = text.replace(f'"pki/{there}"', f'"/etc/holdfast/{here}"')
        return text

    def _board_text(self, node):
        return f"""agent = {{ resources = ( {{ name = "pump"; ttl_ms = {self.ttl_ms};
    priority = 100; failback = "manual"; release_ms = {self.release_ms};
    outputs = ( {{ name = "enable"; kind = "gpio"; covers = "kernel"; reset_ms = 1000; chip = "gpiochip0"; line = {OUTPUT};
                  readback = {{ chip = "gpiochip0"; line = {READBACK}; within_ms = 1000; }}; }} ); }} ); }};
hal = {{ backend = "linux"; }};
watchdog = {{ device = "/dev/watchdog0"; timeout_ms = {self.watchdog_ms}; }};
gateway = {{ listen = "{self.host(node)}:1502"; resource = "pump";
    actuators = ( {{ unit = 1; tcp = "{NETWORK}.254:5020"; response_ms = 1000; }} ); }};
"""

    def image(self, name=None):
        return os.path.join(self.built, name or f"holdfast-{self.kind_of_board}.img")

    def board_text(self, node, first="begin"):
        return f"id={node}\ncluster=line-3\naddress={self.host(node)}/24\nfirst={first}\n"

    def provision(self, card, node, first="begin"):
        def read(*path):
            with open(self.path(*path), "rb") as file:
                return file.read()
        card.put({"board": self.board_text(node, first), "holdfast.conf": read(f"{node}.conf"),
                  "ca.crt": read("pki", "ca.crt"), "node.crt": read("pki", f"{node}.crt"),
                  "node.key": read("pki", f"{node}.key"), "authorized_keys": read("ssh.pub")})

    def machine(self, node, provision=True):
        number = self.nodes.index(node) + 1
        card = Card(self.image(), self.path(f"{node}.card"))
        if provision:
            self.provision(card, node)
        return Machine(self.kind_of_board, node, number, card, self.image("u-boot.bin"), self.folder,
                       f"board{number}", self.pins)

    # ---- life

    def start_all(self):
        """One by one: boards that boot beside each other on a busy computer do no handshake in time."""
        self.start_bench()
        self.pins = Pins(self.path("bench.sock"))
        for node in self.nodes:
            machine = self.machines[node] = self.machine(node)
            machine.power_on()
            machine.wait_for("in service", HANG_S)
        return self

    def close(self, **_expect):
        """Its boards' lease logs stay on the boards: what the witness saw is all that is judged here."""
        for machine in self.machines.values():
            machine.power_off()
        if self.pins is not None:
            self.pins.close()
            self.pins = None
        self.leave()
        for process in self.processes.values():
            process.terminate()
            process.wait()
        self.processes = {}
        if not self.keep:
            shutil.rmtree(self.folder, ignore_errors=True)

    # ---- questions

    def ask(self, node, *words):
        """A viewer's question; None without an answer."""
        result = self.ctl(node, *words, check=False)
        return json.loads(result.stdout) if result.returncode == 0 else None

    def holder(self, among=None):
        """Once a board has the lease and its output is on: its name."""
        among = among or self.nodes

        def look():
            driver = self.driver()
            if driver not in among:
                return None
            answer = next((a for a in (self.ask(n, "leases") for n in among) if a and a["leases"]), None)
            return driver if answer and answer["leases"][0]["holder"] == driver else None
        return wait_until(look, HANG_S, f"a holder among {among}; {self.folder}", poll=0.3)

    def waiters(self, among):
        """Who waits for the lease, by one of `among`."""
        answer = next((a for a in (self.ask(n, "leases") for n in among) if a and a["leases"]), None)
        return answer["leases"][0]["waiters"].split(",") if answer else []

    def has_recovered(self, node):
        """Whether this board's issuer has its say again."""
        answer = self.ask(node, "status")
        return answer is not None and '"recovery": "none"' in json.dumps(answer)

    def takeover_bound_s(self, node):
        with open(self.path("bound.conf"), "w", encoding="ascii") as file:
            file.write(self._conf_text(node))
        output = self._run_tool("-c", self.path("bound.conf"), "-o", "json", "budget")
        return json.loads(output)["resources"][0]["bound"]["leader_total_ms"] / 1e3

    def stranger_key(self):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.path("stranger")], check=True)

    def forget_hosts(self):
        """A card that is another has another key."""
        if os.path.exists(self.path("known")):
            os.remove(self.path("known"))

    def ssh(self, node, command, key="ssh", check=True):
        result = subprocess.run(
            ["ssh", "-F", "none", "-i", self.path(key), "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no",
             "-o", f"UserKnownHostsFile={self.path('known')}", "-o", "LogLevel=ERROR", "-o", "ConnectTimeout=60",
             "-o", "IdentitiesOnly=yes", f"root@{self.host(node)}", command],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if check and result.returncode != 0:
            raise AssertionError(f"ssh {node} {command}: {result.returncode}: {result.stdout}{result.stderr}")
        return result if not check else result.stdout
