"""What firmware/ ships for systemd's tools, as a board without systemd reads it.

A line or a key that is not known here fails, so that nothing of what is shipped is left out unseen.
"""

import os
import re
import shlex

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# Numbers of the shipped users and groups, in the order in which the shipped file names them.
FIRST_ID = 990
SERVICES = ("holdfast-guard", "holdfastd", "holdfast-gateway")  # in the order of their start


def read(*path):
    with open(os.path.join(*path), "rb") as file:
        return file.read()


def shipped(*path):
    return read(ROOT, "firmware", *path).decode()


def users():
    """What systemd-sysusers makes of the shipped file: name -> number, and the texts of passwd and group."""
    numbers, members, passwd = {"root": 0}, {}, ["root:x:0:0:root:/root:/bin/sh"]
    for line in shipped("sysusers", "holdfast.conf").splitlines():
        kind, *words = shlex.split(line, comments=True) or [""]
        if kind == "m":
            members.setdefault(words[1], []).append(words[0])
        elif kind:
            number = numbers[words[0]] = FIRST_ID + len(numbers) - 1
        if kind == "u":
            passwd.append(f"{words[0]}:x:{number}:{number}:{words[2]}:{words[3]}:/sbin/nologin")
    group = [f"{name}:x:{number}:{','.join(members.get(name, []))}" for name, number in numbers.items()]
    return numbers, "\n".join(passwd) + "\n", "\n".join(group) + "\n"


def device_rules():
    """The shipped udev rules, a line each: subsystem, name, group, mode."""
    lines = []
    for line in shipped("udev", "99-holdfast.rules").splitlines():
        keys = {key + sign: value for key, sign, value in re.findall(r'(\w+)(==|=)"([^"]*)"', line)}
        if keys and not line.startswith("#"):
            lines.append(" ".join(keys.pop(key) for key in ("SUBSYSTEM==", "KERNEL==", "GROUP=", "MODE=")))
            assert not keys, f"99-holdfast.rules: {keys}"
    return "\n".join(lines) + "\n"


# Of a unit: what supervise.c does; what the board is by itself (nothing else runs there, its root is in RAM, the
# order is that of SERVICES, all is mounted before); and systemd's own walls, which are left out but for
# NoNewPrivileges and the capabilities, which an ordinary user has not.
KEPT = {"ExecStart", "User", "TimeoutStartSec", "TimeoutStopSec", "WatchdogSec", "RestartSec",
        "RestartPreventExitStatus", "OOMScoreAdjust", "UMask"}
GIVEN = {"Type": "notify", "Restart": "always", "StartLimitIntervalSec": "0", "NoNewPrivileges": "yes",
         "CapabilityBoundingSet": "", "AmbientCapabilities": "",
         "ConditionPathExists": "/etc/holdfast/holdfast.conf"}
LIMITS = {"LimitRTPRIO": ("rtprio", "49"), "LimitMEMLOCK": ("memlock", "8M")}
LEFT = re.compile(r"Description|Documentation|After|Before|Wants|WantedBy|RequiresMountsFor|LimitCORE|Device\w+|"
                  r"Read\w+Paths|InaccessiblePaths|Private\w+|Protect\w+|Restrict\w+|RemoveIPC|Lock\w+|"
                  r"MemoryDenyWriteExecute|SystemCall\w+")


def unit(name):
    """A shipped unit's line for supervise.c: name user restart ready stop alive oom umask final command."""
    kept = {"OOMScoreAdjust": "0", "UMask": "0022"}
    for line in shipped("systemd", f"{name}.service").splitlines():
        if not line or line[0] in "#[":
            continue
        key, _, value = line.partition("=")
        if key in KEPT:
            kept[key] = value
        elif key in GIVEN:
            assert value == GIVEN[key], f"{name}.service: {line}"
        elif key in LIMITS:
            assert value == LIMITS[key][1], f"{name}.service: {line}; limits.d has another"
        else:
            assert LEFT.fullmatch(key), f"{name}.service: {line}: not known to the image's service manager"
    final = kept.get("RestartPreventExitStatus", "-").replace(" ", ",")
    command = kept["ExecStart"].replace("@SBINDIR@/", "")
    return " ".join((name, kept["User"], kept["RestartSec"], kept["TimeoutStartSec"], kept["TimeoutStopSec"],
                     kept["WatchdogSec"], kept["OOMScoreAdjust"], kept["UMask"], final, command))


def units():
    return "# name user restart ready stop alive oom umask final command\n" + \
        "\n".join(map(unit, SERVICES)) + "\n"
