"""The smallest Modbus TCP master: one request, one answer. Source: Modbus Messaging on TCP/IP V1.0b."""

import socket
import struct


class ModbusException(Exception):
    """The exception code that the server answered with."""

    def __init__(self, code):
        names = {1: "illegal function", 2: "illegal data address", 3: "illegal data value",
                 4: "server device failure", 6: "server device busy", 10: "gateway path unavailable",
                 11: "gateway target failed to respond"}
        super().__init__(f"exception 0x{code:02x} ({names.get(code, 'other')})")
        self.code = code


class Master:
    def __init__(self, address, unit=1, timeout=5.0):
        self.socket = socket.create_connection(address, timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.unit, self.transaction = unit, 0

    def close(self):
        self.socket.close()

    def _read(self, count):
        data = b""
        while len(data) < count:
            part = self.socket.recv(count - len(data))
            if not part:
                raise ConnectionError("closed by the server")
            data += part
        return data

    def request(self, pdu):
        self.transaction = (self.transaction + 1) & 0xFFFF
        self.socket.sendall(struct.pack(">HHHB", self.transaction, 0, len(pdu) + 1, self.unit) + pdu)
        transaction, protocol, length, _ = struct.unpack(">HHHB", self._read(7))
        answer = self._read(length - 1)
        if transaction != self.transaction or protocol != 0:
            raise ConnectionError("answer to another request")
        if answer[0] & 0x80:
            raise ModbusException(answer[1])
        return answer

    def write_register(self, register, value):
        return self.request(struct.pack(">BHH", 6, register, value))

    def read_registers(self, register, count):
        answer = self.request(struct.pack(">BHH", 3, register, count))
        return list(struct.unpack(f">{count}H", answer[2:2 + 2 * count]))
