"""The kernel's archive format of an initramfs ("newc"), written by hand: the same bytes from the same files."""

import os
import stat


class Archive:
    """A cpio archive in the kernel's "newc" format. Archives one after the other are one to it."""

    def __init__(self):
        self.parts, self.size, self.names = [], 0, set()

    def _put(self, data):
        padding = b"\0" * (-len(data) % 4)
        self.parts.append(data + padding)
        self.size += len(data) + len(padding)

    def _entry(self, name, mode, data=b"", owner=0):
        fields = (len(self.names) + 1, mode, owner, owner, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
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

    def file(self, name, data, mode=0o644, owner=0):
        self.folder(os.path.dirname(name)) if "/" in name else None
        self._entry(name, stat.S_IFREG | mode, data, owner)

    def link(self, name, target):
        self.folder(os.path.dirname(name)) if "/" in name else None
        self._entry(name, stat.S_IFLNK | 0o777, target.encode())

    def data(self):
        self._entry("TRAILER!!!", 0)
        return b"".join(self.parts)
