"""The engine role as a process: commits before it answers, survives SIGKILL, refuses what is not its own."""

import asyncio
import json
import random
import signal
import subprocess
import sys
from typing import Any

import pytest
from redis.asyncio import Redis

from app.bus.topics import stream_key
from app.domain.commands import (
    CancelOrder,
    Command,
    CreateAccount,
    CreateAsset,
    CreateInstrument,
    Deposit,
    PlaceOrder,
    SetLimits,
)
from app.domain.enums import OrderType, Side
from app.domain.outcomes import Outcome
from app.errors import ApiError
from app.link.client import LinkClient
from app.protocol.records import GENESIS_HASH, decode_batch, decode_command
from app.storage.database import asyncpg_dsn
from app.storage.journal import Journal, JournalRow, verify_row
from tests.database_roles import as_role
from tests.engine_process import EngineProcess, linked, role_environment, wait_for_term


@pytest.fixture
def shard() -> int:
    """A shard of the test's own: the Redis server is shared, and streams are named by shard."""
    return random.randrange(1_000, 2**15)


async def list_market(link: LinkClient) -> tuple[int, int]:
    """List X-USD and fund a buyer and a seller; returns their accounts."""
    for command in (
        SetLimits({"open_orders": None}),
        CreateAsset("USD", 2),
        CreateAsset("X", 0),
        CreateInstrument("X-USD", "X", "USD", "0.01", "1", maker_fee=10_000, taker_fee=20_000),
    ):
        assert (await link.submit(command)).rejection is None
    accounts = []
    for name in ("buyer", "seller"):
        opened = await link.submit(CreateAccount(name))
        assert opened.account_id is not None
        accounts.append(opened.account_id)
    for account_id, asset in zip(accounts, ("USD", "X"), strict=True):
        assert (await link.submit(Deposit(account_id, asset, "1" + "0" * 15, "first"))).rejection is None
    return accounts[0], accounts[1]


def order(account_id: int, side: Side, client_order_id: str, price: int, quantity: int = 1) -> PlaceOrder:
    return PlaceOrder(account_id, "X-USD", side, OrderType.LIMIT, quantity, price, client_order_id=client_order_id)


async def journal_rows(database_url: str, shard: int) -> list[JournalRow]:
    """Return the verified journal."""
    journal = await Journal.connect(asyncpg_dsn(database_url), shard)
    rows: list[JournalRow] = []
    while page := await journal.rows(rows[-1].last_seq if rows else 0, 500):
        rows += page
    await journal.close()
    previous, sequence = GENESIS_HASH, 0
    for row in rows:
        verify_row(row, previous, sequence + 1)
        previous, sequence = row.hash, row.last_seq
    return rows


async def journaled_commands(database_url: str, shard: int) -> dict[int, Command]:
    """Return every journaled command by its sequence."""
    found = {}
    for row in await journal_rows(database_url, shard):
        record = decode_batch(row.body)
        for offset, data in enumerate(record.commands):
            found[record.first_seq + offset] = decode_command(data)
    return found


async def entry_ids(redis: Redis, key: str) -> list[bytes]:
    """Return the ids of a stream, oldest first."""
    found: Any = await redis.xrange(key)
    return [entry[0] for entry in found]


async def test_every_answer_stands_in_the_journal_at_its_sequence(
    database_url: str, redis_url: str, shard: int
) -> None:
    with EngineProcess(database_url, redis_url, shard=shard):
        async with linked(database_url, shard=shard) as link:
            buyer, seller = await list_market(link)
            commands = [
                order(buyer if n % 2 else seller, Side.BUY if n % 2 else Side.SELL, f"o{n}", 100 + n % 7)
                for n in range(300)
            ]
            outcomes = await asyncio.gather(*(link.submit(command) for command in commands))
            # Read while the engine runs: an answer must never be ahead of the journal.
            journaled = await journaled_commands(database_url, shard)
    assert [journaled[outcome.engine_seq] for outcome in outcomes] == commands
    assert any(outcome.fills for outcome in outcomes)


