"""An account's events and snapshots: what a private stream starts from and resumes with."""

import asyncio

from sqlalchemy.ext.asyncio import AsyncEngine

from app.domain.events import BalanceChanged
from app.projections.core import CoreProjector
from app.storage.account_events import account_snapshot, events_after
from app.storage.database import create_database_engine
from tests.journal_rows import START_NS, batch, chain
from tests.market_stream import ACCOUNTS, MarketStream

ALICE = ACCOUNTS[0]


async def test_events_resume_anywhere_without_gap(engine: AsyncEngine, projected: MarketStream) -> None:
    seen = [row.event for row in await events_after(engine, ALICE, 0, 5)]
    while page := await events_after(engine, ALICE, seen[-1].account_seq, 50):
        seen += [row.event for row in page]

    assert seen == projected.events[ALICE]
    assert [event.account_seq for event in seen] == list(range(1, len(seen) + 1))


async def test_an_event_carries_the_time_of_its_batch(engine: AsyncEngine, projected: MarketStream) -> None:
    for row in await events_after(engine, ALICE, 0, 1000):
        assert START_NS < row.timestamp_ns <= START_NS + row.event.engine_seq * 1_000_000


async def test_an_unknown_account_has_an_empty_snapshot(engine: AsyncEngine, projected: MarketStream) -> None:
    snapshot = await account_snapshot(engine, 0, 999)

    assert snapshot == (projected.sequence, 0, [], [], [])


async def test_a_snapshot_taken_while_the_projector_runs_is_of_one_moment(database_url: str) -> None:
    """Every batch writes its own sequence into both balances: a torn read would show two different ones."""
    records = [MarketStream(seed=0).genesis()]
    first_seq = records[0].last_seq + 1
    for number in range(300):
        sequence = first_seq + number
        changed = [
            BalanceChanged(2 * number + index + 1, sequence, ALICE, asset, str(sequence), "0")
            for index, asset in enumerate(("BTC", "USD"))
        ]
        records.append(batch(sequence, accounts={ALICE: changed}))
    rows = chain(records)
    projector = CoreProjector(database_url, 0)
    engine = create_database_engine(database_url, pool_size=2)
    await projector.apply(rows[:2])
    running = True

    async def project() -> None:
        nonlocal running
        for row in rows[2:]:
            await projector.apply([row])
        running = False

    projecting = asyncio.create_task(project())
    moments = set()
    while running:
        snapshot = await account_snapshot(engine, 0, ALICE)
        assert {balance.available for balance in snapshot.balances} == {snapshot.cursor}
        assert snapshot.account_seq == 2 * (snapshot.cursor - first_seq + 1)
        moments.add(snapshot.cursor)

    await projecting
    assert len(moments) > 10, "snapshots must have met the projector at work"
    await projector.close()
    await engine.dispose()
