"""The shipped systemd units, by systemd's own tools, and what the daemons say to a service manager."""

import os
import re
import shutil
import signal
import socket
import tempfile

from cluster import ROOT, Cluster, run_tests, wait_until
from test_install import in_tree, install, run

NAMES = ("holdfastd", "holdfast-guard", "holdfast-gateway")
EXPOSURE_MAX = 2.0
HANG_S = 60


def lacks_tool():
    if shutil.which("systemd-analyze") is None:
        print("skipped: systemd-analyze is not there: Debian's package systemd")
        return True
    return False


def units():
    """Name -> path, as installed, so that the programs that they start are there."""
    if not hasattr(units, "folder"):
        units.folder = tempfile.mkdtemp(prefix="holdfast-units-")
        install(PREFIX=f"{units.folder}/usr", SYSCONFDIR=f"{units.folder}/etc")
    return {name: os.path.join(units.folder, "usr/lib/systemd/system", f"{name}.service") for name in NAMES}


def settings(name):
    """Key -> its values, in their order."""
    found = {}
    with open(units()[name], encoding="ascii") as file:
        for key, value in re.findall(r"^(\w+)=(.*)$", file.read(), re.M):
            found.setdefault(key, []).append(value)
    return found


def changed(name, change):
    """A copy of the unit that differs by that."""
    folder = os.path.join(units.folder, "changed")
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, os.path.basename(units()[name]))
    with open(units()[name], encoding="ascii") as file, open(path, "w", encoding="ascii") as out:
        out.write(change(file.read()))
    return path


def analyze(*words):
    return run(["systemd-analyze", "--no-pager", *words], env={**os.environ, "SYSTEMD_COLORS": "0"})


def systemd_has_nothing_to_complain_of():
    if lacks_tool():
        return
    assert [f"{name}.service" for name in sorted(NAMES)] == in_tree("firmware", "systemd")
    said = analyze("verify", "--man=no", *units().values())
    assert said.returncode == 0 and said.stdout + said.stderr == "", said
    # It would have said it.
    for name in NAMES:
        said = analyze("verify", "--man=no", changed(name, lambda text: text.replace("WatchdogSec=", "WatchDogSec=")))
        assert "WatchDogSec" in said.stderr, said


def exposure(path):
    said = analyze("security", "--offline=true", path)
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", said.stdout)
    assert found, said
    return float(found.group(1))


def exposure_is_low():
    if lacks_tool():
        return
    for name, path in units().items():
        level = exposure(path)
        print(f"figure: systemd-analyze security {name} {level} (at most {EXPOSURE_MAX})")
        assert level <= EXPOSURE_MAX, (name, level)
        open_wide = changed(name, lambda text: re.sub(r"^(CapabilityBoundingSet|SystemCallFilter|ProtectSystem)=.*\n", "",
                                                      text, flags=re.M))
        assert exposure(open_wide) > EXPOSURE_MAX, name


def each_unit_says_what_the_daemon_needs():
    for name in NAMES:
        unit = settings(name)
        assert unit["Type"] == ["notify"] and float(unit["WatchdogSec"][0]) >= 10, unit
        assert unit["ConditionPathExists"] == ["/etc/holdfast/holdfast.conf"], unit
        assert unit["RestartPreventExitStatus"] == ["74 78"] and unit["Restart"] == ["always"], unit
        assert unit["User"] == ["holdfast-guard" if name == "holdfast-guard" else "holdfast"], unit
        program, *words = unit["ExecStart"][0].split()
        assert program == f"{units.folder}/usr/sbin/{name}" and words == ["-f"], unit
        assert run([program, "--version"]).returncode == 0
        # The kernel's boot id, by which a lease page is known to be of this start, is in /proc/sys.
        assert "ProcSubset" not in unit, unit
        # Hooks, and who writes a guard's faults, are given the time that the daemon has.
        assert "KillMode" not in unit, unit
        # Whose files those are in RUN is judged by their user.
        assert "PrivateUsers" not in unit and "DynamicUser" not in unit, unit
    # Outputs off before an agent asks for a lease; at the end the guard is the last.
    assert set(settings("holdfast-guard")["Before"][0].split()) == {"holdfastd.service", "holdfast-gateway.service"}
    assert "holdfast-guard.service" in settings("holdfastd")["After"][0].split()
    assert {"holdfast-guard.service", "holdfastd.service"} < set(settings("holdfast-gateway")["After"][0].split())


