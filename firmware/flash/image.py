"""The image: as the bytes that a card gets, and whether it is one."""

import hashlib
import json
import lzma
import os
import re

from .report import Failed, Refused, size_text
from .volumes import SECTOR, partitions, provisioned

PART = 4 << 20  # bytes that are read, written and compared at a time
XZ = b"\xfd7zXZ\0"


class Image:
    """An image file, compressed or not by its own first bytes; decompressed while it is read, each time anew."""

    def __init__(self, path):
        self.path, self.name = path, os.path.basename(path)
        self.size, self.sha256 = 0, ""
        if not os.path.isfile(path):
            raise Refused(f"{path}: there is no such image")

    def _parts(self):
        with open(self.path, "rb") as file:
            compressed = file.read(len(XZ)) == XZ
            file.seek(0)
            with lzma.open(file) if compressed else file as opened:
                while part := opened.read(PART):
                    yield part

    def parts(self):
        """Its bytes from the first to the last, PART of them at a time. Failed if they can't be had."""
        try:
            yield from self._parts()
        except (lzma.LZMAError, EOFError) as error:
            raise Failed(f"{self.path}: not whole: {error}") from error
        except OSError as error:
            raise Failed(f"{self.path}: cannot be read: {error.strerror}") from error

    def _look(self):
        """Its first sector, size and SHA-256, as it is now."""
        digest, first, size = hashlib.sha256(), b"", 0
        for part in self.parts():
            first = first or part[:SECTOR]
            digest.update(part)
            size += len(part)
        return first, size, digest.hexdigest()

    def has_changed(self):
        return self._look()[2] != self.sha256

    def check(self, board):
        """Reads all of it once: size and SHA-256 are known, and nothing about it speaks against this board."""
        try:
            first, self.size, self.sha256 = self._look()
        except Failed as error:
            raise Refused(str(error)) from error
        self._check_table(first)
        self._check_words(board)

    def _check_table(self, first):
        table = partitions(first)
        if not table:
            why = "no partition" if table == [] else "no partition table (MBR)"
            raise Refused(f"{self.path}: not the image of a disk: {why}")
        if self.size % SECTOR:
            raise Refused(f"{self.path}: not whole: {self.size:,} bytes are no number of sectors")
        for part in table:
            if part.start + part.size > self.size:
                raise Refused(f"{self.path}: not whole: partition {part.number} ends at {size_text(part.start + part.size)},"
                              f" the image at {size_text(self.size)}")

    def _check_words(self, board):
        """What its name and the .json beside it say, if they say anything, is so. Any board is right for none."""
        stem = re.sub(r"\.img(\.xz)?$", "", self.path)
        named = re.fullmatch(r"holdfast-(.+)", os.path.basename(stem))
        said = {"board": named[1]} if named else {}
        try:
            with open(f"{stem}.json", encoding="utf-8") as file:
                words = json.load(file)
            said.update({key: words[key] for key in ("board", "size", "sha256") if key in words})
        except FileNotFoundError:
            pass
        except (OSError, ValueError, TypeError) as error:
            raise Refused(f"{stem}.json: says nothing of the image: {error}") from error
        if board and said.get("board", board) != board:
            raise Refused(f"{self.path}: an image for the board {said['board']}, not for {board}")
        for key, so in (("size", self.size), ("sha256", self.sha256)):
            if said.get(key, so) != so and not (key == "sha256" and self._provisioned()):
                raise Refused(f"{self.path}: not what {stem}.json describes: {key} {so}, not {said[key]}")

    def _provisioned(self):
        """It was made a board's own after it was made; one that is compressed never was."""
        with open(self.path, "rb") as file:
            def read(offset, length):
                file.seek(offset)
                return file.read(length).ljust(length, b"\0")
            return provisioned(read) is not None
