"""The journal: one row per batch, appended by compare-and-set on the shard's head row.

`shard_head` is the only truth about leadership, `journal` the only truth about what happened. An
append is ONE autocommit statement, so fence, contiguity, hash chain and heartbeat stand or fall
together, and a frozen leader holds no lock. A lost connection is resolved by reading the head
again, never by guessing. Called by the sequencer (leader) and by every reader of rows.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple, Self, TypeVar

import asyncpg
import msgspec

from app.errors import Fenced, JournalDamaged, JournalUnavailable, StartupError
from app.protocol.records import GENESIS_HASH, BatchHeader, chain_hash, decode_header
from app.storage.connection import Connection, HealingConnection, backoff, is_server_fault

GIVE_UP_S = 30.0
"""How long an operation looks for PostgreSQL before JournalUnavailable."""
STATEMENT_TIMEOUT_MS = 2_000
LOCK_TIMEOUT_MS = 1_000
COMMAND_TIMEOUT_S = 2.5
"""A little more than the server's own timeout, whose answer leaves nothing unknown."""
RESTORE_TIMEOUT_S = 24 * 3600.0
"""Of a whole journal read from a file: there is no telling how long it is."""
PARTITION_COMMANDS = 10_000_000
PARTITIONS_AHEAD = 2
"""Whole partitions that are kept ready beyond the head."""
ROWS_BYTES_MAX = 64 << 20
"""Bodies of one `rows` answer, but for its last row."""

_HEAD_COLUMNS = "shard, term, head_seq, head_hash, beat, owner, address, build"
_HEAD = f"SELECT {_HEAD_COLUMNS} FROM shard_head WHERE shard = $1"  # noqa: S608  # constant columns
_GENESIS = """
INSERT INTO shard_head (shard, term, head_seq, head_hash, beat, owner, address, build)
VALUES ($1, 0, 0, $2, 0, '', '', '') ON CONFLICT DO NOTHING
"""
_APPEND = """
WITH head AS (
    UPDATE shard_head SET head_seq = $2, head_hash = $6, beat = beat + 1
    WHERE shard = $1 AND term = $4 AND head_seq = $3 - 1 AND head_hash = $5
    RETURNING shard
)
INSERT INTO journal (shard, last_seq, first_seq, term, prev_hash, hash, engine_version, timestamp_ns, body)
SELECT shard, $2, $3, $4, $5, $6, $7, $8, $9 FROM head
RETURNING last_seq
"""
_BEAT = """
UPDATE shard_head SET beat = beat + 1
WHERE shard = $1 AND term = $2 AND head_seq = $3 AND head_hash = $4 RETURNING beat
"""
_TAKE_OVER = f"""
UPDATE shard_head SET term = term + 1, beat = beat + 1, owner = $3, address = $4, build = $5
WHERE shard = $1 AND term = $2 RETURNING {_HEAD_COLUMNS}
"""  # noqa: S608  # constant columns
_ROWS = """
SELECT last_seq, first_seq, term, prev_hash, hash, engine_version, timestamp_ns, body
FROM (
    SELECT *, sum(octet_length(body)) OVER (ORDER BY last_seq ROWS UNBOUNDED PRECEDING) - octet_length(body) AS before
    FROM journal WHERE shard = $1 AND last_seq > $2 ORDER BY last_seq LIMIT $3
) AS tail
WHERE before < $4 ORDER BY last_seq
"""
_DURABILITY = """
SELECT name FROM pg_settings
WHERE name IN ('fsync', 'synchronous_commit', 'full_page_writes') AND setting = 'off' ORDER BY name
"""

_LOCK_HEAD = "SELECT head_seq FROM shard_head WHERE shard = $1 FOR UPDATE"
_RESTORE_ROW = """
INSERT INTO journal (shard, last_seq, first_seq, term, prev_hash, hash, engine_version, timestamp_ns, body)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
"""
_RESTORE_HEAD = """
UPDATE shard_head SET term = $2, head_seq = $3, head_hash = $4, beat = beat + 1, owner = '', address = ''
WHERE shard = $1
"""

