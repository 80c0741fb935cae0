"""A card that is open for writing, and nobody else's meanwhile; writing an image to it and reading it back."""

import contextlib
import errno
import fcntl
import hashlib
import mmap
import os
import time

from .image import PART
from .report import Failed, Refused, size_text
from .volumes import SECTOR

BLKRRPART = 0x125f
BLKFLSBUF = 0x1261
# What a disk says that is not there any more; Linux takes it for one without any room.
GONE = (errno.ENOSPC, errno.ENXIO, errno.ENODEV, errno.ENOMEDIUM)


def words(error):
    return f"{error.strerror} ({errno.errorcode.get(error.errno, error.errno)})"


class Card:
    """
    The disk as an open file. Nobody mounts it or opens it as its own meanwhile (O_EXCL), and udev keeps away
    (the lock of the disk itself); a file is locked, as emulators do. Past the cache where that can be done.
    """

    wait_s = 3.0  # for udev, which looks at a disk for a moment
    sync_every = 16 << 20  # bytes, where every write goes through the cache

    def __init__(self, disk):
        self.disk = disk
        self.buffer = mmap.mmap(-1, PART)  # O_DIRECT wants whole pages
        self.unsynced = 0
        try:
            self.file, self.direct = self._open()
        except OSError as error:
            raise Refused(f"{disk.path}: {self._why_not(error)}") from error
        try:
            self._lock()
        except BaseException:
            self.close()
            raise

    def _open(self):
        flags = os.O_RDWR | os.O_CLOEXEC | (os.O_EXCL if self.disk.number else 0)
        try:
            return os.open(self.disk.path, flags | os.O_DIRECT), True
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            return os.open(self.disk.path, flags), False

    @staticmethod
    def _why_not(error):
        return {errno.EBUSY: "in use: another program has it open as its own",
                errno.EACCES: "no permission to write it; as root, it is `sudo make flash ...`",
                errno.EROFS: "read-only; a card has a switch for it, so may its adapter",
                errno.ENOMEDIUM: "no card in it"}.get(error.errno, f"cannot be opened: {words(error)}")

    def _lock(self):
        until = time.monotonic() + (self.wait_s if self.disk.number else 0)
        lock = fcntl.flock if self.disk.number else fcntl.lockf
        while True:
            try:
                lock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EACCES):
                    raise Refused(f"{self.disk.path}: cannot be locked: {words(error)}") from error
                if time.monotonic() >= until:
                    raise Refused(f"{self.disk.path}: in use: another program has locked it") from error
            time.sleep(0.1)

    def close(self):
        os.close(self.file)

    def _through_the_cache(self):
        """The file system refuses what a disk takes."""
        fcntl.fcntl(self.file, fcntl.F_SETFL, fcntl.fcntl(self.file, fcntl.F_GETFL) & ~os.O_DIRECT)
        self.direct = False

    def _failed(self, what, offset, error):
        gone = "; was it pulled out?" if self.disk.number and error.errno in GONE else ""
        return Failed(f"{self.disk.path}: {what} failed at offset {size_text(offset)}: {words(error)}{gone}")

    def _transfer(self, what, move, offset, length):
        """preadv or pwritev of the buffer, on to its end. How much was moved; less is the disk's end."""
        done = 0
        while done < length:
            try:
                moved = move(self.file, [memoryview(self.buffer)[done:length]], offset + done)
            except OSError as error:
                if error.errno == errno.EINVAL and self.direct:
                    self._through_the_cache()
                    continue
                raise self._failed(what, offset + done, error) from error
            if moved == 0:
                break
            done += moved
        return done

    def write(self, offset, data):
        """At most PART bytes, whole sectors."""
        self.buffer[:len(data)] = data
        done = self._transfer("writing", os.pwritev, offset, len(data))
        if done < len(data):
            raise self._failed("writing", offset + done, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        self.unsynced += len(data)
        if not self.direct and self.unsynced >= self.sync_every:
            self.settle()

    def settle(self):
        """What was written is on the medium."""
        try:
            os.fsync(self.file)
        except OSError as error:
            where = f"within the last {size_text(self.unsynced)}"
            raise Failed(f"{self.disk.path}: writing failed {where}: {words(error)}") from error
        self.unsynced = 0

    def read(self, offset, length):
        """So many bytes, zeros behind the end: PART from a sector's start, two sectors less from anywhere."""
        begin, end = offset - offset % SECTOR, -(-(offset + length) // SECTOR) * SECTOR
        got = self._transfer("reading", os.preadv, begin, end - begin)
        if begin + got < min(end, self.disk.size):
            raise self._failed("reading", begin + got, OSError(errno.ENXIO, os.strerror(errno.ENXIO)))
        return self.buffer[:got].ljust(end - begin, b"\0")[offset - begin:][:length]

    def forget(self):
        """What is read from now on comes from the medium, where its cache is not gone past anyway."""
        if self.disk.number:
            with contextlib.suppress(OSError):  # is root's
                fcntl.ioctl(self.file, BLKFLSBUF)
        os.posix_fadvise(self.file, 0, 0, os.POSIX_FADV_DONTNEED)

    def read_table_again(self):
        """The kernel knows the new partitions; None, or why it does not."""
        if not self.disk.number:
            return None
        try:
            fcntl.ioctl(self.file, BLKRRPART)
        except OSError as error:
            return words(error)
        return None


def write_image(card, image, progress):
    """
    All of it, zeros too. What the image begins with, partition table and boot loader, is written last, and zeros
    first in its place: from a card that was left in between, no board boots.
    """
    first, done = b"", 0
    for part in image.parts():
        if not first:
            first = part
            card.write(0, bytes(len(part)))
            card.settle()
        else:
            card.write(done, part)
        done += len(part)
        progress.update(min(done, image.size - 1))
    card.write(0, first)
    card.settle()
    progress.update(image.size)


def verify(card, image, progress):
    """Reads all of it back. Failed names the first byte that is another one."""
    card.forget()
    digest, done = hashlib.sha256(), 0
    changed = Failed(f"{image.path}: was changed while it was written")
    for part in image.parts():
        got = card.read(done, len(part))
        if got != part:
            if image.has_changed():
                raise changed
            at = next(i for i, byte in enumerate(part) if got[i] != byte)
            raise Failed(f"{card.disk.path}: reads back wrong from offset {size_text(done + at)}:"
                         f" {got[at]:#04x} instead of {part[at]:#04x}")
        digest.update(got)
        done += len(part)
        progress.update(min(done, image.size))
    if digest.hexdigest() != image.sha256:
        raise changed
