"""What happens to emulated boards, each with what must come of it.

A scenario gets a world in which one board drives and the others wait, and leaves it able to be so again.
Instants of faults are the guest's own, put on the host's clock; what boards drive is what the plant outside saw.
"""

import random
import re
import time

from cluster import now_ns, wait_until
from measure import ms

from . import image

# Takeovers are judged by the figure of `budget` and this much more, and by the time that a board waited for
# a processor of this computer, which no real board does. How much all that was is printed.
HEADROOM = 1.25
WAIT_S = 120.0  # only bounds a hang
SERVICE_S = 3.0  # of service, in which power may fail as in boot


class Missed(Exception):
    """The computer was so busy that the board had lost its lease before its fault: no trial at all."""


class Trial:
    """One scenario in one world, and the figures that it gave."""

    def __init__(self, world, name, tell):
        self.world, self.name, self.tell = world, name, tell
        self.driver, self.others, self.leader = world.steady()
        self.token = world.leases()["token"]
        self.bound = world.bound_ms()["resources"][0]["bound"]
        self.elections = self.count_elections()
        self.waited = {}  # since the fault

    def count_elections(self):
        return sum(board.log("daemon").count("raft: leader in term") for board in self.world.machines.values())

    @property
    def board(self):
        return self.world.machines[self.driver]

    def figure(self, what, value, unit="ms"):
        self.tell(self.world.kind, self.name, what, value, unit)

    def off(self, since, board=None):
        """When the plant saw the board, which drove then, stop driving; told as a figure."""
        self.waited = {name: board.waited_ns() for name, board in self.world.machines.items()}
        levels = [e["level"] for e in self.world.drives()
                  if e["board"] == (board or self.driver) and e["t_ns"] <= since]
        if not levels or not levels[-1]:
            raise Missed(f"{board or self.driver} did not drive any more")
        event = self.world.first_drive_after(since, [board or self.driver], 0, WAIT_S)
        self.figure("outputs off", ms(event["t_ns"] - since))
        return event["t_ns"]

    def takeover(self, since, among=None):
        """Another board drives, within the bound; that board."""
        event = self.world.first_drive_after(since, among or self.others, 1, WAIT_S)
        took = ms(event["t_ns"] - since)
        # Of the boards that were there all the while, the one that waited longest for a processor.
        waited = ms(max(board.waited_ns() - self.waited[name]
                        for name, board in self.world.machines.items()
                        if name != self.driver and board.process is not None))
        lost = self.count_elections() > self.elections
        bound = self.bound["leader_total_ms" if lost else "total_ms"]
        self.figure("takeover with the leader lost" if lost else "takeover", took)
        self.figure("of its bound", 100 * took / bound, "%")
        self.figure("a board waited for a processor", waited)
        assert took - waited <= HEADROOM * bound, f"takeover {took:.0f} ms, bound {bound:.0f} ms"
        self.told()
        return event["board"]

    def told(self):
        """The operator is told who drives, under a token that is higher, and how that came."""
        def look():
            lease, driver = self.world.leases(), self.world.driver()
            return lease if lease and driver and lease["holder"] == driver else None
        lease = wait_until(look, WAIT_S, "the leases name who drives", poll=0.5)
        assert lease["token"] > self.token, (lease, self.token)
        rows = self.world.ctl(lease["leader"], "history")["history"]
        grants = [row for row in rows if row["event"] == "grant" and row["token"] == lease["token"]]
        assert [row["holder"] for row in grants] == [lease["holder"]], rows

    def keeps(self, since):
        """The driver has driven all the while."""
        drops = [e for e in self.world.drives() if e["board"] == self.driver and e["t_ns"] > since
                 and e["level"] == 0]
        if drops or self.world.driver() != self.driver:
            raise Missed(f"{self.driver} was dropped: {drops}")

    def lines(self, name, after=0):
        """A board's lease log so far, from this character on."""
        return self.world.machines[name].log("lease")[after:]

    def awaits(self, name, pattern, what):
        """Until a board's lease log has more lines that this finds."""
        after = len(self.lines(name))
        wait_until(lambda: re.search(pattern, self.lines(name, after), re.S), WAIT_S, f"{name} {what}", poll=0.1)

    def renews(self, times=1):
        """The driver has asked for so many renewals since, and got them."""
        self.awaits(self.driver, times * '"ev":"renew",.*?"ev":"renewed",.*?', "renews")

    def resource(self, board=None):
        """What the operator sees of a board's guard."""
        return self.world.ctl(board or self.driver, "guard")["resources"][0]

    def operate(self, *words, at=None):
        """An operator's act: what holdfastctl said. Where a slow board's console was not reached, once more."""
        result = wait_until(lambda: next((r for r in [self.world.ctl(
            at or self.leader, *words, role="operator", check=False)] if r.returncode != 3), None),
                            WAIT_S, f"the console answers {words}", poll=0.5)
        return result.stdout + result.stderr


