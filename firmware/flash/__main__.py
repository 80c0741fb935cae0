"""Writes an image to a card, and reads it back: `make flash BOARD=... DEVICE=/dev/sdX [IMAGE=F]`.

    python3 -m flash --board BOARD [--image FILE] [--yes] [--create] DEVICE

Exit status: 0 written and verified; 1 the card can't be relied on; 2 refused, nothing was written; 128 and
the signal's number if one ended it.
"""

import argparse
import os
import shlex
import signal
import sys

from .card import Card, verify, write_image
from .image import Image
from .machine import Machine, Volume, describe
from .report import Ended, Failed, Progress, Refused, ask_at_terminal, size_text
from .volumes import SECTOR, kind_and_label, partitions, provisioned

FAILED, REFUSED, SIGNALLED = 1, 2, 128
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
IMAGES = os.path.join("build", "image")
# How far the card is.
UNTOUCHED, IN_PART, UNVERIFIED, GOOD = "nothing was written", "written in part", "not verified", "written and verified"


def default_image(board):
    """What `make image` leaves; the compressed one where there is no other."""
    if not board:
        raise Refused("BOARD is missing: make flash BOARD=... DEVICE=/dev/sdX")
    path = os.path.join(IMAGES, board, f"holdfast-{board}.img")
    found = next((p for p in (path, f"{path}.xz") if os.path.exists(p)), None)
    if found is None:
        raise Refused(f"{path}: there is no such image; `make image BOARD={board}` makes it")
    return found


def create(path, size):
    try:
        with open(path, "xb") as file:
            file.truncate(size)
    except OSError as error:
        raise Refused(f"{path}: cannot be made: {error.strerror}") from error


