"""Verification of journal rows: whatever is changed, the sequence is named."""

import pytest

from app.errors import JournalDamaged
from app.protocol.records import GENESIS_HASH, chain_hash, encode
from app.storage.journal import JournalRow, verify_row
from tests.journal_rows import batch, chain, row_of


def verify(rows: list[JournalRow]) -> None:
    prev_hash, first_seq = GENESIS_HASH, 1
    for row in rows:
        verify_row(row, prev_hash, first_seq)
        prev_hash, first_seq = row.hash, row.last_seq + 1


def rows_of_five() -> list[JournalRow]:
    return chain(batch(first_seq, commands=2) for first_seq in (1, 3, 5, 7, 9))


def test_an_unbroken_chain_is_accepted() -> None:
    verify(rows_of_five())


def test_every_flipped_bit_of_a_body_is_found_and_its_sequence_named() -> None:
    rows = rows_of_five()
    body = rows[2].body
    for position in range(len(body)):
        for bit in range(8):
            damaged = body[:position] + bytes([body[position] ^ 1 << bit]) + body[position + 1 :]
            with pytest.raises(JournalDamaged, match="sequence 6"):
                verify([*rows[:2], rows[2]._replace(body=damaged), *rows[3:]])


@pytest.mark.parametrize("column", ["last_seq", "first_seq", "term", "engine_version", "timestamp_ns"])
def test_a_changed_column_is_found(column: str) -> None:
    rows = rows_of_five()
    rows[2] = rows[2]._replace(**{column: getattr(rows[2], column) + 1})

    with pytest.raises(JournalDamaged, match=r"[56]"):
        verify(rows)


def test_a_changed_hash_is_found() -> None:
    other = bytes(reversed(range(32)))
    row = rows_of_five()[2]
    for damaged in (row._replace(hash=other), row._replace(prev_hash=other)):
        with pytest.raises(JournalDamaged, match="sequence 6"):
            verify([*rows_of_five()[:2], damaged])


@pytest.mark.parametrize("length", [0, 1, 20])
def test_a_truncated_body_is_found(length: int) -> None:
    rows = rows_of_five()
    rows[2] = rows[2]._replace(body=rows[2].body[:length])

    with pytest.raises(JournalDamaged, match="sequence 6"):
        verify(rows)


def test_a_missing_row_is_found() -> None:
    rows = rows_of_five()
    del rows[2]

    with pytest.raises(JournalDamaged, match="from sequence 5, was 7"):
        verify(rows)


def test_swapped_bodies_are_found() -> None:
    rows = rows_of_five()
    rows[1], rows[2] = rows[1]._replace(body=rows[2].body), rows[2]._replace(body=rows[1].body)

    with pytest.raises(JournalDamaged, match="sequence 4"):
        verify(rows)


def test_a_forged_chain_whose_columns_differ_from_its_body_is_found() -> None:
    row = row_of(batch(1))

    with pytest.raises(JournalDamaged, match="sequence 1"):
        verify([row._replace(term=7)])


def test_a_body_that_is_no_batch_is_found_although_its_hash_fits() -> None:
    body = encode({"not": "a batch"})
    row = row_of(batch(1))
    forged = row._replace(body=body, hash=chain_hash(GENESIS_HASH, body))

    with pytest.raises(JournalDamaged, match="sequence 1 is no batch"):
        verify([forged])
