"""The boards' network: frames between the QEMUs' Unix sockets, with cuts by direction."""

import selectors
import socket
import threading


class Switch:
    """A hub: a frame of one board goes to all others that it is not cut from."""

    def __init__(self):
        self.ports = {}   # board's name -> (socket, path of its QEMU's)
        self.cuts = set()  # (from, to)
        self.selector = selectors.DefaultSelector()
        self.stop = False
        threading.Thread(target=self._run, daemon=True).start()

    def plug(self, board):
        port = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        port.bind(board.path("hub"))
        port.setblocking(False)
        self.ports[board.name] = (port, board.path("wire"))
        self.selector.register(port, selectors.EVENT_READ, board.name)

    def cut(self, *pairs):
        """Frames from the first to the second of each pair are lost."""
        self.cuts |= set(pairs)

    def cut_off(self, name):
        for other in self.ports:
            if other != name:
                self.cut((name, other), (other, name))

    def heal(self):
        self.cuts = set()

    def close(self):
        self.stop = True
        for port, _ in self.ports.values():
            port.close()

    def _run(self):
        while not self.stop:
            for key, _ in self.selector.select(0.2):
                try:
                    frame = key.fileobj.recv(65536)
                except OSError:
                    continue
                for name, (port, path) in list(self.ports.items()):
                    if name != key.data and (key.data, name) not in self.cuts:
                        try:
                            port.sendto(frame, path)
                        except OSError:
                            pass  # without power, or its queue is full: frames get lost
