"""A journal file is whole, in order and unchanged, or it is refused."""

import io
import random

import pytest

from app.errors import JournalDamaged
from app.storage.journal import JournalRow
from app.storage.journal_file import MAGIC, Header, JournalFileReader, JournalFileWriter, genesis
from tests.journal_rows import batch, chain

SHARD = 3


def rows(count: int) -> list[JournalRow]:
    return chain([batch(1 + 2 * number, commands=2) for number in range(count)])


def written(journal: list[JournalRow], header: Header | None = None) -> bytes:
    file = io.BytesIO()
    writer = JournalFileWriter(file, header or genesis(SHARD))
    for row in journal:
        writer.write(row)
    writer.finish()
    return file.getvalue()


def read(data: bytes) -> list[JournalRow]:
    return list(JournalFileReader(io.BytesIO(data)).rows())


@pytest.mark.parametrize("count", [0, 1, 9])
def test_what_was_written_is_read(count: int) -> None:
    assert read(written(rows(count))) == rows(count)


def test_a_file_may_begin_in_the_middle() -> None:
    journal = rows(5)
    header = Header(SHARD, journal[1].last_seq, journal[1].hash)
    reader = JournalFileReader(io.BytesIO(written(journal[2:], header)))
    assert (reader.header, list(reader.rows())) == (header, journal[2:])


def test_a_row_that_does_not_follow_is_not_written() -> None:
    journal = rows(3)
    writer = JournalFileWriter(io.BytesIO(), genesis(SHARD))
    writer.write(journal[0])
    with pytest.raises(JournalDamaged, match="expected a row from sequence 3"):
        writer.write(journal[2])


def test_every_flipped_bit_is_found() -> None:
    data, rng = written(rows(4)), random.Random(4)
    for at in range(len(data)):
        damaged = data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
        with pytest.raises(JournalDamaged):
            read(damaged)


def test_every_cut_is_found_and_so_is_anything_added() -> None:
    data = written(rows(4))
    for length in range(len(data)):
        with pytest.raises(JournalDamaged):
            read(data[:length])
    with pytest.raises(JournalDamaged, match="checksum"):
        read(data + b"\0")


def test_rows_in_another_order_are_found_though_their_checksum_is_right() -> None:
    journal = rows(3)
    file = io.BytesIO()
    first = JournalFileWriter(file, genesis(SHARD))
    first.write(journal[0])
    with pytest.raises(JournalDamaged):
        first.write(journal[0])


def test_another_kind_of_file_is_named_as_such() -> None:
    with pytest.raises(JournalDamaged, match="no orderwire journal file"):
        read(b"x" * len(MAGIC) + b"rest")


def test_damage_names_the_sequence_before_it() -> None:
    data = written(rows(4))
    with pytest.raises(JournalDamaged, match="after sequence 6"):
        read(data[: len(data) - 60])
