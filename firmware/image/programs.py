"""What a board runs, out of the build and Debian's packages: stripped, with the libraries that it needs."""

import os
import re
import subprocess

from .shipped import ROOT, read

HERE = os.path.dirname(os.path.abspath(__file__))
TRIPLETS = {"arm64": "aarch64-linux-gnu", "armhf": "arm-linux-gnueabihf"}
LOADERS = {"arm64": "ld-linux-aarch64.so.1", "armhf": "ld-linux-armhf.so.3"}


def libraries(folders, program):
    """Files of `folders` that a program needs, by name."""
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


def stripped(target, path, scratch):
    out = os.path.join(scratch, f"{target}-{os.path.basename(path)}.{os.getpid()}")
    subprocess.run([f"{TRIPLETS[target]}-strip", "-o", out, path], check=True)
    data = read(out)
    os.remove(out)
    return data


def add_programs(archive, target, programs, folders, scratch):
    """`programs`: name in the guest -> file; with the libraries that they need, of `folders`."""
    needed = {}
    for name, path in sorted(programs.items()):
        archive.file(name, stripped(target, path, scratch), 0o755)
        needed.update(libraries(folders, path))
    for name, path in sorted(needed.items()):
        if name != LOADERS[target]:
            archive.file(f"lib/{TRIPLETS[target]}/{name}", read(path), 0o755)
    loader = next(os.path.join(f, "..", LOADERS[target]) for f in folders
                  if os.path.exists(os.path.join(f, "..", LOADERS[target])))
    archive.file(f"lib/{LOADERS[target]}", read(loader), 0o755)


def compile_supervisor(target, scratch):
    out = os.path.join(scratch, f"{target}-supervise")
    subprocess.run([f"{TRIPLETS[target]}-gcc", "-std=c11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Werror",
                    *(("-D_FILE_OFFSET_BITS=64", "-D_TIME_BITS=64") if target == "armhf" else ()),
                    f"-ffile-prefix-map={ROOT}=.", f"--sysroot={os.path.join(ROOT, 'build', 'sysroot', target)}",
                    "-o", out, os.path.join(HERE, "board", "supervise.c")], check=True)
    return out


def unsigned(path):
    """A module of Debian's without its signature, which a slow processor takes long to check."""
    mark = b"~Module signature appended~\n"
    data = read(path)
    if not data.endswith(mark):
        return data
    size = int.from_bytes(data[-len(mark) - 4:-len(mark)], "big")
    return data[:-len(mark) - 12 - size]
