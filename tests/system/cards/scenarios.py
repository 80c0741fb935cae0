"""What boards that boot from a card must do. Each scenario is a function; __main__.py runs them."""

import random
import re

from cluster import now_ns, wait_until

from .card import SLOT_B, Card, state
from .machine import Machine
from .world import HANG_S

KERNEL = r"Starting kernel"
INIT = r"board: holdfast (\S+) on (\S+), slot (.), kernel"
SERVICE = r": in service$"


def lone(world, name, fill=False):
    """A machine without network and pins, on a card that nobody provisioned."""
    card = Card(world.image(), world.path(f"{name}.card"))
    if fill:
        card.fill_slot_b()
    return Machine(world.kind_of_board, name, 9, card, world.image("u-boot.bin"), world.folder)


# ---- without a cluster

def not_provisioned(world, tell):
    """It says what it waits for, goes on to, and is not reset for it."""
    machine = lone(world, "blank").power_on()
    machine.wait_for(r"not provisioned: no holdfast/board .*holdfastctl provision", HANG_S)
    machine.wait_for(r"not provisioned", HANG_S, after=machine.heard("not provisioned")[0] + 40)
    assert not machine.resets, "it was reset"
    machine.power_off()
    del tell


def half_provisioned(world, tell):
    """Each thing that is missing or wrong is named, with what to do."""
    whole = world.board_text("board-a")
    cases = (({"board": whole}, r"holdfast/holdfast.conf is missing.*holdfastctl provision"),
             ({"board": whole.replace("first=begin", "first=perhaps")}, r"first=perhaps, and must be begin or replace"),
             ({"board": whole.replace("/24", "")}, r"address=10.77.0.1 has no prefix length"))
    for number, (files, pattern) in enumerate(cases):
        machine = lone(world, f"half-{number}")
        if number:
            world.provision(machine.card, "board-a")
        machine.card.put(files)
        machine.power_on().wait_for(pattern, HANG_S)
        machine.power_off()
    del tell


def slots(world, tell):
    """What U-Boot makes of each slot state; only one case goes on to the system, the others end at the kernel."""
    damaged = bytearray(state(9, 0))
    damaged[100] ^= 1
    wiped = b"\xff" * 512
    cases = (  # name, the two sectors, the slot that boots, the sectors afterwards (None: as they were)
        ("A is good", (state(1, 0), wiped), "A", None),
        ("B is good", (state(1, 1), wiped), "B", None),
        ("second sector is newer", (state(1, 0), state(2, 1)), "B", None),
        ("first sector is newer", (state(258, 0), state(257, 1)), "A", None),
        ("newer sector is damaged", (bytes(damaged), state(2, 1)), "B", None),
        ("both are damaged", (bytes(damaged), wiped), "A", None),
        ("try B, tries left", (state(5, 0, 1, 2), wiped), "B", (state(5, 0, 1, 2), state(6, 0, 1, 1))),
        ("try B, last try", (state(5, 0, 1, 2), state(6, 0, 1, 1)), "B", (state(7, 0, 1, 0), state(6, 0, 1, 1))),
        ("try B, tries exhausted", (state(7, 0, 1, 0), state(6, 0, 1, 1)), "A", None),
        ("try A from B", (state(300, 1, 0, 3), wiped), "A", (state(300, 1, 0, 3), state(301, 1, 0, 2))),
    )
    machine = lone(world, "slots", fill=True)
    for name, before, letter, after in cases:
        machine.card.states(*before)
        booted = machine.power_on().wait_for(r"booting slot (.)", HANG_S)[1][1]
        machine.wait_for(KERNEL, HANG_S)
        machine.power_off()
        assert booted == letter, f"{name}: slot {booted} boots"
        assert machine.card.read_states() == list(after or before), f"{name}: sectors {machine.card.read_states()}"
    machine.power_on()
    assert machine.wait_for(INIT, HANG_S)[1][3] == "A"
    machine.power_off()
    # A slot that is empty or not to be read: the other one.
    machine.card.write(SLOT_B, b"\0" * (1 << 20))
    machine.card.states(state(1, 1), wiped)
    machine.power_on()
    assert machine.wait_for(INIT, HANG_S)[1][3] == "A"
    machine.power_off()
    del tell


