"""The core projection: events, orders, fills, trades, ledger, balances, positions, accounts, and what administers them.

One transaction covers the tables and the cursor, and the cursor moves by compare-and-set: killed
anywhere, run twice at once, or handed rows again, every row counts exactly once. Called by the runner.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from app import metrics
from app.domain.instrument import Instrument
from app.projections.changes import Changes, changes_of
from app.projections.facts import facts_of
from app.projections.statements import statements_of
from app.protocol.records import GENESIS_HASH
from app.storage.connection import Connection, HealingConnection
from app.storage.cursors import CORE
from app.storage.journal import JournalRow, verify_row

APPLY_TIMEOUT_S = 30.0
"""Of one transaction. A run of rows takes milliseconds, the largest possible row some seconds."""
LOCK_TIMEOUT_MS = 5_000

_POSITION = "SELECT last_seq, row_hash FROM projection_cursors WHERE shard = $1 AND projection = $2"
_START = """
INSERT INTO projection_cursors (shard, projection, last_seq, row_hash) VALUES ($1, $2, 0, $3) ON CONFLICT DO NOTHING
"""
_MOVE = """
UPDATE projection_cursors SET last_seq = $5, row_hash = $6
WHERE shard = $1 AND projection = $2 AND last_seq = $3 AND row_hash = $4 RETURNING last_seq
"""
_INSTRUMENTS = "SELECT definition FROM instruments WHERE shard = $1"
_instrument = msgspec.msgpack.Decoder(Instrument)


class Position(NamedTuple):
    """The last applied row."""

    last_seq: int
    row_hash: bytes


class CoreProjector:
    """Applies a shard's journal rows to the core tables, over one connection of its own.

    Raises what the driver raises when PostgreSQL is away (`is_server_fault`); calling again is always safe.
    """

    def __init__(self, dsn: str, shard: int) -> None:
        self._shard = shard
        self._known: Position | None = None
        self._listed: dict[str, Instrument] = {}
        """Instruments as of that position, by symbol."""
        self._server = HealingConnection(
            dsn,
            server_settings={
                "application_name": "orderwire projector",
                "lock_timeout": str(LOCK_TIMEOUT_MS),
                "idle_in_transaction_session_timeout": str(LOCK_TIMEOUT_MS),
                # A crash of the server loses tables and cursor together; the journal has the rows.
                "synchronous_commit": "off",
            },
        )

    async def cursor(self) -> int:
        """Return the last applied sequence."""
        return (await self._position()).last_seq

    async def apply(self, rows: Sequence[JournalRow]) -> int:
        """Apply rows, oldest first, skipping those applied already; returns the cursor.

        Raises JournalDamaged when a row does not continue the chain: then nothing of these rows is applied.
        """
        position = await self._position()
        fresh = [row for row in rows if row.last_seq > position.last_seq]
        if not fresh:
            return position.last_seq
        reached = position
        for row in fresh:
            verify_row(row, reached.row_hash, reached.last_seq + 1)
            reached = Position(row.last_seq, row.hash)
        changes = changes_of(fresh, self._listed)
        # Whatever happens from here on, the table knows where the cursor is.
        self._known = None
        moved = await self._server.run(
            lambda connection: self._write(connection, changes, position, reached), timeout_s=APPLY_TIMEOUT_S
        )
        if not moved:
            # Another projector was faster, and its transaction had these rows or more.
            return await self.cursor()
        for symbol, event in changes.instruments.items():
            self._listed[symbol] = event.instrument
        self._known = reached
        _count(changes)
        return reached.last_seq

    async def close(self) -> None:
        """Close the connection, in bounded time."""
        await self._server.close()

    async def _position(self) -> Position:
        if self._known is None:
            known = await self._server.run(self._read_position, timeout_s=APPLY_TIMEOUT_S)
            self._listed = await self._server.run(self._read_instruments, timeout_s=APPLY_TIMEOUT_S)
            self._known = known
        return self._known

    async def _read_instruments(self, connection: Connection) -> dict[str, Instrument]:
        listed = [_instrument.decode(row["definition"]) for row in await connection.fetch(_INSTRUMENTS, self._shard)]
        return {instrument.symbol: instrument for instrument in listed}

    async def _read_position(self, connection: Connection) -> Position:
        found = await connection.fetchrow(_POSITION, self._shard, CORE)
        if found is None:
            await connection.execute(_START, self._shard, CORE, GENESIS_HASH)
            found = await connection.fetchrow(_POSITION, self._shard, CORE)
        assert found is not None, "expected a cursor row after writing it"  # noqa: S101  # cannot happen
        return Position(*found)

    async def _write(self, connection: Connection, changes: Changes, position: Position, reached: Position) -> bool:
        """Move the cursor and carry out the changes in one transaction; False if the cursor stood elsewhere."""
        async with connection.transaction():
            if await connection.fetchval(_MOVE, self._shard, CORE, *position, *reached) is None:
                return False
            for sql, arrays in statements_of(changes, self._shard):
                await connection.execute(sql, *arrays)
            for table, columns, rows in facts_of(changes, self._shard):
                await connection.copy_records_to_table(table, columns=columns, records=rows)
        return True


def _count(changes: Changes) -> None:
    """Report what the rows did to orders without their owners' wish."""
    for reason, orders in changes.ended.items():
        metrics.ORDERS_ENDED.labels(reason.value).inc(orders)
    for mode, matches in changes.prevented.items():
        metrics.TRADES_PREVENTED.labels(mode.value).inc(matches)
