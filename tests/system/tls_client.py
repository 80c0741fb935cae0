"""TLS clients of the tests: the console's line mode by hand, and certificates that nobody issues."""

import os
import socket
import ssl
import struct
import subprocess

PROMPT = b"holdfast> "


def tls_context(cluster, name, ca="pki", certificate="pki"):
    """A client's context with NAME's certificate; `ca`, `certificate`: folders in the cluster's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(cluster.path(ca, "ca.crt"))
    context.load_cert_chain(cluster.path(certificate, f"{name}.crt"),
                            cluster.path(certificate, f"{name}.key"))
    return context


def split(address):
    host, port = address.rsplit(":", 1)
    return host, int(port)


class Console:
    """One connection to a node's console."""

    def __init__(self, cluster, node, role="viewer", timeout=10, greeting=True):
        raw = socket.create_connection(split(cluster.console(node)), timeout)
        self.tls = tls_context(cluster, role).wrap_socket(raw)
        self.data = b""
        self.greeting = self.answer() if greeting else ""

    def send(self, data):
        self.tls.sendall(data if isinstance(data, bytes) else data.encode())

    def answer(self):
        """Everything before the next prompt."""
        while PROMPT not in self.data:
            more = self.tls.recv(65536)
            if not more:
                raise AssertionError(f"closed in the middle of an answer: {self.data!r}")
            self.data += more
        answer, self.data = self.data.split(PROMPT, 1)
        return answer.decode()

    def line(self):
        """One line of a live list."""
        while b"\n" not in self.data:
            more = self.tls.recv(65536)
            if not more:
                raise AssertionError("closed in the middle of a line")
            self.data += more
        line, self.data = self.data.split(b"\n", 1)
        return line.decode()

    def ask(self, command):
        self.send(command + "\n")
        return self.answer()

    def rest(self):
        """Everything until the other side closes."""
        try:
            while True:
                more = self.tls.recv(65536)
                if not more:
                    break
                self.data += more
        except (ssl.SSLEOFError, ConnectionResetError):
            pass
        data, self.data = self.data, b""
        return data.decode()

    def close(self):
        self.tls.close()

    def reset(self):
        """Goes away with a reset, as a host that crashes and comes back."""
        self.tls.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.tls.close()


def openssl(cluster, *arguments):
    result = subprocess.run(["openssl", *arguments], cwd=cluster.path("pki"), capture_output=True,
                            text=True, stdin=subprocess.DEVNULL, check=False)
    assert result.returncode == 0, result.stderr


def odd_certificate(cluster, name, common_name, unit, start="20240102000000Z",
                    end="20990101000000Z"):
    """A certificate of the cluster's CA that `pki issue` would not write: pki/NAME.crt, .key."""
    folder = cluster.path("pki")
    text = """[ca]
default_ca = odd
[odd]
database = odd.index
serial = odd.serial
new_certs_dir = .
default_md = sha256
policy = any
unique_subject = no
[any]
commonName = optional
organizationalUnitName = optional
organizationName = optional
[req]
distinguished_name = subject
[subject]
"""
    with open(os.path.join(folder, "odd.conf"), "w", encoding="ascii") as file:
        file.write(text)
    open(os.path.join(folder, "odd.index"), "w", encoding="ascii").close()
    if not os.path.exists(os.path.join(folder, "odd.serial")):
        with open(os.path.join(folder, "odd.serial"), "w", encoding="ascii") as file:
            file.write("7001\n")
    openssl(cluster, "req", "-new", "-config", "odd.conf", "-newkey", "ec", "-pkeyopt",
            "ec_paramgen_curve:prime256v1", "-nodes", "-subj",
            f"/O=line-3/OU={unit}/CN={common_name}", "-keyout", f"{name}.key", "-out", "odd.csr")
    openssl(cluster, "ca", "-batch", "-config", "odd.conf", "-cert", "ca.crt", "-keyfile", "ca.key",
            "-in", "odd.csr", "-startdate", start, "-enddate", end, "-notext", "-out",
            f"{name}.crt")
    os.chmod(os.path.join(folder, f"{name}.key"), 0o600)
