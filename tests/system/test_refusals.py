"""Strangers, liars and mistakes on real processes: each is refused with a line that names which it
was, and the witness sees that the driving board is not disturbed by any of it."""

import os
import random
import re
import signal
import socket
import ssl
import struct
import subprocess
import sys
import time

from cluster import BIN, Cluster, now_ns, run_tests, wait_until
from measure import primary_and_standby
from test_console import undisturbed
from tls_client import Console, odd_certificate, split, tls_context

DAEMONS = ("holdfastd", "holdfast-guard", "holdfast-gateway")


# ---- the wire by hand (daemon/core/wire/holdfast.proto)

def varint(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out + bytes([value]))


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def frame(envelope):
    return struct.pack(">I", len(envelope)) + envelope


def hello(node, cluster="line-3", version=1, agent=1):
    return frame(field(1, field(1, version) + field(2, cluster) + field(3, node) +
                       field(5, agent)))


class Peer:
    """A connection to an issuer's peer port."""

    def __init__(self, cluster, issuer, name, certificate="pki"):
        address = cluster.address, 7400 + cluster.issuers.index(issuer)
        raw = socket.create_connection(address, 5)
        self.tls = tls_context(cluster, name, certificate=certificate).wrap_socket(raw)

    def send(self, data):
        try:
            self.tls.sendall(data)
        except OSError:
            pass  # closed by the other side already

    def rest(self):
        """All that comes until the other side closes."""
        data = b""
        try:
            while True:
                more = self.tls.recv(65536)
                if not more:
                    return data
                data += more
        except (ssl.SSLError, ConnectionResetError):
            return data
        finally:
            self.tls.close()

    def expect(self, text):
        """Reads until this has come."""
        data = b""
        while text not in data:
            more = self.tls.recv(65536)
            assert more, f"closed before {text}: {data}"
            data += more

    def greet(self, node):
        """Exchanges hellos; returns the issuer's."""
        self.send(hello(node))
        data = b""
        while len(data) < 4 or len(data) < 4 + struct.unpack(">I", data[:4])[0]:
            more = self.tls.recv(65536)
            assert more, "closed instead of a hello"
            data += more
        return data


def said(cluster, name, pattern):
    """Waits for a log line that matches; returns it."""
    def look():
        return re.search(rf"^.*{pattern}.*$", cluster.log(name), re.MULTILINE)
    return wait_until(look, what=f"{name} says {pattern}: {cluster.log(name)[-500:]}").group(0)


def knock(cluster, issuer, name, data=b"", certificate="pki"):
    """Connects, sends, and is closed; a refusal in the handshake is one, too."""
    try:
        peer = Peer(cluster, issuer, name, certificate)
        peer.send(data)
        return peer.rest()
    except (ssl.SSLError, ConnectionResetError):
        return b""


def greeted(cluster, issuer):
    """True if a new node is heard by the issuer now."""
    try:
        peer = Peer(cluster, issuer, "board-z")
        peer.greet("board-z")
        peer.tls.close()
        return True
    except (OSError, AssertionError):
        return False


def other_ca(cluster):
    cluster._run_tool("pki", "init", "--dir", cluster.path("pki2"), "--cluster", "line-3")
    cluster._run_tool("pki", "issue", "--dir", cluster.path("pki2"), "--name", "board-z", "--role",
                      "node")