def only_the_guard_has_devices_and_real_time_and_nothing_but_these():
    guard = settings("holdfast-guard")
    assert guard["LimitRTPRIO"] == ["49"] and guard["LimitMEMLOCK"] == ["8M"] and "RestrictRealtime" not in guard, guard
    assert guard["DevicePolicy"] == ["closed"] and "PrivateDevices" not in guard, guard
    assert guard["DeviceAllow"] == ["char-gpiochip rw", "char-watchdog rw", "/dev/watchdog rw"], guard
    assert guard["RestrictAddressFamilies"] == ["AF_UNIX"] and guard["PrivateNetwork"] == ["yes"], guard
    for name in NAMES:
        unit = settings(name)
        assert unit["CapabilityBoundingSet"] == [""] and unit["NoNewPrivileges"] == ["yes"], unit
        if name != "holdfast-guard":
            assert unit["PrivateDevices"] == ["yes"] and unit["RestrictRealtime"] == ["yes"], unit
            assert "DeviceAllow" not in unit and "LimitRTPRIO" not in unit, unit
    with open(os.path.join(ROOT, "firmware", "tmpfiles", "holdfast.conf"), encoding="ascii") as file:
        made = {f"-{line.split()[1]}" for line in file if line.startswith("d ")}
    for name in ("holdfastd", "holdfast-guard"):
        assert set(settings(name)["ReadWritePaths"][0].split()) == made, name
    assert "ReadWritePaths" not in settings("holdfast-gateway")


class Manager:
    """Hears what one daemon says, and asks for signs of life."""

    def __init__(self, cluster, name):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.name, self.cluster = name, cluster
        path = cluster.path(f"{name}.notify")
        self.socket.bind(path)
        self.heard, self.pids = [], set()
        cluster.preload[name] = {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "60000"}

    def listen(self):
        while True:
            try:
                words, told, _, _ = self.socket.recvmsg(256, 256)
            except BlockingIOError:
                return self.heard
            self.heard.append(words.decode())
            self.pids.add(int.from_bytes(told[0][2][:4], "little"))

    def wait_for(self, words, count=1):
        wait_until(lambda: self.listen().count(words) >= count, timeout=HANG_S, what=f"{self.name} says {words}")


def daemons_say_that_they_are_ready_alive_and_ending():
    cluster = Cluster(gateway=True)
    board = cluster.boards[0]
    managers = {program: Manager(cluster, name) for program, name in (
        ("guard", f"{board}-guard"), ("agent", board), ("gateway", f"{board}-gateway"),
        ("issuer", cluster.issuers[0]))}
    cluster.start_all()
    managers["guard"].wait_for("READY=1")
    assert os.path.exists(cluster.path(board, "run", "guard.sock")), "ready before there is a socket"
    managers["gateway"].wait_for("READY=1")
    socket.create_connection(cluster.gateway_address(board), timeout=HANG_S).close()
    for manager in managers.values():
        manager.wait_for("READY=1")
        manager.wait_for("WATCHDOG=1", count=3)
        assert manager.heard[0] == "READY=1" and manager.heard.count("READY=1") == 1, manager.heard[:5]
    # One that stands still says nothing, and goes on when it goes on.
    stopped = managers["gateway"]
    cluster.kill(stopped.name, number=signal.SIGSTOP)
    wait_until(lambda: "T (stopped)" in status_of(cluster.processes[stopped.name].pid), what="it is stopped")
    silent = len(stopped.listen())
    managers["agent"].wait_for("WATCHDOG=1", count=len(managers["agent"].listen()) + 5)
    assert len(stopped.listen()) == silent
    cluster.kill(stopped.name, number=signal.SIGCONT)
    stopped.wait_for("WATCHDOG=1", count=silent + 2)
    # Who writes its faults is told to end as well, and does not yet.
    guard = cluster.processes[managers["guard"].name].pid
    with open(f"/proc/{guard}/task/{guard}/children", encoding="ascii") as file:
        writer = int(file.read().split()[0])
    blocked = int(re.search(r"^SigBlk:\s*(\w+)$", status_of(writer), re.M).group(1), 16)
    assert blocked & 1 << (signal.SIGTERM - 1), hex(blocked)
    # In the order in which systemd stops them; each ends well, and tells so.
    for program in ("gateway", "agent", "guard", "issuer"):
        manager = managers[program]
        process = cluster.processes.pop(manager.name)
        manager.listen()  # a socket that nobody reads is full, and nothing is said then
        process.send_signal(signal.SIGTERM)
        wait_until(lambda: manager.listen() and process.poll() is not None, timeout=HANG_S, what=f"{program} ends")
        assert process.returncode == 0, (program, cluster.log(manager.name))
        assert manager.listen().count("STOPPING=1") == 1, (program, manager.heard[-3:])
        assert manager.pids == {process.pid}, "a child speaks for it"
    assert "stopped, outputs proven off" in cluster.log(managers["guard"].name)
    cluster.close()


def status_of(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return file.read()


if __name__ == "__main__":
    try:
        status = run_tests([systemd_has_nothing_to_complain_of, exposure_is_low, each_unit_says_what_the_daemon_needs,
                            only_the_guard_has_devices_and_real_time_and_nothing_but_these,
                            daemons_say_that_they_are_ready_alive_and_ending])
    finally:
        shutil.rmtree(getattr(units, "folder", ""), ignore_errors=True)
    raise SystemExit(status)
