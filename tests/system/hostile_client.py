"""One board gone bad: whatever its valid certificate allows it to send, as fast as it goes.

    hostile_client.py CONFIG.json     a process of its own, started by hostile.py

It speaks the real protocol by wire.py and shares nothing with the daemons. A run is a row of slices
of the modes below, in an order that the seed gives; at the start of each, one line "slice NAME" on
stdout; at the end one line of JSON with what was sent and what was answered. It believes nothing of
what it hears, but learns: leader, terms, tokens, members, so that its lies are plausible.
"""

import collections
import json
import os
import random
import select
import socket
import ssl
import sys
import time

import wire

EXTREMES = [1, 2, 3, 127, 128, 255, 256, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**53,
            2**61, 2**62 - 1, 2**62, 2**63 - 1, 2**63, 2**64 - 1]
KNOWN_LEASE_KINDS = {"UNSPECIFIED", "ACQUIRE", "WITHDRAW", "RENEW", "RELEASE", "LEADER", "QUEUED",
                     "GRANTED", "RENEWED", "RELEASED", "REFUSED", "YIELD", "LOST"}
KNOWN_LEASE_FIELDS = {"kind", "resource", "holder", "token", "nonce", "term", "ttl_us", "fence_us",
                      "priority", "failback_auto", "fenced", "position", "refusal",
                      "round_trip_us", "slack_us", "address", "text", "items"}
RAFT_FIELDS = {  # of each kind; those of the proto's comments
    "VOTE_REQUEST": ["pre", "transfer", "last_index", "last_term", "nonce"],
    "VOTE_REPLY": ["pre", "granted", "nonce"],
    "APPEND_REQUEST": ["prev_index", "prev_term", "commit", "entries"],
    "APPEND_REPLY": ["success", "prev_index", "match_index", "hint_index", "hint_term",
                     "recovering"],
    "HEARTBEAT": ["commit", "round"],
    "HEARTBEAT_REPLY": ["round"],
    "SNAPSHOT_REQUEST": ["snapshot_index", "snapshot_term", "offset", "total", "members", "chunk"],
    "SNAPSHOT_REPLY": ["snapshot_index", "offset", "installed", "recovering"],
    "TIMEOUT_NOW": [],
    "RECOVER": ["nonce"],
    "RECOVER_REPLY": ["nonce", "fresh", "leads", "last_index", "life"],
}
OPERATOR_LINES = [
    "pin {r} none", "pin {r} {me}", "pin {r} {b}", "unpin {r}", "unpin z{n}", "pin z{n} none",
    "note fault-cleared {r}", "note fault-cleared z{n}", "leader transfer {i}",
    "transfer {r} {me}", "transfer {r} {b}", "member remove {i}", "member add evil-{n} 127.0.0.1:{p}",
    "member promote evil-{n}", "backup", "fault clear {r}", "fault clear {r} {me}",
    "fault clear {r} {b}", "resource remove {r}",
]
READ_LINES = ["status", "leases", "leases --consistency quorum", "issuers", "agents", "history",
              "history -n 1000", "watch", "metrics", "budget", "help", "guard", "fault where pump", "nonsense"]


class Known:
    """What it has learned of the cluster."""

    def __init__(self, config):
        self.me = config["name"]
        self.issuers = list(config["issuers"])
        self.boards = config["boards"]
        self.resources = config["resources"]  # of the policy
        self.own = config["own"]              # what the policy lets it hold
        self.leader, self.term, self.index = None, 1, 1
        self.tokens = {r: 1 for r in self.resources}
        self.granted = {}
        self.members = []
        self.heard = collections.deque(maxlen=400)  # raw envelopes
        self.said = collections.deque(maxlen=400)

    def learn(self, issuer, message):
        lease = message.get("lease", {})
        kind = lease.get("kind")
        if kind == "LEADER":
            self.leader, self.term = issuer, max(self.term, lease.get("term", 0))
        if kind in ("GRANTED", "QUEUED") and "token" in lease:
            self.tokens[lease.get("resource", "")] = lease["token"]
            self.index = max(self.index, lease["token"])
        if kind == "GRANTED":
            self.granted[lease.get("resource")] = lease.get("token", 0)
        if kind in ("LOST", "RELEASED", "YIELD"):
            self.granted.pop(lease.get("resource"), None)
        if "issuers" in message:
            self.index = max(self.index, message["issuers"].get("index", 0))
            self.members = message["issuers"].get("members", {}).get("member", [])


