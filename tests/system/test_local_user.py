"""A user of the board's own system who is neither root nor Holdfast: locks, links and sockets that
are prepared for the daemons cost them nothing and reach nothing of theirs."""

import fcntl
import os
import re
import signal
import socket
import subprocess
import sys
import time

from cluster import BIN, Cluster, now_ns, run_tests, wait_until
from measure import primary_and_standby
from test_console import undisturbed

STRANGER = 64001


def become_a_stranger():
    os.setgroups([])
    os.setresgid(STRANGER, STRANGER, STRANGER)
    os.setresuid(STRANGER, STRANGER, STRANGER)


def refused_start(cluster, program, node):
    result = subprocess.run([os.path.join(BIN, program), "-c", cluster.conf(node)],
                            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20,
                            cwd=cluster.folder, check=False)
    assert result.returncode == 1, result
    return result.stderr


def a_run_directory_that_others_may_write_is_refused():
    cluster = Cluster()
    cluster.start_bench()
    run = os.path.join(cluster.folder, "board-a", "run")
    for mode, words in ((0o777, "must not be writable by other users, 0755 or stricter is allowed"),
                        (0o1777, "must not be writable by other users"),
                        (0o775, "must not be writable by its group")):
        os.chmod(run, mode)
        for program in ("holdfast-guard", "holdfastd"):
            said = refused_start(cluster, program, "board-a")
            assert re.search(rf"board-a/run: owned by user {os.geteuid()}, mode {mode:04o}: {words}",
                             said), said
    os.chmod(run, 0o755)
    cluster.close()


def a_planted_link_is_not_followed():
    cluster = Cluster()
    victim = os.path.join(cluster.folder, "victim")
    with open(victim, "w", encoding="ascii") as file:
        file.write("precious\n")
    cluster.start_all()
    primary, standby = primary_and_standby(cluster)
    # Of the board that waits: the history of the one that drives is judged.
    cluster.kill(standby)
    log = os.path.join(cluster.folder, standby, "run", "lease.log")
    os.unlink(log)
    os.symlink(victim, log)
    cluster.start_daemon(standby)
    wait_until(lambda: "run/lease.log: is a symbolic link, must be a regular file" in
               cluster.log(standby), what="it is told")
    with open(victim, encoding="ascii") as file:
        assert file.read() == "precious\n"
    for name in ("agent.lock", "guard.lock", "lease.page"):
        path = os.path.join(cluster.folder, primary, "run", name)
        mode = os.stat(path).st_mode & 0o777
        assert mode == (0o644 if name == "lease.page" else 0o600), f"{name}: mode {mode:04o}"
    # A lock that is a link: refused, and the file behind it stays.
    for program, name in (("holdfast-guard", "guard.lock"), ("holdfastd", "agent.lock")):
        board = next(b for b in cluster.boards if b != primary)
        cluster.kill(f"{board}-guard" if name == "guard.lock" else board)
        os.unlink(os.path.join(cluster.folder, board, "run", name))
        os.symlink(victim, os.path.join(cluster.folder, board, "run", name))
        assert "is a symbolic link" in refused_start(cluster, program, board)
    cluster.close()


def who_locks_the_guards_file_keeps_no_guard_out():
    """The file as older versions left it: everybody may open it, and so lock it."""
    if os.geteuid() != 0:
        print("skipped: another user's process needs root")
        return
    cluster = Cluster()
    os.chmod(cluster.folder, 0o755)
    locks = [os.path.join(cluster.folder, "board-a", "run", n) for n in ("guard.lock", "agent.lock")]
    ready, told = os.pipe()
    for path in locks:
        with open(path, "w", encoding="ascii"):
            os.chmod(path, 0o644)
    stranger = os.fork()
    if stranger == 0:
        become_a_stranger()
        held = [os.open(path, os.O_RDONLY) for path in locks]
        for number in held:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.write(told, b"x")
        parent = os.getppid()
        while os.getppid() == parent:
            time.sleep(0.1)
        os._exit(0)
    os.read(ready, 1)
    try:
        cluster.start_all()
        cluster.wait_driver()
        primary, _ = primary_and_standby(cluster)
        started = now_ns()
        # And at its socket it does not even get so far as to be refused.
        for _ in range(200):
            child = os.fork()
            if child == 0:
                become_a_stranger()
                end = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                try:
                    end.connect(os.path.join(cluster.folder, primary, "run", "guard.sock"))
                except PermissionError:
                    os._exit(0)
                os._exit(1)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        undisturbed(cluster, primary, started)
    finally:
        os.kill(stranger, signal.SIGKILL)
        os.waitpid(stranger, 0)
    assert cluster.close() == 0


def who_connects_to_the_guard_in_a_loop_costs_the_agent_nothing():
    """The agent's own user, even: neither its place nor, after a restart, its turn."""
    cluster = Cluster().start_all()
    primary, standby = primary_and_standby(cluster)
    started = now_ns()
    path = os.path.join(cluster.folder, primary, "run", "guard.sock")
    crowd = subprocess.Popen(
        [sys.executable, "-c",
         "import socket, sys\nkept = []\nwhile True:\n"
         " s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
         " s.settimeout(1)\n"
         " try:\n  s.connect(sys.argv[1])\n  kept.append(s)\n except OSError: pass\n"
         " del kept[:-32]\n", path],
        stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: now_ns() - started > 2e9, what="two seconds")
        undisturbed(cluster, primary, started)
        # Its agent restarts meanwhile, and gets its place again.
        at = len(cluster.log(f"{primary}-guard"))
        cluster.kill(primary)
        cluster.start_daemon(primary)
        wait_until(lambda: "agent: connected" in cluster.log(f"{primary}-guard")[at:], 5,
                   "the guard takes the agent")
        cluster.wait_driver()
    finally:
        crowd.kill()
        crowd.wait()
    assert cluster.close() == 0 and standby


if __name__ == "__main__":
    sys.exit(run_tests([
        a_run_directory_that_others_may_write_is_refused,
        a_planted_link_is_not_followed,
        who_locks_the_guards_file_keeps_no_guard_out,
        who_connects_to_the_guard_in_a_loop_costs_the_agent_nothing,
    ]))