def strangers_at_the_peer_port_are_refused_by_name():
    cluster = Cluster()
    cluster.issue("board-z", "node")
    other_ca(cluster)
    odd_certificate(cluster, "expired", "board-z", "node", "20240102000000Z", "20240201000000Z")
    odd_certificate(cluster, "future", "board-z", "node", "20980102000000Z")
    odd_certificate(cluster, "manager", "board-z", "manager")
    odd_certificate(cluster, "nameless", "no name", "node")
    cluster.start_all()
    primary, _ = primary_and_standby(cluster)
    leader = cluster.leader()
    others = [i for i in cluster.issuers if i != leader]
    started = now_ns()
    cases = [
        (leader, "board-z", hello("board-z", cluster="line-4"), "pki",
         'board-z at .*refused: wrong cluster name: it belongs to "line-4", this node to "line-3"'),
        (leader, "board-z", hello("board-z", version=2), "pki",
         "board-z at .*refused: protocol version mismatch: it speaks version 2, this node 1"),
        (leader, "board-z", b"", "pki2", "refused: wrong CA"),
        (leader, "expired", b"", "pki", "refused: expired certificate"),
        (leader, "viewer", hello("viewer"), "pki", 'refused: wrong role certificate: OU of CN "viewer" is'),
        (others[0], "manager", hello("board-z"), "pki", 'refused: wrong role certificate: .*"manager"'),
        (leader, "board-z", hello("board-a"), "pki",
         'refused: claimed foreign identity: it says "board-a", its certificate "board-z"'),
        (others[0], leader, hello("issuer-9"), "pki", f'refused: claimed foreign identity: .*"{leader}"'),
        (others[1], "nameless", hello("x"), "pki", 'refused: claimed foreign identity: CN "no name" is no node id'),
        (leader, "future", b"", "pki", "refused: .*not yet valid"),
        (leader, "board-z", b"\xff" * 8, "pki", "refused: bad frame: length"),
        (others[1], "board-z", b"\0", "pki", "refused: no hello: none within"),
        (others[0], "board-z", frame(field(3, b"")), "pki", "refused: bad frame"),
    ]
    for issuer, name, data, certificate, pattern in cases:
        knock(cluster, issuer, name, data, certificate)
        said(cluster, issuer, pattern)
    for issuer in others:  # no certificate at all, and no TLS at all
        bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        bare.check_hostname = False
        bare.load_verify_locations(cluster.path("pki", "ca.crt"))
        address = cluster.address, 7400 + cluster.issuers.index(issuer)
        try:
            with bare.wrap_socket(socket.create_connection(address, 5)) as tls:
                tls.recv(1)
        except (ssl.SSLError, ConnectionResetError):
            pass
        said(cluster, issuer, "refused: no certificate")
        with socket.create_connection(address, 5) as plain:
            plain.sendall(b"GET / HTTP/1.0\r\n\r\n")
            try:
                plain.recv(1)
            except ConnectionResetError:
                pass
        said(cluster, issuer, "refused: no acceptable TLS")
    # Who does it again and again gets no line for each.
    for _ in range(5):
        knock(cluster, leader, "board-z", hello("board-z", cluster="line-4"))
    assert cluster.log(leader).count("wrong cluster name") == 1
    undisturbed(cluster, primary, started)
    assert cluster.close() == 0


def a_real_node_of_another_cluster_is_refused_and_told():
    cluster = Cluster().start_all()
    primary, standby = primary_and_standby(cluster)
    started = now_ns()
    stray = cluster.kill(standby)
    cluster.write_conf(standby, lambda text: text.replace('name = "line-3"', 'name = "line-4"'))
    cluster.start_daemon(standby)
    for issuer in cluster.issuers:
        said(cluster, issuer, f'{standby} at .*wrong cluster name: it belongs to "line-4"')
    said(cluster, standby, 'wrong cluster name: it belongs to "line-3", this node to "line-4"')
    assert cluster.processes[standby].poll() is None and stray
    cluster.kill(standby)
    # Another opinion about the issuers or the timing is told, and costs nothing.
    cluster.write_conf(standby, lambda text: text.replace("drift_ppm = 2000", "drift_ppm = 3000"))
    cluster.start_daemon(standby)
    said(cluster, "issuer-1", f"{standby}: its cluster configuration differs from ours")
    undisturbed(cluster, primary, started)
    assert cluster.close() == 0


def strangers_at_the_console_are_refused_by_name():
    cluster = Cluster()
    other_ca(cluster)
    odd_certificate(cluster, "manager", "boss", "manager")
    odd_certificate(cluster, "expired", "viewer", "viewer", "20240102000000Z", "20240201000000Z")
    cluster.start_all()
    primary, _ = primary_and_standby(cluster)
    started = now_ns()
    for node in (cluster.leader(), primary):
        assert re.fullmatch("ERR 403 [^\n]+\n", Console(cluster, node, "manager",
                                                        greeting=False).rest())
        line = said(cluster, node, "console: .*refused: wrong role")
        assert '"boss" is "manager"' in line, line
        for name, certificate, pattern in (("board-z", "pki2", "wrong CA"),
                                           ("expired", "pki", "expired certificate")):
            context = tls_context(cluster, name, certificate=certificate)
            try:
                with context.wrap_socket(
                        socket.create_connection(split(cluster.console(node)), 5)) as tls:
                    tls.recv(1)
            except (ssl.SSLError, ConnectionResetError):
                pass
            said(cluster, node, f"console: .*refused: {pattern}")
        for _ in range(5):
            Console(cluster, node, "manager", greeting=False).rest()
        assert cluster.log(node).count("wrong role") == 1, "a line for each knock"
        assert cluster.ctl(node, "status")["node"] == node
    # holdfastctl says which, too.
    result = cluster.ctl(primary, "status", role="manager", check=False)
    assert result.returncode == 1 and "ERR 403" in result.stderr, result
    undisturbed(cluster, primary, started)
    assert cluster.close() == 0


