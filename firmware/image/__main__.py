"""Makes the image of a board's card: python3 -m image BOARD --version V --epoch SECONDS [--out FOLDER]."""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import time

from . import boards, disk, system
from .shipped import ROOT, read


def boot_script(board, scratch, epoch):
    text = read(system.HERE, "board", "boot.cmd").decode()
    arguments = board.arguments + " panic=10 watchdog.open_timeout=30"
    for mark, value in (("SETUP", board.setup), ("ARGS", arguments), ("DTB", board.tree), ("BOOT", board.boot)):
        text = text.replace(f"@{mark}@", value)
    text = "".join(line.strip() + "\n" for line in text.splitlines() if not line.startswith("#"))
    source, out = os.path.join(scratch, "boot.cmd"), os.path.join(scratch, "boot.scr")
    with open(source, "w", encoding="ascii") as file:
        file.write(text)
    disk.run("mkimage", "-A", "arm", "-O", "linux", "-T", "script", "-C", "none", "-n", "holdfast", "-d", source, out,
             epoch=epoch)
    return read(out)


def part(board, source):
    """A part's bytes, or those of a text that stands for itself."""
    return source.encode() if "\n" in source else read(system.parts(board.target, source))


def make(name, board, version, epoch, folder):
    with tempfile.TemporaryDirectory(prefix="holdfast-image-") as scratch:
        slot = {"vmlinuz": read(system.parts(board.target, "vmlinuz")),
                "initrd": system.initramfs(name, board, version, epoch, scratch),
                "VERSION": f"{version} {name}\n".encode()}
        for path in system.trees(board):
            slot[f"dtbs/{os.path.basename(path)}"] = read(path)
        fat = {"boot.scr": boot_script(board, scratch, epoch), "holdfast/": None}
        fat.update({file: part(board, source) for file, source in board.fat.items()})
        if board.trees_on_fat:
            fat.update({os.path.basename(path): read(path) for path in system.trees(board)})
        raw = {offset: part(board, source) for offset, source in board.raw.items()}
        out = os.path.join(folder, f"holdfast-{name}.img")
        disk.make(out + ".new", fat, slot, raw, scratch, epoch)
        os.rename(out + ".new", out)
        for file, source in board.beside.items():
            shutil.copyfile(system.parts(board.target, source), os.path.join(folder, file))
    return out


def pack(out, name, version, epoch, compress):
    """The compressed image, and what is to be known of it."""
    about = {"board": name, "version": version, "epoch": epoch, "file": os.path.basename(out)}
    if compress:
        subprocess.run(["xz", "-T1", "-6", "--keep", "--force", out], check=True)
    for kind, path in (("", out), ("xz_", out + ".xz"))[:1 + compress]:
        about[f"{kind}sha256"] = hashlib.sha256(read(path)).hexdigest()
        about[f"{kind}size"] = os.path.getsize(path)
    with open(os.path.splitext(out)[0] + ".json", "w", encoding="ascii") as file:
        file.write(json.dumps(about, indent=1) + "\n")
    return about


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("board", choices=sorted(boards.ALL))
    parser.add_argument("--version", required=True)
    parser.add_argument("--epoch", type=int, required=True)
    parser.add_argument("--out", default=None)
    parser.add_argument("--raw", action="store_true", help="without compression, for a test")
    arguments = parser.parse_args()
    began = time.monotonic()
    board = boards.ALL[arguments.board]
    folder = arguments.out or os.path.join(ROOT, "build", "image", arguments.board)
    os.makedirs(folder, exist_ok=True)
    subprocess.run([os.path.join(system.HERE, "parts.sh"), board.target, system.parts(board.target)], check=True)
    out = make(arguments.board, board, arguments.version, arguments.epoch, folder)
    made = time.monotonic()
    about = pack(out, arguments.board, arguments.version, arguments.epoch, not arguments.raw)
    compressed = "" if arguments.raw else \
        f", as .xz {about['xz_size'] / 1e6:.1f} MB in {time.monotonic() - made:.1f} s"
    print(f"holdfast: {os.path.relpath(out)}: {about['size'] / 1e6:.0f} MB, made in {made - began:.1f} s{compressed}")


if __name__ == "__main__":
    main()
