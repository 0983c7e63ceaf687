"""A journal as a file: every row of a shard with its hash chain, and a checksum over the whole.

    header    magic, then one frame: shard, and the hash and sequence that the first row follows
    frames    4 bytes of length (big-endian) and a journal row as MessagePack; a length of 0 ends them
    trailer   32 bytes: BLAKE2b of everything before

Rows are verified in both directions, so a file is whole, in order and unchanged, or it is refused.
"""

import struct
from collections.abc import Iterator
from hashlib import blake2b
from typing import BinaryIO

import msgspec

from app.errors import JournalDamaged
from app.protocol.records import GENESIS_HASH, HASH_BYTES
from app.storage.journal import JournalRow, verify_row

MAGIC = b"orderwire journal 1\n"
FRAME_BYTES_MAX = 64 << 20
"""Far beyond the largest row: a length past it is damage, not a row."""

_LENGTH = struct.Struct(">I")


class Header(msgspec.Struct, frozen=True, array_like=True):
    """Where the rows of a file begin."""

    shard: int
    after_seq: int
    after_hash: bytes


_encode = msgspec.msgpack.Encoder().encode
_header = msgspec.msgpack.Decoder(Header)
_row = msgspec.msgpack.Decoder(tuple[int, int, int, bytes, bytes, int, int, bytes])


class JournalFileWriter:
    """Writes rows in journal order. Raises JournalDamaged for one that does not follow."""

    def __init__(self, file: BinaryIO, header: Header) -> None:
        self._file = file
        self._digest = blake2b(digest_size=HASH_BYTES)
        self._hash, self._seq = header.after_hash, header.after_seq
        self.rows = 0
        self._write(MAGIC)
        self._frame(_encode(header))

    @property
    def last_seq(self) -> int:
        """Sequence of the last row written."""
        return self._seq

    def write(self, row: JournalRow) -> None:
        """Append one row."""
        verify_row(row, self._hash, self._seq + 1)
        self._frame(_encode(tuple(row)))
        self._hash, self._seq = row.hash, row.last_seq
        self.rows += 1

    def finish(self) -> None:
        """Write the end and the checksum."""
        self._write(_LENGTH.pack(0))
        self._file.write(self._digest.digest())

    def _frame(self, body: bytes) -> None:
        self._write(_LENGTH.pack(len(body)))
        self._write(body)

    def _write(self, data: bytes) -> None:
        self._digest.update(data)
        self._file.write(data)


class JournalFileReader:
    """Reads a file from its beginning; `header` stands at once. Raises JournalDamaged naming the sequence."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = blake2b(digest_size=HASH_BYTES)
        self._seq = 0
        if self._read(len(MAGIC)) != MAGIC:
            raise JournalDamaged("this is no orderwire journal file of a known form")
        try:
            self.header = _header.decode(self._frame() or b"")
        except msgspec.DecodeError as error:
            raise JournalDamaged(f"the journal file has no header: {error}") from error
        self._hash, self._seq = self.header.after_hash, self.header.after_seq

    def rows(self) -> Iterator[JournalRow]:
        """Yield every row; what was yielded counts only once the end was reached without an error."""
        while (body := self._frame()) is not None:
            try:
                row = JournalRow(*_row.decode(body))
            except msgspec.DecodeError as error:
                raise JournalDamaged(f"the journal file is damaged after sequence {self._seq}: {error}") from error
            verify_row(row, self._hash, self._seq + 1)
            self._hash, self._seq = row.hash, row.last_seq
            yield row
        expected = self._digest.digest()
        if self._file.read(HASH_BYTES + 1) != expected:
            raise JournalDamaged(f"the journal file's checksum does not match, its last sequence is {self._seq}")

    def _frame(self) -> bytes | None:
        (length,) = _LENGTH.unpack(self._read(_LENGTH.size))
        if length > FRAME_BYTES_MAX:
            raise JournalDamaged(f"the journal file is damaged after sequence {self._seq}: a row of {length} bytes")
        return self._read(length) if length else None

    def _read(self, size: int) -> bytes:
        data = self._file.read(size)
        if len(data) != size:
            raise JournalDamaged(f"the journal file ends in the middle, after sequence {self._seq}")
        self._digest.update(data)
        return data


def genesis(shard: int) -> Header:
    """Return the header of a journal from its first row on."""
    return Header(shard, 0, GENESIS_HASH)
