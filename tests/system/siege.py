"""Strangers without a certificate at every port, while a leader dies and an issuer comes back.

    siege.py --flood CONFIG.json    the strangers themselves, a process started by strangers()

Per port there are always 64 of them, redialled at once whenever they are closed: silent ones, ones
that begin a handshake and stop, that send garbage or a byte now and then. They come from the
address that the cluster's own nodes have, from one foreign address, or from very many. A foreign
user of a board holds what he can open of its run-time files. What is judged: a restarted issuer
hears the leader within 2 s, the healthy holder loses nothing, operators get through, a new master
of the gateway is served.
"""

import fcntl
import json
import os
import random
import selectors
import signal
import socket
import ssl
import subprocess
import sys
import time

from arena import RSS_MAX_KB, Watch
from cluster import Cluster, now_ns, wait_until
from modbus import Master
from raft_log import RaftLogs

PER_PORT = 64
DIALS_A_SECOND = 4000  # of all strangers; more would be a test of this machine's kernel
REJOIN_S = 2.0
NOBODY = 65534
SOURCES = ("own", "one", "many")


# ---- the strangers

def client_hello():
    """The first bytes of a handshake."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    outgoing = ssl.MemoryBIO()
    engine = context.wrap_bio(ssl.MemoryBIO(), outgoing)
    try:
        engine.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


class Flood:
    """Keeps PER_PORT sockets at each target, of whatever kind."""

    def __init__(self, config):
        self.config, self.random = config, random.Random(config["seed"])
        self.selector = selectors.DefaultSelector()
        self.hello = client_hello()
        self.counts = {"dials": 0, "closed": 0, "failed": 0}
        self.waiting = [tuple(t) for t in config["targets"] for _ in range(config["count"])]
        self.over = False
        signal.signal(signal.SIGTERM, self.stop)
        print("at the door", flush=True)

    def stop(self, *_):
        self.over = True

    def source(self):
        if self.config["source"] == "own":
            return None
        if self.config["source"] == "one":
            return "127.201.7.7"
        return f"127.{202 + self.random.randrange(40)}.{self.random.randrange(256)}." \
               f"{1 + self.random.randrange(250)}"

    def first_words(self):
        kind = self.random.choice(self.config["kinds"])
        return {"silent": b"", "half": self.hello,
                "cut": self.hello[:self.random.randrange(1, len(self.hello))],
                "garbage": self.random.randbytes(200), "http": b"GET / HTTP/1.0\r\n\r\n",
                "modbus": b"\x00\x01\x00\x00\x00\x06\x01\x06\x00"}[kind]

    def dial(self, target):
        self.counts["dials"] += 1
        sock = socket.socket()
        sock.setblocking(False)
        try:
            source = self.source()
            if source:
                sock.setsockopt(socket.SOL_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
                sock.bind((source, 0))
            sock.connect(target)
        except BlockingIOError:
            pass
        except OSError:
            sock.close()
            self.counts["failed"] += 1
            return False
        self.selector.register(sock, selectors.EVENT_READ | selectors.EVENT_WRITE, target)
        return True

    def on_event(self, key, mask):
        sock = key.fileobj
        try:
            if mask & selectors.EVENT_WRITE:
                words = self.first_words()
                if words:
                    sock.send(words)
                self.selector.modify(sock, selectors.EVENT_READ, key.data)
            if mask & selectors.EVENT_READ:
                if sock.recv(4096):
                    return
                raise ConnectionResetError
        except BlockingIOError:
            return
        except OSError:
            self.counts["closed"] += 1
            self.selector.unregister(sock)
            sock.close()
            self.waiting.append(key.data)

    def run(self):
        end = time.monotonic() + self.config["seconds"]
        began = time.monotonic()
        while time.monotonic() < end and not self.over and os.getppid() != 1:
            allowed = int((time.monotonic() - began) * DIALS_A_SECOND) + 1000 - self.counts["dials"]
            waiting, self.waiting = self.waiting[:max(0, allowed)], self.waiting[max(0, allowed):]
            for target in waiting:
                if not self.dial(target):
                    self.waiting.append(target)
            for key, mask in self.selector.select(0.05):
                self.on_event(key, mask)
        print(json.dumps(self.counts), flush=True)


# ---- the local user

def hold_locks(folder):
    """As nobody: opens all it can in a run_dir, locks it, and knocks at the socket. Its pid."""
    pid = os.fork()
    if pid:
        return pid
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    held = {}  # name -> file; its lock is tried for again and again, until its owner dies
    while os.getppid() != 1:
        for name in os.listdir(folder):
            try:
                if name not in held:
                    held[name] = open(os.path.join(folder, name), "rb")
                fcntl.flock(held[name], fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                pass
        knock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            knock.connect(os.path.join(folder, "guard.sock"))
            knock.send(b"\x01" * 64)
        except OSError:
            pass
        knock.close()
        time.sleep(0.005)
    os._exit(0)


# ---- the cluster and its judge

def start_cluster():
    cluster = Cluster(boards=2, hold_ms=20, gateway=True).start_all()
    cluster.wait_driver()
    return cluster


def targets(cluster):
    rows = [(cluster.address, 7400 + n) for n in range(len(cluster.issuers))]
    for node in cluster.nodes:
        host, port = cluster.console(node).rsplit(":", 1)
        rows.append((host, int(port)))
    return rows + [cluster.gateway_address(b) for b in cluster.boards if cluster.gateway]


def start_flood(cluster, source, seconds, seed):
    kinds = ["silent"] * 4 + ["half", "half", "cut", "garbage", "http", "modbus"]
    path = cluster.path("flood.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"targets": targets(cluster), "count": PER_PORT, "source": source, "seed": seed,
                   "seconds": seconds, "kinds": kinds}, file)
    flood = subprocess.Popen(["nice", "-n", "19", sys.executable, os.path.abspath(__file__),
                              "--flood", path], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
                             text=True)
    flood.stdout.readline()  # it may take its time on a busy computer
    return flood


class Rounds:
    """Kills leaders and brings them back while strangers are at the door."""

    def __init__(self, cluster):
        self.cluster, self.logs = cluster, RaftLogs(cluster)
        self.rejoined, self.elected, self.operator, self.master, self.linked = [], [], [], [], []
        self.meshed = []

    def live(self):
        return [i for i in self.cluster.issuers if i in self.cluster.processes]

    def leader(self, timeout=10):
        return wait_until(lambda: self.logs.leader(self.live()), timeout, "a leader", poll=0.005)

    def wait_since(self, began, condition, timeout):
        """Seconds until it is so, or infinity."""
        try:
            wait_until(condition, timeout, poll=0.005)
            return time.monotonic() - began
        except AssertionError:
            return float("inf")

    def ask_operator(self):
        """How long an operator waits for an answer, by a program that tries again."""
        began = time.monotonic()
        node = self.leader()
        self.operator.append(self.wait_since(began, lambda: self.cluster.ctl(
            node, "status", role="operator", check=False).returncode == 0, 10))

    def ask_gateway(self):
        """How long a new master waits until its write passes at the driving board's gateway."""
        began = time.monotonic()

        def written():
            board = self.cluster.driver()
            try:
                master = Master(self.cluster.gateway_address(board), timeout=1)
                try:
                    master.write_register(3, 7)
                finally:
                    master.close()
                return True
            except Exception:  # refused or closed, in whatever way
                return False
        self.master.append(self.wait_since(began, written, 6))

    def restart(self, issuer):
        """Starts it; until it hears a leader, and until the driving board is linked to it."""
        seen = len(self.logs.read().logs[issuer].roles)
        holder = self.cluster.driver() or self.cluster.boards[0]
        began = time.monotonic()
        self.cluster.start_daemon(issuer)

        def hears():
            roles = self.logs.logs[issuer].read().roles[seen:]
            return roles and roles[-1].leader != "unknown"
        self.rejoined.append(self.wait_since(began, hears, 30))
        self.linked.append(self.wait_since(began, lambda: self.link(holder, issuer), 30))

    def link(self, node, issuer):
        """By the node's own word; its log may pass over a connection when there are many."""
        result = self.cluster.ctl(node, "status", check=False)
        return result.returncode == 0 and any(row["id"] == issuer and row["link"] == "up"
                                              for row in json.loads(result.stdout)["issuers"])

    def whole(self):
        """Every issuer, and the driving board, is linked to every issuer, by its own word."""
        for node in self.cluster.issuers + [self.cluster.driver() or self.cluster.boards[0]]:
            result = self.cluster.ctl(node, "status", check=False)
            if result.returncode != 0 or any(row["link"] == "down" for row in
                                             json.loads(result.stdout)["issuers"]):
                return False
        return True

    def one(self):
        """A round begins healthy: what is judged is one death at a time."""
        self.meshed.append(self.wait_since(time.monotonic(), self.whole, 30))
        leader = self.leader()
        self.cluster.kill(leader)
        began = time.monotonic()
        self.elected.append(self.wait_since(began, lambda: self.logs.leader(self.live()), 10))
        self.restart(leader)
        self.ask_operator()
        self.ask_gateway()


