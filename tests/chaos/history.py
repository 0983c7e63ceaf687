"""Judges what clients saw against the journal: nothing acknowledged lost, nothing done twice, no gap, all money there.

Independent of the parts under test where it matters: chain and contiguity are checked from the raw rows, and
orders are counted in the journaled events, not in any table.
"""

from typing import NamedTuple

import msgspec

from app.domain.events import Fill, OrderAccepted, OrderCanceled, OrderFilled, OrderPartiallyFilled, PrivateEvent
from app.engine import invariants
from app.engine.engine import Engine
from app.protocol.records import GENESIS_HASH, chain_hash, decode_batch
from app.sequencer.recovery import replay_row
from app.storage.journal import Journal, JournalRow
from tests.chaos.load import Client, Operation

PAGE_ROWS = 500

_events = msgspec.msgpack.Decoder(list[PrivateEvent])


class Judged(NamedTuple):
    """What a history came to, when nothing was wrong with it."""

    orders: int
    unknown: int
    """Orders whose outcome was unknown at least once."""
    repeated: int
    """Orders that were sent more than once by their client."""
    commands: int
    batches: int
    terms: int


class Facts:
    """What the journal says."""

    def __init__(self, rows: list[JournalRow]) -> None:
        self.accepted: dict[tuple[int, str], tuple[int, int]] = {}
        """Order id and sequence, by account and client_order_id."""
        self.canceled: set[int] = set()
        self.fills: dict[tuple[int, int], list[Fill]] = {}
        """Of an order, by its id and the sequence of the command."""
        self.seqs: dict[int, int] = {}
        """Last account_seq of each account."""
        self.terms = {row.term for row in rows}
        self.commands = 0
        self.engine = Engine()
        previous, sequence, term = GENESIS_HASH, 0, 0
        for row in rows:
            assert row.first_seq == sequence + 1, f"gap: row {row.first_seq} follows {sequence}"
            assert (row.prev_hash, row.hash) == (previous, chain_hash(previous, row.body)), f"chain at {row.last_seq}"
            assert row.term >= term, f"row {row.last_seq} of term {row.term} follows term {term}"
            previous, sequence, term = row.hash, row.last_seq, row.term
            self._read(row)
            replay_row(self.engine, row)
        invariants.check(self.engine.state)

    def _read(self, row: JournalRow) -> None:
        record = decode_batch(row.body)
        self.commands += len(record.commands)
        for account_id, blob in record.accounts:
            for event in _events.decode(blob):
                assert event.account_seq == self.seqs.get(account_id, 0) + 1, f"account_seq of {account_id}"
                self.seqs[account_id] = event.account_seq
                self._take(account_id, event)

    def _take(self, account_id: int, event: PrivateEvent) -> None:
        if isinstance(event, OrderAccepted):
            name = event.order.terms.client_order_id
            assert name is not None
            assert (account_id, name) not in self.accepted, f"order {name} was executed twice"
            self.accepted[account_id, name] = event.order.order_id, event.engine_seq
        elif isinstance(event, OrderFilled | OrderPartiallyFilled):
            self.fills.setdefault((event.order.order_id, event.engine_seq), []).append(event.fill)
        elif isinstance(event, OrderCanceled):
            self.canceled.add(event.order.order_id)


async def journal_rows(journal: Journal) -> list[JournalRow]:
    """Return the whole journal, oldest first."""
    rows: list[JournalRow] = []
    while page := await journal.rows(rows[-1].last_seq if rows else 0, PAGE_ROWS):
        rows += page
    return rows


async def judge(journal: Journal, clients: list[Client]) -> Judged:
    """Compare what clients saw with the journal. Raises AssertionError with the first thing that is wrong."""
    # A leader that nobody asks anything still ticks: the journal may grow while it is read.
    before = await journal.head()
    rows = await journal_rows(journal)
    after = await journal.head()
    assert (before.head_seq, before.head_hash) in {(row.last_seq, row.hash) for row in rows}, "the head has no row"
    assert rows[-1].last_seq <= after.head_seq, "the last row is beyond the head"
    facts = Facts(rows)
    operations = [operation for client in clients for operation in client.operations]
    for operation in operations:
        _judge_operation(operation, facts)
    for client in clients:
        for order_id in client.canceled:
            assert order_id in facts.canceled, f"the acknowledged cancel of order {order_id} is lost"
    _judge_order(operations, facts)
    known = {(operation.account_id, operation.client_order_id) for operation in operations}
    stray = [key for key in facts.accepted if key not in known]
    assert not stray, f"orders that nobody placed: {stray[:3]}"
    return Judged(
        len(operations),
        sum(operation.unknowns > 0 for operation in operations),
        sum(operation.attempts > 1 for operation in operations),
        facts.commands,
        len(rows),
        len(facts.terms),
    )


def _judge_operation(operation: Operation, facts: Facts) -> None:
    key = (operation.account_id, operation.client_order_id)
    assert operation.ended, f"{key} was never resolved"
    if operation.refused is not None:
        assert key not in facts.accepted, f"{key} was refused ({operation.refused}) and executed"
        return
    assert key in facts.accepted, f"the acknowledged order {key} is lost"
    order_id, sequence = facts.accepted[key]
    assert order_id == operation.order_id, f"{key}: expected order {operation.order_id}, the journal has {order_id}"
    if operation.engine_seq:
        assert sequence == operation.engine_seq, (
            f"{key}: acknowledged at {operation.engine_seq}, journaled at {sequence}"
        )
        assert facts.fills.get((order_id, sequence), []) == operation.fills, f"{key}: other fills than journaled"


def _judge_order(operations: list[Operation], facts: Facts) -> None:
    """An order that began after another was answered has a later sequence."""
    placed = [
        (operation.started, operation.ended, facts.accepted[operation.account_id, operation.client_order_id][1])
        for operation in operations
        if operation.refused is None
    ]
    by_end = sorted(placed, key=lambda entry: entry[1])
    latest, position = 0, 0
    for started, _, sequence in sorted(placed):
        while position < len(by_end) and by_end[position][1] < started:
            latest = max(latest, by_end[position][2])
            position += 1
        assert sequence > latest, f"sequence {sequence} was begun after {latest} had been answered"
