"""A crowd that holds connections to ports and dials again at once when one is closed.

A program of its own, so that it takes no time from the test: strangers.py KIND COUNT FROM TO...
Kinds: silent; byte (one of a TLS record); half (of a ClientHello); hello (a whole one, then
silence); noise. Prints a line of counts when every connection is up, and at its end.
"""

import os
import select
import signal
import socket
import ssl
import subprocess
import sys
import time


def client_hello():
    """A ClientHello as any TLS client sends it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ecdh_curve("prime256v1")
    out = ssl.MemoryBIO()
    try:
        context.wrap_bio(ssl.MemoryBIO(), out).do_handshake()
    except ssl.SSLWantReadError:
        pass
    return out.read()


HELLO = client_hello()
FIRST_WORDS = {"silent": b"", "byte": b"\x16", "half": HELLO[:len(HELLO) // 2], "hello": HELLO,
               "noise": b"\x80" * 64}


class Crowd:
    def __init__(self, kind, count, source, targets):
        self.first, self.source = FIRST_WORDS[kind], source
        self.poll = select.epoll()
        self.open = {}  # fd -> (socket, target, whether it is connected)
        self.dials = 0
        self.wanted = count * len(targets)
        self.later = []
        for target in targets:
            for _ in range(count):
                self.dial(target)

    def dial(self, target):
        connection = socket.socket()
        connection.setblocking(False)
        try:
            connection.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
            connection.bind((self.source, 0))
            connection.connect_ex(target)
        except OSError:
            connection.close()
            self.later.append(target)
            return
        self.dials += 1
        self.open[connection.fileno()] = [connection, target, False]
        self.poll.register(connection, select.EPOLLOUT | select.EPOLLIN | select.EPOLLRDHUP)

    def drop(self, number):
        connection, target, _ = self.open.pop(number)
        self.poll.unregister(connection)
        connection.close()
        self.dial(target)

    def turn(self, number, events):
        entry = self.open[number]
        if events & (select.EPOLLHUP | select.EPOLLERR | select.EPOLLRDHUP):
            refused = not entry[2]
            if refused:  # nobody listens there now: not in a tight loop
                self.poll.unregister(entry[0])
                entry[0].close()
                self.later.append(self.open.pop(number)[1])
            else:
                self.drop(number)
        elif not entry[2]:
            entry[2] = True
            self.poll.modify(entry[0], select.EPOLLIN | select.EPOLLRDHUP)
            try:
                entry[0].send(self.first)
            except OSError:
                self.drop(number)
        elif events & select.EPOLLIN:
            try:
                if not entry[0].recv(65536):
                    self.drop(number)
            except OSError:
                self.drop(number)

    def run(self):
        stopped = []
        signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
        told, last = False, 0.0
        while not stopped and os.getppid() != 1:
            for number, events in self.poll.poll(0.005):
                if number in self.open:
                    self.turn(number, events)
            if time.monotonic() - last > 0.05:  # where nobody listens
                last = time.monotonic()
                again, self.later = self.later, []
                for target in again:
                    self.dial(target)
            if not told and sum(entry[2] for entry in self.open.values()) >= self.wanted * 0.9:
                told = True
                print(f"{len(self.open)} open", flush=True)
        print(f"{self.dials} dials", flush=True)


class Strangers:
    """The program, as a test starts it; leaves with close()."""

    def __init__(self, kind, count, source, targets):
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, os.path.abspath(__file__), kind, str(count), source,
             *[f"{host}:{port}" for host, port in targets]],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        assert "open" in self.process.stdout.readline(), "the crowd has not come"

    def close(self):
        """Returns how many times one dialled, a second."""
        self.process.terminate()
        dials = int(self.process.stdout.read().split()[0])
        self.process.wait()
        self.process.stdout.close()
        return dials / (time.monotonic() - self.started)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.close()


if __name__ == "__main__":
    Crowd(sys.argv[1], int(sys.argv[2]), sys.argv[3],
          [(a.rsplit(":", 1)[0], int(a.rsplit(":", 1)[1])) for a in sys.argv[4:]]).run()
