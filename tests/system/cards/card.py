"""A card: a copy of an image, what provisioning writes on it, and its raw sectors. No root, no mounts."""

import os
import struct
import subprocess
import zlib

SECTOR = 512
FAT_AT = 4 << 20
SLOT_A, SLOT_B, SLOT_SIZE = 64 << 20, 128 << 20, 64 << 20
DATA_AT = 192 << 20
STATES_AT = (64 << 10, (64 << 10) + SECTOR)
NONE = 0xFF


def state(generation, good, attempt=NONE, tries=0):
    """A sector of slot state, as firmware/README.md has it."""
    head = b"HFSL" + struct.pack("<IBBB", generation, good, attempt, tries)
    head += b"\0" * (SECTOR - 4 - len(head))
    return head + struct.pack("<I", zlib.crc32(head))


class Card:
    def __init__(self, image, path):
        self.path = path
        subprocess.run(["cp", "--sparse=always", image, path], check=True)

    def put(self, files):
        """Into holdfast/ on the FAT partition."""
        for name, text in files.items():
            scratch = self.path + ".file"
            with open(scratch, "wb") as file:
                file.write(text if isinstance(text, bytes) else text.encode())
            subprocess.run(["mcopy", "-o", "-i", f"{self.path}@@{FAT_AT}", scratch, f"::holdfast/{name}"], check=True)
            os.remove(scratch)

    def read(self, at, size):
        with open(self.path, "rb") as file:
            file.seek(at)
            return file.read(size)

    def write(self, at, data):
        with open(self.path, "r+b") as file:
            file.seek(at)
            file.write(data)

    def states(self, *sectors):
        for at, sector in zip(STATES_AT, sectors):
            self.write(at, sector)

    def read_states(self):
        return [self.read(at, SECTOR) for at in STATES_AT]

    def fill_slot_b(self):
        """As an update does: with a system, here the same one."""
        with open(self.path, "r+b") as file:
            for at in range(0, SLOT_SIZE, 1 << 20):
                file.seek(SLOT_A + at)
                data = file.read(1 << 20)
                file.seek(SLOT_B + at)
                file.write(data)

    def wipe_data(self):
        """As of a card whose data partition is lost, file system and all."""
        self.write(DATA_AT, b"\0" * (16 << 20))
