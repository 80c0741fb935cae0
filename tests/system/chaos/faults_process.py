"""Programs that are killed or stopped, boards that freeze or sleep, cards lost and rolled back."""

import glob
import os
import shutil
import time

from cluster import now_ns, wait_until

from .schedule import action
from .stage import RESOURCES


def kill_some(stage, names, span, kind):
    names = [n for n in names if n]
    if not names:
        return None
    stage.kill(names, span, kind)
    return f"{', '.join(names)} for {span:.2f} s"


def guards(stage):
    return [f"{b}-guard" for b in stage.cluster.boards]


@action("kill agent", 6)
def kill_agent(stage, step):
    return kill_some(stage, [stage.pick(stage.cluster.boards, step.first)], step.span, "kill agent")


@action("kill guard", 5)
def kill_guard(stage, step):
    return kill_some(stage, [stage.pick(guards(stage), step.first)], step.span, "kill guard")


@action("kill gateway", 4)
def kill_gateway(stage, step):
    return kill_some(stage, [stage.pick([f"{b}-gateway" for b in stage.cluster.boards],
                                        step.first)], step.span, "kill gateway")


@action("kill board", 7)
def kill_board(stage, step):
    board = stage.cluster.boards[step.first % len(stage.cluster.boards)]
    return kill_some(stage, stage.cluster.board_processes(board), step.span, "kill board")


@action("kill driver", 4)
def kill_driver(stage, step):
    board = stage.cluster.driver(stage.resource(step))
    return board and kill_some(stage, stage.cluster.board_processes(board), step.span,
                               "kill driver")


@action("kill issuer", 7)
def kill_issuer(stage, step):
    return kill_some(stage, [stage.pick(stage.members, step.first)], step.span, "kill issuer")


@action("kill leader", 7)
def kill_leader(stage, step):
    return kill_some(stage, [stage.leader()], step.span, "kill leader")


@action("kill two", 4)
def kill_two(stage, step):
    everything = stage.members + stage.cluster.boards
    two = {stage.pick(everything, step.first), stage.pick(everything, step.second)}
    return kill_some(stage, sorted(n for n in two if n), step.span, "kill two")


@action("kill all issuers", 1)
def kill_all_issuers(stage, step):
    return kill_some(stage, [i for i in stage.members if i in stage.cluster.processes], step.span,
                     "kill all issuers")


def stop_some(stage, names, span, kind):
    done = stage.stop([n for n in names if n], span, kind)
    return f"{', '.join(done)} for {span:.2f} s" if done else None


@action("stop agent", 6)
def stop_agent(stage, step):
    return stop_some(stage, [stage.pick(stage.cluster.boards, step.first)], step.span, "stop agent")


@action("stop guard", 4)
def stop_guard(stage, step):
    return stop_some(stage, [stage.pick(guards(stage), step.first)], step.span, "stop guard")


@action("stop issuer", 6)
def stop_issuer(stage, step):
    return stop_some(stage, [stage.pick(stage.members, step.first)], step.span, "stop issuer")


@action("stop leader", 5)
def stop_leader(stage, step):
    return stop_some(stage, [stage.leader()], step.span, "stop leader")


def whole_host(stage, number):
    """A host of which nothing is away, or None."""
    hosts = [h for h in stage.cluster.clocks if stage.host_processes(h) and
             not any(n in stage.away for n in stage.host_processes(h))]
    return hosts[number % len(hosts)] if hosts else None


@action("freeze host", 7)
def freeze_host(stage, step):
    """All of its programs stand; its clocks go on."""
    host = whole_host(stage, step.first)
    return host and stop_some(stage, stage.host_processes(host), step.span, "freeze host")


@action("sleep", 4)
def sleep(stage, step):
    """As a suspended board: the raw clock and MONOTONIC stand, BOOTTIME alone goes on."""
    host = whole_host(stage, step.first)
    if host is None:
        return None
    names, clock = stage.host_processes(host), stage.cluster.clocks[host]
    span = max(step.span, 0.05)
    done = stage.stop(names, span, "sleep", clock.wake)
    if len(done) < len(names):
        return f"{host} for {span:.2f} s; not all of it could be stopped, so that it only stood"
    clock.fall_asleep()
    return f"{host} for {span:.2f} s"


@action("cut off", 4)
def stand_alone(stage, step):
    """All issuers but one stand or die at once, and come back one after the other."""
    here = stage.running(stage.members)
    if len(here) < 3:
        return None
    kept = here.pop(step.first % len(here))
    for number, issuer in enumerate(here):
        span = step.span * (number + 1) / 2
        if step.second >> number & 1:
            stage.kill([issuer], span, "issuers die together")
        else:
            stage.stop([issuer], span, "issuers stand together")
    return f"{kept} alone for {step.span / 2:.2f} s"


# ---- cards


def empty(stage, issuer):
    for path in glob.glob(stage.cluster.path(issuer, "data", "*")):
        os.unlink(path)
    stage.lost[issuer] = time.time()
    stage.mark(issuer, "lost")


@action("wipe", 5)
def wipe(stage, step):
    issuer = stage.pick(stage.members, step.first)
    if issuer is None or issuer in stage.lost or stage.changing or \
            len(stage.lost) + len(stage.broken) >= stage.minority():
        return None
    stage.kill([issuer], step.span / 4, "wipe", lambda: empty(stage, issuer))
    return f"{issuer}, back in {step.span / 4:.2f} s"


