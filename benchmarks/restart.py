"""An engine with 100,000 open orders and 10,000 accounts: how fast it is back, and its memory after many commands."""

import random
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import msgspec
from sqlalchemy import text

from app.domain.commands import CancelOrder, Command, PlaceOrder
from app.domain.enums import TimeInForce
from app.engine.checkpoint import state_hash
from app.engine.engine import ENGINE_VERSION, Engine
from app.protocol.records import BATCH_COMMANDS_MAX, HASH_BYTES
from app.sequencer.queue import QUEUE_COMMANDS_MIN
from app.storage.checkpoints import Checkpoint, save
from app.storage.database import asyncpg_dsn, create_database_engine
from app.storage.journal import Journal
from benchmarks.engine_role import EngineRole, EngineServers
from benchmarks.link_wire import LinkWire, frames_of, refusals_in
from benchmarks.scaling import MIDDLE, SEED, Size, filled, resting

SIZE = Size(instruments=10, orders=100_000, accounts=10_000)
SHARD = 101
COMMANDS = 200_000
"""For `make bench`; `python -m benchmarks.endurance` takes as many as wanted."""
CHUNK = 5_000
"""Encoded at once: while that goes on, nothing tells the leader that this end lives."""
IN_FLIGHT = QUEUE_COMMANDS_MIN - BATCH_COMMANDS_MAX
CROSSING_EVERY = 10
REFUSED_SHARE_MAX = 0.2
PROGRESS_EVERY = 100_000
MIB = 1 << 20


async def measure_restart(
    servers: EngineServers, progress: Callable[[str], None], commands: int = COMMANDS
) -> dict[str, Any]:
    """Return seconds to restore and to serve again, and the memory then and after so many commands."""
    progress(f"durable: {SIZE.orders:,} open orders, {SIZE.accounts:,} accounts")
    engine = filled(SIZE)
    started = time.perf_counter()
    body = engine.checkpoint()
    dump_s = time.perf_counter() - started
    fingerprint = state_hash(body)
    started = time.perf_counter()
    Engine.restore(body, fingerprint)
    restore_s = time.perf_counter() - started
    await _saved(servers, engine.state.sequence, body, fingerprint)
    async with EngineRole(servers, SHARD) as role:
        first = role.resident_bytes()
        memory = await _churned(servers, role, commands, progress)
        found = {
            "dump_s": dump_s,
            "restore_s": restore_s,
            "start_to_serve_s": role.seconds_to_serve,
            "checkpoint_mib": len(body) / MIB,
            "memory_mib_restored": first / MIB,
            f"memory_mib_after_{commands}_commands": memory[-1],
        }
    return {"restart": found, "memory_mib": memory}


async def _saved(servers: EngineServers, sequence: int, body: bytes, fingerprint: bytes) -> None:
    """Leave a shard that stands at the checkpoint, as if its journal before had been archived."""
    row_hash = bytes([1]) * HASH_BYTES
    journal = await Journal.connect(asyncpg_dsn(servers.database_url), SHARD)
    await journal.head()
    await journal.close()
    database = create_database_engine(servers.database_url, pool_size=1)
    try:
        async with database.begin() as connection:
            statement = text("UPDATE shard_head SET head_seq = :seq, head_hash = :hash WHERE shard = :shard")
            await connection.execute(statement, {"seq": sequence, "hash": row_hash, "shard": SHARD})
        await save(database, Checkpoint(SHARD, sequence, row_hash, ENGINE_VERSION, fingerprint, body))
    finally:
        await database.dispose()


async def _churned(
    servers: EngineServers, role: EngineRole, commands: int, progress: Callable[[str], None]
) -> list[float]:
    """Place, cancel and trade over the link; returns the resident MiB at the end of each chunk."""
    stream = _churn()
    wire = await LinkWire.connect(servers.place(SHARD))
    memory = []
    try:
        for done in range(0, commands, CHUNK):
            chunk = list(islice(stream, min(CHUNK, commands - done)))
            refused = refusals_in(await wire.run(frames_of(chunk), in_flight=IN_FLIGHT))
            # A commit that takes a second, on a busy machine, makes the leader refuse for that long.
            if refused > REFUSED_SHARE_MAX * len(chunk):
                raise AssertionError(f"expected hardly any refusals, was {refused} of {len(chunk)}")
            memory.append(round(role.resident_bytes() / MIB, 1))
            if (done + CHUNK) % PROGRESS_EVERY == 0:
                progress(f"durable: {done + CHUNK:,} commands, {memory[-1]:,.0f} MiB")
    finally:
        wire.close()
    return memory


def _churn() -> Iterator[Command]:
    """Yield commands that leave as many open orders as there were, each order with a name of its own."""
    rng = random.Random(SEED)
    number = 0
    while True:
        for order in resting(SIZE, rng, CHUNK):
            number += 1
            named = _named(order, f"c{number}")
            if number % CROSSING_EVERY:
                yield named
                yield CancelOrder(order.account_id, client_order_id=named.client_order_id)
            else:
                # Takes one lot from a standing order.
                yield _crossing(named)


def _named(order: PlaceOrder, name: str) -> PlaceOrder:
    return msgspec.structs.replace(order, client_order_id=name)


def _crossing(order: PlaceOrder) -> PlaceOrder:
    assert order.price is not None
    price = 2 * MIDDLE - order.price
    return msgspec.structs.replace(order, quantity=1, price=price, time_in_force=TimeInForce.IOC)
