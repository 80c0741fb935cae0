"""Which disk is meant, and whether it may be overwritten: by what the kernel tells in /sys and /proc, and udev in /run.

The disk itself is not opened for it. What is refused here, no option allows.
"""

import os
import re
import stat
from dataclasses import dataclass, field

from .report import Refused, printable, size_text
from .volumes import SECTOR

# Where the running system lives, whatever else it has mounted.
SYSTEM = ("/", "/boot", "/boot/efi", "/boot/firmware", "/usr", "/var", "/home")


@dataclass(frozen=True)
class Volume:
    """A partition as it is now."""
    name: str
    start: int
    size: int
    kind: str = ""
    label: str = ""


@dataclass(frozen=True)
class Disk:
    """What is to be overwritten. Two that are equal are the same card, as far as anybody can tell."""
    path: str
    name: str  # to be typed
    size: int
    number: tuple = ()  # of the block device; none of a file
    bus: str = ""
    model: str = ""
    serial: str = ""
    sequence: str = ""  # the kernel counts another one with every card
    volumes: tuple = field(default=(), compare=False)


def text_of(*path):
    """A file of one line; empty where it is not there."""
    try:
        with open(os.path.join(*path), encoding="utf-8", errors="replace") as file:
            return file.read().strip().strip("\0")
    except OSError:
        return ""


def names_in(*path):
    try:
        return sorted(os.listdir(os.path.join(*path)))
    except OSError:
        return []


def unescaped(field):
    """As /proc writes names: blanks are in octal."""
    return re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), field)