def edges_go_on(trial):
    """A pulse output pulses at its rate; a level output stands at 1."""
    pins, name = trial.world.pins, trial.driver
    before, at = pins.edges[name], now_ns()
    trial.renews(2)
    rate = (pins.edges[name] - before) / (now_ns() - at) * 1e9
    if trial.world.kind == "pulse":
        trial.figure("rising edges", rate, "a second")
        assert 0.5 * trial.world.rate_hz < rate < 1.1 * trial.world.rate_hz, rate
    else:
        assert rate == 0 and pins.last[name][0] == 1, pins.last


# ---- scenarios


def statuses(board, program, user):
    """/proc/PID/status of the program's processes, by PID; each is this user's, with no capability at all."""
    number, found = image.users()[0][user], {}
    for pid in board.shell.run(f"pidof {program}").split():
        text = found[pid] = board.shell.run(f"cat /proc/{pid}/status")
        assert f"\nUid:{chr(9)}{chr(9).join([str(number)] * 4)}\n" in text, (board.name, program, text)
        assert re.search(r"\nCapEff:\s+0+\n", text), (board.name, program, text)
    assert found, (board.name, program)
    return found


def grant_and_drive(trial):
    """With the shipped users, device rules, folders and limits: daemons without privileges, the guard on time."""
    for board in trial.world.machines.values():
        statuses(board, "holdfastd", "holdfast")
        guards = statuses(board, "holdfast-guard", "holdfast-guard")
        first = min(guards, key=int)  # the other one writes its record of faults
        locked = int(re.search(r"VmLck:\s+(\d+) kB", guards[first])[1])
        stat = board.shell.run(f"cat /proc/{first}/stat").rpartition(")")[2].split()
        assert locked > 0 and stat[37:39] == ["49", "1"], (board.name, locked, stat)  # proc(5): priority, policy
    edges_go_on(trial)
    seen = trial.resource()
    assert seen["guard"] == "driving" and seen["readback"] == "enable=on", seen
    for other in trial.others:
        assert trial.world.pins.last.get(other, (0,))[0] == 0
        assert trial.resource(other)["readback"] == "enable=off"


def agent_killed(trial):
    since = trial.board.kill(9, "holdfastd")
    trial.off(since)
    trial.takeover(since, trial.world.boards)


def guard_killed(trial):
    """Its service manager starts it again, which puts the line off: pl061 keeps driving till then."""
    since = trial.board.kill(9, "holdfast-guard")
    trial.off(since)
    trial.takeover(since, trial.world.boards)


def returns(trial, since, why):
    """The board was reset by its watchdog, boots, and waits again."""
    wait_until(lambda: trial.board.resets(since), WAIT_S, f"{trial.driver} is reset", poll=0.05)
    bites = trial.board.watchdogs(since)
    assert bites, f"{why}: reset, but not by the watchdog"
    trial.figure("watchdog bites", ms(bites[0] - since))
    trial.board.wait_up()
    trial.figure("back in service after", ms(now_ns() - since))


def guard_lost(trial):
    """Nobody starts it again: the watchdog resets the board."""
    trial.board.shell.run("touch /run/keep/holdfast-guard")
    since = trial.board.kill(9, "holdfast-guard")
    trial.off(since)
    trial.takeover(since)
    returns(trial, since, "the guard is gone")


