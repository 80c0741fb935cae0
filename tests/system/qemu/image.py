"""What an emulated board boots: an initramfs (cpio, newc) and a data disk, made without root or mounts."""

import os
import re
import subprocess
import sys

from cluster import ROOT

sys.path.insert(0, os.path.join(ROOT, "firmware"))
from image import programs  # noqa: E402
from image.cpio import Archive  # noqa: E402
from image.programs import LOADERS, TRIPLETS, compile_supervisor, unsigned  # noqa: E402,F401
from image.shipped import device_rules, read, shipped, users  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
PARTS = os.path.join(ROOT, "build", "boards", "kernel")
BUILT = os.path.join(ROOT, "build", "boards")
MODULES = ("crc32c_generic", "ext4", "virtio_mmio", "virtio_console", "virtio_blk", "virtio_net",
           "i6300esb")
HANGS = "softdog"  # is made to hang; nothing else loads it
PROGRAMS = ("holdfastd", "holdfast-guard", "holdfastctl")
APPLETS = ("sh", "mount", "umount", "insmod", "ifconfig", "stty", "cat", "mkdir", "chmod", "sync",
           "usleep", "touch", "kill", "pidof", "ls", "ps", "dd", "df", "date", "rm", "dmesg", "sleep",
           "echo", "cp", "grep", "head", "uname", "mknod", "pgrep", "tail", "stat", "chown", "chgrp",
           "basename", "readlink", "id")


def load_order(names):
    """The modules, each after those that its own text says it depends on."""
    order = []

    def add(name):
        if name in order:
            return
        for other in re.search(rb"\0depends=([^\0]*)\0", read(PARTS, f"{name}.ko"))[1].split(b","):
            if other:
                add(other.decode())
        order.append(name)
    for name in names:
        add(name)
    return order


def hanging(module):
    """
    A module of Debian's that, when it is loaded, masks all interrupts and goes round in one place: two
    instructions of its init_module() are others, behind the two that the kernel's tracer may write over.
    """
    masked_for_ever = bytes.fromhex("df4f03d5" "00000014")  # msr daifset, #15; b .
    path = os.path.join(PARTS, f"{module}.ko")
    text = subprocess.run(["readelf", "-SsW", path], capture_output=True, text=True, check=True).stdout
    value, section = re.search(r": ([0-9a-f]+) +\d+ FUNC +\w+ +\w+ +(\d+) init_module\n", text).groups()
    offset = re.search(rf"\[ *{section}\] +\S+ +PROGBITS +[0-9a-f]+ +([0-9a-f]+) ", text)[1]
    at = int(offset, 16) + int(value, 16) + 8
    data = unsigned(path)
    return data[:at] + masked_for_ever + data[at + len(masked_for_ever):]


def add_system(archive):
    """Debian's kernel modules and busybox, the guest's own files, and what firmware/ ships for a board."""
    for folder in ("proc", "sys", "dev", "run", "data", "bin", "etc/holdfast", "modules", "tmp", "var/lib", "usr"):
        archive.folder(folder)
    archive.file("init", read(HERE, "guest", "init"), 0o755)
    archive.file("bin/services", read(HERE, "guest", "services"), 0o755)
    archive.file("bin/busybox", read(PARTS, "busybox"), 0o755)
    for applet in APPLETS:
        archive.link(f"bin/{applet}", "busybox")
    archive.file("bin/board-tool", read(BUILT, "board-tool"), 0o755)
    order = load_order(MODULES)
    for name in order:
        archive.file(f"modules/{name}.ko", unsigned(os.path.join(PARTS, f"{name}.ko")))
    archive.file("modules/hang.ko", hanging(HANGS))
    archive.file("modules/order", "\n".join(order).encode())
    _, passwd, group = users()
    archive.file("etc/passwd", passwd.encode())
    archive.file("etc/group", group.encode())
    archive.file("etc/devices", device_rules().encode())
    archive.file("etc/tmpfiles", shipped("tmpfiles", "holdfast.conf").encode())
    archive.file("etc/limits", shipped("limits", "holdfast.conf").encode())


def add_programs(archive, target, files):
    """`files`: name in the guest -> file; with the libraries that they need, of the sysroot."""
    folders = [os.path.join(ROOT, "build", "sysroot", target, *folder, TRIPLETS[target])
               for folder in (("lib",), ("usr", "lib"))]
    programs.add_programs(archive, target, files, folders, BUILT)


def make_base(target):
    """Everything that all boards of a userland have in common, as the bytes of an archive."""
    archive = Archive()
    add_system(archive)
    files = {f"bin/{program}": os.path.join(ROOT, "build", target, "bin", program) for program in PROGRAMS}
    add_programs(archive, target, {**files, "bin/supervise": compile_supervisor(target, BUILT)})
    return archive.data()


def make_initramfs(path, base, files):
    """`files`: name -> (text, mode), or (text, mode, owner's number), of one board."""
    own = Archive()
    for name, (text, mode, *owner) in files.items():
        own.file(name, text, mode, *owner)
    with open(path, "wb") as file:
        file.write(base + own.data())


def make_disk(path, megabytes=16):
    with open(path, "wb") as file:
        file.truncate(megabytes << 20)
    subprocess.run(["/sbin/mke2fs", "-q", "-t", "ext4", "-F", path], check=True)


def make_tools():
    """Kernel, modules and tool, from Debian's packages and the source; fast when they are there."""
    subprocess.run([os.path.join(HERE, "parts.sh"), PARTS], check=True)
    source, out = os.path.join(HERE, "guest", "board_tool.c"), os.path.join(BUILT, "board-tool")
    if not os.path.exists(out) or os.path.getmtime(out) < os.path.getmtime(source):
        subprocess.run(["aarch64-linux-gnu-gcc", "-std=c11", "-D_GNU_SOURCE", "-O2", "-Wall",
                        "-Wextra", "-Werror", "-static",
                        f"--sysroot={os.path.join(ROOT, 'build', 'sysroot', 'arm64')}", "-o", out,
                        source], check=True)


def make_parts(targets):
    """What boards of these userlands boot."""
    make_tools()
    return {target: make_base(target) for target in targets}
