"""What an emulated board boots: an initramfs (cpio, newc) and a data disk, made without root or mounts."""

import os
import re
import stat
import subprocess

from cluster import ROOT

HERE = os.path.dirname(os.path.abspath(__file__))
PARTS = os.path.join(ROOT, "build", "boards", "kernel")
BUILT = os.path.join(ROOT, "build", "boards")
MODULES = ("crc32c_generic", "ext4", "virtio_mmio", "virtio_console", "virtio_blk", "virtio_net",
           "i6300esb")
TRIPLETS = {"arm64": "aarch64-linux-gnu", "armhf": "arm-linux-gnueabihf"}
LOADERS = {"arm64": "ld-linux-aarch64.so.1", "armhf": "ld-linux-armhf.so.3"}
PROGRAMS = ("holdfastd", "holdfast-guard", "holdfastctl")
APPLETS = ("sh", "mount", "umount", "insmod", "ifconfig", "stty", "cat", "mkdir", "chmod", "sync",
           "usleep", "touch", "kill", "pidof", "ls", "ps", "dd", "df", "date", "rm", "dmesg", "sleep",
           "echo", "cp", "grep", "head", "uname", "mknod", "pgrep", "tail", "stat")


class Archive:
    """A cpio archive in the kernel's "newc" format. Archives one after the other are one to it."""

    def __init__(self):
        self.parts, self.size, self.names = [], 0, set()

    def _put(self, data):
        padding = b"\0" * (-len(data) % 4)
        self.parts.append(data + padding)
        self.size += len(data) + len(padding)

    def _entry(self, name, mode, data=b""):
        fields = (len(self.names) + 1, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
        head = b"070701" + b"".join(b"%08X" % f for f in fields)
        self._put(head + name.encode() + b"\0")
        self._put(data)
        self.names.add(name)

    def folder(self, name):
        parent = os.path.dirname(name)
        if parent and parent not in self.names:
            self.folder(parent)
        if name not in self.names:
            self._entry(name, stat.S_IFDIR | 0o755)

    def file(self, name, data, mode=0o644):
        self.folder(os.path.dirname(name)) if "/" in name else None
        self._entry(name, stat.S_IFREG | mode, data)

    def link(self, name, target):
        self.folder(os.path.dirname(name)) if "/" in name else None
        self._entry(name, stat.S_IFLNK | 0o777, target.encode())

    def data(self):
        self._entry("TRAILER!!!", 0)
        return b"".join(self.parts)


def read(*path):
    with open(os.path.join(*path), "rb") as file:
        return file.read()


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


def libraries(target, program):
    """Files of the sysroot that a program needs, by name."""
    folders = [os.path.join(ROOT, "build", "sysroot", target, *folder, TRIPLETS[target])
               for folder in (("lib",), ("usr", "lib"))]
    found, asked = {}, [program]
    while asked:
        text = subprocess.run(["readelf", "-d", asked.pop()], capture_output=True, text=True,
                              check=True).stdout
        for name in re.findall(r"\(NEEDED\).*\[(.*)\]", text):
            path = next(p for p in (os.path.join(f, name) for f in folders) if os.path.exists(p))
            if name not in found:
                found[name] = path
                asked.append(path)
    return found


def stripped(target, path):
    out = os.path.join(BUILT, f"{target}-{os.path.basename(path)}.{os.getpid()}")
    subprocess.run([f"{TRIPLETS[target]}-strip", "-o", out, path], check=True)
    data = read(out)
    os.remove(out)
    return data


def make_base(target):
    """Everything that all boards of a userland have in common, as the bytes of an archive."""
    archive = Archive()
    for folder in ("proc", "sys", "dev", "run", "data", "bin", "etc/holdfast", "modules", "tmp"):
        archive.folder(folder)
    archive.file("init", read(HERE, "guest", "init"), 0o755)
    archive.file("bin/services", read(HERE, "guest", "services"), 0o755)
    archive.file("bin/busybox", read(PARTS, "busybox"), 0o755)
    for applet in APPLETS:
        archive.link(f"bin/{applet}", "busybox")
    archive.file("bin/board-tool", read(BUILT, "board-tool"), 0o755)
    order = load_order(MODULES)
    for name in order:
        archive.file(f"modules/{name}.ko", read(PARTS, f"{name}.ko"))
    archive.file("modules/order", "\n".join(order).encode())
    needed = {}
    for program in PROGRAMS:
        path = os.path.join(ROOT, "build", target, "bin", program)
        archive.file(f"bin/{program}", stripped(target, path), 0o755)
        needed.update(libraries(target, path))
    for name, path in needed.items():
        if name != LOADERS[target]:
            archive.file(f"lib/{TRIPLETS[target]}/{name}", read(path), 0o755)
    archive.file(f"lib/{LOADERS[target]}",
                 read(ROOT, "build", "sysroot", target, "lib", LOADERS[target]), 0o755)
    return archive.data()


def make_initramfs(path, base, files):
    """`files`: name -> (text, mode), of one board."""
    own = Archive()
    for name, (text, mode) in files.items():
        own.file(name, text, mode)
    with open(path, "wb") as file:
        file.write(base + own.data())


def make_disk(path, megabytes=16):
    with open(path, "wb") as file:
        file.truncate(megabytes << 20)
    subprocess.run(["/sbin/mke2fs", "-q", "-t", "ext4", "-F", path], check=True)


def make_parts(targets):
    """Kernel, modules and tool, from Debian's packages and the source; fast when they are there."""
    subprocess.run([os.path.join(HERE, "parts.sh"), PARTS], check=True)
    source, out = os.path.join(HERE, "guest", "board_tool.c"), os.path.join(BUILT, "board-tool")
    if not os.path.exists(out) or os.path.getmtime(out) < os.path.getmtime(source):
        subprocess.run(["aarch64-linux-gnu-gcc", "-std=c11", "-D_GNU_SOURCE", "-O2", "-Wall",
                        "-Wextra", "-Werror", "-static",
                        f"--sysroot={os.path.join(ROOT, 'build', 'sysroot', 'arm64')}", "-o", out,
                        source], check=True)
    return {target: make_base(target) for target in targets}
