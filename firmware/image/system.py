"""A board's system: the initramfs that is all of it, with daemons, drivers, and what the card's slot holds."""

import fnmatch
import glob
import os
import re
import struct

from . import boards, shipped
from .cpio import Archive
from .programs import TRIPLETS, add_programs, compile_supervisor, unsigned
from .shipped import ROOT, read

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAMS = ("holdfastd", "holdfast-guard", "holdfast-gateway", "holdfastctl")
DEBIAN = ("e2fsck", "mke2fs", "dropbear", "dropbearkey", "ntpd")
NTP_ID = 980
APPLETS = """awk base64 basename blkid cat chgrp chmod chown cmp cp cttyhack cut date dd df dmesg du echo env expr false
find findfs free grep halt head hexdump hostname id insmod ip kill killall ln logger ls lsmod md5sum mkdir mknod
modprobe more mount mv nc nslookup od pgrep pidof ping ping6 poweroff printf ps pwd readlink reboot rm rmdir rmmod sed
seq setsid sh sha256sum sleep sort stat stty sync sysctl tail tar tee test timeout top touch tr true umount uname uniq
uptime usleep vi wc wget which xargs xxd zcat [""".split()


def parts(target, *path):
    return os.path.join(ROOT, "build", "image", "parts", target, *path)


# ---- drivers

class Modules:
    """The kernel's modules by name (with _), what they say of themselves, and those of them that a board gets."""

    def __init__(self, target):
        self.paths = {os.path.basename(path)[:-3].replace("-", "_"): path for path in
                      glob.glob(parts(target, "*.ko"))}
        self.builtin = {os.path.basename(line)[:-3].replace("-", "_") for line in
                        read(parts(target, "modules.builtin")).decode().split()}
        self.said = {}
        self.chosen = set()

    def words(self, name, key):
        """What a module says under a key, e.g. its aliases."""
        if name not in self.said:
            self.said[name] = read(self.paths[name])
        return [word.decode() for word in re.findall(rb"\0%s=([^\0]*)" % key, self.said[name])]

    def needs(self, name):
        return [other.replace("-", "_") for text in self.words(name, b"depends") for other in text.split(",") if other]

    def add(self, name):
        name = name.replace("-", "_")
        if name in self.chosen or name in self.builtin:
            return
        if name not in self.paths:
            raise SystemExit(f"image: no module {name} in this kernel")
        self.chosen.add(name)
        for other in self.needs(name):
            self.add(other)

    def add_for(self, compatible):
        """Every driver of a device that a device tree names."""
        for name in sorted(self.paths):
            for alias in self.words(name, b"alias"):
                kind, _, pattern = alias.partition("T*C")
                if kind.startswith("of:N*") and (pattern in compatible or pattern.rstrip("C*") in compatible):
                    self.add(name)
                    break

    def put(self, archive, release):
        folder = f"lib/modules/{release}"
        for name in sorted(self.chosen):
            archive.file(f"{folder}/{name}.ko", unsigned(self.paths[name]))
        archive.file(f"{folder}/modules.dep", "".join(
            f"{name}.ko:{''.join(f' {other}.ko' for other in self.closure(name))}\n"
            for name in sorted(self.chosen)).encode())
        archive.file(f"{folder}/modules.alias", "".join(
            f"alias {alias} {name}\n" for name in sorted(self.chosen) for alias in self.words(name, b"alias")
            if " " not in alias).encode())

    def closure(self, name):
        """What is to be loaded before it; the first of them last, as depmod has it."""
        order = []

        def add(other):
            for further in self.needs(other):
                if further in self.chosen:
                    add(further)
                    if further not in order:
                        order.append(further)
        add(name)
        return list(reversed(order))


def compatible(path):
    """All `compatible` texts of a flattened device tree."""
    data = read(path)
    structs, strings = struct.unpack(">II", data[8:16])
    at, found = structs, set()
    while True:
        token, = struct.unpack(">I", data[at:at + 4])
        at += 4
        if token == 1:
            at = (data.index(b"\0", at) + 4) & ~3
        elif token == 3:
            size, name = struct.unpack(">II", data[at:at + 8])
            value = data[at + 8:at + 8 + size]
            at = (at + 8 + size + 3) & ~3
            start = strings + name
            if data[start:data.index(b"\0", start)] == b"compatible":
                found |= {word.decode() for word in value.split(b"\0") if word}
        elif token == 9:
            return found


def choose_modules(board):
    modules = Modules(board.target)
    for name in boards.EVERYWHERE + board.drivers:
        modules.add(name)
    if board.trees:
        modules.add_for(set().union(*(compatible(path) for path in trees(board))))
    return modules


def trees(board):
    return sorted(path for path in glob.glob(parts(board.target, "dtbs", "*.dtb"))
                  if any(fnmatch.fnmatch(os.path.basename(path), pattern) for pattern in board.trees.split()))


# ---- the initramfs

def initramfs(name, board, version, epoch, scratch):
    archive = Archive()
    for folder in ("proc", "sys", "dev", "run", "tmp", "data", "card", "bin", "var/lib/holdfast", "etc/holdfast", "root",
                   "usr", "run/openntpd"):
        archive.folder(folder)
    archive.link("sbin", "bin")
    archive.link("usr/bin", "../bin")
    archive.link("usr/sbin", "../bin")
    archive.link("var/run", "../run")
    for file in ("init", "console-shell"):
        archive.file("init" if file == "init" else f"bin/{file}", read(HERE, "board", file), 0o755)
    archive.file("bin/busybox", read(parts(board.target, "busybox")), 0o755)
    for applet in APPLETS:
        archive.link(f"bin/{applet}", "busybox")
    target = board.target
    programs = {f"bin/{p}": os.path.join(ROOT, "build", target, "bin", p) for p in PROGRAMS}
    programs.update({f"bin/{p}": parts(target, "root", "bin", p) for p in DEBIAN})
    programs["bin/supervise"] = compile_supervisor(target, scratch)
    folders = [parts(target, "root", *folder, TRIPLETS[target]) for folder in (("lib",), ("usr", "lib"))]
    add_programs(archive, target, programs, folders, scratch)
    choose_modules(board).put(archive, read(parts(target, "release")).decode().strip())
    _, passwd, group = shipped.users()
    archive.file("etc/passwd", (passwd + f"openntpd:x:{NTP_ID}:{NTP_ID}::/run/openntpd:/sbin/nologin\n").encode())
    archive.file("etc/group", (group + f"openntpd:x:{NTP_ID}:\n").encode())
    archive.file("etc/shells", b"/bin/sh\n")
    archive.file("etc/devices", shipped.device_rules().encode())
    archive.file("etc/tmpfiles", shipped.shipped("tmpfiles", "holdfast.conf").encode())
    archive.file("etc/limits", shipped.shipped("limits", "holdfast.conf").encode())
    archive.file("etc/units", shipped.units().encode())
    archive.link("etc/mtab", "/proc/mounts")
    archive.file("etc/image", f"BOARD={name}\nVERSION={version}\nBUILT_AT={epoch}\nWATCHDOG={board.watchdog}\n"
                 f"DRIVERS='{' '.join(boards.EVERYWHERE)}'\n".encode())
    return archive.data()