# ---- a cluster

def seconds(machine):
    """Instants of a life, in seconds since its power came: kernel's start, its end, service."""
    return tuple(machine.heard(pattern)[0] for pattern in (KERNEL, INIT, SERVICE))


def begins(world, tell):
    """Three cards with first=begin: a cluster, and a lease; each step's time, of the board that got it."""
    world.start_all()
    holder = world.holder()
    machine = world.machines[holder]
    for node in world.nodes:
        assert world.machines[node].heard("first=begin: the cluster line-3 is begun"), node
        work = [world.machines[node].worked[found[1].string] for found in
                (world.machines[node].heard(pattern) for pattern in (KERNEL, INIT, SERVICE))]
        tell(f"{node}: seconds of a processor until the kernel starts, init, service",
             ", ".join(f"{value:.1f}" for value in work), "")
        kernel, init, service = seconds(world.machines[node])
        tell(f"{node}: power to kernel's start", kernel, "s")
        tell(f"{node}: kernel's own boot", init - kernel, "s")
        tell(f"{node}: init to service", service - init, "s")
    drive = next(e for e in world.drives() if e["level"] == 1)
    last = world.machines[world.nodes[-1]]
    since = (drive["t_ns"] - last.on_at) / 1e9
    kernel, init, _ = seconds(last)
    tell(f"power of the last board to granted lease ({holder}), of it the kernel's own boot {init - kernel:.1f} s", since, "s")
    tell("beyond the kernel's own boot", since - (init - kernel), "s")
    assert machine.heard("holdfast-guard is ready: outputs are off until there is a lease")


def logs_in(world, tell):
    """By the provisioned key alone; the clock is not of 1970; reading is all that can be done to the root."""
    node = world.nodes[0]
    text = world.ssh(node, "cat /etc/image; date +%Y; id -u; ls -l /etc/holdfast; ps -o user,args; cat /proc/mounts; "
                           "cat /sys/class/watchdog/watchdog0/timeout /sys/class/watchdog/watchdog0/state")
    assert "BOARD=qemu-" in text and re.search(r"^20[2-9]\d$", text, re.M), text
    assert re.search(r"-rw------- +1 holdfast +holdfast .* node.key", text), text
    for user, program in (("holdfast-guard", "holdfast-guard"), ("holdfast", "holdfastd"), ("holdfast", "holdfast-gateway")):
        assert re.search(rf"^{user[:8]}\S* +{program} -f$", text, re.M), (program, text)
    assert "holdfast-data" in text or "/data ext4 rw" in text, text
    assert text.endswith(f"{world.watchdog_ms // 1000}\nactive\n"), f"the guard's watchdog: {text[-40:]!r}"
    limits = world.ssh(node, "cat /proc/$(pidof holdfast-guard | cut -d' ' -f2)/limits; grep NoNewPrivs /proc/$(pidof holdfastd)/status")
    assert re.search(r"Max realtime priority +49 ", limits) and re.search(r"Max locked memory +8388608 ", limits), limits
    assert re.search(r"NoNewPrivs:\s1", limits), limits
    world.stranger_key()
    refused = world.ssh(node, "true", key="stranger", check=False)
    assert refused.returncode == 255 and "Permission denied (publickey)" in refused.stderr, refused.stderr
    del tell


def takes_over(world, tell):
    """The driver's power is cut: another board drives. Then it boots again, waits, and is no new cluster's."""
    driver = world.holder()
    machine, others = world.machines[driver], [n for n in world.nodes if n != driver]
    at = machine.power_off()
    second = world.holder(others)
    took = (world.first_drive_after(at, others, timeout=1)["t_ns"] - at) / 1e9
    bound = world.takeover_bound_s(second)
    tell(f"power cut to the other's drive (budget says {bound:.1f} s)", took, "s")
    assert took < 3 * bound, "on whatever else this computer does, three times the bound is too much"
    machine.power_on()
    machine.wait_for(SERVICE, HANG_S)
    assert not machine.heard("first=begin"), "it began again"
    wait_until(lambda: driver in world.waiters(others), HANG_S, f"{driver} waits for the lease", poll=0.5)
    assert not world.overlaps()