class Machine:
    """The machine that this runs on, below a folder that tests choose."""

    def __init__(self, root="/"):
        self.root = root

    def path(self, *names):
        return os.path.join(self.root, *(name.lstrip("/") for name in names))

    def device_number(self, path):
        """(major, minor) of a block device, None of anything else."""
        try:
            told = os.stat(path)
        except OSError:
            return None
        return (os.major(told.st_rdev), os.minor(told.st_rdev)) if stat.S_ISBLK(told.st_mode) else None

    def folder(self, number):
        """What /sys has of a block device, or None."""
        path = os.path.realpath(self.path("sys/dev/block", "%d:%d" % number))
        return path if os.path.isdir(path) else None

    # ---- what is in use

    def _disks(self, number):
        """Folders of the disks that a device's data is on, through partitions, device mapper and md."""
        disks, asked = set(), [self.folder(number)]
        while asked:
            folder = asked.pop()
            if folder is None or folder in disks:
                continue
            if os.path.exists(os.path.join(folder, "partition")):
                folder = os.path.dirname(folder)
            disks.add(folder)
            asked += [os.path.realpath(os.path.join(folder, "slaves", name)) for name in names_in(folder, "slaves")]
        return disks

    def _mounts(self):
        """(device's number, where) of everything that is mounted."""
        lines = text_of(self.path("proc/self/mountinfo")).splitlines()
        if not lines:
            raise Refused("/proc/self/mountinfo: cannot be read: nobody knows what is in use")
        for line in lines:
            before, _, after = line.partition(" - ")
            fields, source = before.split(), unescaped(after.split()[1])
            number = tuple(int(n) for n in fields[2].split(":"))
            if self.folder(number) is None:  # btrfs and the like number themselves, and name one device
                number = self.device_number(self.path(source)) if source.startswith("/") else None
            if number:
                yield number, unescaped(fields[4])

    def _other_uses(self):
        for line in text_of(self.path("proc/swaps")).splitlines()[1:]:
            yield self.device_number(self.path(unescaped(line.split()[0]))), "swap space"
        for system in names_in(self.path("sys/fs/btrfs")):
            for name in names_in(self.path("sys/fs/btrfs", system, "devices")):
                numbers = text_of(self.path("sys/class/block", name, "dev")).split(":")
                yield tuple(int(n) for n in numbers if n), "part of a mounted btrfs"

    def _device_name(self, number):
        folder = self.folder(number)
        return text_of(folder, "dm", "name") or os.path.basename(folder)

    def _refuse_what_is_in_use(self, path, folder):
        mounts = [(number, where) for number, where in self._mounts() if folder in self._disks(number)]
        for number, where in mounts:
            if where in SYSTEM:
                raise Refused(f"{path}: the running system lives on this disk: {where} is on {self._device_name(number)}")
        for number, where in mounts:
            raise Refused(f"{path}: in use: {self._device_name(number)} is mounted at {where}; unmount it first")
        for number, what in self._other_uses():
            if number and folder in self._disks(number):
                raise Refused(f"{path}: in use: {self._device_name(number)} is {what}")
        for part in (folder, *self._parts(folder)):
            for holder in names_in(part, "holders"):
                name = text_of(part, "holders", holder, "dm", "name")
                raise Refused(f"{path}: in use: {os.path.basename(part)} belongs to {holder}{name and f' ({name})'}")

    # ---- what it is

    @staticmethod
    def _parts(folder):
        found = [os.path.join(folder, name) for name in names_in(folder)]
        return sorted((path for path in found if os.path.exists(os.path.join(path, "partition"))),
                      key=lambda path: int(text_of(path, "partition")))

    @staticmethod
    def _above(folder):
        """The devices that this one hangs on, the nearest first."""
        while "/devices/" in folder:
            folder = os.path.dirname(folder)
            yield folder, os.path.basename(os.path.realpath(os.path.join(folder, "subsystem")))

    def _bus(self, folder):
        return next((bus for _, bus in self._above(folder) if bus in ("usb", "mmc")), "")

    def _serial(self, folder):
        own = text_of(folder, "device", "serial")
        usb = (text_of(above, "serial") for above, bus in self._above(folder)
               if bus == "usb" and os.path.exists(os.path.join(above, "idVendor")))
        return own or next(usb, "")

    def _volume(self, folder):
        """With kind and label where udev has looked."""
        said = dict(re.findall(r"^E:(\w+)=(.*)$", text_of(self.path("run/udev/data", "b" + text_of(folder, "dev"))), re.M))
        label = re.sub(r"\\x([0-9a-f]{2})", lambda code: chr(int(code[1], 16)), said.get("ID_FS_LABEL_ENC", ""))
        return Volume(os.path.basename(folder), int(text_of(folder, "start")) * SECTOR,
                      int(text_of(folder, "size")) * SECTOR, said.get("ID_FS_TYPE", ""),
                      printable(label))

    def _describe(self, path, number, folder):
        model = " ".join(text_of(folder, "device", name) for name in ("vendor", "model", "name"))
        return Disk(path, os.path.basename(folder), int(text_of(folder, "size") or 0) * SECTOR, number,
                    self._bus(folder), printable(model.strip()), printable(self._serial(folder)),
                    text_of(folder, "diskseq"), tuple(self._volume(part) for part in self._parts(folder)))

    def _refuse_what_is_no_card(self, disk, folder):
        path = disk.path
        kind = text_of(folder, "device", "type")
        if disk.bus == "mmc" and kind != "SD":
            raise Refused(f"{path}: not a card: a memory that is built in ({kind or 'of no known type'})")
        if text_of(folder, "removable") != "1" and not disk.bus:
            raise Refused(f"{path}: not a card: neither removable, nor on USB, nor in a card slot")
        if disk.size == 0:
            raise Refused(f"{path}: no card in it")
        if text_of(folder, "ro") != "0":
            raise Refused(f"{path}: read-only; a card has a switch for it, so may its adapter")
        sector = text_of(folder, "queue", "logical_block_size")
        if sector != str(SECTOR):
            raise Refused(f"{path}: its sectors have {sector or 'an unknown number of'} bytes, those of an image {SECTOR}")

    def disk(self, given):
        """The disk that may be overwritten by this name, or Refused."""
        path = os.path.realpath(given)
        number = self.device_number(path)
        if number is None:
            return self._file(given, path)
        folder = self.folder(number)
        if folder is None:
            raise Refused(f"{path}: not to be found in /sys: nobody knows what it is")
        if os.path.exists(os.path.join(folder, "partition")):
            whole = os.path.basename(os.path.dirname(folder))
            raise Refused(f"{path}: a partition of {whole}; an image needs the whole disk")
        self._refuse_what_is_in_use(path, folder)
        disk = self._describe(path, number, folder)
        self._refuse_what_is_no_card(disk, folder)
        return disk

    def _file(self, given, path):
        """A regular file that stands in for a card, for an emulator."""
        if not os.path.lexists(path):
            raise Refused(f"{given}: there is no such device or file" +
                          (" (--create or CREATE=1 makes one)" if path.endswith(".img") else ""))
        if not os.path.isfile(path):
            raise Refused(f"{given}: not a block device")
        if not path.endswith(".img"):
            raise Refused(f"{given}: not a block device; of regular files, only those named *.img are written")
        for name in names_in(self.path("sys/block")):
            if text_of(self.path("sys/block", name, "loop/backing_file")) == path:
                raise Refused(f"{given}: in use: {name} is this file")
        return Disk(path, os.path.basename(path), os.stat(path).st_size)

    def cards(self):
        """Every disk that may be overwritten."""
        found = []
        for name in names_in(self.path("sys/block")):
            try:
                found.append(self.disk(self.path("dev", name)))
            except Refused:
                pass
        return found


def describe(disk):
    """A line for who looks for his card."""
    return f"{disk.path}: {disk.model or 'no model'}, {size_text(disk.size)}"
