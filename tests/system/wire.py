"""The peer protocol by hand: reads daemon/core/wire/holdfast.proto, writes and reads its messages.

Shares nothing with the daemons but that text. A field that is added there can be said and attacked
from then on. Messages are dicts: {"lease": {"kind": "ACQUIRE", "resource": "pump", ...}}.
"""

import os
import re
import struct

PROTO = os.path.join(os.path.dirname(__file__), "..", "..", "daemon", "core", "wire",
                     "holdfast.proto")
FRAME_MAX = 16384
VARINTS = ("uint32", "uint64", "int64", "sint32", "sint64", "bool")

_BLOCK = re.compile(r"^\s*(message|enum|oneof)\s+(\w+)\s*\{")
_FIELD = re.compile(r"^\s*(repeated\s+)?(\w+)\s+(\w+)\s*=\s*(\d+)\s*;\s*(?://\s*(.*))?")
_VALUE = re.compile(r"^\s*(\w+)\s*=\s*(\d+)\s*;\s*(?://\s*(.*))?")


class Field:
    def __init__(self, kind, name, number, repeated, comment):
        self.kind, self.name, self.number = kind, name, number
        self.repeated, self.comment = repeated, comment


def parse(text):
    """Messages (name -> {field name -> Field}) and enums (name -> {value name -> (number, comment)})."""
    messages, enums, stack, above = {}, {}, [], ""
    for line in text.splitlines():
        if line.strip().startswith("//"):
            above += " " + line.strip().strip("/ ")  # of the next one, unless that has its own
            continue
        above, said = "", above.strip()
        block = _BLOCK.match(line)
        if block:
            stack.append((block[1], block[2]))
            if block[1] == "message":
                messages[block[2]] = {}
            elif block[1] == "enum":
                owner = next((n for k, n in reversed(stack) if k == "message"), "")
                enums[f"{owner}.{block[2]}" if owner else block[2]] = {}
        elif line.strip().startswith("}"):
            stack.pop()
        elif stack and stack[-1][0] == "enum" and _VALUE.match(line):
            found = _VALUE.match(line)
            owner = next((n for k, n in reversed(stack) if k == "message"), "")
            name = f"{owner}.{stack[-1][1]}" if owner else stack[-1][1]
            enums[name][found[1]] = (int(found[2]), found[3] or said)
        elif stack and _FIELD.match(line):
            found = _FIELD.match(line)
            owner = next(n for k, n in reversed(stack) if k == "message")
            messages[owner][found[3]] = Field(found[2], found[3], int(found[4]), bool(found[1]),
                                              found[5] or said)
    return messages, enums


with open(PROTO, encoding="utf-8") as _file:
    MESSAGES, ENUMS = parse(_file.read())


def enum_of(owner, field):
    """The values of an enum field, or None if it is no enum."""
    return ENUMS.get(f"{owner}.{field.kind}", ENUMS.get(field.kind))


# ---- writing

def varint(value):
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out + bytes([value]))


def zigzag(value):
    return (value << 1) ^ (value >> 63)


def tagged(number, wire_type, data):
    return varint(number << 3 | wire_type) + data


def delimited(number, data):
    return tagged(number, 2, varint(len(data)) + data)


def _write_field(owner, field, value):
    values = enum_of(owner, field)
    if values is not None:
        return tagged(field.number, 0, varint(values[value][0] if isinstance(value, str) else value))
    if field.kind in MESSAGES:
        return delimited(field.number, encode(field.kind, value))
    if field.kind in ("sint32", "sint64"):
        return tagged(field.number, 0, varint(zigzag(value)))
    if field.kind in VARINTS:
        return tagged(field.number, 0, varint(int(value)))
    if field.kind == "fixed64":
        return tagged(field.number, 1, struct.pack("<Q", value & (1 << 64) - 1))
    data = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
    return delimited(field.number, data)


def _is_zero(value):
    return value in (0, "", b"", False, None)


def encode(name, values):
    """A message's bytes. As in proto3, what is zero is left out; messages are said even when empty."""
    out = bytearray()
    for field in MESSAGES[name].values():
        given = values.get(field.name)
        for value in (given or []) if field.repeated else [given]:
            if value is not None and not (_is_zero(value) and not field.repeated):
                out += _write_field(name, field, value)
    return bytes(out)


def envelope(**body):
    """envelope(lease={...}): the bytes of one Envelope."""
    return encode("Envelope", body)


def frame(data):
    return struct.pack(">I", len(data)) + data


# ---- reading

def _read_varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if byte < 0x80:
            return value, at


def _read_value(owner, field, wire_type, data, at):
    if wire_type == 0:
        value, at = _read_varint(data, at)
        values = enum_of(owner, field) if field else None
        if values is not None:
            value = next((n for n, (number, _) in values.items() if number == value), value)
        elif field and field.kind in ("sint32", "sint64"):
            value = (value >> 1) ^ -(value & 1)
        elif field and field.kind == "int64" and value >> 63:
            value -= 1 << 64
        return value, at
    if wire_type == 1:
        return struct.unpack_from("<Q", data, at)[0], at + 8
    if wire_type == 2:
        length, at = _read_varint(data, at)
        value = data[at:at + length]
        if field and field.kind in MESSAGES:
            value = decode(field.kind, value)
        elif field and field.kind == "string":
            value = value.decode("utf-8", "surrogateescape")
        return value, at + length
    raise ValueError(f"wire type {wire_type}")


def decode(name, data):
    """A dict of what is set. Raises ValueError or IndexError for what is malformed."""
    numbered = {field.number: field for field in MESSAGES[name].values()}
    out, at = {}, 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        field = numbered.get(tag >> 3)
        value, at = _read_value(name, field, tag & 7, data, at)
        if field and field.repeated:
            out.setdefault(field.name, []).append(value)
        elif field:
            out[field.name] = value
    return out


def split_frames(data):
    """Whole envelopes at the beginning of `data`, and the rest."""
    frames, at = [], 0
    while len(data) - at >= 4:
        length = struct.unpack_from(">I", data, at)[0]
        if len(data) - at - 4 < length:
            break
        frames.append(data[at + 4:at + 4 + length])
        at += 4 + length
    return frames, data[at:]