def restarts(world, tell):
    """By an operator, and a daemon that is killed; the guard is stopped last, the watchdog bites nobody."""
    driver = world.holder()
    node = next(n for n in world.nodes if n != driver)
    machine = world.machines[node]
    world.ssh(node, "kill -9 $(pidof holdfastd)")
    machine.wait_for(r"holdfastd was ended by Killed; it is started again in 2 s", HANG_S)
    began = now_ns()
    world.ssh(node, "reboot", check=False)
    machine.wait_for(r"restarting$", HANG_S)
    order = [found[1] for found in (re.search(r"(holdfast\S+) is stopped", line) for _, line in list(machine.lines)) if found]
    assert order == ["holdfast-gateway", "holdfastd", "holdfast-guard"], order
    machine.wait_for(SERVICE, HANG_S, after=(began - machine.on_at) / 1e9)
    assert len(machine.resets) == 1, machine.resets
    del tell


def data_lost(world, tell):
    """Power off, data partition wiped, first=replace: it comes back and knows what the others know."""
    driver = world.holder()
    node = next(n for n in world.nodes if n != driver)
    machine = world.machines[node]
    key = world.ssh(node, "dropbearkey -y -f /data/ssh/ed25519 | grep ssh-ed")
    machine.power_off()
    machine.card.wipe_data()
    machine.card.put({"board": world.board_text(node, "replace")})
    machine.power_on()
    machine.wait_for(r"data partition: it holds no file system", HANG_S)
    machine.wait_for(SERVICE, HANG_S)
    wait_until(lambda: node in world.waiters([driver]), HANG_S, f"{node} waits for the lease", poll=0.5)
    wait_until(lambda: world.has_recovered(node), HANG_S, f"{node} has a journal again", poll=0.5)
    world.forget_hosts()
    assert world.ssh(node, "dropbearkey -y -f /data/ssh/ed25519 | grep ssh-ed") != key
    # With first=begin, and the data lost once more: the mark on the card says that it began before.
    machine.power_off()
    machine.card.wipe_data()
    machine.card.put({"board": world.board_text(node, "begin")})
    machine.power_on()
    machine.wait_for(r"has begun its cluster before, and its journal is gone", HANG_S)
    machine.wait_for(SERVICE, HANG_S)
    wait_until(lambda: world.has_recovered(node), HANG_S, f"{node} has a journal again", poll=0.5)
    world.forget_hosts()
    assert not world.overlaps()
    del tell


def power_cuts(world, tell, cuts=3, seed=None):
    """At random instants of boot, the first boot of a new card among them: the next boot comes to service."""
    seed = random.randrange(1 << 32) if seed is None else seed
    tell("power cuts: seed", seed, "")
    chance = random.Random(seed)
    driver = world.holder()
    node = next(n for n in world.nodes if n != driver)
    machine = world.machines[node]
    machine.power_off()
    whole = seconds(world.machines[driver])[2]
    for count in range(cuts):
        if count == 0:
            machine = world.machines[node] = world.machine(node)  # as if flashed anew: it makes its key, and begins
        machine.power_on()
        instant = chance.uniform(0.3, 1.0) * whole
        wait_until(lambda: (now_ns() - machine.on_at) / 1e9 > instant, HANG_S, "the instant")
        machine.power_off()
        world.forget_hosts()
    machine.power_on()
    machine.wait_for(SERVICE, HANG_S)
    wait_until(lambda: world.has_recovered(node), HANG_S, f"{node} has a journal", poll=0.5)
    wait_until(lambda: node in world.waiters([driver]), HANG_S, f"{node} waits for the lease", poll=0.5)
    tell("power cuts in boot, and it boots", cuts, "")


ALONE = (not_provisioned, half_provisioned, slots)
TOGETHER = (begins, logs_in, takes_over, restarts, data_lost, power_cuts)
