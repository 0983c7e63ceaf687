"""Journal rows of a real engine under random commands, chained as the sequencer chains them."""

from app.engine.engine import ENGINE_VERSION, Engine
from app.protocol.records import GENESIS_HASH, chain_hash, decode_header
from app.storage.journal import JournalRow
from tests.replay.journals import apply_row, record_journal


def engine_rows(seed: int, commands: int) -> tuple[Engine, list[JournalRow]]:
    """Return an engine that executed a random journal, and the journal's rows."""
    engine, rows, previous = Engine(), list[JournalRow](), GENESIS_HASH
    for recorded in record_journal(seed, commands):
        body = apply_row(engine, recorded)
        header = decode_header(body)
        rows.append(
            JournalRow(
                last_seq=header.last_seq,
                first_seq=header.first_seq,
                term=header.term,
                prev_hash=previous,
                hash=chain_hash(previous, body),
                engine_version=ENGINE_VERSION,
                timestamp_ns=header.timestamp_ns,
                body=body,
            )
        )
        previous = rows[-1].hash
    return engine, rows