async def test_killed_under_load_nothing_acknowledged_is_lost_or_doubled(
    database_url: str, redis_url: str, shard: int
) -> None:
    chance = random.Random(shard)
    acknowledged: dict[str, int] = {}
    unexpected: set[str] = set()
    with EngineProcess(database_url, redis_url, shard=shard) as engine:
        async with linked(database_url, shard=shard) as link:
            buyer, seller = await list_market(link)

            async def trade(name: int) -> None:
                for n in range(10_000):
                    client_order_id = f"{name}-{n}"
                    account, side = (buyer, Side.BUY) if n % 2 else (seller, Side.SELL)
                    try:
                        outcome = await link.submit(order(account, side, client_order_id, 100 + n % 5))
                    except ApiError as error:
                        unexpected.update({error.code} - {"engine_unavailable", "execution_unknown"})
                        continue
                    assert outcome.order is not None
                    acknowledged[client_order_id] = outcome.order.order_id

            traders = [asyncio.create_task(trade(name)) for name in range(20)]
            for _ in range(3):
                await asyncio.sleep(chance.uniform(0.2, 0.6))
                term = link.term
                engine.kill()
                engine.start()
                await wait_for_term(link, term + 1)
            await asyncio.sleep(0.3)
            for trader in traders:
                trader.cancel()
            await asyncio.gather(*traders, return_exceptions=True)
            before = await link.status()
            engine.kill()
            engine.start()
            await wait_for_term(link, before.term + 1)
            after = await link.status()
            assert (after.engine_seq, after.state_hash) == (before.engine_seq, before.state_hash)
            # Ask the engine for every acknowledged order by its natural key: it must be that very order.
            sample = chance.sample(sorted(acknowledged), min(300, len(acknowledged)))
            for client_order_id in sample:
                n = int(client_order_id.split("-")[1])
                account, side = (buyer, Side.BUY) if n % 2 else (seller, Side.SELL)
                again: Outcome = await link.submit(order(account, side, client_order_id, 100 + n % 5))
                assert again.duplicate
                assert again.order is not None
                assert again.order.order_id == acknowledged[client_order_id]
    assert not unexpected
    assert len(acknowledged) > 300, "the load was too small to prove anything"


async def test_a_restart_has_the_same_state_at_the_same_sequence(database_url: str, redis_url: str, shard: int) -> None:
    with EngineProcess(database_url, redis_url, shard=shard) as engine:
        async with linked(database_url, shard=shard) as link:
            buyer, seller = await list_market(link)
            for n in range(50):
                await link.submit(order(buyer, Side.BUY, f"b{n}", 100 + n % 3, 2))
                await link.submit(order(seller, Side.SELL, f"s{n}", 101, 1))
            before = await link.status()
            book = await link.book("X-USD")
            engine.kill()
            engine.start()
            await wait_for_term(link, before.term + 1)
            after = await link.status()
            assert (after.engine_seq, after.state_hash, after.epoch) == (
                before.engine_seq,
                before.state_hash,
                before.epoch,
            )
            assert after.term == before.term + 1
            again = await link.book("X-USD")
            assert (again.seq, again.bids, again.asks) == (book.seq, book.bids, book.asks)


async def test_a_clean_stop_leaves_a_checkpoint_that_the_next_start_uses(
    database_url: str, redis_url: str, shard: int
) -> None:
    with EngineProcess(database_url, redis_url, shard=shard) as engine:
        async with linked(database_url, shard=shard) as link:
            await list_market(link)
        engine.signal(signal.SIGTERM)
        code, errors = engine.wait()
        assert code == 0, errors
        assert "checkpoint_written" in errors
        engine.start()
        async with linked(database_url, shard=shard) as link:
            assert (await link.submit(CreateAccount("buyer"))).duplicate
        engine.signal(signal.SIGTERM)
        code, errors = engine.wait()
    assert code == 0
    assert '"replayed": 0' in errors


async def test_the_bus_holds_every_batch_once_and_a_restart_republishes_what_it_lost(
    database_url: str, redis_url: str, shard: int
) -> None:
    redis = Redis.from_url(redis_url)
    key = stream_key(shard, 1)
    try:
        with EngineProcess(database_url, redis_url, shard=shard) as engine:
            async with linked(database_url, shard=shard) as link:
                await list_market(link)
                await asyncio.sleep(0.2)
                first = await entry_ids(redis, key)
                await redis.delete(key)
                engine.kill()
                engine.start()
                await wait_for_term(link, 2)
                await link.submit(CreateAccount("late"))
                await asyncio.sleep(0.3)
                second = await entry_ids(redis, key)
    finally:
        await redis.delete(key)
        await redis.aclose()
    assert second[: len(first)] == first
    assert len(second) == len(first) + 1


