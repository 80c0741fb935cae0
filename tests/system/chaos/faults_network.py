"""Cables that are cut in every way, lose, delay and reorder; and connections that are half open."""

import time

from .schedule import action
from .stage import ALL
from .wires import CUT

RECONNECT_S = 3.0  # until connections that a cut broke are there again, by TCP's and the peers' waits


def hosts_of(stage):
    return [h for h in stage.cluster.clocks if stage.host_processes(h)]


def spoil(stage, kind, pairs, span, hurt, costs, **how):
    """Spoils these pairs for a while; `hurt`: hosts whose issuer may be without the others then."""
    fault = stage.fault(kind, costs)
    mend = stage.cluster.wires.spoil(pairs, **how)
    for host in hurt:
        stage.mark(host, "cut")

    def heal():
        mend()
        fault.over()
        for host in hurt:
            stage.mark(host, "joined", time.time() + RECONNECT_S)
    stage.later(span, heal)


def around(stage, host, inwards=True, outwards=True, spared=("operator",)):
    others = [h for h in stage.cluster.hosts if h != host and h not in spared]
    return [(other, host) for other in others if inwards] + \
        [(host, other) for other in others if outwards]


def choose(stage, number):
    hosts = hosts_of(stage)
    return hosts[number % len(hosts)]


def boards_among(stage, hosts):
    return set(hosts) & set(stage.cluster.boards)


@action("unplug", 7)
def unplug(stage, step):
    host = choose(stage, step.first)
    spoil(stage, "unplug", around(stage, host), step.span, [host], boards_among(stage, [host]),
          loss_ppm=CUT)
    return f"{host} for {step.span:.2f} s"


@action("deaf", 4)
def deaf(stage, step):
    host = choose(stage, step.first)
    spoil(stage, "deaf", around(stage, host, outwards=False), step.span, [host],
          boards_among(stage, [host]), loss_ppm=CUT)
    return f"{host} for {step.span:.2f} s"


@action("mute", 4)
def mute(stage, step):
    host = choose(stage, step.first)
    spoil(stage, "mute", around(stage, host, inwards=False), step.span, [host],
          boards_among(stage, [host]), loss_ppm=CUT)
    return f"{host} for {step.span:.2f} s"


@action("cut one way", 5)
def cut_one_way(stage, step):
    a, b = choose(stage, step.first), choose(stage, step.second)
    if a == b:
        return None
    spoil(stage, "cut one way", [(a, b)], step.span, [a, b], boards_among(stage, [a, b]),
          loss_ppm=CUT)
    return f"{a} to {b} for {step.span:.2f} s"


@action("cut pair", 5)
def cut_pair(stage, step):
    a, b = choose(stage, step.first), choose(stage, step.second)
    if a == b:
        return None
    spoil(stage, "cut pair", [(a, b), (b, a)], step.span, [a, b], boards_among(stage, [a, b]),
          loss_ppm=CUT)
    return f"{a} and {b} for {step.span:.2f} s"


@action("cut from leader", 6)
def cut_from_leader(stage, step):
    """From the leader alone; all others hear it, and it them."""
    leader, host = stage.leader(), choose(stage, step.first)
    if leader is None or host == leader:
        return None
    pairs = [[(leader, host)], [(host, leader)], [(leader, host), (host, leader)]][step.second % 3]
    spoil(stage, "cut from leader", pairs, step.span, [host], boards_among(stage, [host, leader]),
          loss_ppm=CUT)
    return f"{' and '.join(f'{a} to {b}' for a, b in pairs)} for {step.span:.2f} s"


@action("split", 4)
def split(stage, step):
    """Two halves that do not hear each other; the bench belongs to both."""
    hosts = hosts_of(stage)
    one = [h for number, h in enumerate(hosts) if step.first >> number & 1]
    two = [h for h in hosts if h not in one]
    if not one or not two:
        return None
    pairs = [(a, b) for a in one for b in two] + [(b, a) for a in one for b in two]
    issuers = [sum(h in stage.members for h in side) for side in (one, two)]
    smaller = one if issuers[0] < issuers[1] else two
    spoil(stage, "split", pairs, step.span, smaller if issuers[0] != issuers[1] else hosts, [ALL],
          loss_ppm=CUT)
    return f"{', '.join(one)} | {', '.join(two)} for {step.span:.2f} s"


@action("loss", 6)
def loss(stage, step):
    host, percent = choose(stage, step.first), [1, 5, 15, 30, 50][step.second % 5]
    hurt = [host] if percent > 1 else []
    spoil(stage, f"loss {percent} %", around(stage, host), 2 * step.span, hurt,
          boards_among(stage, hurt), loss_ppm=percent * 10000)
    return f"{host}: {percent} % for {2 * step.span:.2f} s"


def late(stage, kind, host, step, **how):
    """On the wires to the bench less than an actuator's response may take: no more was promised."""
    field = {**how, "delay_us": min(how["delay_us"], stage.cluster.response_ms * 250),
             "jitter_us": min(how["jitter_us"], stage.cluster.response_ms * 150)}
    long = how["delay_us"] + how["jitter_us"] > stage.cluster.heartbeat_ms * 400
    hurt = [host] if long else []
    spoil(stage, kind, around(stage, host, spared=("operator", "bench")), 2 * step.span, hurt,
          boards_among(stage, hurt), **how)
    spoil(stage, f"{kind} in the field", [(host, "bench"), ("bench", host)], 2 * step.span, [], [],
          **field)


@action("delay", 6)
def delay(stage, step):
    host, ms = choose(stage, step.first), [2, 10, 50, 150, 400][step.second % 5]
    late(stage, "delay", host, step, delay_us=ms * 1000, jitter_us=ms * 500)
    return f"{host}: {ms} ms and half of it again for {2 * step.span:.2f} s"


@action("reorder", 5)
def reorder(stage, step):
    host, ms = choose(stage, step.first), [1, 3, 10, 40][step.second % 4]
    late(stage, "reorder", host, step, delay_us=200, jitter_us=ms * 1000, reorders=1)
    return f"{host}: within {ms} ms for {2 * step.span:.2f} s"


@action("half open", 5)
def half_open(stage, step):
    """A daemon dies and comes back while nothing gets out: the others keep dead connections."""
    host = choose(stage, step.first)
    if host not in stage.running([host]) or not stage.running([host]):
        return None
    span = max(step.span / 2, 0.2)
    spoil(stage, "half open", around(stage, host), span, [host], boards_among(stage, [host]),
          loss_ppm=CUT)
    stage.kill([host], span / 2, "half open, kill")
    return f"{host} for {span:.2f} s"


@action("field", 5)
def field(stage, step):
    """A board and its actuators do not hear each other, in one way or both, or lose half."""
    board = stage.cluster.boards[step.first % len(stage.cluster.boards)]
    pairs = [[(board, "bench")], [("bench", board)],
             [(board, "bench"), ("bench", board)]][step.second % 3]
    spoil(stage, "field", pairs, step.span, [], [], loss_ppm=[CUT, 500000][step.second // 3 % 2])
    return f"{board} and its actuator for {step.span:.2f} s"
