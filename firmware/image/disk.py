"""A card's image, made without root and mounts, and the same bytes each time: MBR, FAT, two slots, data.

firmware/README.md, "Images", has the layout. mtools, mke2fs and debugfs are told the time, the identities and the order.
"""

import os
import struct
import subprocess

MIB = 1 << 20
SECTOR = 512
SIGNATURE = 0x464C4F48  # of the disk, in the MBR
# number -> (first byte, bytes, type)
LAYOUT = {1: (4 * MIB, 60 * MIB, 0x0C), 2: (64 * MIB, 64 * MIB, 0x83), 3: (128 * MIB, 64 * MIB, 0x83),
          4: (192 * MIB, 64 * MIB, 0x83)}
SIZE = 256 * MIB
IDENTITY = "686f6c64-6661-4573-8000-00000000000"  # and the partition's number
SLOT = "^has_journal,^metadata_csum,^64bit,^resize_inode"  # it is never written in service, and U-Boot reads it
SBIN = "/sbin:/usr/sbin:"


def run(*command, epoch, **options):
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(epoch), "E2FSPROGS_FAKE_TIME": str(epoch), "TZ": "UTC",
                   "PATH": SBIN + os.environ["PATH"], "MTOOLS_SKIP_CHECK": "1", "LC_ALL": "C"}
    result = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            check=False, **options)
    if result.returncode != 0:
        raise SystemExit(f"image: {' '.join(command)}: {result.stdout}")
    return result.stdout


def write_mbr(file):
    record = bytearray(SECTOR)
    record[440:444] = struct.pack("<I", SIGNATURE)
    for number, (start, size, kind) in LAYOUT.items():
        # The first one has the boot loader's files; firmware and U-Boot look for that mark. No cylinders.
        record[446 + 16 * (number - 1):462 + 16 * (number - 1)] = struct.pack(
            "<B3sB3sII", 0x80 if number == 1 else 0, b"\xfe\xff\xff", kind, b"\xfe\xff\xff", start // SECTOR,
            size // SECTOR)
    record[510:512] = b"\x55\xaa"
    file.seek(0)
    file.write(record)


def make_fat(image, files, scratch, epoch):
    """`files`: name, with folders -> bytes."""
    at = f"{image}@@{LAYOUT[1][0]}"
    run("mformat", "-i", at, "-F", "-v", "HOLDFAST", "-N", "484f4c44", "-T", str(LAYOUT[1][1] // SECTOR), "-h", "255",
        "-s", "63", "-H", str(LAYOUT[1][0] // SECTOR), "::", epoch=epoch)
    made = set()
    for name, data in sorted(files.items()):
        parents = name.split("/")[:-1]
        for depth in range(1, len(parents) + 1):
            folder = "/".join(parents[:depth])
            if folder not in made:
                made.add(folder)
                run("mmd", "-i", at, f"::{folder}", epoch=epoch)
        if data is None:
            continue
        path = os.path.join(scratch, "fat-file")
        with open(path, "wb") as file:
            file.write(data)
        os.utime(path, (epoch, epoch))
        run("mcopy", "-m", "-i", at, path, f"::{name}", epoch=epoch)


def make_ext4(image, number, label, files, scratch, epoch, features=None):
    """`files`: name, with folders -> bytes. It is filled by debugfs, whose order and time are told."""
    start, size, _ = LAYOUT[number]
    path = os.path.join(scratch, f"p{number}")
    with open(path, "wb") as file:
        file.truncate(size)
    identity = IDENTITY + str(number)
    run("mke2fs", "-q", "-t", "ext4", "-F", "-b", "4096", "-L", label, "-U", identity, "-m", "1",
        "-E", f"hash_seed={identity},root_owner=0:0,lazy_itable_init=0,lazy_journal_init=0,nodiscard",
        *(["-O", features] if features else []), path, epoch=epoch)
    words, made = [], set()
    for count, (name, data) in enumerate(sorted(files.items())):
        folder = os.path.dirname(name)
        if folder and folder not in made:
            made.add(folder)
            words.append(f"mkdir {folder}")
        source = os.path.join(scratch, f"ext4-file-{count}")
        with open(source, "wb") as file:
            file.write(data)
        os.chmod(source, 0o644)
        words.append(f"write {source} {name}")
        words += [f"sif {name} {field} 0" for field in ("uid", "gid")]
    for name in sorted(made | set(files)):
        words += [f"sif {name} {field} @{epoch}" for field in ("atime", "mtime", "ctime", "crtime")]
    commands = os.path.join(scratch, "debugfs-commands")
    with open(commands, "w", encoding="ascii") as file:
        file.write("\n".join(words) + "\n")
    if words:
        said = run("debugfs", "-w", "-f", commands, path, epoch=epoch)
        wrong = [line for line in said.splitlines() if not line.startswith(("debugfs", "Allocated inode"))]
        if wrong:
            raise SystemExit(f"image: debugfs: {wrong}")
    with open(image, "r+b") as out, open(path, "rb") as file:
        out.seek(start)
        while block := file.read(MIB):
            out.seek(len(block), 1) if not any(block) else out.write(block)


def make(path, fat, slot, raw, scratch, epoch):
    """The whole. `slot` fills A; B is an empty file system, until an update comes. `raw`: offset -> bytes."""
    with open(path, "wb") as file:
        file.truncate(SIZE)
        write_mbr(file)
        for offset, data in raw.items():
            assert offset + len(data) <= LAYOUT[1][0]
            file.seek(offset)
            file.write(data)
    make_fat(path, fat, scratch, epoch)
    make_ext4(path, 2, "holdfast-a", slot, scratch, epoch, SLOT)
    make_ext4(path, 3, "holdfast-b", {}, scratch, epoch, SLOT)
    make_ext4(path, 4, "holdfast-data", {}, scratch, epoch)
