"""One tensor of an ONNX file: what it promises, against what it holds."""

import math
from dataclasses import dataclass, field

import numpy as np

from bundle.wire import BYTES, LONGEST_VARINT, Malformed, Value, read_numbers, signed

DIMENSIONS, TYPE, SEGMENT, NAME, RAW, EXTERNAL, LOCATION = 1, 2, 3, 8, 9, 13, 14
TYPED = {4: ("<f4", 32), 5: (None, 0), 6: (None, 0), 7: (None, 0), 10: ("<f8", 64), 11: (None, 0)}
"""Fields of typed numbers: the numpy type of those of fixed size; the others are varints, or strings (6)."""
STRINGS = 6
BITS = {1: 32, 2: 8, 3: 8, 4: 16, 5: 16, 6: 32, 7: 64, 9: 8, 10: 16, 11: 64, 12: 32, 13: 64, 14: 64, 15: 128, 16: 16}
BITS |= {17: 8, 18: 8, 19: 8, 20: 8, 21: 4, 22: 4, 23: 4, 24: 8, 25: 2, 26: 2}
"""Size of an element, by ONNX's number of its type; 8, strings, have none."""
STRING_TYPE = 8
COMPLEX = (14, 15)
READ = {1: "<f4", 6: "<i4", 7: "<i8", 11: "<f8"}
"""Types of which small tensors are read, for they may be shapes."""
SMALL = 64
"""Elements, or axes."""


@dataclass
class Tensor:
    """What one TensorProto says, gathered field by field with `take`."""

    name: str = ""
    dims: list[int] = field(default_factory=list)
    kind: int = 0
    elements: int = 0
    """How many stand in typed fields."""
    raw: memoryview | None = None
    values: list[float] = field(default_factory=list)
    """Numbers of typed fields, where they are few."""

    def take(self, number: int, wire: int, value: Value) -> None:
        """One field.

        Raises:
            Malformed: of the wrong type, or one that leads out of the file.
        """
        if number == EXTERNAL or (number == LOCATION and value != 0):
            raise Malformed("a tensor whose data lie in another file, where only weights inside the graph are read")
        if number == SEGMENT:
            raise Malformed("a tensor in segments")
        if number == DIMENSIONS:
            self.dims += read_few(wire, value)
            if len(self.dims) > SMALL or (isinstance(value, memoryview) and len(value) > SMALL * LONGEST_VARINT):
                raise Malformed(f"a tensor of over {SMALL} axes")
        elif number == TYPE and isinstance(value, int):
            self.kind = value
        elif number == NAME and isinstance(value, memoryview):
            self.name = bytes(value).decode("utf-8", errors="replace")
        elif number == RAW and isinstance(value, memoryview):
            self.raw = value
        elif number in TYPED:
            self._take_typed(number, wire, value)

    def _take_typed(self, number: int, wire: int, value: Value) -> None:
        kind, bits = TYPED[number]
        if number == STRINGS:
            self.elements += 1
        elif kind is not None and isinstance(value, memoryview):
            if len(value) * 8 % bits:
                raise Malformed("numbers cut short")
            self.elements += len(value) * 8 // bits
            self.values += np.frombuffer(value, kind).tolist() if len(self.values) + len(value) <= SMALL * 8 else []
        elif isinstance(value, int):
            self.elements += 1
            self.values += [signed(value)] if len(self.values) <= SMALL else []
        elif wire == BYTES:
            self.elements += int(np.count_nonzero(np.frombuffer(value, np.uint8) < 0x80))
            self.values += read_few(wire, value)

    def check(self) -> None:
        """Refuse a tensor that promises more than it holds.

        Raises:
            Malformed: it does, or its shape or type is none.
        """
        bits = BITS.get(self.kind)
        if bits is None and self.kind != STRING_TYPE:
            raise Malformed(f"a tensor of the unknown type {self.kind}")
        if any(size < 0 for size in self.dims):
            raise Malformed(f"a tensor of shape {self.dims[:SMALL]}")
        promised = math.prod(self.dims)
        held = self.elements
        if self.raw is not None and bits is not None:
            held = len(self.raw) * 8 // bits
        elif self.kind in COMPLEX:
            held //= 2
        elif bits is not None and bits < 8:
            held *= 8 // bits
        if promised > held:
            raise Malformed(f"a tensor that promises {promised:,} elements and holds {held:,}")

    def numbers(self) -> list[float]:
        """The elements of a small tensor of whole or floating-point numbers; empty for any other."""
        if self.kind not in READ or math.prod(self.dims) > SMALL:
            return []
        return self.values if self.raw is None else np.frombuffer(self.raw, READ[self.kind]).tolist()


def read_few(wire: int, value: Value) -> list[int]:
    """Signed numbers of a repeated integer field; none where they are too many to be a shape.

    Raises:
        Malformed: of another wire type, or cut short.
    """
    return [] if isinstance(value, memoryview) and len(value) > SMALL * LONGEST_VARINT else read_numbers(wire, value)