def garbage_from_a_legitimate_node_ends_its_connection_only():
    cluster = Cluster()
    cluster.issue("board-z", "node")
    cluster.start_all()
    primary, _ = primary_and_standby(cluster)
    leader = cluster.leader()
    started = now_ns()
    seed = int(os.environ.get("HOLDFAST_SEED", random.randrange(1 << 32)))
    print(f"garbage: HOLDFAST_SEED={seed}")
    chance = random.Random(seed)
    whole = [field(3, field(1, kind) + field(2, "pump") + field(3, 7)) for kind in range(1, 12)]
    whole += [field(2, field(1, kind) + field(2, "issuer-2") + field(3, leader) + field(4, 1 << 40))
              for kind in range(1, 11)]
    whole += [field(4, field(1, 9) + field(2, "x") + field(7, text))
              for text in (b"", b"status", b"watch", b"a\nb", b"\0", b"x" * 2000, b"y" * 2049)]
    whole += [field(5, field(1, 9) + field(2, "x") + field(5, 1) + field(6, 1 << 31))]
    bad = [struct.pack(">I", 0), struct.pack(">I", 1 << 31) + b"x", struct.pack(">I", 16385),
           frame(b"\xff" * 100), hello("board-z"), frame(field(1, b"\xff\xff"))]
    # A raft message in another's name is refused, its sender named.
    peer = Peer(cluster, leader, "board-z")
    peer.greet("board-z")
    peer.send(frame(field(2, field(1, 5) + field(2, "issuer-2") + field(3, leader) +
                          field(4, 1 << 40))))
    said(cluster, leader, "board-z: raft message that claims to be from issuer-2: refused")
    peer.tls.close()
    for issuer in cluster.issuers:
        for data in bad[:2]:
            peer = Peer(cluster, issuer, "board-z")
            peer.greet("board-z")
            peer.send(data)
            peer.rest()
        said(cluster, issuer, "board-z at .*refused: bad frame")
        said(cluster, issuer, "board-z: disconnected")
    for data in bad:
        peer = Peer(cluster, leader, "board-z")
        peer.greet("board-z")
        peer.send(data)
        peer.rest()
    for _ in range(60):
        peer = Peer(cluster, leader, "board-z")
        peer.greet("board-z")
        for _ in range(chance.randrange(1, 20)):
            envelope = bytearray(chance.choice(whole))
            for _ in range(chance.randrange(0, 4)):
                envelope[chance.randrange(len(envelope))] = chance.randrange(256)
            peer.send(frame(bytes(envelope)))
        if chance.randrange(2):
            peer.send(struct.pack(">I", 5000) + b"half")
        peer.tls.close()
    assert all(process.poll() is None for process in cluster.processes.values())
    undisturbed(cluster, primary, started)
    assert cluster.close() == 0


def silent_hosts_are_ended_and_delay_nobody():
    """Whoever says nothing has a second; whoever speaks is let in meanwhile."""
    cluster = Cluster()
    cluster.issue("board-z", "node")
    cluster.start_all()
    primary, _ = primary_and_standby(cluster)
    started = now_ns()
    for number, issuer in enumerate(cluster.issuers):
        silent = [socket.create_connection((cluster.address, 7400 + number), 5)
                  for _ in range(150)]  # more than there are places
        assert greeted(cluster, issuer), f"{issuer} takes no new connection"
        said(cluster, issuer, "refused: .*gave way to a newer one")
        said(cluster, issuer, "refused: .*no ClientHello within 1000 ms")
        for one in silent:
            one.close()
    undisturbed(cluster, primary, started)
    assert cluster.close() == 0


def query(number, line, operator=1):
    """A command relayed for somebody whom this node claims to have seen at its console."""
    return frame(field(4, field(1, number) + field(2, "operator") + field(3, operator) +
                       field(7, line)))


