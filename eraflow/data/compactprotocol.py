"""Thrift's compact protocol, as far as the footers of parquet files use it (apache/thrift
`doc/specs/thrift-compact-protocol.md`): a cursor that walks over bytes, bounded in steps and depth.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator

BYTE, VARINTS, DOUBLE, BINARY, LISTS, MAP, STRUCT = 3, (4, 5, 6), 7, 8, (9, 10), 11, 12
"""Types of the compact protocol; 1 and 2 are true and false and have no value of their own."""
MOST_STEPS = 8_000_000
"""Values that are passed one by one; a file with three thousand columns in a thousand row groups takes 300,000."""
MOST_BITS, MOST_DEPTH = 70, 16
"""Of a number, in sevens, and of structs and lists in each other; a footer has five levels."""


class UnusualFooterError(ValueError):
    """The footer is not laid out as expected; a reader of whole footers must do."""


class Cursor:
    """A place in compact-protocol bytes that moves forward."""

    def __init__(self, data: mmap.mmap | bytes, place: int) -> None:
        self.data = data
        self.place = place
        self.steps = 0

    def byte(self) -> int:
        """The next byte."""
        value = self.data[self.place]
        self.place += 1
        return value

    def varint(self) -> int:
        """A number without a sign."""
        value = 0
        for shift in range(0, MOST_BITS, 7):
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise UnusualFooterError("a number of more than 64 bits")

    def signed(self) -> int:
        """A zigzag number."""
        value = self.varint()
        return (value >> 1) ^ -(value & 1)

    def binary(self) -> bytes:
        """A text."""
        size = self.varint()
        self.place += size
        return self.data[self.place - size : self.place]

    def list_head(self) -> tuple[int, int]:
        """How many elements, and their type."""
        head = self.byte()
        count = head >> 4 if head < 0xF0 else self.varint()
        if count > len(self.data) - self.place:  # an element is a byte at least
            raise UnusualFooterError("a list that is longer than the file")
        return count, head & 0x0F

    def fields(self, last: int = 0) -> Iterator[tuple[int, int]]:
        """Number and type of each field to the end of the struct; the caller takes the value before the next.

        Args:
            last: the field before the cursor, 0 at the beginning of the struct.
        """
        while head := self.byte():
            last = last + (head >> 4) if head >> 4 else self.signed()
            yield last, head & 0x0F

    def skip(self, kind: int, depth: int = 0) -> None:
        """Go to the end of a value, which lies so deep in what is skipped."""
        self.steps += 1
        if depth > MOST_DEPTH or self.steps > MOST_STEPS:
            raise UnusualFooterError("deeper or longer than parquet goes")
        if kind == BYTE:
            self.place += 1
        elif kind in VARINTS:
            self.varint()
        elif kind == DOUBLE:
            self.place += 8
        elif kind == BINARY:
            size = self.varint()  # moves the cursor itself
            self.place += size
        elif kind in LISTS:
            count, inner = self.list_head()
            for _ in range(count):
                self.skip(BYTE if inner <= 2 else inner, depth + 1)  # a truth value in a list is a byte
        elif kind == STRUCT:
            for _, inner in self.fields():
                self.skip(inner, depth + 1)
        elif kind == MAP or kind > STRUCT:
            raise UnusualFooterError("a type that parquet does not use")


def varint(value: int) -> bytes:
    """A number without a sign, as it is written."""
    found = bytearray()
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def list_head(count: int) -> bytes:
    """The beginning of a list of so many structs, as it is written."""
    return bytes([count << 4 | STRUCT]) if count < 15 else bytes([0xF0 | STRUCT]) + varint(count)
