"""`make flash`: what it refuses to overwrite, how it asks, writes and verifies, and what it says when that ends early.

Disks are files in a scratch folder that has a /sys, a /proc and a /run of its own; no device of this machine is touched.
"""

import contextlib
import errno
import fcntl
import hashlib
import io
import itertools
import json
import lzma
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile

from cluster import ROOT, run_tests

sys.path.insert(0, os.path.join(ROOT, "firmware"))
sys.dont_write_bytecode = True
from flash import __main__ as program
from flash.card import PART, Card
from flash.machine import Machine
from flash.report import Progress
from flash.volumes import provisioned

MIB = 1 << 20
SCRATCH = tempfile.mkdtemp(prefix="holdfast-flash-")
USB = "pci0000:00/usb1/1-2/1-2:1.0/host0/target0:0:0/0:0:0:0"
SLOT = "platform/soc/mmc_host/mmc0/mmc0:aaaa"
BUSES = {"1-2": "usb", "1-2:1.0": "usb", "mmc0:aaaa": "mmc"}
SATA = "pci0000:00/ata1/host1/target1:0:0/1:0:0:0"


def scratch(name=""):
    """A path that no other test has."""
    return os.path.join(tempfile.mkdtemp(dir=SCRATCH), name)


def put(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data if isinstance(data, bytes) else f"{data}\n".encode())
    return path


def get(path):
    with open(path, "rb") as file:
        return file.read()


def link(path, target):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    os.symlink(target, path)


# ---- images

def table(*entries):
    """A disk's first sector: type, first sector and sectors of each partition."""
    packed = b"".join(struct.pack("<B3xB3xII", 0, *entry) for entry in entries)
    return b"\xfa" * 446 + packed.ljust(64, b"\0") + b"\x55\xaa"


