"""The shipped sysusers, tmpfiles and udev files, by the tools that read them on a board: in a scratch folder,
and where one needs to be somebody else, in namespaces that show it nothing of this machine."""

import os
import re
import shlex
import shutil
import signal
import stat
import subprocess
import tempfile
import time

from cluster import BIN, ROOT, run_tests

RULES = os.path.join(ROOT, "firmware", "udev", "99-holdfast.rules")
TOOLS = {"systemd-sysusers": "systemd", "systemd-tmpfiles": "systemd", "udevadm": "udev"}
# syspath -> what its uevent file says, and its subsystem: devices as a Raspberry Pi shows them, and others.
OURS = {
    "platform/soc/3f200000.gpio/gpiochip0": ("gpiochip0", "bus/gpio"),
    "platform/soc/soc:firmware/gpiochip17": ("gpiochip17", "bus/gpio"),
    "virtual/watchdog/watchdog0": ("watchdog0", "class/watchdog"),
    "virtual/watchdog/watchdog1": ("watchdog1", "class/watchdog"),
    "virtual/misc/watchdog": ("watchdog", "class/misc"),
}
OTHERS = {"virtual/misc/watchdogd": ("watchdogd", "class/misc"), "virtual/mem/null": ("null", "class/mem")}


def run(command, **more):
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=60, check=False, **more)


def lacks(*tools):
    """True, and the cause is told, where this machine has not got them."""
    for tool in tools:
        if shutil.which(tool) is None:
            print(f"skipped: {tool} is not there: Debian's package {TOOLS[tool]}")
            return True
    return False


def in_namespaces(script):
    """The script as a root who is none, with mounts of its own."""
    return run(["unshare", "--user", "--map-root-user", "--mount", "sh", "-euc", script])


def no_namespaces():
    tried = in_namespaces("true")
    if tried.returncode != 0:
        print(f"skipped: no user namespaces here: {tried.stdout.strip()}")
    return tried.returncode != 0


class Scratch:
    """A board's file system with the shipped files in it, and its users made."""

    def __enter__(self):
        self.root = tempfile.mkdtemp(prefix="holdfast-shipped-")
        os.chmod(self.root, 0o755)
        for folder in ("etc", "run", "var/lib", "dev"):
            os.makedirs(self.path(folder))
        for kind in ("sysusers", "tmpfiles"):
            os.makedirs(self.path(f"usr/lib/{kind}.d"))
            shutil.copy(os.path.join(ROOT, "firmware", kind, "holdfast.conf"), self.path(f"usr/lib/{kind}.d"))
        made = run(["systemd-sysusers", f"--root={self.root}"])
        assert made.returncode == 0, made
        for name in ("etc/shadow", "etc/gshadow"):  # of mode 0000, which keeps out who is not root
            os.chmod(self.path(name), 0o600)
        self.users = {fields[0]: fields for fields in self.table("passwd")}
        self.groups = {fields[0]: fields for fields in self.table("group")}
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.root)

    def path(self, name):
        return os.path.join(self.root, name)

    def table(self, name):
        with open(self.path(f"etc/{name}"), encoding="ascii") as file:
            return [line.rstrip("\n").split(":") for line in file]

    def uid(self, name):
        return int(self.users[name][2])

    def gid(self, name):
        return int(self.groups[name][2])


def sysusers_makes_two_users_and_one_group_for_devices():
    if lacks("systemd-sysusers"):
        return
    with Scratch() as board:
        assert set(board.users) == {"holdfast", "holdfast-guard"}, board.users
        assert all(user[6].endswith("/nologin") for user in board.users.values()), board.users
        members = {name: fields[3] for name, fields in board.groups.items()}
        assert members == {"holdfast": "holdfast-guard", "holdfast-guard": "", "holdfast-io": "holdfast-guard"}, members
        again = run(["systemd-sysusers", f"--root={board.root}"])
        assert again.returncode == 0 and again.stdout == "", again
        with open(board.path("etc/shadow"), encoding="ascii") as file:
            assert all(line.split(":")[1].startswith("!") for line in file), "a user has a password"