def guard_stopped(trial):
    since = trial.board.kill(19, "holdfast-guard")
    trial.off(since)
    trial.takeover(since)
    returns(trial, since, "the guard stands still")


def kernel_panic(trial):
    since = trial.board.write("/proc/sysrq-trigger", "c")
    trial.off(since)
    trial.takeover(since)
    returns(trial, since, "the kernel has stopped")
    assert "Kernel panic" in trial.board.log("serial")


def hang_interrupts_off(trial):
    """Nothing runs on the board any more, no timer and no interrupt: the watchdog resets it."""
    since = trial.board.load("/modules/hang.ko")
    trial.off(since)
    trial.takeover(since)
    returns(trial, since, "the processor hangs")


def link_cut(trial):
    since = now_ns()
    trial.world.switch.cut_off(trial.driver)
    trial.off(since)
    trial.takeover(since)
    trial.world.switch.heal()


def link_one_way(trial):
    """The driving board hears all and is heard by nobody."""
    since = now_ns()
    trial.world.switch.cut(*((trial.driver, other) for other in trial.others))
    trial.off(since)
    trial.takeover(since)
    trial.world.switch.heal()


def leading_driver_loses_power(trial):
    if trial.leader != trial.driver:
        trial.operate("leader", "transfer", trial.driver)
        trial.driver, trial.others, trial.leader = trial.world.steady()
    if trial.leader != trial.driver:
        raise Missed("another issuer leads again")
    since = trial.board.power_off()
    trial.off(since)
    trial.takeover(since)
    trial.board.power_on()
    trial.board.wait_up()


def readback_stuck_off(trial):
    """The contact says off while the board drives: it gives up, another drives, and the fault is shown."""
    since = now_ns()
    trial.world.pins.force_readback(trial.board, 0)
    trial.off(since)
    trial.takeover(since)
    seen = trial.resource()
    assert seen["guard"] == "fault" and seen["fault"] == "stuck off", seen
    trial.world.pins.force_readback(trial.board, None)
    trial.operate("fault", "clear", "pump", at=trial.driver)


def clock_stepped(trial):
    """Wall time is for people: an hour forward, a day back, and the lease stays."""
    since = now_ns()
    for step in ("+3600", "-86400"):
        trial.board.shell.run(f"date -s @$(( $(date +%s) {step[0]} {step[1:]} ))")
        trial.renews()
    trial.keeps(since)
    assert trial.world.leases()["holder"] == trial.driver


def clock_slewed(trial):
    """
    The driver's CLOCK_MONOTONIC, by which its timers wake, runs a tenth fast, then a tenth slow: the lease goes
    by the raw clock and stays, the operator is told of the same one, and the lease ends in time.
    """
    since, sleeps = now_ns(), trial.board.log("guard").count("suspended")
    try:
        for ppm in (100000, -100000):
            trial.board.shell.run(f"board-tool slew {ppm}")
            trial.renews(6)  # one a second: they take longer than a TTL
            trial.keeps(since)
            lease = trial.world.leases()
            assert (lease["holder"], lease["token"]) == (trial.driver, trial.token), lease
            assert 0 < lease["left_ms"] <= trial.world.ttl_ms, lease
        # Cut off while its timers are slow: what ended late would be found in the history (S5).
        cut = now_ns()
        trial.world.switch.cut_off(trial.driver)
        trial.off(cut)
        trial.takeover(cut)
    finally:
        trial.world.switch.heal()
        trial.board.shell.run("board-tool slew 0")
    assert trial.board.log("guard").count("suspended") == sleeps, "a slewed clock was taken for sleep"


def disk_pulled(trial):
    """The leader's disk is gone while it runs: it says so, and a grant goes on by the others."""
    sick = trial.world.machines[trial.leader]
    device = sick.shell.run("basename $(readlink -f /sys/block/vda/device)").strip()
    sick.write("/sys/bus/virtio/drivers/virtio_blk/unbind", device)
    wait_until(lambda: sick.shell.run("ls /sys/block").split() == [], WAIT_S, "no disk", poll=0.5)
    heals(trial, sick)