class Link:
    """One connection; closed without a word when the other side is done with it."""

    def __init__(self, attacker, issuer, greet=True, node=None, hello=None):
        self.attacker, self.issuer = attacker, issuer
        self.data, self.open = b"", False
        attacker.count("dials")
        try:
            raw = socket.create_connection(tuple(attacker.config["issuers"][issuer]), 2)
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.tls = attacker.context.wrap_socket(raw)
        except OSError:
            attacker.count("dials refused")
            return
        self.open = True
        if greet:
            self.send(wire.envelope(hello=hello or attacker.hello(node)))

    def write(self, data):
        """Bytes as they are."""
        if not self.open:
            return
        try:
            self.tls.settimeout(1.0)
            self.tls.sendall(data)
            self.attacker.sent_bytes += len(data)
        except OSError:
            self.close()

    def send(self, *envelopes):
        for data in envelopes[:8]:
            self.attacker.known.said.append(data)
        self.attacker.sent_frames += len(envelopes)
        self.write(b"".join(map(wire.frame, envelopes)))

    def read(self, wait=0.0):
        """Learns from what has come."""
        if not self.open:
            return
        try:
            if not self.tls.pending() and not select.select([self.tls], [], [], wait)[0]:
                return
            self.tls.settimeout(0)
            more = self.tls.recv(65536)
        except (ssl.SSLWantReadError, BlockingIOError):
            return
        except (OSError, ValueError):
            self.close()
            return
        if not more:
            self.close()
            return
        frames, self.data = wire.split_frames(self.data + more)
        for data in frames:
            self.attacker.hears(self.issuer, data)

    def close(self):
        if self.open:
            self.open = False
            try:
                self.tls.close()
            except OSError:
                pass