_EXTEND = "SELECT extend_journal($1::smallint, $2, $3)"

T = TypeVar("T")


class Head(NamedTuple):
    """The head row of a shard: who leads, and where the journal ends."""

    shard: int
    term: int
    head_seq: int
    head_hash: bytes
    beat: int
    owner: str
    address: str
    build: str


class JournalRow(NamedTuple):
    """One batch: commands first_seq..last_seq, with `body` an encoded BatchRecord."""

    last_seq: int
    first_seq: int
    term: int
    prev_hash: bytes
    hash: bytes
    engine_version: int
    timestamp_ns: int
    body: bytes


def verify_row(row: JournalRow, expected_prev_hash: bytes, expected_first_seq: int) -> None:
    """Raise JournalDamaged, naming the sequence, unless the row continues the chain and is whole."""
    if row.first_seq != expected_first_seq or row.last_seq < row.first_seq:
        raise JournalDamaged(
            f"journal: expected a row from sequence {expected_first_seq}, was {row.first_seq} to {row.last_seq}"
        )
    if row.prev_hash != expected_prev_hash:
        raise JournalDamaged(f"journal: the row at sequence {row.last_seq} does not follow the one before it")
    if row.hash != chain_hash(row.prev_hash, row.body):
        raise JournalDamaged(f"journal: the row at sequence {row.last_seq} does not have its hash")
    # The hash covers the body; the other columns repeat its header and must agree with it.
    try:
        header = decode_header(row.body)
    except msgspec.DecodeError as error:
        raise JournalDamaged(f"journal: the row at sequence {row.last_seq} is no batch: {error}") from error
    columns = BatchHeader(row.first_seq, row.last_seq, row.term, row.engine_version, row.timestamp_ns)
    if columns != header:
        raise JournalDamaged(f"journal: the row at sequence {row.last_seq} says {columns}, its body {header}")


class Patience:
    """The bound of one operation over all its attempts."""

    def __init__(self, give_up_s: float) -> None:
        self._deadline = asyncio.get_running_loop().time() + give_up_s
        self._attempts = 0

    def require(self, fault: Exception) -> None:
        """Return if another attempt may help, else raise JournalUnavailable."""
        if not is_server_fault(fault) or asyncio.get_running_loop().time() >= self._deadline:
            raise JournalUnavailable(f"PostgreSQL: {type(fault).__name__}: {fault}") from fault

    async def pause(self) -> None:
        """Wait before the next attempt, longer each time. Raises JournalUnavailable past the bound."""
        if asyncio.get_running_loop().time() >= self._deadline:
            raise JournalUnavailable(f"PostgreSQL: no progress after {self._attempts + 1} attempts")
        await asyncio.sleep(backoff(self._attempts))
        self._attempts += 1


