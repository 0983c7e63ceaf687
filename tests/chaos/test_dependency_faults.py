"""PostgreSQL and Redis are frozen, killed and emptied under load: nothing is lost, and service returns by itself."""

import asyncio
import random
import signal
import time

from redis.asyncio import Redis

from app.bus.redis import RedisBus
from app.bus.topics import stream_key
from tests.chaos.cluster import Cluster, children, signal_all
from tests.chaos.conftest import SEED, Exchange, rounds
from tests.chaos.test_engine_faults import ANSWERS_BETWEEN, RECOVER_WAIT_S, SLACK, percentile, report

FREEZE_S = (1.0, 3.0)
DATABASE_BACK_S, STREAM_WHOLE_S = 2.0, 2.0
EPOCH = 1
PAGE = 1_000
REDIS_FAULTS = ("kill", "flush", "pause")


def server_pids(cluster: Cluster, which: int) -> list[int]:
    """Return the processes of a server: 0 is PostgreSQL, 1 is Valkey."""
    pid = cluster.servers.pids[which]
    return [pid, *children(pid)]


async def test_a_frozen_database_is_no_reason_to_change_the_leader(exchange: Exchange) -> None:
    rng = random.Random(SEED)
    wanted, silences = rounds(5, 50), []
    for _ in range(wanted):
        await exchange.cluster.wait_for_standby()
        await exchange.load.wait_for_answers(ANSWERS_BETWEEN, RECOVER_WAIT_S)
        pids = server_pids(exchange.cluster, 0)
        frozen = time.monotonic()
        signal_all(pids, signal.SIGSTOP)
        try:
            await asyncio.sleep(rng.uniform(*FREEZE_S))
        finally:
            thawed = time.monotonic()
            signal_all(pids, signal.SIGCONT)
        await exchange.load.wait_for_answers(ANSWERS_BETWEEN, RECOVER_WAIT_S)
        silence = exchange.load.longest_silence(frozen - 1.0, time.monotonic())
        assert silence > (thawed - frozen) / 2, "orders went on: nothing was frozen"
        silences.append(silence)
    judged = await exchange.judged()
    assert judged.terms == 1, "a frozen database made the standby lead"
    report("database frozen", judged, silences)


async def test_a_killed_database_loses_nothing_and_service_returns_by_itself(exchange: Exchange) -> None:
    wanted, outages = rounds(5, 25), []
    for _ in range(wanted):
        await exchange.load.wait_for_answers(ANSWERS_BETWEEN, RECOVER_WAIT_S)
        signal_all(server_pids(exchange.cluster, 0), signal.SIGKILL)
        await revive(exchange.cluster)
        back = time.monotonic()
        await exchange.load.wait_for_answers(ANSWERS_BETWEEN, RECOVER_WAIT_S)
        first = exchange.load.first_answer_after(back)
        outages.append(first - back)
    judged = await exchange.judged()
    report("database killed, after its return", judged, outages)
    assert percentile(outages, 99) <= DATABASE_BACK_S * SLACK


async def test_orders_go_on_without_redis_and_its_streams_are_whole_again(exchange: Exchange) -> None:
    wanted, waits = rounds(6, 40), []
    for number in range(wanted):
        await exchange.load.wait_for_answers(ANSWERS_BETWEEN, RECOVER_WAIT_S)
        await hurt_redis(exchange, REDIS_FAULTS[number % len(REDIS_FAULTS)])
        back = time.monotonic()
        await wait_until_whole(exchange, (await exchange.cluster.head()).head_seq)
        waits.append(time.monotonic() - back)
    judged = await exchange.judged()
    assert judged.terms == 1
    report("stream whole after Redis' return", judged, waits)
    assert max(waits) <= STREAM_WHOLE_S * SLACK


async def hurt_redis(exchange: Exchange, fault: str) -> None:
    """Kill, empty or pause Redis; orders must be accepted meanwhile."""
    pids = server_pids(exchange.cluster, 1)
    if fault == "flush":
        async with Redis.from_url(exchange.cluster.servers.redis_url) as redis:
            await redis.flushall()
        await exchange.load.wait_for_answers(ANSWERS_BETWEEN, RECOVER_WAIT_S)
    elif fault == "pause":
        signal_all(pids, signal.SIGSTOP)
        try:
            await exchange.load.wait_for_answers(ANSWERS_BETWEEN, RECOVER_WAIT_S)
        finally:
            signal_all(pids, signal.SIGCONT)
    else:
        signal_all(pids, signal.SIGKILL)
        await exchange.load.wait_for_answers(ANSWERS_BETWEEN, RECOVER_WAIT_S)
        await revive(exchange.cluster)


async def revive(cluster: Cluster) -> None:
    """Start a killed server again, from this thread: children of another die with it."""
    while not cluster.servers.revive():  # noqa: ASYNC110  # polls a process
        await asyncio.sleep(0.01)


async def wait_until_whole(exchange: Exchange, head_seq: int) -> None:
    """Wait until the stream holds every batch up to a sequence, each following the one before."""
    bus = RedisBus(exchange.cluster.servers.redis_url, stream_key(exchange.cluster.shard, EPOCH))
    try:
        async with asyncio.timeout(STREAM_WHOLE_S * SLACK + RECOVER_WAIT_S):
            while not await is_whole(bus, head_seq):  # noqa: ASYNC110  # polls a server
                await asyncio.sleep(0.02)
    finally:
        await bus.close()


async def is_whole(bus: RedisBus, head_seq: int) -> bool:
    """Return whether the entries chain from the first one there to the sequence or beyond."""
    if await bus.last_seq() < head_seq:
        return False
    after = previous = 0
    while entries := await bus.read(after, limit=PAGE, block_ms=0):
        for entry in entries:
            if previous and entry.first_seq != previous + 1:
                return False
            previous = after = entry.last_seq
    return previous >= head_seq