async def test_a_clean_stop_under_load_leaves_nothing_unpublished(
    database_url: str, redis_url: str, shard: int
) -> None:
    redis = Redis.from_url(redis_url)
    try:
        with EngineProcess(database_url, redis_url, shard=shard) as engine:
            async with linked(database_url, shard=shard) as link:
                accounts = [
                    asyncio.create_task(link.submit(CreateAccount(f"a{n}"), deadline_ms=2_000)) for n in range(900)
                ]
                await accounts[100]
                engine.signal(signal.SIGTERM)
                code, errors = engine.wait()
                assert code == 0, errors
                answers = await asyncio.gather(*accounts, return_exceptions=True)
        last = max(int(entry_id.partition(b"-")[0]) for entry_id in await entry_ids(redis, stream_key(shard, 1)))
    finally:
        await redis.delete(stream_key(shard, 1))
        await redis.aclose()
    acknowledged = [answer.engine_seq for answer in answers if isinstance(answer, Outcome)]
    assert last >= max(acknowledged)
    journal = await Journal.connect(asyncpg_dsn(database_url), shard)
    try:
        assert last == (await journal.head()).head_seq
    finally:
        await journal.close()


async def test_a_bus_beyond_the_journal_keeps_an_engine_from_leading(
    database_url: str, redis_url: str, shard: int
) -> None:
    redis = Redis.from_url(redis_url)
    key = stream_key(shard, 1)
    try:
        await redis.xadd(key, {"f": 1}, id="900-0")
        with EngineProcess(database_url, redis_url, shard=shard) as engine:
            code, errors = engine.wait()
            assert code == 3
            assert "beyond the journal's head" in errors.strip().splitlines()[-1]
            begun = start_epoch(database_url, redis_url, shard)
            assert json.loads(begun.stdout) == {"epoch": 1, "engine_seq": 1}
            assert json.loads(start_epoch(database_url, redis_url, shard).stdout) == {"epoch": 2, "engine_seq": 2}
            engine.start()
            async with linked(database_url, shard=shard) as link:
                assert (link.epoch, link.head_seq) == (2, 2)
                leading = start_epoch(database_url, redis_url, shard)
                assert (leading.returncode, leading.stdout) == (3, "")
                assert "stop every engine first" in leading.stderr
    finally:
        await redis.delete(key)
        await redis.aclose()


def start_epoch(database_url: str, redis_url: str, shard: int) -> subprocess.CompletedProcess[str]:
    """Run `orderwire admin start-epoch`."""
    environment = role_environment(as_role(database_url, "engine"), redis_url, ORDERWIRE_SHARD=str(shard))
    command = [sys.executable, "-m", "app", "admin", "start-epoch"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


async def test_a_second_engine_stands_by_and_leads_when_the_first_is_killed(
    database_url: str, redis_url: str, shard: int
) -> None:
    with EngineProcess(database_url, redis_url, shard=shard) as first:
        async with linked(database_url, shard=shard) as link:
            await list_market(link)
            term = link.term
            with EngineProcess(database_url, redis_url, shard=shard):
                await asyncio.sleep(1.5)
                assert link.term == term, "the standby must wait while the leader lives"
                first.kill()
                await wait_for_term(link, term + 1, 10)
                assert link.term == term + 1
                assert (await link.submit(CreateAccount("buyer"))).duplicate


async def test_a_leader_of_an_older_term_cannot_commit_and_ends(database_url: str, redis_url: str, shard: int) -> None:
    with EngineProcess(database_url, redis_url, shard=shard) as first:
        async with linked(database_url, shard=shard) as link:
            await list_market(link)
        journal = await Journal.connect(asyncpg_dsn(database_url), shard)
        taken = await journal.take_over(await journal.head(), owner="rival", address="127.0.0.1:1", build="x")
        await journal.close()
        assert taken is not None
        code, errors = first.wait(10)
    assert code == 4
    assert "leadership_lost" in errors


async def test_an_unreadable_command_is_refused_and_costs_nobody_else(
    database_url: str, redis_url: str, shard: int
) -> None:
    with EngineProcess(database_url, redis_url, shard=shard):
        async with linked(database_url, shard=shard) as link:
            with pytest.raises(ApiError) as caught:
                await link.submit({"no": "command"})  # type: ignore[arg-type]  # what a foreign build might send
            assert caught.value.code == "invalid_request"
            outcome = await link.submit(CancelOrder(1001, 1))
            assert outcome.rejection is not None
            assert outcome.rejection.reason == "not_found"