class Journal:
    """A shard's journal over one connection of its own. Operations are serialized; each is bounded by `give_up_s`."""

    def __init__(
        self, dsn: str, shard: int, *, give_up_s: float = GIVE_UP_S, partition_commands: int = PARTITION_COMMANDS
    ) -> None:
        self.shard = shard
        self._partition_commands = partition_commands
        self._give_up_s = give_up_s
        self._lock = asyncio.Lock()
        self._server = HealingConnection(
            dsn,
            server_settings={
                "application_name": "orderwire journal",
                "statement_timeout": str(STATEMENT_TIMEOUT_MS),
                "lock_timeout": str(LOCK_TIMEOUT_MS),
                "idle_in_transaction_session_timeout": str(LOCK_TIMEOUT_MS),
            },
        )

    @classmethod
    async def connect(
        cls, dsn: str, shard: int, *, give_up_s: float = GIVE_UP_S, partition_commands: int = PARTITION_COMMANDS
    ) -> Self:
        """Return a journal whose connection stands. Raises JournalUnavailable."""
        journal = cls(dsn, shard, give_up_s=give_up_s, partition_commands=partition_commands)
        await journal._answer(lambda connection: connection.fetchval("SELECT 1"))
        return journal

    async def check_durability(self) -> None:
        """Raise StartupError if the server may forget what it acknowledged."""
        off = await self._answer(lambda connection: connection.fetch(_DURABILITY))
        if off:
            names = ", ".join(row["name"] for row in off)
            raise StartupError(f"PostgreSQL must be durable: expected on, was off: {names}")

    async def head(self) -> Head:
        """Return the head row; of a shard that never had a leader, what its genesis row will be.

        Only whoever is about to lead writes that row: readers may not.
        """
        return await self._head() or Head(self.shard, 0, 0, GENESIS_HASH, 0, "", "", "")

    async def take_over(self, observed: Head, *, owner: str, address: str, build: str) -> Head | None:
        """Become the leader of the next term, or return None if somebody else was faster.

        The head returned is where the tail ends: no append of an older term can follow. `owner` must
        be unique to this attempt (it tells our own success from a rival's after a lost connection).
        """
        if observed.term == 0:
            await self._begin()
        async with self._lock:
            patience = Patience(self._give_up_s)
            while True:
                try:
                    won = await self._server.run(
                        lambda connection: connection.fetchrow(
                            _TAKE_OVER, self.shard, observed.term, owner, address, build
                        ),
                        timeout_s=COMMAND_TIMEOUT_S,
                    )
                    if won is not None:
                        return Head(*won)
                except Exception as fault:
                    patience.require(fault)
                head = await self._persist(self._read_head, patience)
                if head is None:
                    raise Fenced(f"shard {self.shard} has no head row any more")
                if head.term == observed.term + 1 and (head.owner, head.address, head.build) == (owner, address, build):
                    return head
                if head.term != observed.term:
                    return None
                await patience.pause()

    async def append(self, row: JournalRow) -> None:
        """Commit one row after the head; returns when it is durable.

        Raises Fenced when the head is not the row before (exit the process), JournalUnavailable when
        PostgreSQL cannot be asked: then the row may or may not be there, and only a replay can tell.
        """
        async with self._lock:
            patience = Patience(self._give_up_s)
            while True:
                try:
                    if await self._server.run(lambda server: self._insert(server, row), timeout_s=COMMAND_TIMEOUT_S):
                        return
                except asyncpg.CheckViolationError:
                    # No partition takes the row: nobody made room in time. The head is where it was.
                    await self._persist(self._extend, patience)
                except asyncpg.IntegrityConstraintViolationError as fault:
                    raise JournalDamaged(f"journal: sequence {row.last_seq} stands there beyond the head") from fault
                except Exception as fault:
                    patience.require(fault)
                head = await self._persist(self._read_head, patience)
                if head is not None and head.head_hash == row.hash:
                    return
                self._require_turn(head, row)
                # The head stands where it stood: the attempt was lost on its way, or still runs in its
                # backend. In that case the next one waits for its lock and then finds our own hash.
                await patience.pause()

    async def make_room(self) -> int:
        """Keep PARTITIONS_AHEAD partitions ready beyond the head; returns the first sequence that has none.

        For whoever leads or is about to, now and then: an append that finds no partition makes it itself, slowly.
        """
        if await self._head() is None:
            await self._begin()
        return await self._answer(self._extend)

    async def beat(self, term: int, head_seq: int, head_hash: bytes) -> None:
        """Show that an idle leader lives. Raises Fenced when it does not lead any more."""
        alive = await self._answer(lambda connection: connection.fetchval(_BEAT, self.shard, term, head_seq, head_hash))
        if alive is None:
            raise Fenced(f"shard {self.shard}: term {term} at sequence {head_seq} is not the head any more")

    async def rows(self, after: int, limit: int, *, bytes_max: int = ROWS_BYTES_MAX) -> list[JournalRow]:
        """Return the rows that end after a sequence, oldest first, verifying nothing.

        At most `limit`, and about `bytes_max` of bodies: only an empty list means the end.
        """
        found = await self._answer(lambda connection: connection.fetch(_ROWS, self.shard, after, limit, bytes_max))
        return [JournalRow(*row) for row in found]

    async def restore(self, rows: Iterable[JournalRow]) -> tuple[int, int]:
        """Write verified rows, from the first one on, into a shard that has none; returns last sequence and count.

        One transaction: all of it is there or nothing. Raises StartupError when the shard has a journal,
        JournalUnavailable when PostgreSQL does not answer, and whatever `rows` raises.
        """
        await self._begin()

        async def write(connection: Connection) -> tuple[int, int]:
            async with connection.transaction():
                head_seq = await connection.fetchval(_LOCK_HEAD, self.shard)
                if head_seq != 0:
                    raise StartupError(f"shard {self.shard} has a journal up to sequence {head_seq}")
                return await self._copy(connection, rows)

        async with self._lock:
            try:
                return await self._server.run(write, timeout_s=RESTORE_TIMEOUT_S)
            except Exception as fault:
                if is_server_fault(fault):
                    raise JournalUnavailable(f"PostgreSQL: {type(fault).__name__}: {fault}") from fault
                raise

    async def _copy(self, connection: Connection, rows: Iterable[JournalRow]) -> tuple[int, int]:
        count, last, edge = 0, None, 0
        for row in rows:
            if row.last_seq >= edge:
                if last is not None:
                    await connection.execute(_RESTORE_HEAD, self.shard, last.term, last.last_seq, last.hash)
                edge = await self._extend(connection)
            await connection.execute(_RESTORE_ROW, self.shard, *row)
            count, last = count + 1, row
        if last is not None:
            await connection.execute(_RESTORE_HEAD, self.shard, last.term, last.last_seq, last.hash)
        return (0 if last is None else last.last_seq), count

    async def close(self) -> None:
        """Close the connection, in bounded time."""
        await self._server.close()

    async def _insert(self, connection: Connection, row: JournalRow) -> bool:
        inserted = await connection.fetchval(
            _APPEND,
            self.shard,
            row.last_seq,
            row.first_seq,
            row.term,
            row.prev_hash,
            row.hash,
            row.engine_version,
            row.timestamp_ns,
            row.body,
        )
        return inserted is not None

    def _require_turn(self, head: Head | None, row: JournalRow) -> None:
        if head is None:
            raise Fenced(f"shard {self.shard} has no head row any more")
        if (head.term, head.head_seq, head.head_hash) != (row.term, row.first_seq - 1, row.prev_hash):
            raise Fenced(
                f"shard {self.shard}: expected the head at term {row.term} and sequence {row.first_seq - 1}, "
                f"was term {head.term} and sequence {head.head_seq} of {head.owner or 'nobody'}"
            )

    async def _begin(self) -> None:
        """Write the genesis row (term 0, sequence 0) of a shard that has no head row."""
        await self._answer(lambda connection: connection.execute(_GENESIS, self.shard, GENESIS_HASH))

    async def _extend(self, connection: Connection) -> int:
        edge: int = await connection.fetchval(_EXTEND, self.shard, self._partition_commands, PARTITIONS_AHEAD)
        return edge

    async def _head(self) -> Head | None:
        return await self._answer(self._read_head)

    async def _read_head(self, connection: Connection) -> Head | None:
        found = await connection.fetchrow(_HEAD, self.shard)
        return None if found is None else Head(*found)

    async def _answer(self, operation: Callable[[Connection], Awaitable[T]]) -> T:
        """Run an operation that may safely run twice, until it is answered."""
        async with self._lock:
            return await self._persist(operation, Patience(self._give_up_s))

    async def _persist(self, operation: Callable[[Connection], Awaitable[T]], patience: Patience) -> T:
        while True:
            try:
                return await self._server.run(operation, timeout_s=COMMAND_TIMEOUT_S)
            except Exception as fault:
                patience.require(fault)
            await patience.pause()
