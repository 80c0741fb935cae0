"""A board's console, kept open: a line out, an answer in, as README.md says of `openssl s_client`.

What is asked again and again, is asked so: each handshake costs an emulated processor half a second, which its
board then has not for the others. What is asked once, `holdfastctl` asks.
"""

import json
import socket
import ssl

PROMPT = b"holdfast> "
TIMEOUT_S = 5.0


class Console:
    """`address`: "HOST:PORT". Connects when it is asked, and anew after an error."""

    def __init__(self, address, ca, cert, key):
        host, _, port = address.rpartition(":")
        self.address = (host, int(port))
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.check_hostname = False
        self.context.load_verify_locations(ca)
        self.context.load_cert_chain(cert, key)
        self.link = None

    def ask(self, words):
        """The parsed answer; None where there was none, or a refusal."""
        try:
            if self.link is None:
                raw = socket.create_connection(self.address, TIMEOUT_S)
                self.link = self.context.wrap_socket(raw)
                self._read()
            self.link.sendall(f"{words} --json\n".encode())
            return json.loads(self._read())
        except json.JSONDecodeError:  # "ERR ..."
            return None
        except (OSError, EOFError):
            self.close()
            return None

    def _read(self):
        """What stands before the next prompt."""
        data = b""
        while not data.endswith(PROMPT):
            more = self.link.recv(65536)
            if not more:
                raise EOFError
            data += more
        return data[:-len(PROMPT)]

    def close(self):
        if self.link is not None:
            self.link.close()
            self.link = None