class Flash:
    """One card, from the first look at it to the last word. Tests choose what it stands on."""

    def __init__(self, given, machine, card_class=Card, out=None, terminal=None, ask=ask_at_terminal):
        self.given, self.machine, self.card_class, self.ask = given, machine, card_class, ask
        self.out = out or sys.stdout
        self.terminal = sys.stdin.isatty() if terminal is None else terminal
        self.progress = None
        self.state = UNTOUCHED

    def tell(self, line):
        print(line, file=self.out, flush=True)

    def run(self):
        """Exit status."""
        try:
            self._run()
            return 0
        except Refused as refused:
            print(f"flash: {refused}", file=sys.stderr)
            return REFUSED
        except Failed as failed:
            self._end(str(failed))
            return REFUSED if self.state == UNTOUCHED else FAILED
        except OSError as error:  # of none of the files that are named elsewhere: the output, say
            self._end(f"{self.given.device}: {error}")
            return REFUSED if self.state == UNTOUCHED else FAILED
        except Ended as ended:
            self._end(f"{self.given.device}: interrupted")
            return SIGNALLED + ended.number

    def _end(self, why):
        """Why it ended, and what that means for the card."""
        if self.progress:
            self.progress.close()
        print(f"flash: {why}", file=sys.stderr)
        if self.state in (UNTOUCHED, GOOD):
            print(f"flash: {self.state}", file=sys.stderr)
            return
        print(f"flash: the card is not usable: {self.state}. Begin again: {self._command()}\n"
              "flash: if it fails with this card again, take another one, or another reader", file=sys.stderr)

    def _command(self):
        given = self.given
        named = (("BOARD", given.board), ("DEVICE", given.device), ("IMAGE", given.image))
        return shlex.join(["make", "flash", *(f"{name}={value}" for name, value in named if value)])

    def _run(self):
        given = self.given
        if not given.device:
            cards = "; ".join(map(describe, self.machine.cards())) or "none"
            raise Refused(f"DEVICE is missing: make flash BOARD=... DEVICE=/dev/sdX; cards that are here: {cards}")
        image = Image(given.image or default_image(given.board))
        new = given.create and given.device.endswith(".img") and not os.path.lexists(given.device)
        disk = None if new else self.machine.disk(given.device)
        if disk and not disk.number and os.path.samefile(disk.path, image.path):
            raise Refused(f"{given.device}: is the image itself")
        image.check(given.board)
        if new:
            create(given.device, image.size)
            disk = self.machine.disk(given.device)
        if disk.size < image.size:
            raise Refused(f"{disk.path}: too small: {size_text(disk.size)}, the image has {size_text(image.size)}")
        card = self.card_class(disk)
        try:
            if not new:
                self._show(card, image)
                self._confirm(disk)
            self._write(card, image)
            self._what_now(card)
        finally:
            card.close()

    def _show(self, card, image):
        disk = card.disk
        self.tell(f"{disk.path} will be overwritten:")
        facts = (("model", disk.model), ("serial", disk.serial), ("bus", disk.bus), ("size", size_text(disk.size)))
        for name, value in facts:
            if value:
                self.tell(f"  {name:<8}{value}")
        volumes = disk.volumes or [Volume(f"part {p.number}", p.start, p.size)
                                   for p in partitions(card.read(0, SECTOR)) or ()] or [Volume("all", 0, disk.size)]
        for volume in volumes:
            kind, label = (volume.kind, volume.label) if volume.kind else kind_and_label(card.read, volume.start)
            self.tell(f"  {volume.name:<8}{kind or 'nothing known'}{label and f' {label!r}'}, {size_text(volume.size)}")
        self.tell(f"with {image.path}: {size_text(image.size)}, sha256 {image.sha256}")

    def _confirm(self, disk):
        if self.given.yes:
            return
        if not self.terminal:
            raise Refused(f"{disk.path}: nobody to ask: no terminal, and no --yes (YES=1)")
        typed = self.ask(f"Type {disk.name} to overwrite it, anything else to leave it as it is: ").strip()
        if typed not in (disk.name, disk.path):
            raise Refused(f"{disk.path}: not confirmed: left as it is")

    def _write(self, card, image):
        disk = card.disk
        if disk.number and self.machine.disk(disk.path) != disk:
            raise Refused(f"{disk.path}: another card than the one that was shown")
        self.state = IN_PART
        self.progress = Progress("writing", image.size, self.out)
        write_image(card, image, self.progress)
        self.state = UNVERIFIED
        self.progress = Progress("verifying", image.size, self.out)
        verify(card, image, self.progress)
        self.state = GOOD
        self.tell(f"{disk.path}: written and verified, sha256 {image.sha256}")

    def _what_now(self, card):
        why_not = card.read_table_again()
        if why_not:
            self.tell(f"The kernel still knows the partitions from before ({why_not}): take the card out and in again.")
        board = provisioned(card.read)
        if board is None:
            self.tell("What now: it is no board's yet (no holdfast/board on it). `holdfastctl provision` comes first, with"
                      " --folder where its first partition is mounted; until then the board that gets it drives nothing.")
            return
        self.tell(f"What now: it is {board.get('id', '?')} of the cluster {board.get('cluster', '?')}"
                  f" ({', '.join(f'{k} {board[k]}' for k in ('address', 'first') if k in board)})."
                  + (" Take the card out, and put it into this board." if card.disk.number else ""))


def end(number, _frame):
    raise Ended(number)


def parse(arguments):
    parser = argparse.ArgumentParser(prog="flash", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--board", default="", help="that the image has to be for")
    parser.add_argument("--image", default="", help=f"default: {IMAGES}/BOARD/holdfast-BOARD.img, or .img.xz")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--create", action="store_true", help="a DEVICE named *.img that is not there, of the image's size")
    parser.add_argument("device", nargs="?", default="", metavar="DEVICE", help="a whole disk, or a file named *.img")
    return parser.parse_args(arguments)


def main():
    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, end)
    return Flash(parse(sys.argv[1:]), Machine()).run()


if __name__ == "__main__":
    sys.exit(main())
