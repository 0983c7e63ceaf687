"""Journal rows made by hand: batches of given events, chained as the sequencer chains them."""

from collections.abc import Iterable, Mapping, Sequence

from app.domain.commands import CreateAccount
from app.domain.events import BookDelta, PrivateEvent, SystemEvent, TradeExecuted
from app.protocol.records import GENESIS_HASH, BatchRecord, BookRecord, chain_hash, encode
from app.storage.journal import JournalRow

ENGINE_VERSION = 1
START_NS = 1_700_000_000_000_000_000
BATCH_NS = 1_000_000


def batch(
    first_seq: int,
    *,
    commands: int = 1,
    term: int = 1,
    accounts: Mapping[int, Sequence[PrivateEvent]] | None = None,
    trades: Mapping[str, Sequence[TradeExecuted]] | None = None,
    deltas: Mapping[str, BookDelta] | None = None,
    system: Iterable[SystemEvent] = (),
) -> BatchRecord:
    """Return a batch of `commands` commands with these events."""
    trades, deltas = trades or {}, deltas or {}
    return BatchRecord(
        first_seq=first_seq,
        last_seq=first_seq + commands - 1,
        term=term,
        engine_version=ENGINE_VERSION,
        timestamp_ns=START_NS + first_seq * BATCH_NS,
        commands=[encode(CreateAccount(name=f"account-{first_seq + index}")) for index in range(commands)],
        accounts=[(account_id, encode(list(events))) for account_id, events in (accounts or {}).items()],
        books=[
            (symbol, encode(BookRecord(deltas.get(symbol), list(trades.get(symbol, ())))))
            for symbol in dict.fromkeys([*deltas, *trades])
        ],
        system=encode(list(system)),
    )


def row_of(record: BatchRecord, prev_hash: bytes = GENESIS_HASH) -> JournalRow:
    """Return the row that follows the row with `prev_hash`."""
    body = encode(record)
    return JournalRow(
        last_seq=record.last_seq,
        first_seq=record.first_seq,
        term=record.term,
        prev_hash=prev_hash,
        hash=chain_hash(prev_hash, body),
        engine_version=record.engine_version,
        timestamp_ns=record.timestamp_ns,
        body=body,
    )


def chain(records: Iterable[BatchRecord], prev_hash: bytes = GENESIS_HASH) -> list[JournalRow]:
    """Return rows of batches that follow each other."""
    rows = []
    for record in records:
        rows.append(row_of(record, prev_hash))
        prev_hash = rows[-1].hash
    return rows
