"""The journal of a real engine, projected: the tables say what the engine's own state says."""

import random
from collections import Counter
from collections.abc import AsyncIterator

import asyncpg
import pytest

from app import metrics
from app.domain.enums import OrderStatus
from app.engine.engine import Engine
from app.projections.core import CoreProjector
from app.storage.connection import is_server_fault
from app.storage.journal import JournalRow
from tests.database_roles import as_role
from tests.engine_rows import engine_rows
from tests.integration.storage.proxy import Fault, proxy_before

COMMANDS = 1500
SEEDS = (1, 2, 3)
UNBALANCED = """
SELECT engine_seq, asset, sum(amount) FROM ledger_entries GROUP BY 1, 2 HAVING sum(amount) <> 0
"""
LEDGER_ENDS = """
SELECT DISTINCT ON (account_id, asset) account_id, asset, balance FROM ledger_entries
ORDER BY account_id, asset, entry_id DESC
"""
BROKEN_CHAINS = """
SELECT count(*) FROM (
    SELECT balance - amount AS before,
        lag(balance, 1, 0) OVER (PARTITION BY account_id, asset ORDER BY entry_id) AS ended
    FROM ledger_entries
) AS chained WHERE before <> ended
"""


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


async def assert_as_the_engine(
    connection: "asyncpg.Connection[asyncpg.Record]", engine: Engine, rows: list[JournalRow]
) -> None:
    """Assert that ledger, balances and positions are the engine's, and that everything is there once."""
    state = engine.state
    balances = {
        (account.account_id, asset): balance.available + balance.held
        for account in state.accounts.values()
        for asset, balance in account.balances.items()
    }
    moved = {key: total for key, total in balances.items() if total}
    ends = {(row[0], row[1]): int(row[2]) for row in await connection.fetch(LEDGER_ENDS)}
    assert {key: total for key, total in ends.items() if total} == moved
    shown = await connection.fetch("SELECT account_id, asset, available + held FROM balances")
    assert {(row[0], row[1]): int(row[2]) for row in shown if row[2]} == moved
    assert await connection.fetch(UNBALANCED) == []
    assert await connection.fetchval(BROKEN_CHAINS) == 0
    counted = await connection.fetchrow("SELECT count(*), max(entry_id), min(entry_id) FROM ledger_entries")
    assert counted is not None
    assert counted[0] == counted[1]
    assert counted[2] == 1
    positions = {
        (account.account_id, symbol): position.figures
        for account in state.accounts.values()
        for symbol, position in account.positions.items()
        if any(position.figures)
    }
    found = await connection.fetch("SELECT account_id, symbol, quantity, cost, realized_pnl, fees FROM positions")
    assert {(row[0], row[1]): tuple(map(int, row[2:])) for row in found if any(row[2:])} == positions
    assert await connection.fetchval("SELECT last_seq FROM projection_cursors") == rows[-1].last_seq


@pytest.mark.parametrize("seed", SEEDS)
async def test_ledger_balances_and_positions_are_those_of_the_engine(
    connection: "asyncpg.Connection[asyncpg.Record]", database_url: str, seed: int
) -> None:
    engine, rows = engine_rows(seed, COMMANDS)
    projector = CoreProjector(as_role(database_url, "projector"), 0)
    cut = random.Random(seed)
    position = 0
    while position < len(rows):
        count = cut.randrange(1, 60)
        await projector.apply(rows[position : position + count])
        position += count
    await projector.close()

    await assert_as_the_engine(connection, engine, rows)
    assert await connection.fetchval("SELECT count(*) FROM fills") > 20
    assert await connection.fetchval("SELECT count(*) FROM audit WHERE changed") > 5


async def test_what_ended_is_counted_once_however_often_its_rows_come(database_url: str) -> None:
    engine, rows = engine_rows(5, COMMANDS)
    before = counted()
    projector = CoreProjector(as_role(database_url, "projector"), 0)
    for start in range(0, len(rows), 20):
        await projector.apply(rows[start : start + 20])
        await projector.apply(rows[: start + 20])
    await projector.close()
    ended = (OrderStatus.CANCELED, OrderStatus.EXPIRED)
    states = [order.state for order in engine.state.orders.values()]
    reasons = Counter(state.reason for state in states if state.status in ended)
    assert counted() - before == reasons
    assert sum(reasons.values()) > 20


def counted() -> Counter[str]:
    """Return how many orders of each reason were counted so far."""
    samples = [sample for family in metrics.ORDERS_ENDED.collect() for sample in family.samples]
    return Counter({each.labels["reason"]: int(each.value) for each in samples if each.name.endswith("_total")})


async def test_a_projector_killed_anywhere_gives_every_entry_once(
    connection: "asyncpg.Connection[asyncpg.Record]", database_url: str
) -> None:
    engine, rows = engine_rows(4, COMMANDS)
    rng, position, kills = random.Random(4), 0, 0
    async with proxy_before(as_role(database_url, "projector")) as (proxy, url):
        while position < len(rows):
            projector = CoreProjector(url, 0)
            try:
                await projector.cursor()
                proxy.arm(*[None] * rng.randrange(150), rng.choice([Fault.CUT_BEFORE, Fault.CUT_AFTER]))
                while position < len(rows):
                    await projector.apply(rows[position : position + 5])
                    position += 5
            except Exception as fault:
                if not is_server_fault(fault):
                    raise
                kills += 1
                position = max(0, position - 3)
            proxy.disarm()
            await projector.close()

    assert kills >= 5
    await assert_as_the_engine(connection, engine, rows)
