"""An application on a board: asks the lease page, and while it holds writes to the actuator.

    master.py NUMBER HOST:PORT PAGE LIBHOLDFAST LOG

What it writes says who wrote, with which token, the how manieth time: the actuator's own record of
that is a witness. LOG gets a line for each write that was answered: its count, and whether the token
was still the same then. Only of such a write is it sure that the lease was what it says.
"""

import ctypes
import os
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from modbus import Master, ModbusException  # pylint: disable=wrong-import-position

REGISTER = 100
EVERY_S = 0.05
TIMEOUT_S = 1.0


class Page:
    """The lease page by libholdfast, opened anew when its guard has gone."""

    def __init__(self, library, path):
        self.hf = ctypes.CDLL(library)
        self.hf.hf_lease_valid.restype = ctypes.c_bool
        self.hf.hf_page_stale.restype = ctypes.c_bool
        self.path, self.page = path.encode(), ctypes.c_void_p()

    def token(self):
        """Of the lease, if it is valid now; else 0."""
        if self.page.value is None or self.hf.hf_page_stale(self.page):
            page = ctypes.c_void_p()
            if self.hf.hf_open(self.path, ctypes.byref(page)) == 0:
                self.hf.hf_close(self.page)
                self.page = page
        token = ctypes.c_uint64()
        valid = self.page.value is not None and self.hf.hf_lease_valid(
            self.page, b"pump", ctypes.byref(token), None)
        return token.value if valid else 0


def main():
    number, address, path, library, log = sys.argv[1:]
    host, port = address.split(":")
    page, master, count = Page(library, path), None, int(time.time()) % 40000 * 100000
    with open(log, "a", encoding="ascii", buffering=1) as file:
        while True:
            time.sleep(EVERY_S)
            token = page.token()
            if token == 0:
                continue
            count += 1
            data = struct.pack(">HHHHHH", int(number), token >> 32 & 0xffff, token >> 16 & 0xffff,
                               token & 0xffff, count >> 16 & 0xffff, count & 0xffff)
            try:
                master = master or Master((host, int(port)), timeout=TIMEOUT_S)
                master.request(struct.pack(">BHHB", 16, REGISTER, 6, len(data)) + data)
                file.write(f"{count} {'same' if page.token() == token else 'other'}\n")
            except ModbusException:
                pass
            except OSError:
                if master:
                    master.close()
                master = None


if __name__ == "__main__":
    main()
