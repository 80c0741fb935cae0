"""What the user is told: why not, how large, how far."""

import os
import select
import signal
import sys
import time

MIB = 1 << 20


class Refused(Exception):
    """Nothing was written. Its text names what is refused, and why, in one line."""


class Failed(Exception):
    """The card can't be relied on: it was not written to its end, or gave back something else."""


class Ended(Exception):
    """A signal wants this program to end."""

    def __init__(self, number):
        super().__init__(number)
        self.number = number


def printable(text):
    """What a card says of itself does not write anywhere else on the terminal."""
    return "".join(c if c.isprintable() else "?" for c in text)


def ask_at_terminal(question):
    """What is typed, "" at its end. A signal ends it at any moment: `input` sleeps on through one that comes
    between its question and its reading."""
    woken, waker = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    before = signal.set_wakeup_fd(waker)
    try:
        print(question, end="", flush=True)
        select.select([sys.stdin, woken], [], [])  # the handler of a signal runs, and raises, when this returns
        return sys.stdin.readline()
    finally:
        signal.set_wakeup_fd(before)
        os.close(woken)
        os.close(waker)


def size_text(size):
    return f"{size:,} bytes ({size / MIB:,.1f} MiB)"


def time_text(seconds):
    minutes, seconds = divmod(int(seconds + 0.5), 60)
    return f"{minutes}:{seconds:02}"


class Progress:
    """One phase of the work: on a terminal a line that is written over, else a line every 10 %."""

    EVERY_S = 0.2

    def __init__(self, what, total, out, clock=time.monotonic):
        self.what, self.total, self.out, self.clock = what, total, out, clock
        self.terminal = out.isatty()
        self.begun = clock()
        self.shown, self.shown_at = 0, self.begun
        self.open = False  # a line on the terminal that has no end yet

    def update(self, done):
        """`done`: bytes of the total, never less than before."""
        now = self.clock()
        if done >= self.total:
            self._show(self._line(done, now, f"in {time_text(now - self.begun)}"))
            self.close()
        elif self.terminal:
            if now - self.shown_at >= self.EVERY_S:
                self.shown_at = now
                self._show(self._line(done, now, self._left(done, now)))
        elif 10 * done // self.total > self.shown:
            self.shown = 10 * done // self.total
            self._show(self._line(done, now, self._left(done, now)))

    def close(self):
        """Ends the line, if there is one, so that what comes next has its own."""
        if self.open:
            self.out.write("\n")
            self.out.flush()
        self.open = False

    def _left(self, done, now):
        return f"{time_text((self.total - done) * (now - self.begun) / done)} left"

    def _line(self, done, now, end):
        rate = done / MIB / max(now - self.begun, 1e-6)
        return (f"{self.what:<9} {100 * done // self.total:3} %  {done / MIB:7.1f} of {self.total / MIB:.1f} MiB"
                f"  {rate:6.1f} MiB/s  {end}")

    def _show(self, line):
        self.out.write(f"\r{line}\x1b[K" if self.terminal else f"{line}\n")
        self.out.flush()
        self.open = self.terminal
