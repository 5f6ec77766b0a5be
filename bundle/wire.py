"""Protocol buffers' wire format, read strictly and without copying, for files whose maker is not trusted."""

from collections.abc import Iterator

VARINT, EIGHT, BYTES, FOUR = 0, 1, 2, 5
"""Wire types; the two of groups, which nothing has used for decades, are refused."""
SIZES = {EIGHT: 8, FOUR: 4}
LONGEST_VARINT = 10
LARGEST_KEY = 1 << 32
SIGN = 1 << 63

Value = int | memoryview
"""The number of a varint, or the bytes of anything else."""


class Malformed(ValueError):
    """Bytes that are no message of the wire format; the message says why."""


def read_fields(message: memoryview) -> Iterator[tuple[int, int, Value]]:
    """Field number, wire type and value of every field of one message, in order; nothing inside of a value is read.

    Raises:
        Malformed: cut short, a varint of over ten bytes, a group, or a field without a number.
    """
    position, end = 0, len(message)
    while position < end:
        key, position = read_varint(message, position)
        number, kind = key >> 3, key & 7
        if not number or key >= LARGEST_KEY:
            raise Malformed("a field without a valid number")
        if kind == VARINT:
            value, position = read_varint(message, position)
            yield number, kind, value
            continue
        if kind == BYTES:
            size, position = read_varint(message, position)
        elif kind in SIZES:
            size = SIZES[kind]
        else:
            raise Malformed(f"wire type {kind}")
        if size > end - position:
            raise Malformed(f"a field of {size:,} bytes where {end - position:,} are left")
        yield number, kind, message[position : position + size]
        position += size


def read_varint(message: memoryview, position: int) -> tuple[int, int]:
    """An unsigned number of up to 64 bits and the position after it.

    Raises:
        Malformed: cut short, or longer than that.
    """
    value, length = 0, len(message)
    if position < length and message[position] < 0x80:
        return message[position], position + 1
    for index in range(LONGEST_VARINT):
        if position + index >= length:
            raise Malformed("a number cut short")
        byte = message[position + index]
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            if value >= 2 * SIGN:
                raise Malformed("a number of over 64 bits")
            return value, position + index + 1
    raise Malformed("a number of over ten bytes")


def signed(value: int) -> int:
    """An unsigned 64-bit number as the signed one it stands for."""
    return value - 2 * SIGN if value >= SIGN else value


def read_numbers(kind: int, value: Value) -> list[int]:
    """Signed numbers of a repeated integer field, packed or not.

    Raises:
        Malformed: of another wire type, or cut short.
    """
    if isinstance(value, int):
        return [signed(value)]
    if kind != BYTES:
        raise Malformed(f"numbers of wire type {kind}")
    numbers, position = [], 0
    while position < len(value):
        number, position = read_varint(value, position)
        numbers.append(signed(number))
    return numbers