def disk_read_only(trial):
    """The leader's file system finds an error and goes read-only: it says so, and a grant goes on by the others."""
    sick = trial.world.machines[trial.leader]
    # Not by sysrq: after that, ext4 answers fdatasync() with success and writes nothing.
    sick.write("/sys/fs/ext4/vda/trigger_fs_error", "test")
    wait_until(lambda: "ro," in sick.shell.run("grep /data /proc/mounts"), WAIT_S, "read-only", poll=0.5)
    heals(trial, sick)


def heals(trial, sick):
    """Of a leader whose disk takes nothing any more: it steps aside, and power off and on makes it well."""
    since = trial.board.kill(9, "holdfast-guard")  # the lease changes, which has to be written
    trial.off(since)
    trial.takeover(since, trial.world.boards)
    wait_until(lambda: "votes and answers no more" in sick.log("daemon"), WAIT_S, "the issuer says so", poll=0.5)
    at = sick.power_off()
    sick.power_on()
    sick.wait_up()
    trial.figure("healed by a power cycle after", ms(now_ns() - at))


def power_cut_in_boot(trial, cuts=10):
    """A standby's power fails at random instants of its boot and first seconds of service; the driver notices nothing."""
    since, seed = now_ns(), random.randrange(1 << 32)
    instants = random.Random(seed)
    victim = trial.world.machines[trial.others[0]]
    trial.figure(f"{cuts} cuts, seed", seed, "")
    for _ in range(cuts):
        victim.power_off()
        victim.power_on()
        time.sleep(instants.uniform(0.2, victim.boot_s + SERVICE_S))
    victim.power_off()
    victim.power_on()
    victim.wait_up()
    trial.world.steady()
    if trial.leader != trial.others[0]:
        trial.keeps(since)


def watchdog_missing(trial):
    """A board whose watchdog can't be armed drives nothing, and says why."""
    victim = trial.world.machines[trial.others[0]]
    victim.power_off()
    victim.watchdog = False
    victim.power_on()
    victim.wait_up()
    wait_until(lambda: "watchdog /dev/watchdog0: timeout" in victim.log("guard"), WAIT_S, "the guard says so",
               poll=0.2)
    since = now_ns()
    trial.world.machines[trial.driver].kill(9, "holdfastd")
    event = trial.world.first_drive_after(since, trial.world.boards, 1, WAIT_S)
    assert event["board"] != victim.name
    victim.power_off()
    victim.watchdog = True
    victim.power_on()
    victim.wait_up()


def disk_full(trial):
    """The leader's disk has no room left: its journal had been given its room before."""
    sick = trial.world.machines[trial.leader]
    sick.shell.run("dd if=/dev/zero of=/data/fill bs=64k", check=False)
    assert " 100% " in sick.shell.run("df /data")
    since = trial.board.kill(9, "holdfast-guard")
    trial.off(since)
    trial.takeover(since, trial.world.boards)
    status = trial.world.ctl(sick.name, "status")
    assert status["store"] == "good", status
    sick.shell.run("rm /data/fill && sync")  # for good: the next fault may be of this disk


def is_stuck(trial, board):
    """The leader has been told that an output is on though told off."""
    wait_until(lambda: (trial.world.leases() or {"stuck": ""})["stuck"] == board, WAIT_S,
               f"{board}'s stuck output is known", poll=0.5)


def reset_once(trial, victim, since):
    """A latched fault resets its board, and outlives that; when it was shown again. stays_up() goes with it."""
    wait_until(lambda: victim.watchdogs(since), WAIT_S, f"{victim.name} is reset", poll=0.05)
    victim.wait_up()
    fault = wait_until(lambda: next((r for r in trial.world.ctl(victim.name, "guard")["resources"]
                                     if r["guard"] == "fault"), None), WAIT_S, "the fault is shown", poll=0.5)
    assert fault["fault"] != "none", fault
    trial.figure("watchdog bites", ms(victim.watchdogs(since)[0] - since))
    return now_ns()


