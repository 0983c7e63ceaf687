"""From a sealed batch to the bytes of its journal row, the same for the leader and for replay."""

from app.domain.events import SystemEvent
from app.engine.engine import ENGINE_VERSION, Sealed
from app.protocol.records import BatchRecord, BookRecord, encode

NO_SYSTEM_EVENTS = encode([])


def build_record(sealed: Sealed, commands: list[bytes], *, last_seq: int, term: int, timestamp_ns: int) -> BatchRecord:
    """Return the record of a batch; events are encoded here and never again."""
    return BatchRecord(
        last_seq - len(commands) + 1,
        last_seq,
        term,
        ENGINE_VERSION,
        timestamp_ns,
        commands,
        [(account_id, encode(events)) for account_id, events in sealed.accounts],
        [(book.symbol, encode(BookRecord(book.delta, book.trades, book.auction))) for book in sealed.books],
        _system(sealed.system),
    )


def _system(events: list[SystemEvent]) -> bytes:
    return encode(events) if events else NO_SYSTEM_EVENTS
