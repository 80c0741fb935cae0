"""What a card may have after a power cut: worked out from what powercut.c wrote down of a process.

A file's data that no sync of the file covered arrives by sectors of 512 bytes, each of them or not.
A name that was made, renamed or taken away is so after a sync of its folder, and until then perhaps;
a rename is whole or not at all. A cut is the state after any number of the operations written down.
"""

import collections
import os
import shutil
import struct

WRITE, SIZE, SYNC, CREATE, RENAME, LINK, UNLINK, MKDIR, SYNC_FOLDER = range(1, 10)
HEAD = struct.Struct("<IIQQQ")
SECTOR = 512
FOLDER = "folder"  # what a name of a folder leads to

Operation = collections.namedtuple("Operation", "kind inode offset name data end")


def read_operations(path):
    """All of a record, in order; `end` is where each ends in the file. A last one in part is left."""
    try:
        with open(path, "rb") as file:
            text = file.read()
    except FileNotFoundError:
        return []
    operations, at = [], 0
    while at + HEAD.size <= len(text):
        kind, name_length, inode, offset, length = HEAD.unpack_from(text, at)
        end = at + HEAD.size + name_length + (length if kind in (WRITE, RENAME, LINK) else 0)
        if end > len(text):
            break
        name = text[at + HEAD.size:at + HEAD.size + name_length].decode()
        data = text[at + HEAD.size + name_length:end]
        operations.append(Operation(kind, inode, offset, name, data, end))
        at = end
    return operations


class File:
    """Contents as the program sees them, as they are for sure, and the sectors where these differ."""

    def __init__(self, data=b""):
        self.cache, self.durable, self.dirty = bytearray(data), bytearray(data), set()

    def write(self, offset, data):
        end = offset + len(data)
        if end > len(self.cache):
            self.cache.extend(bytes(end - len(self.cache)))
        self.cache[offset:end] = data
        self.dirty.update(range(offset // SECTOR, (end + SECTOR - 1) // SECTOR))

    def resize(self, size):
        if size < len(self.cache):
            del self.cache[size:]
        else:
            self.cache.extend(bytes(size - len(self.cache)))

    def sync(self):
        self.durable, self.dirty = bytearray(self.cache), set()

    def after_cut(self, draw, share):
        size = len(self.cache) if draw.random() < share else len(self.durable)
        data = bytearray(self.durable[:size])
        data.extend(bytes(size - len(data)))
        for sector in sorted(self.dirty):
            at = sector * SECTOR
            part = self.cache[at:min(at + SECTOR, size)]
            if part and draw.random() < share:
                data[at:at + len(part)] = part
        return data


class Disk:
    """The folder that a process works in; begins as `folder` is, all of it durable."""

    def __init__(self, folder):
        self.files = {}  # by a number of our own: inode numbers are used again
        self.by_inode = {}
        self.names, self.durable = {}, {}  # name -> number of a file, or FOLDER
        self.pending = []  # (folder, [(name, what)]) that no sync of the folder covered
        for base, folders, names in os.walk(folder):
            for name in folders:
                self.names[os.path.relpath(os.path.join(base, name), folder)] = FOLDER
            for name in names:
                path = os.path.join(base, name)
                with open(path, "rb") as file:
                    number = self._new_file(os.stat(path).st_ino, file.read())
                self.names[os.path.relpath(path, folder)] = number
        self.durable = dict(self.names)

    def _new_file(self, inode, data=b""):
        number = len(self.files) + 1
        self.files[number] = File(data)
        self.by_inode[inode] = number
        return number

    def _change(self, folder, names):
        self.pending.append((folder, names))
        for name, what in names:
            self.names[name] = what

    def apply(self, operation):
        kind, inode, offset, name, data, _ = operation
        if kind == CREATE:
            self._change(os.path.dirname(name), [(name, self._new_file(inode))])
        elif kind == MKDIR:
            self._change(os.path.dirname(name), [(name, FOLDER)])
        elif kind == UNLINK:
            self._change(os.path.dirname(name), [(name, None)])
        elif kind == RENAME:
            to = data.decode()
            self._change(os.path.dirname(to), [(to, self.names[name]), (name, None)])
        elif kind == LINK:
            to = data.decode()
            self._change(os.path.dirname(to), [(to, self.names[name])])
        elif kind == SYNC_FOLDER:
            for folder, names in self.pending:
                if folder == name:
                    self.durable.update(names)
            self.pending = [p for p in self.pending if p[0] != name]
        elif kind == WRITE:
            self.files[self.by_inode[inode]].write(offset, data)
        elif kind == SIZE:
            self.files[self.by_inode[inode]].resize(offset)
        elif kind == SYNC:
            self.files[self.by_inode[inode]].sync()

    def after_cut(self, draw):
        """What is there when the power comes back: path -> bytes, or FOLDER."""
        share = draw.choice((0, 0.1, 0.5, 0.9, 1))
        names = dict(self.durable)
        for _, changed in self.pending:
            if draw.random() < share:
                names.update(changed)
        share = draw.choice((0, 0.1, 0.5, 0.9, 1))
        return {name: what if what == FOLDER else self.files[what].after_cut(draw, share)
                for name, what in names.items() if what is not None and self._reachable(name, names)}

    @staticmethod
    def _reachable(name, names):
        folder = os.path.dirname(name)
        return folder == "" or names.get(folder) == FOLDER


def lay_out(contents, folder):
    """Makes `folder` hold just these contents."""
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder, mode=0o700)
    for name in sorted(contents):
        path = os.path.join(folder, name)
        if contents[name] == FOLDER:
            os.mkdir(path, 0o700)
        else:
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(contents[name])