def made_directories(board):
    """What systemd-tmpfiles makes of the shipped file; None where only root may give a directory away."""
    made = run(["systemd-tmpfiles", f"--root={board.root}", "--create"])
    if os.geteuid() != 0:
        assert "Operation not permitted" in made.stdout, made
        print("skipped: systemd-tmpfiles can't give a directory to another user unless it is root")
        return None
    assert made.returncode == 0 and made.stdout == "", made
    found = {}
    for name in ("run/holdfast", "var/lib/holdfast"):
        told = os.stat(board.path(name))
        found[name] = (told.st_uid, told.st_gid, stat.S_IMODE(told.st_mode))
    return found


def tmpfiles_makes_both_directories_for_both_users():
    if lacks("systemd-sysusers", "systemd-tmpfiles"):
        return
    with Scratch() as board:
        found = made_directories(board)
        if found is None:
            return
        owner, group = board.uid("holdfast"), board.gid("holdfast")
        assert found == {"run/holdfast": (owner, group, 0o2775), "var/lib/holdfast": (owner, group, 0o2770)}, found
        # Again, after somebody opened them to all: as they were.
        for name in found:
            os.chmod(board.path(name), 0o777)
        assert made_directories(board) == found


CONF = """node = {{ id = "solo"; data_dir = "{root}/var/lib/holdfast"; run_dir = "{root}/run/holdfast"; }};
cluster = {{ name = "shipped"; issuers = ( {{ id = "other"; address = "127.0.0.1:9"; }} ); }};
tls = {{ ca = "ca.crt"; cert = "solo.crt"; key = "solo.key"; }};
agent = {{ resources = ( {{ name = "pump"; ttl_ms = 1000; release_ms = 50;
    outputs = ( {{ name = "enable"; kind = "pulse"; chip = "no-chip"; line = 1; rate_hz = 100; hold_ms = 40; }} ); }} ); }};
watchdog = {{ device = "{root}/no-watchdog"; timeout_ms = 2000; }};
hal = {{ backend = "linux"; }};
"""


def board_configuration(board):
    """A board of its own; its certificate is for the user of holdfastd alone."""
    path = board.path("etc/holdfast/holdfast.conf")
    os.makedirs(os.path.dirname(path))
    with open(path, "w", encoding="ascii") as file:
        file.write(CONF.format(root=board.root))
    ctl = os.path.join(BIN, "holdfastctl")
    folder = os.path.dirname(path)
    for words in (("init", "--cluster", "shipped"), ("issue", "--name", "solo", "--role", "node")):
        made = run([ctl, "pki", words[0], "--dir", folder, *words[1:]])
        assert made.returncode == 0, made
    os.chown(os.path.join(folder, "solo.key"), board.uid("holdfast"), -1)
    return path


def said_as(board, program, user, path, words):
    """What the program says, as that user with the groups that its user has on the board, until it has said the
    words or is done; then it is ended."""
    groups = [int(f[2]) for f in board.groups.values() if user in f[3].split(",")] + [int(board.users[user][3])]
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen([os.path.join(board.root, program), "-c", path, "-f"], stdin=subprocess.DEVNULL,
                                   stdout=log, stderr=log, user=board.uid(user), group=int(board.users[user][3]),
                                   extra_groups=groups)
        until = time.monotonic() + 20
        while process.poll() is None and words not in read_all(log) and time.monotonic() < until:
            time.sleep(0.02)
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(timeout=20)
        return read_all(log)


def read_all(file):
    return os.pread(file.fileno(), 1 << 20, 0).decode(errors="replace")


def both_daemons_take_exactly_these_directories():
    if lacks("systemd-sysusers", "systemd-tmpfiles"):
        return
    with Scratch() as board:
        if made_directories(board) is None:
            return
        for program in ("holdfastd", "holdfast-guard"):
            shutil.copy(os.path.join(BIN, program), board.root)
        path = board_configuration(board)
        # The guard complains of its directories before it looks for its devices, of which there are none.
        cases = (("holdfastd", "holdfast", "started in cluster"), ("holdfast-guard", "holdfast-guard", "no-chip"))
        for program, user, words in cases:
            said = said_as(board, program, user, path, words)
            assert words in said and "must be" not in said and "must not" not in said, (program, said)
        os.chmod(board.path("run/holdfast"), 0o2777)
        for program, user, _ in cases:
            said = said_as(board, program, user, path, "must not be writable by other users")
            assert "must not be writable by other users" in said, said
        os.chmod(board.path("run/holdfast"), 0o2775)
        os.chmod(board.path("var/lib/holdfast"), 0o2750)
        said = said_as(board, "holdfast-guard", "holdfast-guard", path, "var/lib/holdfast")
        assert "var/lib/holdfast" in said, said