def attack_from(verdict, source, seconds, seed):
    """One phase, of one kind of source address; with a foreign local user, if we may be one."""
    cluster = start_cluster()
    watch = Watch(cluster, cluster.issuers + cluster.boards)
    rounds = Rounds(cluster)
    holder = cluster.driver()
    flood = start_flood(cluster, source, seconds + 60, seed)
    local = None
    if os.geteuid() == 0:
        os.chmod(cluster.folder, 0o711)
        local = hold_locks(cluster.path([b for b in cluster.boards if b != holder][0], "run"))
    try:
        time.sleep(1)  # until all of them are there
        lines, began, wall = watch.logs.lines(), now_ns(), time.monotonic()
        while time.monotonic() < wall + seconds or not rounds.rejoined:
            rounds.one()
        minutes = (time.monotonic() - wall) / 60
        after = watch.logs.lines()
        flood.terminate()
        told = json.loads(flood.communicate(timeout=10)[0])
        verdict.judge(told["dials"] > 64, f"strangers from {source}: {told['dials']} dials,"
                      f" {told['closed']} closed, {told['failed']} failed")
        losses = cluster.losses(holder, began)
        late = [l for l in losses if "-late loop->" in l]  # this machine stood, not the lease
        print(f"     the holder's guard ran late {len(late)} times", flush=True)
        judge_rounds(verdict, cluster, source, rounds, [l for l in losses if l not in late])
        worst = max((after[i] - lines[i]) / minutes for i in lines)
        print(f"     log lines a minute and issuer, at the most: {worst:.0f}")
        watch.look()
        verdict.judge(max(watch.peak.values()) <= RSS_MAX_KB, f"strangers from {source}: resident at"
                      " the most: " + ", ".join(f"{n} {kb} KB" for n, kb in watch.peak.items()))
        if local:
            judge_local(verdict, cluster, [b for b in cluster.boards if b != holder][0])
    finally:
        flood.kill()
        flood.wait()
        if local:
            os.kill(local, signal.SIGKILL)
            os.waitpid(local, 0)
        watch.end()
        verdict.judge(not cluster.overlaps() and cluster.close() == 0,
                      f"strangers from {source}: no overlap, nothing wrong in the history")