@action("wipe again", 4)
def wipe_again(stage, step):
    lost = [i for i in sorted(stage.lost) if i in stage.cluster.processes]
    if not lost:
        return None
    issuer = lost[step.first % len(lost)]
    stage.kill([issuer], step.span / 8, "wipe again", lambda: empty(stage, issuer))
    return f"{issuer}, in the middle of its recovery"


@action("disk", 7)
def disk(stage, step):
    """An issuer's disk is slow, or fails in one of its ways; then it is mended, and the issuer restarted."""
    issuer = stage.pick([i for i in stage.members if i not in stage.broken], step.first)
    if issuer is None or issuer in stage.lost or stage.changing or \
            len(stage.lost) + len(stage.broken) >= stage.minority():
        return None
    error, file = stage.cluster.disk_error[issuer], stage.cluster.path(f"{issuer}.fault")
    harmless = error in ("SLOW", "SHORT")
    fault = stage.fault(f"disk {error}", () if harmless else stage.costs_of([issuer]))
    open(file, "wb").close()
    stage.broken.add(issuer)
    if not harmless:
        stage.mark(issuer, "cut")

    def mend():
        stage.look_after()  # it may have ended because of its disk
        if os.path.exists(file):
            os.unlink(file)
        stage.broken.discard(issuer)
        if not harmless:
            if issuer in stage.cluster.processes:
                stage.cluster.kill(issuer)
                stage.mark(issuer, "down")
            stage.start(issuer)
            stage.mark(issuer, "joined")
        fault.over()
    stage.later(step.span, mend)
    return f"{issuer}: {error} for {step.span:.2f} s"


@action("roll back", 2, calm=True)
def roll_back(stage, step):
    """An older copy of a card comes back; or, if there is none yet, a copy is taken."""
    if stage.changing or not stage.calm():
        return None
    followers = [i for i in stage.running(stage.members) if i != stage.leader()]
    issuer = followers[step.first % len(followers)]
    data, image = stage.cluster.path(issuer, "data"), stage.cluster.path(f"{issuer}.image")
    fault = stage.fault("roll back", stage.costs_of([issuer]))
    stage.cluster.kill(issuer)
    stage.mark(issuer, "down")
    if issuer not in stage.images:
        shutil.rmtree(image, ignore_errors=True)  # of its life before it was removed
        shutil.copytree(data, image)
        stage.images[issuer] = image
        stage.start(issuer)
        fault.over()
        return f"{issuer}: a copy is taken"
    shutil.rmtree(data)
    shutil.copytree(image, data)
    shutil.rmtree(stage.images.pop(issuer))
    stage.mark(issuer, "lost")
    since = time.time()
    stage.start(issuer)

    def caught_up():
        stage.look_after()
        rows = stage.operator.progress(issuer)
        return rows and rows[0]["match"] is not None and rows[0]["role"] == "voter" and \
            rows[0]["match"] >= rows[1]["match"]
    try:
        wait_until(caught_up, 10, poll=0.05)
    except AssertionError:
        stage.trouble.append(f"{issuer}, rolled back, has not caught up within 10 s")
    found = stage.logs.logs[issuer].read().said("recover", since)
    stage.mark(issuer, "whole")
    fault.over()
    return f"{issuer}: the copy is back, {'found out' if found else 'caught up'}"


@action("weld", 2, calm=True)
def weld(stage, step):
    """
    The driving board's relay sticks, and a transfer is asked for: it must not overlap. What was told
    to be stuck stays held, whoever dies afterwards.
    """
    resource = stage.resource(step)
    if stage.changing or not stage.calm():
        return None
    board = stage.cluster.driver(resource)
    others = [b for b in RESOURCES[resource] if b != board]
    if board is None or not others:
        return None
    line = f"{resource}/enable"
    fault = stage.fault("weld", RESOURCES[resource])
    stage.welds.append([fault.begin, None, board, resource])
    stage.cluster.bench_ctl("stuck", "relay", board, line, "on")
    act = stage.operator.ask(stage.leader() or stage.members[0], ["transfer", resource, others[0]])
    dies = [[], [stage.leader()], [board], [board, f"{board}-guard"], list(stage.members)][
        step.second % 5]
    if act.outcome == "refused" and "stuck" in str(act.answer):
        stage.kill([n for n in dies if n], 0.3 + step.span / 4, "weld, then kill")
    stage.rest(2.5 * stage.ttl_ms / 1000 + 0.5)
    stage.settle()
    stage.cluster.bench_ctl("stuck", "relay", board, line, "none")
    stage.welds[-1][1] = now_ns()
    stage.rest(0.5)
    clear = stage.operator.ask(board, ["fault", "clear", resource])
    if step.first // 7 % 2 and clear.outcome == "done":
        stage.kill([board], 0.05, "weld, then kill")  # before it can say that all is off again
        stage.rest(1)
        stage.operator.ask(stage.leader() or stage.members[0], ["fault", "clear", resource, board])
    fault.over()
    return f"{resource} at {board}; transfer: {act.outcome}; then died: {', '.join(map(str, dies))}"