def boards_vouch_for_no_operator():
    fans = ["board-b", "board-c"]
    cluster = Cluster(boards=3, resources={"pump": ["board-a"], "fan": fans})
    cluster.issue("board-z", "node")
    cluster.start_all()
    leader = cluster.leader()
    wait_until(lambda: cluster.driver() and cluster.driver("fan"), what="both drive")
    started = now_ns()
    # A node of no policy may relay nothing but questions; what anybody may see, it may see.
    peer = Peer(cluster, leader, "board-z")
    peer.greet("board-z")
    peer.tls.settimeout(5)
    for number, act in enumerate((b"pin pump none", b"transfer fan board-c", b"unpin fan",
                                  b"note fault-cleared pump", b"leader transfer issuer-2",
                                  b"pin nothing none", b"backup", b"member remove issuer-2",
                                  b"resource remove fan", b"metrics")):
        peer.send(query(number + 1, act))
        peer.expect(b"ERR 403 board-z may not vouch for an operator")
    said(cluster, leader, "operator: pin pump none: refused: board-z may not vouch for an operator")
    peer.send(query(20, b"leases"))
    peer.expect(b"pump")
    # Nor may one that holds it, but say that a fault of its own was cleared: as its word, no more.
    agent = cluster.kill("board-c")
    peer.tls.close()
    peer = Peer(cluster, leader, "board-c")
    peer.greet("board-c")
    peer.tls.settimeout(5)
    for number, act in enumerate((b"pin pump none", b"fault clear fan", b"unpin fan", b"pin fan none",
                                  b"transfer fan board-b", b"leader transfer issuer-2", b"backup",
                                  b"note fault-cleared pump", b"note fault-cleared nothing")):
        peer.send(query(number + 1, act))
        peer.expect(b"ERR 403 ")
    peer.send(query(20, b"note fault-cleared fan"))
    peer.expect(b"noted")
    said(cluster, leader, "operator operator via board-c: note fault-cleared fan")
    event = [e for e in cluster.ctl(leader, "history", "-n", "256")["history"]
             if e["event"] == "operator"]
    assert [e["who"] for e in event] == ["operator via board-c, unproven"], event
    peer.tls.close()
    assert agent and not [l for l in cluster.ctl(leader, "leases")["leases"] if "pin" in l["state"]]
    for resource in ("pump", "fan"):
        drops = [e for e in cluster.drives(resource)
                 if e["t_ns"] > started and not e["level"] and e["board"] != "board-c"]
        assert not drops and not cluster.overlaps(), drops
    assert cluster.close() == 0


def one_nodes_relayed_commands_leave_room_for_the_others():
    cluster = Cluster()
    cluster.issue("board-z", "node")
    cluster.start_all()
    primary, _ = primary_and_standby(cluster)
    leader = cluster.leader()
    started = now_ns()
    peer = Peer(cluster, leader, "board-z")
    peer.greet("board-z")
    peer.tls.settimeout(5)
    for number in range(1, 101):
        peer.send(query(number, b"watch", operator=0))
    peer.expect(b"ERR 503 too many relayed commands of one node")
    console = Console(cluster, primary)  # no issuer: it asks the leader
    assert "pump" in console.ask("leases") and "pump" in console.ask("history")
    # What is ended makes room.
    for number in range(1, 101):
        peer.send(query(number, b"", operator=0))
    peer.send(query(101, b"leases", operator=0))
    peer.expect(b"pump")
    peer.tls.close()
    undisturbed(cluster, primary, started)
    assert cluster.close() == 0


# ---- the guard's socket (daemon/core/guard/guard_message.h)

def guard_message(size, version, magic=0x48464755, kind=1, name=b"board-a"):
    head = struct.pack("=IHH32s", magic, version, kind, name)
    return head.ljust(size, b"\0")[:size]