def seconds_of(values):
    return ", ".join("never" if v == float("inf") else f"{v:.2f}" for v in sorted(values)[-5:])


def judge_rounds(verdict, cluster, source, rounds, losses):
    who = f"strangers from {source}, {len(rounds.rejoined)} leaders killed"
    verdict.judge(max(rounds.rejoined) <= REJOIN_S, f"{who}: a restarted issuer hears the leader"
                  f" after {seconds_of(rounds.rejoined)} s at the most, bar {REJOIN_S:g} s")
    verdict.judge(max(rounds.linked) <= REJOIN_S, f"{who}: the driving board is linked to it after"
                  f" {seconds_of(rounds.linked)} s, bar {REJOIN_S:g} s")
    verdict.judge(max(rounds.meshed) <= 10, f"{who}: all are linked again {seconds_of(rounds.meshed)}"
                  " s after that, bar 10 s")
    elections = 10 * cluster.election_ms / 1000
    verdict.judge(max(rounds.elected) <= elections, f"{who}: another leads after"
                  f" {seconds_of(rounds.elected)} s, bar {elections:g} s")
    verdict.judge(not losses, f"{who}: leases lost by the holder: {len(losses)} {losses[:2]}")
    verdict.judge(max(rounds.operator) <= 5, f"{who}: an operator is answered after"
                  f" {seconds_of(rounds.operator)} s, bar 5 s")
    verdict.judge(max(rounds.master) <= 5, f"{who}: a new master's write passes after"
                  f" {seconds_of(rounds.master)} s, bar 5 s")


def judge_local(verdict, cluster, board):
    """The guard of a board starts again, whatever a foreign user holds."""
    cluster.kill(f"{board}-guard")
    time.sleep(0.1)  # the time that init takes to start it again; the locks are had by then
    cluster.start_guard(board)
    before = len(cluster.log(f"{board}-guard"))
    try:
        wait_until(lambda: "agent: connected" in cluster.log(f"{board}-guard")[before:], 5)
        started = True
    except AssertionError:
        started = False
    verdict.judge(started, f"a foreign user holds locks in {board}'s run_dir: its guard starts: "
                  f"{cluster.log(f'{board}-guard')[before:][:200]!r}")


def strangers(verdict, minutes, seed, sources=SOURCES):
    for source in sources:
        attack_from(verdict, source, minutes * 60 / len(sources), seed)


if __name__ == "__main__":
    with open(sys.argv[2], encoding="utf-8") as config_file:
        Flood(json.load(config_file)).run()