class Attacker:
    def __init__(self, config):
        self.config = config
        self.random = random.Random(config["seed"])
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.check_hostname = False
        self.context.load_verify_locations(config["ca"])
        self.context.load_cert_chain(config["cert"], config["key"])
        self.known = Known(config)
        self.links = {}
        self.counts = collections.Counter()
        self.sent_frames = self.sent_bytes = 0
        self.asked = collections.OrderedDict()  # query id -> line
        self.counting = True  # not where ids are said again, or spoilt
        self.answers = collections.Counter()    # "line: accepted", "line: refused"
        self.query_id = self.random.getrandbits(40)
        self.nonce = self.random.getrandbits(48)
        self.sample = {}

    def count(self, what, number=1):
        self.counts[what] += number

    def hello(self, node=None):
        return {"version": 1, "cluster": self.config["cluster"], "node": node or self.known.me,
                "agent": True, "config_digest": self.known_digest()}

    def known_digest(self):
        return self.config.get("digest", 0)

    def hears(self, issuer, data):
        self.known.heard.append(data)
        try:
            message = wire.decode("Envelope", data)
        except (ValueError, IndexError):
            self.count("heard nonsense")
            return
        kind = next(iter(message), "nothing")
        self.count(f"heard {kind}")
        if "hello" in message:
            self.config["digest"] = message["hello"].get("config_digest", 0)
        self.known.learn(issuer, message)
        reply = message.get("query_reply")
        if reply and reply.get("last"):
            line = self.asked.pop(reply.get("id", 0), None)
            if line:
                accepted = not reply.get("error")
                words = " ".join(w for w in line.split()[:2] if w.isalpha()) \
                    if line.split()[0] in ("member", "leader", "fault", "resource") \
                    else line.split()[0]
                if words == "note" and line.split()[-1] not in self.known.own:
                    words = "note of another's"
                self.answers[f"{words}: {'accepted' if accepted else 'refused'}"] += 1
        elif reply and reply.get("id") in self.asked and "text" in reply:
            self.sample[self.asked[reply["id"]].split()[0]] = reply["text"][:120].decode(
                "utf-8", "replace")

    def connect(self):
        """A greeted link to every issuer."""
        for issuer in self.known.issuers:
            link = self.links.get(issuer)
            if link is None or not link.open:
                self.links[issuer] = Link(self, issuer)
        return [link for link in self.links.values() if link.open]

    def disconnect(self):
        for link in self.links.values():
            link.close()
        self.links = {}

    def one(self):
        """A link, the leader's mostly."""
        links = self.connect()
        if not links:
            time.sleep(0.02)
            return None
        for link in links:
            link.read()
        led = [l for l in links if l.issuer == self.known.leader and l.open]
        return led[0] if led and self.random.random() < 0.8 else self.random.choice(links)

    def each(self, until, make, batch=20, pause=0.0):
        """Sends what make() returns to one link after the other, until the time is over."""
        while time.monotonic() < until:
            link = self.one()
            if link:
                link.send(*[make() for _ in range(batch)])
            if pause:
                time.sleep(pause)

    # ---- random, well-formed

    def name(self):
        known, choice = self.known, self.random.choice
        return choice([known.me, choice(known.boards), choice(known.issuers),
                       choice(known.resources), choice(known.own), f"x{self.random.randrange(500)}",
                       "a" * 31])

    def odd_text(self, limit):
        return self.random.choice(["", "a" * limit, "a" * (limit + 1), "../x", "-x", ".x", "a b",
                                   "\x00", "a\nb", "%s%n", "\udcff\udcfe", "é" * 8, "a" * 4000])

    def number(self):
        near = [self.known.term, self.known.index, self.nonce, 50000, 1000000, 5000000, 600000000]
        near += list(self.known.tokens.values())
        if self.random.random() < 0.75:
            return max(0, self.random.choice(near) + self.random.randrange(-2, 4))
        return self.random.choice(EXTREMES)

    def value(self, owner, field, odd):
        values = wire.enum_of(owner, field)
        if values is not None:
            return self.random.randrange(0, 20) if odd else self.random.choice(list(values)[1:])
        if field.kind == "bool":
            return True
        if field.kind == "string":
            return self.odd_text(31) if odd else self.name()
        if field.kind == "bytes":
            return self.blob(owner, field.name)
        if field.kind in wire.MESSAGES:
            return self.message(field.kind, odd)
        value = self.number()
        if field.kind.startswith("s") or field.kind == "int64":
            return self.random.choice([value, -value]) & 0xFFFFFFFF if field.kind == "sint32" \
                else self.random.choice([value, value, -value]) % 2**62
        return value % 2**32 if field.kind == "uint32" else value

    def fit(self, owner, field):
        """A value that the protocol allows for this field; what it means is another thing."""
        pick, name = self.random, field.name
        if name in ("ttl_us", "fence_us"):
            return pick.choice([50000, 10**5, 10**6, 5 * 10**6, pick.randrange(50000, 6 * 10**8)])
        if name == "priority":
            return pick.randrange(-1000, 1001)
        if name in ("slack_us", "round_trip_us"):
            return pick.randrange(0, 10**7) * (-1 if name == "slack_us" and pick.random() < 0.3 else 1)
        if name == "position":
            return pick.randrange(1, 20)
        if name in ("text", "chunk"):
            return "x" * pick.randrange(1, 79) if name == "text" else pick.randbytes(500)
        if name in ("address", "console"):
            return f"127.0.0.1:{pick.randrange(1, 65536)}"
        if field.kind == "string":
            return self.name()
        if field.kind == "bool":
            return pick.random() < 0.5
        if wire.enum_of(owner, field) is not None:
            return pick.choice(list(wire.enum_of(owner, field))[1:])
        if field.kind in wire.MESSAGES:
            return {n: self.fit(field.kind, f) for n, f in wire.MESSAGES[field.kind].items()
                    if not f.repeated and f.kind not in wire.MESSAGES}
        if field.kind == "bytes":
            return self.blob(owner, name)
        return min(max(1, self.number()), 2**62 - 1)

    def blob(self, owner, name):
        if owner == "Entry" and self.random.random() < 0.8:
            return wire.encode("Command", self.message("Command", False))[:320]
        if owner == "Query":
            return self.line().encode()
        return self.random.randbytes(self.random.choice([1, 16, 300, 320, 321, 4096, 4097]))

    def message(self, owner, odd):
        """A message with a random set of its fields."""
        out = {}
        for name, field in wire.MESSAGES[owner].items():
            if self.random.random() < (0.3 if odd else 0.6) or name in ("kind", "id"):
                if field.repeated:
                    top = self.random.choice([1, 1, 2, 7, 16, 17])
                    out[name] = [self.value(owner, field, odd) for _ in range(top)]
                else:
                    out[name] = self.value(owner, field, odd and self.random.random() < 0.3)
        return out

    def lease(self):
        """A lease message with the fields that its kind has, and seldom others."""
        kinds = wire.ENUMS["Lease.Kind"]
        kind = self.random.choice([k for k in kinds if k != "UNSPECIFIED"])
        fields = wire.MESSAGES["Lease"]
        named = [n for n in fields if n in kinds[kind][1].replace(",", " ").split()]
        out = {"kind": kind}
        odd = self.random.random() < 0.005
        for name in named + ([self.random.choice(list(fields))] if odd else []):
            field = fields[name]
            if field.repeated:
                out[name] = [{**self.fit("Lease", field), "lost": kind == "RENEWED"}
                             for _ in range(self.random.randrange(1, 17))]
            elif name != "kind":
                out[name] = self.value("Lease", field, False) if odd else self.fit("Lease", field)
        if "resource" in named and self.random.random() < 0.8:
            out["resource"] = self.random.choice(self.known.resources)
        return {"lease": out}

    def raft(self):
        kind = self.random.choice(list(RAFT_FIELDS))
        fields = wire.MESSAGES["Raft"]
        out = {"kind": kind, "from": self.random.choice([self.known.me] * 3 + self.known.issuers),
               "to": self.random.choice(self.known.issuers), "term": min(self.number(), 2**62 - 1)}
        odd = self.random.random() < 0.01
        for name in RAFT_FIELDS[kind] + ([self.random.choice(list(fields))] if odd else []):
            if name not in out and self.random.random() < 0.8 and name in fields:
                field = fields[name]
                make = self.value if odd else lambda owner, f, _: self.fit(owner, f)
                out[name] = ([make("Raft", field, False) for _ in range(2)] if field.repeated
                             else make("Raft", field, False))
        return {"raft": out}

    def line(self):
        form = self.random.choice(OPERATOR_LINES + READ_LINES)
        return form.format(r=self.random.choice(self.known.resources), me=self.known.me,
                           b=self.random.choice(self.known.boards), n=self.random.randrange(5000),
                           i=self.random.choice(self.known.issuers),
                           p=self.random.randrange(1, 65536))

    def query(self, line=None, operator=True):
        line = line if line is not None else self.line()
        self.query_id += 1
        if self.counting:
            self.asked[self.query_id] = line
        while len(self.asked) > 5000:
            self.asked.popitem(last=False)
        return {"query": {"id": self.query_id, "who": self.random.choice(
            ["operator", "root", self.known.me, f"p{self.random.randrange(9999)}"]),
            "operator_role": operator, "json": self.random.random() < 0.5, "text": line.encode()}}

    def anything(self):
        kind = self.random.randrange(8)
        if kind <= 2:
            return self.lease()
        if kind == 3:
            return self.raft()
        if kind == 4:
            return self.query()
        name = self.random.choice(["query_reply", "store", "issuers", "hello", "raft", "lease"])
        field = wire.MESSAGES["Envelope"][name]
        return {name: self.message(field.kind, self.random.random() < 0.4)}

    # ---- modes: (a) random, (b) replayed, (c) broken frames

    def mode_random(self, until):
        self.each(until, lambda: wire.encode("Envelope", self.anything()))

    def mode_random_lease(self, until):
        self.each(until, lambda: wire.encode("Envelope", self.lease()), 30)

    def mode_replay(self, until):
        """What it said and heard in earlier sessions, in any order, to anybody."""
        self.honest(min(until, time.monotonic() + 2))
        self.disconnect()
        record = list(self.known.said) + list(self.known.heard)
        self.each(until, lambda: self.random.choice(record or [b"\x0a\x00"]), 20)

    def honest(self, until):
        """As a healthy board: acquires, renews, releases."""
        while time.monotonic() < until:
            link = self.one()
            if not link:
                continue
            resource = self.random.choice(self.known.own)
            self.nonce += 1
            if resource not in self.known.granted:
                link.send(self.acquire(resource))
            elif self.random.random() < 0.7:
                link.send(wire.envelope(lease={
                    "kind": "RENEW", "nonce": self.nonce, "round_trip_us": 900, "slack_us": 500000,
                    "items": [{"resource": resource, "token": self.known.granted[resource]}]}))
            else:
                link.send(self.release(resource))
            link.read(0.05)

    def mode_mutate(self, until):
        def mutated():
            source = self.random.choice(list(self.known.said) + list(self.known.heard) + [
                wire.encode("Envelope", self.anything()) for _ in range(3)])
            data = bytearray(source)
            for _ in range(self.random.randrange(1, 6)):
                at = self.random.randrange(len(data)) if data else 0
                how = self.random.randrange(4)
                if how == 0 and data:
                    data[at] ^= 1 << self.random.randrange(8)
                elif how == 1:
                    data[at:at] = self.random.randbytes(self.random.randrange(1, 9))
                elif how == 2:
                    del data[at:at + self.random.randrange(1, 9)]
                else:
                    data += data[:at]
            return bytes(data[:wire.FRAME_MAX]) or b"\x00"
        self.each(until, mutated, 4)

    def mode_lengths(self, until):
        """Frames of a wrong length, cut off in the middle, or none at all."""
        while time.monotonic() < until:
            link = self.one()
            if not link:
                continue
            kind = self.random.randrange(5)
            body = wire.encode("Envelope", self.anything())
            if kind == 0:
                link.write((0).to_bytes(4, "big"))
            elif kind == 1:
                link.write(self.random.choice([16385, 65536, 2**31, 2**32 - 1]).to_bytes(4, "big"))
                link.write(self.random.randbytes(20000))
            elif kind == 2:
                link.write(wire.frame(body)[:self.random.randrange(len(body) + 4)])
                link.close()
            elif kind == 3:
                link.write((len(body) + 50).to_bytes(4, "big") + body + wire.frame(body))
            else:
                link.write(self.random.randbytes(self.random.randrange(1, 3000)))
            link.read(0.01)

    def mode_largest(self, until):
        """The largest frames there can be, padded with what receivers skip."""
        body = wire.encode("Envelope", {"lease": {"kind": "RENEW", "nonce": 7}})
        pad = wire.delimited(900, b"\xAA" * (wire.FRAME_MAX - len(body) - 6))
        full = (body + pad)[:wire.FRAME_MAX]
        self.each(until, lambda: full, 8)

    def mode_drip(self, until):
        """One byte at a time, over many connections that never say a whole frame."""
        links = [Link(self, i, greet=False) for i in self.known.issuers for _ in range(8)]
        data = wire.frame(wire.envelope(hello=self.hello()))
        at = 0
        while time.monotonic() < until:
            for number, link in enumerate(links):
                if not link.open:
                    links[number] = Link(self, link.issuer, greet=False)
                link.write(data[at % len(data):at % len(data) + 1])
            at += 1
            time.sleep(0.1)
        for link in links:
            link.close()

    # ---- modes: (d) meaning

    def new_fields(self, kind, number=2**61):
        """Fields that this program does not know by heart, said with the most that they hold."""
        comment = wire.ENUMS["Lease.Kind"][kind][1]
        out = {}
        for name, field in wire.MESSAGES["Lease"].items():
            if name in KNOWN_LEASE_FIELDS or (name not in comment):
                continue
            if field.kind == "bool":
                out[name] = True
            elif field.kind in wire.VARINTS:
                out[name] = number
        return out

    def acquire(self, resource, ttl_us=1000000, priority=100, failback=False, **more):
        return wire.envelope(lease={"kind": "ACQUIRE", "resource": resource, "ttl_us": ttl_us,
                                    "fence_us": 100000, "priority": priority,
                                    "failback_auto": failback, **more})

    def release(self, resource, fenced=True, token=None, **more):
        self.nonce += 1
        token = token or self.known.granted.pop(resource, 0) or self.known.tokens.get(resource, 1)
        return wire.envelope(lease={"kind": "RELEASE", "nonce": self.nonce, "resource": resource,
                                    "token": token, "fenced": fenced, **more})

    def mode_churn(self, until):
        """Acquires and releases its own resource, as fast as the answers come."""
        while time.monotonic() < until:
            link = self.one()
            if not link:
                continue
            for resource in self.known.own:
                if resource in self.known.granted:
                    link.send(self.release(resource, self.random.random() < 0.8))
                    self.count("releases")
                else:
                    link.send(self.acquire(resource))
            link.read(0.02)

    def mode_hoard(self, until):
        """Acquires for the smallest time and never renews; each expiry is an entry."""
        while time.monotonic() < until:
            link = self.one()
            if link:
                for resource in self.known.own:
                    link.send(self.acquire(resource, ttl_us=50000, fence_us=0))
                link.read(0.05)

    def mode_refusals(self, until):
        def refused():
            pick = self.random.randrange(4)
            if pick == 0:
                return self.acquire(f"r{self.random.randrange(100000)}")
            if pick == 1:
                return self.acquire(self.random.choice(self.known.resources))
            if pick == 2:
                return self.acquire(self.random.choice(self.known.own),
                                    ttl_us=self.random.choice([50000, 600000000, 5000001]))
            return self.acquire(self.random.choice(self.known.own), fence_us=600000000)
        self.each(until, refused, 20)

    def mode_operator(self, until):
        """Acts of operators, by its word alone."""
        self.each(until, lambda: wire.encode("Envelope", self.query(self.random.choice(
            OPERATOR_LINES).format(r=self.random.choice(self.known.resources), me=self.known.me,
                                   b=self.random.choice(self.known.boards),
                                   n=self.random.randrange(5000), p=7000,
                                   i=self.random.choice(self.known.issuers)))), 10, 0.002)

    def mode_unpin(self, until):
        numbers = iter(range(10**9))
        self.each(until, lambda: wire.encode("Envelope", self.query(f"unpin z{next(numbers)}")), 20)

    def mode_note(self, until):
        self.each(until, lambda: wire.encode("Envelope", self.query(
            f"note fault-cleared {self.random.choice(self.known.resources)}")), 20)

    def mode_transfers(self, until):
        self.each(until, lambda: wire.encode("Envelope", self.query(self.random.choice(
            [f"leader transfer {self.random.choice(self.known.issuers)}",
             f"transfer {self.random.choice(self.known.resources)} {self.known.me}"]))), 2, 0.05)

    def mode_queries(self, until):
        """Floods of ids, doubled and cancelled, lines that are none, watches by the dozen."""
        def query():
            ask = self.query(self.random.choice(READ_LINES), self.random.random() < 0.5)
            pick = self.random.randrange(6)
            if pick == 0:
                ask["query"]["id"] = self.query_id - self.random.randrange(30)
            elif pick == 1:
                ask["query"]["text"] = b""
            elif pick == 2:
                ask["query"]["text"] = self.random.randbytes(self.random.choice([5, 513, 2048]))
            elif pick == 3:
                ask["query"]["text"] = b"watch"
            return wire.encode("Envelope", ask)
        self.each(until, query, 10, 0.001)

    def mode_deaf(self, until):
        """Asks for as much as can be had and reads nothing of it."""
        while time.monotonic() < until:
            links = [Link(self, issuer) for issuer in self.known.issuers]
            stop = min(until, time.monotonic() + 4)
            while time.monotonic() < stop and any(l.open for l in links):
                for link in links:
                    link.send(*[wire.encode("Envelope", self.query(line, False)) for line in
                                ("metrics", "history -n 1000", "issuers", "leases", "help")])
                time.sleep(0.005)
            for link in links:
                link.close()

    def mode_storm(self, until):
        """Comes and goes, with and without a word, a dozen at a time."""
        self.disconnect()
        while time.monotonic() < until:
            links = [Link(self, issuer, greet=self.random.random() < 0.7)
                     for issuer in self.known.issuers for _ in range(self.random.choice([1, 1, 4]))]
            for link in links:
                if self.random.random() < 0.3:
                    link.read()
                link.close()

    def mode_impostor(self, until):
        """Hellos that are not its own, late, doubled or none."""
        while time.monotonic() < until:
            for issuer in self.known.issuers:
                hello = self.random.choice([
                    self.hello(self.random.choice(self.known.boards + self.known.issuers)),
                    {**self.hello(), "issuer": True}, {**self.hello(), "cluster": "other"},
                    {**self.hello(), "version": 7}, {**self.hello(), "config_digest": 1},
                    {**self.hello(), "node": "a" * 31}, {},
                    {**self.hello(), "console": "127.0.0.1:9", "issuer": True}])
                link = Link(self, issuer, hello=hello)
                link.send(wire.envelope(hello=self.hello()), self.acquire("pump"))
                link.read(0.02)
                link.close()

    def mode_highest(self, until):
        """Says that it had tokens far above all that were ever given."""
        def claim():
            return self.acquire(self.random.choice(self.known.resources), **self.new_fields(
                "ACQUIRE", self.random.choice([2**61, 2**62 - 1, self.known.index + 50, 10**6])))
        self.each(until, claim, 5, 0.005)

    def mode_issuers(self, until):
        """Lies about who the issuers are, and about its journal."""
        def lie():
            if self.random.random() < 0.3:
                return wire.encode("Envelope", {"store": {"sync_last_us": 2**62 - 1, "slow": True,
                                                          "failed": True, "syncs": 1}})
            host, port = self.config["issuers"][self.known.issuers[0]]
            return wire.envelope(issuers={"index": self.random.choice([2**61, self.known.index + 1]),
                                          "members": {"member": [
                                              {"id": self.known.me, "voter": True,
                                               "address": f"{host}:{port + 90}"}]}})
        self.each(until, lie, 10, 0.005)

    def mode_stuck(self, until):
        """Says that an output that it does not drive is stuck on, and releases what others hold."""
        kinds = [k for k in wire.ENUMS["Lease.Kind"] if k not in KNOWN_LEASE_KINDS]

        def claim():
            resource = self.random.choice(self.known.resources)
            token = self.known.tokens.get(resource, 1) + self.random.randrange(-1, 2)
            if kinds and self.random.random() < 0.5:
                kind = self.random.choice(kinds)
                comment = wire.ENUMS["Lease.Kind"][kind][1].replace(",", " ").split()
                fields = {n: self.value("Lease", f, False) for n, f in
                          wire.MESSAGES["Lease"].items() if n in comment and not f.repeated}
                fields.update({k: v for k, v in (("resource", resource), ("token", token))
                               if k in fields})
                return wire.envelope(lease={"kind": kind, **fields, **self.new_fields(kind)})
            return self.release(resource, False, max(1, token), **self.new_fields("RELEASE"))
        self.each(until, claim, 10, 0.002)

    def mode_failback(self, until):
        """Takes by priority what it may hold, gives it back, and takes it again."""
        while time.monotonic() < until:
            link = self.one()
            if not link:
                continue
            for resource in self.known.own:
                if resource in self.known.granted:
                    link.send(self.release(resource))
                else:
                    link.send(self.acquire(resource, priority=1000, failback=True))
                    if self.random.random() < 0.2:
                        link.send(wire.envelope(lease={"kind": "WITHDRAW", "resource": resource}))
            link.read(0.02)

    def mode_renewals(self, until):
        """Asks for rounds without end, of its own and others' tokens."""
        def renew():
            self.nonce += 1
            items = [{"resource": r, "token": t} for r, t in self.known.tokens.items()]
            return wire.envelope(lease={"kind": "RENEW", "nonce": self.nonce, "round_trip_us": 1,
                                        "slack_us": -5, "items": items[:16]})
        self.each(until, renew, 50)

    def mode_console(self, until):
        """At the consoles with a node's certificate: all sessions taken, commands, silence."""
        held = []
        while time.monotonic() < until:
            for host, port in self.config["consoles"]:
                try:
                    raw = socket.create_connection((host, port), 1)
                    raw.settimeout(1)
                    tls = self.context.wrap_socket(raw)
                    tls.sendall(self.random.choice([b"", b"status\n", b"pin pump none\n",
                                                    b"watch\n", b"x" * 300, b"history -n 1000\n"]))
                    held.append(tls)
                    self.count("console sessions")
                except OSError:
                    self.count("console refused")
            while len(held) > 60:
                held.pop(self.random.randrange(len(held))).close()
            time.sleep(0.02)
        for tls in held:
            tls.close()

    def deaf_consoles(self, each):
        """Consoles are asked for their longest answers, which nobody reads. The connections."""
        held = []
        for host, port in self.config["consoles"] * each:
            try:
                raw = socket.socket()
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
                raw.settimeout(1)
                raw.connect((host, int(port)))
                tls = self.context.wrap_socket(raw)
                tls.sendall(b"history -n 256 --json\n" * 20)
                held.append(tls)
                self.count("console sessions")
            except OSError:
                self.count("console refused")
        return held

    def mode_console_deaf(self, until):
        """The consoles' memory and the peers' at once."""
        held = []
        while time.monotonic() < until:
            held += self.deaf_consoles(8)
            self.mode_note(min(until, time.monotonic() + 2))
        for tls in held:
            tls.close()

    def run(self):
        """Slices of all modes in a random order, round after round, until the time is over."""
        end = time.monotonic() + self.config["seconds"]
        modes = self.config["modes"] or MODES
        per_slice = {}
        while time.monotonic() < end:
            for name in self.random.sample(modes, len(modes)):
                if time.monotonic() >= end:
                    break
                print(f"slice {name}", flush=True)
                self.asked.clear()
                self.counting = name not in ("mutate", "replay", "queries")
                frames, answers = self.sent_frames, sum(self.answers.values())
                getattr(self, f"mode_{name}")(min(end, time.monotonic() + self.config["slice"]))
                for link in list(self.links.values()):
                    link.read(0.02)
                if self.random.random() < 0.5:
                    self.disconnect()
                row = per_slice.setdefault(name, [0, 0])
                row[0] += self.sent_frames - frames
                row[1] += sum(self.answers.values()) - answers
        self.disconnect()
        print("slice none", flush=True)
        print(json.dumps({"frames": self.sent_frames, "bytes": self.sent_bytes,
                          "slices": per_slice, "counts": self.counts, "answers": self.answers,
                          "sample": self.sample}), flush=True)


MODES = [name[5:] for name in vars(Attacker) if name.startswith("mode_")]


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        config = json.load(file)
    os.nice(19)  # the daemons come first: its machine would be another one
    Attacker(config).run()


if __name__ == "__main__":
    main()