def guard_answer(cluster, board, data):
    """Sends one message to a guard; what comes before it closes, or None if it does not."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.settimeout(3)
        connection.connect(cluster.path(board, "run", "guard.sock"))
        connection.send(data)
        try:
            return connection.recv(4096)
        except ConnectionResetError:
            return b""


def strangers_at_the_guards_socket_are_refused():
    cluster = Cluster().start_all()
    primary, _ = primary_and_standby(cluster)
    guard = f"{primary}-guard"
    started = now_ns()
    assert guard_answer(cluster, primary, b"x") == b""
    said(cluster, guard, "message of 1 bytes refused: wrong size")
    whole = said(cluster, guard, r"wrong size \(\d+ bytes, version \d+\)")
    size, version = map(int, re.search(r"\((\d+) bytes, version (\d+)\)", whole).groups())
    seed = random.randrange(1 << 32)
    cases = [
        (guard_message(size, version, magic=1), "wrong magic"),
        (guard_message(size, version + 1), "another protocol version"),
        (guard_message(size, version, kind=99), "unknown kind"),
        (guard_message(size, version, name=b"../x"), "name that is no name"),
        (guard_message(size, version, name=b"\xff" * 32), "name that is no name"),
        (guard_message(size, version, name=b"board-z"), "says kind 1, name board-z"),
        (guard_message(size, version, kind=2, name=b"pump"), "says kind 2, name pump"),
        (guard_message(size + 1, version), "wrong size"),
        (random.Random(seed).randbytes(size), "wrong magic"),
    ]
    for data, pattern in cases:
        lines = cluster.log(guard).count("\n")
        assert guard_answer(cluster, primary, data) == b"", pattern
        said(cluster, guard, pattern)
        assert cluster.log(guard).count("\n") <= lines + 1, "more than one line"
    # One that says nothing stays outside, and one that goes away at once leaves nothing behind.
    silent = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    silent.connect(cluster.path(primary, "run", "guard.sock"))
    for _ in range(50):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as gone:
            gone.connect(cluster.path(primary, "run", "guard.sock"))
    assert cluster.ctl(primary, "guard")["resources"][0]["guard"] == "driving"
    silent.close()
    undisturbed(cluster, primary, started)
    assert cluster.close() == 0


# ---- configuration and surroundings

def run(cluster, program, *arguments):
    """Runs a daemon that is expected to end by itself."""
    try:
        return subprocess.run([os.path.join(BIN, program), *arguments], cwd=cluster.folder,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=10,
                              check=False)
    except subprocess.TimeoutExpired as error:
        raise AssertionError(f"{program} {arguments} goes on: {error.stderr}") from error


def configuration_is_checked_whole_by_all_three_daemons():
    cluster = Cluster(gateway=True)
    good, bad = cluster.conf("board-a"), cluster.path("bad.conf")

    def spoil(text):
        return text.replace("heartbeat_ms", "hartbeat_ms").replace(
            f"ttl_ms = {cluster.ttl_ms}", "ttl_ms = 7").replace("drift_ppm = 2000",
                                                               'drift_ppm = "x"')
    cluster.write_conf("board-a", spoil, bad)
    for program in DAEMONS:
        result = run(cluster, program, "-c", good, "-t")
        assert result.returncode == 0 and "good" in result.stdout, result
        for arguments in (("-c", bad, "-t"), ("-c", bad)):
            result = run(cluster, program, *arguments)
            assert result.returncode == 78 and result.stdout == "", result
            lines = result.stderr.splitlines()
            assert len(lines) == 3, lines
            assert all(re.match(rf"{re.escape(bad)}:\d+: [a-z].*: .*", l) for l in lines), lines
            assert "timing.hartbeat_ms" in lines[0] and "timing.heartbeat_ms" in lines[0], lines
            assert '"x", must be' in lines[1] and "ppm" in lines[1], lines
            assert "7 ms, must be" in lines[2], lines
        result = run(cluster, program, "-c", cluster.path("absent"), "-t")
        assert result.returncode == 78 and "No such file" in result.stderr, result
        for arguments in (("--bogus",), ("-c",), ("-c", good, "more")):
            result = run(cluster, program, *arguments)
            assert result.returncode == 2 and "usage:" in result.stderr, (program, result)
        assert re.fullmatch(rf"{program} \d+\.\d+\.\d+\n", run(cluster, program, "--version").stdout)
    cluster.close()


def a_configuration_that_is_no_regular_file_is_refused_at_once():
    cluster = Cluster(gateway=True)
    fifo, marked = cluster.path("fifo.conf"), cluster.path("marked.conf")
    os.mkfifo(fifo)
    with open(cluster.conf("board-a"), "rb") as file, open(marked, "wb") as out:
        out.write(b"\xef\xbb\xbf" + file.read())
    for program, end in (*((daemon, ("-t",)) for daemon in DAEMONS), ("holdfastctl", ("check",)),
                         ("holdfastctl", ("status",))):
        refused = 1 if program == "holdfastctl" else 78
        for file, kind in ((fifo, "a pipe"), ("/dev/null", "a device"), (cluster.folder, "a directory")):
            result = run(cluster, program, "-c", file, *end)
            assert result.returncode == refused and result.stdout == "", result
            assert result.stderr == f"{file}:0: cannot read: it is {kind}, must be a regular file\n", result
        result = run(cluster, program, "-c", marked, *end)
        assert result.returncode == refused and result.stdout == "", result
        assert re.fullmatch(rf"{re.escape(marked)}:1: syntax: a byte order mark .*tail -c \+4.*\n",
                            result.stderr), result
    cluster.close()


def two_issuers_are_refused_with_the_reason():
    cluster = Cluster()
    for node in (cluster.issuers[0], cluster.boards[0]):
        cluster.write_conf(node, lambda text: re.sub(r',\n    \{ id = "issuer-3"[^}]*\}', "", text))
        for arguments in (("-t",), ()):
            result = run(cluster, "holdfastd", "-c", cluster.conf(node), *arguments)
            assert result.returncode == 78, result
            assert re.fullmatch(r"\S+:\d+: cluster\.issuers: 2 issuers, .*\n", result.stderr), result
            assert "witness" in result.stderr, result
    cluster.close()


def a_certificate_that_does_not_suit_is_refused_at_the_start():
    cluster = Cluster()
    cluster.init("issuer-1")
    odd_certificate(cluster, "expired", "issuer-1", "node", "20240102000000Z", "20240201000000Z")
    other_ca(cluster)
    cases = (
        ("pki/issuer-1.key", "pki/none.key", "none.key: cannot be read"),
        ("pki/issuer-1.key", "pki/ca.crt", "ca.crt: "),
        ("pki/issuer-1.key", "pki/issuer-2.key", "issuer-2.key: does not match the certificate"),
        ("pki/issuer-1.crt", "pki/none.crt", "none.crt: cannot be read"),
        ("pki/issuer-1.", "pki/issuer-2.", 'names "issuer-2", must name node.id, "issuer-1"'),
        ("pki/issuer-1.", "pki/expired.", "expired"),
        ("pki/ca.crt", "pki2/ca.crt", "ca.crt"),
    )
    for old, new, words in cases:
        cluster.write_conf("issuer-1", lambda text, o=old, n=new: text.replace(o, n))
        result = run(cluster, "holdfastd", "-c", cluster.conf("issuer-1"))
        assert result.returncode == 1, (new, result)
        assert words in result.stderr and result.stderr.count("\n") == 1, (new, result.stderr)
    cluster.close()


def a_port_in_use_is_named():
    cluster = Cluster()
    for port in (7400, split(cluster.console("issuer-1"))[1]):
        with socket.socket() as occupied:
            occupied.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            occupied.bind((cluster.address, port))
            occupied.listen()
            result = run(cluster, "holdfastd", "-c", cluster.conf("issuer-1"))
            assert result.returncode == 1, result
            line = result.stderr.splitlines()[-1]
            assert f"{cluster.address}:{port}" in line and "in use" in line, result.stderr
    cluster.close()


def without_the_bench_nothing_starts_and_when_it_goes_outputs_are_off():
    cluster = Cluster()
    for program in ("holdfastd", "holdfast-guard"):
        result = run(cluster, program, "-c", cluster.conf("board-a"))
        assert result.returncode == 1 and result.stderr.count("\n") == 1, result
        assert cluster.path("bench.sock") in result.stderr, result.stderr
    cluster.start_all()
    primary, _ = primary_and_standby(cluster)
    cluster.kill("bench", number=signal.SIGTERM)
    assert cluster.processes.pop("bench").wait(5) == 0
    said(cluster, f"{primary}-guard", "bench lost")
    said(cluster, primary, "bench: connection lost")
    wait_until(lambda: not cluster.ctl("issuer-1", "leases")["leases"][0]["holder"],
               what="the lease is given up", poll=0.05)
    assert cluster.processes["issuer-1"].poll() is None
    cluster.close()


if __name__ == "__main__":
    sys.exit(run_tests([
        strangers_at_the_peer_port_are_refused_by_name,
        a_real_node_of_another_cluster_is_refused_and_told,
        strangers_at_the_console_are_refused_by_name,
        garbage_from_a_legitimate_node_ends_its_connection_only,
        silent_hosts_are_ended_and_delay_nobody,
        boards_vouch_for_no_operator,
        one_nodes_relayed_commands_leave_room_for_the_others,
        strangers_at_the_guards_socket_are_refused,
        configuration_is_checked_whole_by_all_three_daemons,
        a_configuration_that_is_no_regular_file_is_refused_at_once,
        two_issuers_are_refused_with_the_reason,
        a_certificate_that_does_not_suit_is_refused_at_the_start,
        a_port_in_use_is_named,
        without_the_bench_nothing_starts_and_when_it_goes_outputs_are_off,
    ]))
