"""Records of the journal and the bus: one batch, as bytes.

A batch's events are encoded once, grouped by account and by book, and those blobs serve the
journal, the bus and every reader: a replica decodes a blob only if somebody subscribed to it.
The bus carries the same record without its commands.
"""

from hashlib import blake2b

import msgspec

from app.domain.commands import Command
from app.domain.events import AuctionIndicated, BookDelta, PrivateEvent, SystemEvent, TradeExecuted

BATCH_COMMANDS_MAX = 256
BATCH_EVENTS_MAX = 20_000
BATCH_BYTES_MAX = 4 << 20
HASH_BYTES = 32
GENESIS_HASH = bytes(HASH_BYTES)


class BookRecord(msgspec.Struct, frozen=True, array_like=True):
    """What a batch did to one book: its published delta, if any, its trades, and where its auction stands."""

    delta: BookDelta | None
    trades: list[TradeExecuted]
    auction: AuctionIndicated | None = None
    """Set when the batch changed where a call auction would uncross."""


class BatchRecord(msgspec.Struct, frozen=True, array_like=True):
    """The body of one journal row, and of one bus entry (there `commands` is empty)."""

    first_seq: int
    last_seq: int
    term: int
    engine_version: int
    timestamp_ns: int
    commands: list[bytes]
    """Each an encoded Command; command i has sequence first_seq + i."""
    accounts: list[tuple[int, bytes]]
    """Per account its private events of the batch, in account_seq order: encoded list[PrivateEvent]."""
    books: list[tuple[str, bytes]]
    """Per symbol an encoded BookRecord."""
    system: bytes
    """Encoded list[SystemEvent]."""


class BatchHeader(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The first fields of a BatchRecord, read without the rest: what a journal row repeats in its columns."""

    first_seq: int
    last_seq: int
    term: int
    engine_version: int
    timestamp_ns: int


_encoder = msgspec.msgpack.Encoder()
_header = msgspec.msgpack.Decoder(BatchHeader)
_batch = msgspec.msgpack.Decoder(BatchRecord)
_command: msgspec.msgpack.Decoder[Command] = msgspec.msgpack.Decoder(Command)
_private = msgspec.msgpack.Decoder(list[PrivateEvent])
_book = msgspec.msgpack.Decoder(BookRecord)
_system = msgspec.msgpack.Decoder(list[SystemEvent])

encode = _encoder.encode
"""Encode any record, command, event list or BookRecord."""


def decode_batch(data: bytes) -> BatchRecord:
    """Decode a record without its blobs. Raises msgspec.DecodeError on damage."""
    return _batch.decode(data)


def decode_header(data: bytes) -> BatchHeader:
    """Decode only what identifies a record. Raises msgspec.DecodeError on damage."""
    return _header.decode(data)


def decode_command(data: bytes) -> Command:
    """Decode one command. Raises msgspec.DecodeError on damage."""
    return _command.decode(data)


def decode_private(data: bytes) -> list[PrivateEvent]:
    """Decode one account's blob."""
    return _private.decode(data)


def decode_book(data: bytes) -> BookRecord:
    """Decode one book's blob."""
    return _book.decode(data)


def decode_system(data: bytes) -> list[SystemEvent]:
    """Decode the system events."""
    return _system.decode(data)


def without_commands(record: BatchRecord) -> BatchRecord:
    """Return the record as the bus carries it."""
    return msgspec.structs.replace(record, commands=[])


def chain_hash(prev_hash: bytes, body: bytes) -> bytes:
    """Return the row's hash: it covers the body and, through the previous hash, all rows before it."""
    return blake2b(body, key=prev_hash, digest_size=HASH_BYTES).digest()