def stays_up(trial, victim, since, shown):
    """Since the fault was shown, the watchdog has had the time to bite again, and has not."""
    wait_until(lambda: now_ns() > shown + 1.5e6 * trial.world.watchdog_ms, WAIT_S, "time passes", poll=0.05)
    bites = victim.watchdogs(since)
    assert len(bites) == 1, f"{victim.name} was reset {len(bites)} times"


def nobody_follows(trial):
    """The old lease has ended, the others ask for it again and again, and wait."""
    def over():
        lease = trial.world.leases()
        return lease and lease["stuck"] and (not lease["holder"] or lease["left_ms"] <= 0)
    wait_until(over, WAIT_S, "the lease has ended", poll=0.5)
    for other in trial.others:
        trial.awaits(other, 2 * '"ev":"acquire",.*?"ev":"queued",.*?', "asks and waits")
    assert trial.world.driver() is None, "somebody drives beside a relay that is welded on"


def standby_welded(trial):
    """A standby's contact says on: it is held, who drives goes on, and one word of the operator ends it."""
    victim = trial.world.machines[trial.others[0]]
    since = now_ns()
    trial.world.pins.force_readback(victim, 1)
    shown = reset_once(trial, victim, since)
    is_stuck(trial, victim.name)
    stays_up(trial, victim, since, shown)
    trial.keeps(since)
    trial.world.pins.force_readback(victim, None)
    trial.operate("fault", "clear", "pump", at=victim.name)
    trial.world.steady()


def readback_stuck_on(trial):
    """The driver's contact says on after its drop: nobody follows until the operator says so."""
    since = now_ns()
    trial.world.pins.force_readback(trial.board, 1)
    # The operator's transfer is refused in the end, as it can't be proven that the board is off.
    asked = now_ns()
    answer = trial.operate("transfer", "pump", trial.others[0])
    assert "stuck on" in answer, answer
    trial.off(asked)
    shown = reset_once(trial, trial.board, since)
    is_stuck(trial, trial.driver)
    nobody_follows(trial)
    stays_up(trial, trial.board, since, shown)
    trial.world.pins.force_readback(trial.board, None)
    trial.operate("fault", "clear", "pump", at=trial.driver)
    trial.world.wait_driver(timeout=WAIT_S)


def gpio_driver_unbound(trial):
    """
    The chip's driver is taken from under the guard while the contact shows on: nothing proves that the output
    is off. A contact that is on for longer than the output may take to go off is told, and the resource is held
    until the operator says so, also after the reset. The watchdog resets a board sooner than its level output
    has to be off, and nothing is held; the fault is latched all the same.
    """
    since = trial.board.write("/sys/bus/amba/drivers/pl061_gpio/unbind", "9030000.pl061")
    off = trial.off(since)
    if trial.world.kind == "gpio":  # where its board led, the reset is when the leader was lost
        trial.takeover(off if trial.leader == trial.driver else since)
    shown = reset_once(trial, trial.board, since)
    if trial.world.kind == "pulse":
        is_stuck(trial, trial.driver)
        nobody_follows(trial)
    stays_up(trial, trial.board, since, shown)
    trial.operate("fault", "clear", "pump", at=trial.driver)
    trial.world.steady()


def suspended_to_idle(trial):
    """Suspended without an end: the watchdog, which goes on, resets the board."""
    since = trial.board.write("/sys/power/state", "freeze")
    trial.off(since)
    trial.takeover(since)
    returns(trial, since, "the board is suspended")


ALL = [grant_and_drive, agent_killed, guard_killed, guard_lost, guard_stopped, kernel_panic, hang_interrupts_off,
       link_cut, link_one_way, leading_driver_loses_power, readback_stuck_off, readback_stuck_on, standby_welded,
       clock_stepped, clock_slewed, disk_full, disk_read_only, disk_pulled, gpio_driver_unbound, suspended_to_idle,
       power_cut_in_boot, watchdog_missing]