def udev_of(board, rules, devices):
    """What udevadm says of each device when these rules are the only ones. Devices, group file, /dev and /run are
    the scratch folder's: `udevadm test` would else set the mode of a real device."""
    os.makedirs(board.path("rules"), exist_ok=True)
    with open(board.path("rules/99-holdfast.rules"), "w", encoding="ascii") as file:
        file.write(rules)
    for syspath, (name, subsystem) in devices.items():
        folder = board.path(f"sys/devices/{syspath}")
        os.makedirs(folder, exist_ok=True)
        os.makedirs(board.path(f"sys/{subsystem}"), exist_ok=True)
        with open(os.path.join(folder, "uevent"), "w", encoding="ascii") as file:
            file.write(f"MAJOR=254\nMINOR=0\nDEVNAME={name}\n")
        if not os.path.islink(os.path.join(folder, "subsystem")):
            os.symlink(os.path.relpath(board.path(f"sys/{subsystem}"), folder), os.path.join(folder, "subsystem"))
    mounts = (("rules", "/usr/lib/udev/rules.d"), ("etc/group", "/etc/group"), ("run", "/run"), ("sys", "/sys"), ("dev", "/dev"))
    hidden = [f"mount --rbind {shlex.quote(board.path(a))} {b}" for a, b in mounts]
    tests = [f"echo '== {name}'; udevadm test --action=add /sys/devices/{shlex.quote(syspath)} 2>&1"
             for syspath, (name, _) in devices.items()]
    told = in_namespaces("export SYSTEMD_DEVICE_VERIFY_SYSFS=0\n" + "\n".join(hidden + tests))
    assert told.returncode == 0, told
    parts = re.split(r"^== (.*)\n", told.stdout, flags=re.M)[1:]
    return dict(zip(parts[::2], parts[1::2]))


def complaints(said):
    return [line for line in said.splitlines() if re.search(r"99-holdfast\.rules:\d+ (?!(GROUP|MODE) )", line)]


def udev_gives_chips_and_watchdogs_to_the_guards_group_and_nothing_else():
    if lacks("systemd-sysusers", "udevadm") or no_namespaces():
        return
    with open(RULES, encoding="ascii") as file:
        rules = file.read()
    with Scratch() as board:
        said = udev_of(board, rules, {**OURS, **OTHERS})
        for name, text in said.items():
            assert "Reading rules file" in text and not complaints(text), text
            given = re.findall(r"99-holdfast\.rules:\d+ (GROUP|MODE) (\w+)$", text, re.M)
            ours = name in {n for n, _ in OURS.values()}
            wanted = [("GROUP", str(board.gid("holdfast-io"))), ("MODE", "0660")] if ours else []
            assert given == wanted, (name, given, text)
        # The tool would have said what is wrong.
        for broken in (rules.replace("GROUP=", "GROPU="), rules.replace("holdfast-io", "holdfast-oi")):
            said = udev_of(board, broken, dict(list(OURS.items())[:1]))
            assert all(complaints(text) for text in said.values()), said


def limits_name_the_user_that_sysusers_makes():
    if lacks("systemd-sysusers"):
        return
    with Scratch() as board:
        with open(os.path.join(ROOT, "firmware", "limits", "holdfast.conf"), encoding="ascii") as file:
            lines = [line.split() for line in file if not line.startswith("#")]
        assert {line[0] for line in lines} <= set(board.users), lines
        assert {(line[1], line[2], line[3]) for line in lines} == {("-", "rtprio", "49"), ("-", "memlock", "8192")}, lines


if __name__ == "__main__":
    raise SystemExit(run_tests([
        sysusers_makes_two_users_and_one_group_for_devices, tmpfiles_makes_both_directories_for_both_users,
        both_daemons_take_exactly_these_directories, udev_gives_chips_and_watchdogs_to_the_guards_group_and_nothing_else,
        limits_name_the_user_that_sysusers_makes]))