def fat(bits, board):
    """A FAT file system with this text in holdfast/board, in clusters of one sector that do not follow each other."""
    clusters = 5000 if bits == 16 else 1000
    fat_at, fat_sectors, entries = 4, -(-(clusters + 2) * bits // 8 // 512), 0 if bits == 32 else 64
    root_at = fat_at + fat_sectors
    data_at = root_at + entries * 32 // 512
    whole = bytearray((data_at + clusters) * 512)
    narrow = 0 if bits == 32 else fat_sectors
    struct.pack_into("<HBHBHHBH", whole, 11, 512, 1, fat_at, 1, entries, 0, 0xf8, narrow)
    struct.pack_into("<III", whole, 32, data_at + clusters, fat_sectors, 0)
    if bits == 32:
        struct.pack_into("<I", whole, 44, 2)
    label_at = 71 if bits == 32 else 43
    whole[label_at:label_at + 16] = b"HOLDFAST   FAT%d" % bits
    whole[510:512] = b"\x55\xaa"

    def entry(name, attribute, cluster, size=0):
        return name.ljust(11).encode() + struct.pack("<B8xHHHHI", attribute, cluster >> 16, 0, 0, cluster, size)

    def place(cluster, content):
        at = (data_at + cluster - 2) * 512
        whole[at:at + len(content)] = content
    # The label comes first, and has the folder's name.
    root = entry("HOLDFAST", 0x08, 0) + entry("HOLDFAST", 0x10, 7)
    if bits == 32:
        place(2, root)
    else:
        whole[root_at * 512:root_at * 512 + len(root)] = root
    place(7, entry(".", 0x10, 7) + entry("..", 0x10, 0) + entry("BOARD", 0x20, 9, len(board)))
    place(9, board[:512])
    place(5, board[512:])
    last = (1 << min(bits, 28)) - 1
    for cluster, following in ((0, last - 7), (1, last), (2, last), (7, last), (9, 5), (5, last)):
        at = fat_at * 512 + cluster * bits // 8
        value = int.from_bytes(whole[at:at + 5], "little") | following << cluster * bits % 8
        whole[at:at + 5] = value.to_bytes(5, "little")
    return bytes(whole)


BOARD = b"# a line without a sign\nid=board-a\ncluster = line-3\naddress=10.0.0.11/24\nfirst=begin\n"


def image_bytes(board=None, size=PART + MIB + 512):
    """An image of a whole part and one that is not, with a FAT of this `board`, if any."""
    body = fat(16, board) if board else b""
    noise = hashlib.shake_128(b"").digest(65536) * (size // 65536 + 1)
    whole = table((0x0c, 2048, 6000)) + noise[512:MIB] + body + noise[MIB + len(body):]
    return whole[:size]


IMAGE = image_bytes()
OWN = put(scratch("own.img"), IMAGE)


# ---- the machine

class Fake(Machine):
    """A machine of files; its block devices are those that were added, by their names."""

    def __init__(self):
        super().__init__(scratch())
        self.numbers, self.mounts, self.minors = {}, [], itertools.count(16)
        self.mount("0:22", "/proc", "proc", "proc")
        link(self.path("sys/block/none"), "nowhere")

    def device_number(self, path):
        return self.numbers.get(os.path.relpath(path, self.path("dev")))

    def _device(self, folder, name, size):
        number = self.numbers[name] = (8, next(self.minors))
        put(os.path.join(folder, "dev"), "%d:%d" % number)
        put(os.path.join(folder, "size"), size // 512)
        link(self.path("sys/dev/block", "%d:%d" % number), folder)
        link(self.path("sys/class/block", name), folder)
        return folder

    def add(self, name="sdb", where=USB, size=8 * MIB, removable=1, **attributes):
        """A disk with an open node; attributes are files of its folder, `__` standing for a slash."""
        folder = self._device(self.path("sys/devices", where, "block", name), name, size)
        link(self.path("sys/block", name), folder)
        link(os.path.join(folder, "device"), "../..")
        link(os.path.join(folder, "subsystem"), self.path("sys/class/block"))
        usual = {"removable": removable, "ro": 0, "diskseq": 7, "queue__logical_block_size": 512}
        for key, value in {**usual, **attributes}.items():
            put(os.path.join(folder, key.replace("__", "/")), value)
        at = self.path("sys/devices")
        for part in where.split("/"):
            at = os.path.join(at, part)
            if part in BUSES and not os.path.lexists(os.path.join(at, "subsystem")):
                link(os.path.join(at, "subsystem"), self.path("sys/bus", BUSES[part]))
        return self.node(name, size)

    def node(self, name, size):
        with open(put(self.path("dev", name), b""), "r+b") as file:
            file.truncate(size)
        return self.path("dev", name)

    def part(self, disk, number, start=MIB, size=MIB):
        folder = os.path.join(os.path.realpath(self.path("sys/block", disk)), f"{disk}{number}")
        self._device(folder, f"{disk}{number}", size)
        put(os.path.join(folder, "partition"), number)
        put(os.path.join(folder, "start"), start // 512)
        return self.node(f"{disk}{number}", 0)

    def holder(self, name, *of, dm=None):
        """A device that is made of others."""
        folder = self._device(self.path("sys/devices/virtual/block", name), name, MIB)
        link(self.path("sys/block", name), folder)
        if dm:
            put(os.path.join(folder, "dm/name"), dm)
        for below in of:
            other = os.path.realpath(self.path("sys/class/block", below))
            link(os.path.join(folder, "slaves", below), other)
            link(os.path.join(other, "holders", name), folder)

    def mount(self, device, where, kind="ext4", source="none"):
        number = "%d:%d" % self.numbers[device] if device in self.numbers else device
        self.mounts.append(f"{len(self.mounts) + 20} 1 {number} / {where} rw shared:1 - {kind} {source} rw")
        put(self.path("proc/self/mountinfo"), "\n".join(self.mounts))


class Said(io.StringIO):
    """A terminal, if it is told so."""

    def __init__(self, terminal=False):
        super().__init__()
        self.terminal = terminal

    def isatty(self):
        return self.terminal


def never(_):
    raise AssertionError("nobody was to be asked")


def flash(machine, device, image, *options, card=Card, ask=never, terminal=False):
    """Exit status, what was said, and what was complained of."""
    out, complaints = Said(), io.StringIO()
    given = program.parse([*options, "--image", image, device])
    with contextlib.redirect_stderr(complaints):
        status = program.Flash(given, machine, card, out, terminal, ask).run()
    return status, out.getvalue(), complaints.getvalue()


def refused(machine, device, *words, image=None, options=("--yes",), **more):
    """It is, by one line with these words; and nothing was written."""
    if os.path.isfile(device):
        os.utime(device, (1, 1))
    status, said, why = flash(machine, device, image or OWN, *options, **more)
    assert status == 2 and len(why.splitlines()) == 1 and why.startswith("flash: "), (status, said, why)
    for word in words:
        assert word in why, (word, why)
    assert not os.path.isfile(device) or os.stat(device).st_mtime == 1, "it was written to"


# ---- claims

def an_image_is_written_and_read_back_whole():
    for pack, name in ((bytes, "own.img"), (lambda image: lzma.compress(image, preset=0), "own.img.xz")):
        machine = Fake()
        device = machine.add()
        put(device, b"\xa5" * (8 * MIB))
        status, said, why = flash(machine, device, put(scratch(name), pack(IMAGE)), "--yes")
        assert status == 0 and not why, (status, said, why)
        assert get(device) == IMAGE + b"\xa5" * (8 * MIB - len(IMAGE)), name
        assert f"written and verified, sha256 {hashlib.sha256(IMAGE).hexdigest()}" in said, said


def a_disk_that_is_no_card_is_refused():
    cases = (
        ({"where": SATA, "removable": 0}, "not a card: neither removable"),
        ({"name": "mmcblk0", "where": SLOT, "removable": 0, "device__type": "MMC"}, "not a card: a memory that is built in"),
        ({"name": "mmcblk0boot0", "where": SLOT, "removable": 1}, "built in (of no known type)"),
        ({"size": 0}, "no card in it"), ({"ro": 1}, "read-only"),
        ({"queue__logical_block_size": 4096}, "its sectors have 4096 bytes"),
        ({"size": 5 * MIB}, "too small: 5,242,880 bytes (5.0 MiB), the image has 5,243,392 bytes (5.0 MiB)"),
    )
    for attributes, words in cases:
        machine = Fake()
        device = machine.add(**attributes)
        refused(machine, device, device, words)


def cards_and_what_hangs_on_usb_are_taken():
    for attributes in ({"where": SATA}, {"removable": 0},
                       {"name": "mmcblk0", "where": SLOT, "removable": 0, "device__type": "SD"}):
        machine = Fake()
        device = machine.add(**attributes)
        assert [card.path for card in machine.cards()] == [device]
        assert flash(machine, device, OWN, "--yes")[0] == 0


def what_is_in_use_is_refused_by_its_use():
    def mounted(machine):
        machine.mount("sdb1", "/media/my\\040card")

    def mounted_whole(machine):
        machine.mount("sdb", "/mnt")

    def encrypted(machine):
        machine.holder("dm-0", "sdb2", dm="luks-1")
        machine.mount("dm-0", "/media/secret")

    def swap(machine):
        put(machine.path("proc/swaps"), "Filename Type Size Used Priority\n/dev/sdb2 partition 1 0 -2")

    def held(machine):
        machine.holder("dm-0", "sdb1", dm="vg0-lv")

    def raid(machine):
        machine.holder("md127", "sdb")

    def btrfs(machine):
        machine.mount("0:45", "/media/b", "btrfs", "/dev/sdb1")

    def second_of_btrfs(machine):
        link(machine.path("sys/fs/btrfs/0-1/devices/sdb2"), machine.path("sys/class/block/sdb2"))
    for prepare, words in ((mounted, "sdb1 is mounted at /media/my card; unmount it first"),
                           (mounted_whole, "sdb is mounted at /mnt"), (encrypted, "luks-1 is mounted at /media/secret"),
                           (swap, "sdb2 is swap space"), (held, "sdb1 belongs to dm-0 (vg0-lv)"),
                           (raid, "sdb belongs to md127"), (btrfs, "sdb1 is mounted at /media/b"),
                           (second_of_btrfs, "sdb2 is part of a mounted btrfs")):
        machine = Fake()
        device = machine.add()
        machine.part("sdb", 1)
        machine.part("sdb", 2, 4 * MIB)
        prepare(machine)
        refused(machine, device, device, "in use: " + words)
        assert not machine.cards()


def the_disks_of_the_running_system_are_refused():
    """Also through an encrypted logical volume, and a mirror of two."""
    machine = Fake()
    cards = [machine.add(name, f"{USB}{name}") for name in ("sdb", "sdc", "sdd")]
    for name in ("sdb", "sdc", "sdd"):
        machine.part(name, 1)
    machine.holder("md0", "sdb1", "sdc1")
    machine.holder("dm-0", "md0", dm="crypt")
    machine.holder("dm-1", "dm-0", dm="vg0-root")
    machine.mount("dm-1", "/media")
    machine.mount("dm-1", "/")
    machine.mount("sdd1", "/boot")
    for device, words in zip(cards, ("/ is on vg0-root", "/ is on vg0-root", "/boot is on sdd1")):
        refused(machine, device, device, "the running system lives on this disk: " + words)


def who_can_not_know_refuses():
    machine = Fake()
    device = machine.add()
    os.unlink(machine.path("sys/dev/block/8:16"))
    refused(machine, device, device, "not to be found in /sys")
    machine = Fake()
    device = machine.add()
    os.unlink(machine.path("proc/self/mountinfo"))
    refused(machine, device, "mountinfo: cannot be read")


def only_whole_disks_and_files_named_img_are_written():
    machine = Fake()
    machine.add()
    refused(machine, machine.part("sdb", 1), "sdb1: a partition of sdb")
    link(machine.path("dev/by-id/usb-card-part1"), machine.path("dev/sdb1"))
    refused(machine, machine.path("dev/by-id/usb-card-part1"), "sdb1: a partition of sdb")
    refused(machine, machine.path("dev/sdz"), "sdz: there is no such device or file")
    refused(machine, scratch("new.img"), "there is no such device or file (--create")
    refused(machine, scratch("no-folder/new.img"), "cannot be made: No such file", options=("--create",))
    refused(machine, scratch(), "not a block device")
    refused(machine, "/dev/null", "/dev/null: not a block device")
    refused(machine, put(scratch("photos.tar"), b"precious"), "only those named *.img")
    hidden = scratch("hidden.img")
    link(hidden, put(scratch("photos.tar"), b"precious"))
    refused(machine, hidden, "only those named *.img")
    own = put(scratch("own.img"), IMAGE)
    refused(machine, own, "is the image itself", image=own)
    looped = put(scratch("looped.img"), IMAGE)
    put(machine.path("sys/block/loop0/loop/backing_file"), looped)
    refused(machine, looped, "in use: loop0 is this file")


def a_file_is_written_like_a_card_and_made_where_told_so():
    machine = Fake()
    card = put(scratch("card.img"), b"\xa5" * (len(IMAGE) + 512))
    assert flash(machine, card, OWN, "--yes", "--create")[0] == 0
    assert get(card) == IMAGE + b"\xa5" * 512
    new = scratch("new.img")
    status, said, why = flash(machine, new, OWN, "--create")  # of what is not there, nobody need be asked
    assert status == 0 and get(new) == IMAGE, (status, said, why)


def what_is_no_image_is_refused_before_the_card_is_touched():
    packed = lzma.compress(IMAGE, preset=0)
    cases = (
        (b"", "no partition table"), (b"#!/bin/sh\n" * 200, "no partition table"), (bytes(MIB), "no partition table"),
        (IMAGE[:446] + b"\x55" + IMAGE[447:], "no partition table"),  # the sector of a file system alone
        (table() + bytes(MIB), "no partition"), (IMAGE[:-100], "no number of sectors"),
        (IMAGE[:2 * MIB], "not whole: partition 1 ends at 4,120,576 bytes (3.9 MiB), the image at 2,097,152 bytes"),
        (packed[:-1000], "not whole: "), (packed[:5000] + b"junk" + packed[5004:], "not whole: "),
    )
    for data, words in cases:
        machine, image = Fake(), put(scratch("own.img"), data)
        refused(machine, machine.add(), image, words, image=image)
    refused(machine, machine.path("dev/sdb"), "there is no such image", image=scratch("none.img"))


def an_image_for_another_board_is_refused():
    machine = Fake()
    device = machine.add()

    def image(name, **said):
        path = put(scratch(name), IMAGE)
        if said:
            put(os.path.splitext(path)[0] + ".json", json.dumps(said))
        return path
    good = {"board": "rpi4", "size": len(IMAGE), "sha256": hashlib.sha256(IMAGE).hexdigest(), "built": "whenever"}
    options = ("--yes", "--board", "rpi4")
    for wrong, words in ((image("holdfast-rpi3.img"), "for the board rpi3, not for rpi4"),
                         (image("holdfast-rpi4.img", **{**good, "board": "bbb"}), "for the board bbb, not for rpi4"),
                         (image("own.img", **{**good, "board": "bbb"}), "for the board bbb"),
                         (image("own.img", **{**good, "size": 512}), "own.json describes: size 5243392, not 512"),
                         (image("own.img", **{**good, "sha256": "00"}), "describes: sha256 "),
                         (image("own.img", **{**good, "sha256": None}), "describes: sha256 ")):
        refused(machine, device, words, image=wrong, options=options)
    broken = image("own.img")
    put(os.path.splitext(broken)[0] + ".json", "{")
    refused(machine, device, "own.json: says nothing", image=broken, options=options)
    own = image("holdfast-rpi4.img", **good)  # was made a board's own since
    put(own, image_bytes(BOARD))
    for right in (image("own.img"), image("holdfast-rpi4.img"), image("holdfast-rpi4.img", **good), own):
        assert flash(machine, device, right, *options)[0] == 0, right


def who_is_not_allowed_or_not_the_only_one_is_refused():
    def opening(error):
        class Refusing(Card):
            def _open(self):
                raise OSError(error, os.strerror(error))
        return Refusing
    machine = Fake()
    device = machine.add()
    for error, words in ((errno.EBUSY, "in use: another program has it open as its own"), (errno.EACCES, "no permission"),
                         (errno.EROFS, "read-only"), (errno.ENOMEDIUM, "no card in it"),
                         (errno.ENXIO, "cannot be opened: No such device or address (ENXIO)")):
        refused(machine, device, device, words, card=opening(error))

    class Impatient(Card):
        wait_s = 0.2
    with open(device, "r+b") as other:  # as udev and other tools lock a disk
        fcntl.flock(other, fcntl.LOCK_SH)
        refused(machine, device, "in use: another program has locked it", card=Impatient)
    card = put(scratch("card.img"), IMAGE)
    with open(card, "r+b") as other:  # as emulators lock some bytes of a file
        fcntl.fcntl(other, 37, struct.pack("hhqqi4x", fcntl.F_RDLCK, os.SEEK_SET, 100, 1, 0))  # F_OFD_SETLK
        refused(machine, card, "in use: another program has locked it")


def the_user_sees_what_goes_and_types_its_name():
    machine = Fake()
    device = machine.add(device__vendor="Generic ", device__model="STORAGE\x1b[2J", size=12 * MIB)
    usb = os.path.join(machine.path("sys/devices"), *USB.split("/")[:3])
    put(os.path.join(usb, "idVendor"), "1234")
    put(os.path.join(usb, "serial"), "0815")
    for number, kind in ((1, "ntfs"), (2, ""), (10, "")):
        machine.part("sdb", number, number * MIB)
        put(machine.path("run/udev/data/b8:%d" % machine.numbers[f"sdb{number}"][1]),
            f"I:1\nE:ID_FS_TYPE={kind}\nE:ID_FS_LABEL_ENC=My\\x20photos\nG:systemd" if kind else "I:1")
    with open(device, "r+b") as file:
        file.seek(2 * MIB + 1024 + 56)
        file.write(b"\x53\xef".ljust(64, b"\0") + b"rootfs\x07\0")
        file.seek(10 * MIB)
        file.write(fat(12, BOARD))
    asked = []
    for answer in ("", "y", "yes", "sdc", "sdb1"):
        refused(machine, device, device, "not confirmed", options=(), terminal=True, ask=lambda _, a=answer: a)
    refused(machine, device, "nobody to ask: no terminal, and no --yes", options=())
    for answer in ("sdb", f" {device}"):
        status, said, why = flash(machine, device, OWN, terminal=True, ask=lambda text, a=answer: asked.append(text) or a)
        assert status == 0, (status, said, why)
        assert "Type sdb to overwrite it" in asked[-1]
        for words in (f"{device} will be overwritten:", "  model   Generic STORAGE?[2J", "  serial  0815", "  bus     usb",
                      "  size    12,582,912 bytes (12.0 MiB)", "  sdb1    ntfs 'My photos', 1,048,576 bytes (1.0 MiB)",
                      f"with {OWN}: 5,243,392 bytes (5.0 MiB), sha256 {hashlib.sha256(IMAGE).hexdigest()}"):
            assert words in said.splitlines(), (words, said)
        if answer == "sdb":
            assert "  sdb2    ext4 'rootfs?'" in said and said.index("sdb2 ") < said.index("  sdb10   vfat 'HOLDFAST'"), said


def a_card_that_was_changed_while_the_user_was_asked_is_refused():
    for name, value in (("diskseq", 8), ("size", 31 * 2048), ("device/serial", "other")):
        machine = Fake()
        device = machine.add()

        def change(_, machine=machine, name=name, value=value):
            put(os.path.join(machine.folder(machine.numbers["sdb"]), name), value)
            return "sdb"
        refused(machine, device, "another card than the one that was shown", options=(), terminal=True, ask=change)


def a_bit_that_flips_is_found_and_its_offset_named():
    for wrong in (0, PART + 77, len(IMAGE) - 1):
        class Flipping(Card):
            def read(self, offset, length, wrong=wrong):
                data = bytearray(super().read(offset, length))
                if offset <= wrong < offset + length:
                    data[wrong - offset] ^= 0x10
                return bytes(data)
        card = put(scratch("card.img"), bytes(len(IMAGE)))
        status, said, why = flash(Fake(), card, OWN, "--yes", card=Flipping)
        assert status == 1 and "written and verified" not in said, (status, said, why)
        byte = f"{IMAGE[wrong] ^ 0x10:#04x} instead of {IMAGE[wrong]:#04x}"
        assert f"{card}: reads back wrong from offset {wrong:,} bytes" in why and byte in why, why
        assert "the card is not usable: not verified. Begin again: make flash DEVICE=" in why, why


class Stopping(Card):
    """Something happens when writing comes to its second part, and when reading back does."""

    def happen(self, what):
        raise NotImplementedError

    def _transfer(self, what, move, offset, length):
        if offset == PART:
            self.happen(what)
        return super()._transfer(what, move, offset, length)


def who_interrupts_is_told_that_the_card_is_not_usable():
    for moment, state in (("writing", "written in part"), ("reading", "not verified")):
        for number in (signal.SIGINT, signal.SIGTERM):
            class Interrupted(Stopping):
                def happen(self, what, moment=moment, number=number):
                    if what == moment:
                        os.kill(os.getpid(), number)
            card = put(scratch("a card.img"), b"\xa5" * len(IMAGE))
            before = signal.signal(number, program.end)
            try:
                status, said, why = flash(Fake(), card, OWN, "--yes", "--board", "virt", card=Interrupted)
            finally:
                signal.signal(number, before)
            assert status == 128 + number and "verified, sha256" not in said, (status, said, why)
            assert f"{card}: interrupted" in why, why
            assert f"not usable: {state}. Begin again: make flash BOARD=virt 'DEVICE={card}' IMAGE={OWN}\n" in why, why
            # No board boots from it before all of it is there.
            assert moment == "reading" or get(card)[:PART] == bytes(PART), "the beginning was there before the end"


def a_medium_that_fails_is_told_with_offset_and_error():
    class Failing(Stopping):
        moment = ""

        def happen(self, what):
            if what == self.moment:
                raise self._failed(what, PART, OSError(errno.EIO, os.strerror(errno.EIO)))
    for moment, state in (("writing", "written in part"), ("reading", "not verified")):
        Failing.moment = moment
        card = put(scratch("card.img"), bytes(len(IMAGE)))
        status, said, why = flash(Fake(), card, OWN, "--yes", card=Failing)
        assert status == 1, (status, said, why)
        assert f"{card}: {moment} failed at offset 4,194,304 bytes (4.0 MiB): Input/output error (EIO)" in why, why
        assert f"not usable: {state}" in why and "another reader" in why, why


def a_disk_that_ends_before_its_end_is_told_where():
    """It was pulled out, or never had so much."""
    class Ending(Card):
        moment = ""

        def _transfer(self, what, move, offset, length):
            def fewer(file, parts, at):
                left = max(0, PART + 512 - at) if what == self.moment else length
                return move(file, [parts[0][:left]], at) if left else 0
            return super()._transfer(what, fewer, offset, length)
    for moment, error in (("writing", "No space left on device (ENOSPC)"), ("reading", "No such device or address (ENXIO)")):
        Ending.moment = moment
        machine = Fake()
        for card, hint in ((put(scratch("card.img"), bytes(len(IMAGE))), "\n"), (machine.add(), "; was it pulled out?\n")):
            status, _, why = flash(machine, card, OWN, "--yes", card=Ending)
            assert status == 1 and f"{card}: {moment} failed at offset 4,194,816 bytes (4.0 MiB): {error}{hint}" in why, why


def where_the_cache_can_not_be_passed_it_is_synced_in_between():
    class Cached(Card):
        sync_every, synced = PART + MIB, 0

        def _transfer(self, what, move, offset, length):
            def odd(file, parts, at):
                if self.direct:
                    raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
                return move(file, parts, at)
            return super()._transfer(what, odd, offset, length)

        def settle(self):
            Cached.synced += 1
            super().settle()
    card, big = put(scratch("card.img"), b""), image_bytes(size=4 * PART)
    os.truncate(card, len(big))
    status, _, why = flash(Fake(), card, put(scratch("own.img"), big), "--yes", card=Cached)
    assert status == 0 and get(card) == big, (status, why)
    assert Cached.synced == 4, "zeros in place of the beginning, two parts, one and the beginning, the end"


def an_image_that_changes_meanwhile_is_found():
    for moment in (0, PART):  # what is written is another one, or what is compared with
        image = put(scratch("own.img"), IMAGE)

        class Meanwhile(Card):
            def write(self, offset, data, moment=moment, image=image):
                if offset == moment:
                    with open(image, "r+b") as file:
                        file.seek(-1, os.SEEK_END)
                        file.write(bytes([IMAGE[-1] ^ 1]))
                super().write(offset, data)
        status, _, why = flash(Fake(), put(scratch("card.img"), bytes(len(IMAGE))), image, "--yes", card=Meanwhile)
        assert status == 1 and f"{image}: was changed while it was written" in why, (moment, status, why)


def it_ends_with_whose_card_it_is():
    class Table(Card):
        told = None

        def read_table_again(self):
            return self.told
    for told, board, words in (
            (None, None, "no board's yet (no holdfast/board on it). `holdfastctl provision` comes first"),
            (None, BOARD, "it is board-a of the cluster line-3 (address 10.0.0.11/24, first begin). Take the card out"),
            ("Device or resource busy (EBUSY)", BOARD, "still knows the partitions from before (Device or resource busy")):
        Table.told = told
        machine = Fake()
        status, said, why = flash(machine, machine.add(), put(scratch("own.img"), image_bytes(board)), "--yes", card=Table)
        assert status == 0 and words in said, (status, said, why)


def a_board_is_read_from_a_fat_of_any_width():
    long = BOARD + b"ntp=" + b"x" * 600 + b"\n"
    for bits in (12, 16, 32):
        for text in (BOARD, long):
            whole = table((0x83, 1, 1), (0x0c, 2, 9000)) + bytes(512) + fat(bits, text)

            def read(offset, length, whole=whole):
                return whole[offset:offset + length].ljust(length, b"\0")
            board = provisioned(read)
            assert board["id"] == "board-a" and board["cluster"] == "line-3" and board["first"] == "begin", (bits, board)
            assert text is BOARD or len(board["ntp"]) == 600, bits
    # Whatever stands there, it is no board, and there is an end.
    for seed in range(300):
        noise = hashlib.shake_128(b"%d" % seed).digest(2048)
        broken = bytearray(whole)
        for at in range(0, 40, 4):
            place = int.from_bytes(noise[at:at + 4], "little") % (512 * 40) + 1024
            broken[place] = noise[at + 40]
        provisioned(lambda offset, length, whole=bytes(broken): whole[offset:offset + length].ljust(length, b"\0"))


def progress_is_one_line_on_a_terminal_and_ten_without():
    clock = itertools.count()  # a second passes at each look
    out = Said()
    progress = Progress("writing", 100 * MIB, out, lambda: next(clock))
    for done in range(1, 101):
        progress.update(done * MIB)
    lines = out.getvalue().splitlines()
    assert len(lines) == 10, lines
    assert lines[0] == "writing    10 %     10.0 of 100.0 MiB     1.0 MiB/s  1:30 left", lines
    assert lines[-1] == "writing   100 %    100.0 of 100.0 MiB     1.0 MiB/s  in 1:40", lines
    out = Said(terminal=True)
    progress = Progress("verifying", 100 * MIB, out, lambda: next(clock))
    for done in (1, 50, 99):
        progress.update(done * MIB)
    assert out.getvalue().count("\r") == 3 and "\n" not in out.getvalue(), out.getvalue()
    progress.close()
    progress.close()
    assert out.getvalue().count("\n") == 1


def make_flash(*variables, **more):
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    return subprocess.run(["make", "--no-print-directory", "flash", *variables], cwd=ROOT, env=environment, timeout=60,
                          capture_output=True, text=True, check=False, **more)


def make_flash_goes_all_the_way():
    image, card = put(scratch("holdfast-virt.img.xz"), lzma.compress(image_bytes(BOARD), preset=0)), scratch("card.img")
    made = make_flash("BOARD=virt", f"DEVICE={card}", f"IMAGE={image}", "CREATE=1", stdin=subprocess.DEVNULL)
    assert made.returncode == 0 and not made.stderr, made
    assert get(card) == image_bytes(BOARD) and "board-a of the cluster line-3" in made.stdout, made
    assert len(re.findall(r"^verifying ", made.stdout, re.M)) in range(2, 11), made
    again = make_flash("BOARD=virt", f"DEVICE={card}", f"IMAGE={image}", stdin=subprocess.DEVNULL)
    assert again.returncode == 2 and "nobody to ask" in again.stderr, again
    again = make_flash("BOARD=virt", f"DEVICE={card}", f"IMAGE={image}", "YES=1", stdin=subprocess.DEVNULL)
    assert again.returncode == 0, again
    for variables, words in ((("BOARD=virt",), "DEVICE is missing"), ((f"DEVICE={card}",), "BOARD is missing"),
                             (("BOARD=no-such", f"DEVICE={card}"), "`make image BOARD=no-such` makes it"),
                             (("BOARD=rpi4", f"DEVICE={card}", f"IMAGE={image}"), "for the board virt, not for rpi4")):
        made = make_flash(*variables, stdin=subprocess.DEVNULL)
        assert made.returncode == 2 and words in made.stderr, made


def on_a_terminal(answer):
    """The program at a terminal where somebody does that when he is asked; exit status and what the terminal shows."""
    card = put(scratch("card.img"), bytes(len(IMAGE)))
    child, terminal = pty.fork()
    if child == 0:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # whoever runs the tests may ignore it, or hold it back
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        os.chdir(os.path.join(ROOT, "firmware"))
        os.execv(sys.executable, [sys.executable, "-B", "-m", "flash", "--image", OWN, card])
    shown = b""

    def read():
        assert select.select([terminal], [], [], 60)[0], f"says nothing more after {shown}"
        return os.read(terminal, 4096)
    try:
        while b"leave it as it is: " not in shown:
            shown += read()
        os.write(terminal, answer)
        with contextlib.suppress(OSError):  # the terminal is gone with its last program
            while piece := read():
                shown += piece
    except AssertionError:
        os.kill(child, signal.SIGKILL)
        raise
    finally:
        _, status = os.waitpid(child, 0)
        os.close(terminal)
    return os.waitstatus_to_exitcode(status), shown.decode(), get(card)


def at_a_terminal_it_asks_and_can_be_interrupted():
    status, shown, card = on_a_terminal(b"card.img\n")
    assert status == 0 and card == IMAGE and "\r" in shown and "\x1b[K" in shown, (status, shown)
    status, shown, card = on_a_terminal(b"no\n")
    assert status == 2 and card == bytes(len(IMAGE)) and "left as it is" in shown and "all     nothing known" in shown, (status, shown)
    status, shown, card = on_a_terminal(b"\x04")
    assert status == 2 and card == bytes(len(IMAGE)) and "left as it is" in shown, (status, shown)
    status, shown, card = on_a_terminal(b"\x03")
    assert status == 130 and card == bytes(len(IMAGE)) and "nothing was written" in shown, (status, shown)


if __name__ == "__main__":
    try:
        result = run_tests([
            an_image_is_written_and_read_back_whole,
            a_disk_that_is_no_card_is_refused,
            cards_and_what_hangs_on_usb_are_taken,
            what_is_in_use_is_refused_by_its_use,
            the_disks_of_the_running_system_are_refused,
            who_can_not_know_refuses,
            only_whole_disks_and_files_named_img_are_written,
            a_file_is_written_like_a_card_and_made_where_told_so,
            what_is_no_image_is_refused_before_the_card_is_touched,
            an_image_for_another_board_is_refused,
            who_is_not_allowed_or_not_the_only_one_is_refused,
            the_user_sees_what_goes_and_types_its_name,
            a_card_that_was_changed_while_the_user_was_asked_is_refused,
            a_bit_that_flips_is_found_and_its_offset_named,
            who_interrupts_is_told_that_the_card_is_not_usable,
            a_medium_that_fails_is_told_with_offset_and_error,
            a_disk_that_ends_before_its_end_is_told_where,
            where_the_cache_can_not_be_passed_it_is_synced_in_between,
            an_image_that_changes_meanwhile_is_found,
            it_ends_with_whose_card_it_is,
            a_board_is_read_from_a_fat_of_any_width,
            progress_is_one_line_on_a_terminal_and_ten_without,
            make_flash_goes_all_the_way,
            at_a_terminal_it_asks_and_can_be_interrupted,
        ])
    finally:
        shutil.rmtree(SCRATCH, ignore_errors=True)
    sys.exit(result)
