"""What is on a disk, from its own bytes: the partition table (MBR), kinds and labels, a file on a FAT.

Everything is read by a function read(offset, length) that returns so many bytes, zeros behind the disk's end.
What it reads may be anybody's: every loop has a bound, and what makes no sense is None.
"""

import struct
from collections import namedtuple

from .report import printable

SECTOR = 512
FAT_TYPES = (0x01, 0x04, 0x06, 0x0b, 0x0c, 0x0e)
LARGEST_FILE = 64 << 10

Partition = namedtuple("Partition", "number type start size")  # the last two in bytes


def partitions(first):
    """Of a disk's first sector: its primary partitions; None where there is no partition table."""
    if len(first) < SECTOR or first[510:512] != b"\x55\xaa":
        return None
    found = []
    for number in range(1, 5):
        entry = first[446 + 16 * (number - 1):][:16]
        if entry[0] not in (0, 0x80):
            return None  # code, or a file system without a table
        start, sectors = struct.unpack("<II", entry[8:16])
        if entry[4] and sectors:
            found.append(Partition(number, entry[4], start * SECTOR, sectors * SECTOR))
    return found


def kind_and_label(read, start):
    """Of what begins there, by the names that lsblk has for it; either may be empty."""
    head = read(start, 2048)
    if head[1024 + 56:1024 + 58] == b"\x53\xef":
        return "ext4", _text(head[1024 + 120:1024 + 136])
    for at in (54, 82):  # FAT12 and FAT16, FAT32
        if head[at:at + 3] == b"FAT" and head[510:512] == b"\x55\xaa":
            label = _text(head[at - 11:at])
            return "vfat", "" if label == "NO NAME" else label
    return "", ""


def _text(field):
    return printable(field.split(b"\0")[0].decode("utf-8", "replace").strip())


class Fat:
    """A FAT file system of any width, to be read by short names."""

    def __init__(self, read, start):
        self.read, self.start = read, start
        head = read(start, SECTOR)
        (self.sector, cluster, reserved, fats, self.root_entries, total,
         fat_sectors) = struct.unpack("<HBHBHH1xH", head[11:24])
        total = total or struct.unpack("<I", head[32:36])[0]
        self.wide = fat_sectors == 0
        self.root_cluster = struct.unpack("<I", head[44:48])[0] if self.wide else 0
        fat_sectors = fat_sectors or struct.unpack("<I", head[36:40])[0]
        if self.sector not in (512, 1024, 2048, 4096) or not cluster or not fats or not fat_sectors:
            raise ValueError("not a FAT file system")
        self.cluster = cluster * self.sector
        self.fat = reserved * self.sector
        self.root = self.fat + fats * fat_sectors * self.sector
        self.data = self.root + -(-32 * self.root_entries // self.sector) * self.sector
        self.clusters = (total * self.sector - self.data) // self.cluster
        self.bits = 32 if self.wide else 12 if self.clusters < 4085 else 16

    def _next(self, cluster):
        at = self.fat + cluster * self.bits // 8
        value = int.from_bytes(self.read(self.start + at, self.bits // 8 + (self.bits == 12)), "little")
        if self.bits == 12:
            return value >> 4 if cluster % 2 else value & 0xfff
        return value & 0x0fffffff

    def _chain(self, cluster, most):
        """What these clusters hold, at most so many bytes."""
        data = b""
        while 2 <= cluster < self.clusters + 2 and len(data) < most:
            data += self.read(self.start + self.data + (cluster - 2) * self.cluster, self.cluster)
            cluster = self._next(cluster)
        return data[:most]

    def _folder(self, cluster):
        if cluster == 0 and not self.wide:
            return self.read(self.start + self.root, 32 * self.root_entries)
        return self._chain(cluster or self.root_cluster, LARGEST_FILE)

    def file(self, *names):
        """The bytes of a file whose folders and name are of the form of MS-DOS; None if it is not there."""
        cluster = 0
        for depth, name in enumerate(names, 1):
            data = self._folder(cluster)
            entries = (data[at:at + 32] for at in range(0, len(data) - 31, 32))
            short = name.upper().ljust(11).encode()
            entry = next((e for e in entries if e[:11] == short and not e[11] & 0x08), None)
            if entry is None or bool(entry[11] & 0x10) != (depth < len(names)):
                return None
            high, low, size = struct.unpack("<H4xHI", entry[20:32])
            cluster = (high << 16 if self.wide else 0) | low
        return self._chain(cluster, min(size, LARGEST_FILE))


def provisioned(read):
    """What stands in holdfast/board of the first FAT, as a dictionary; None where there is no such file."""
    for partition in partitions(read(0, SECTOR)) or ():
        if partition.type in FAT_TYPES:
            try:
                data = Fat(read, partition.start).file("holdfast", "board")
            except ValueError:
                return None
            if data is None:
                return None
            lines = (line.partition("=") for line in data.decode("utf-8", "replace").splitlines())
            return {key.strip(): printable(value.strip()) for key, sign, value in lines if sign}
    return None
