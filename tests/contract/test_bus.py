"""One suite for both buses: what `ports.Bus` promises, on memory and on a real server."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from app.bus.memory import MemoryBus
from app.bus.redis import PIPELINE_ENTRIES_MAX, RedisBus
from app.bus.topics import stream_key
from app.errors import BusUnavailable
from app.protocol.ports import Bus, BusEntry


@pytest.fixture(params=["memory", "redis"])
async def bus(request: pytest.FixtureRequest) -> AsyncIterator[Bus]:
    if request.param == "memory":
        yield MemoryBus()
        return
    url = request.getfixturevalue("redis_url")
    redis = RedisBus(url, stream_key(0, 1, prefix=request.getfixturevalue("shard_prefix")))
    yield redis
    await redis.trim(2**62)
    await redis.close()


def entry(first_seq: int, last_seq: int) -> BusEntry:
    return BusEntry(first_seq, last_seq, b"body %d" % last_seq)


async def test_entries_come_back_as_published_oldest_first(bus: Bus) -> None:
    sent = [entry(1, 3), entry(4, 4), entry(5, 9)]
    await bus.publish(sent)
    assert await bus.read(0, limit=10, block_ms=0) == sent
    assert await bus.read(3, limit=1, block_ms=0) == [entry(4, 4)]
    assert await bus.read(9, limit=10, block_ms=0) == []


async def test_position_inside_a_batch_returns_that_batch(bus: Bus) -> None:
    await bus.publish([entry(1, 3), entry(4, 8)])
    assert await bus.read(5, limit=10, block_ms=0) == [entry(4, 8)]


async def test_body_may_hold_any_byte(bus: Bus) -> None:
    body = bytes(range(256)) * 400
    await bus.publish([BusEntry(1, 1, body), BusEntry(2, 2, b"")])
    assert [found.body for found in await bus.read(0, limit=10, block_ms=0)] == [body, b""]


async def test_publishing_twice_leaves_one_entry(bus: Bus) -> None:
    await bus.publish([entry(1, 1), entry(2, 2)])
    await bus.publish([entry(2, 2), entry(3, 3)])
    assert await bus.read(0, limit=10, block_ms=0) == [entry(1, 1), entry(2, 2), entry(3, 3)]


async def test_deposed_leader_cannot_publish_below_the_highest_sequence(bus: Bus) -> None:
    await bus.publish([entry(1, 5)])
    await bus.publish([BusEntry(1, 4, b"forged")])
    assert await bus.read(0, limit=10, block_ms=0) == [entry(1, 5)]


async def test_last_seq_is_zero_without_a_stream_and_survives_trimming(bus: Bus) -> None:
    assert await bus.last_seq() == 0
    await bus.publish([entry(1, 3), entry(4, 7)])
    assert await bus.last_seq() == 7
    await bus.trim(8)
    assert await bus.read(0, limit=10, block_ms=0) == []
    assert await bus.last_seq() == 7
    await bus.publish([entry(4, 7)])
    assert await bus.read(0, limit=10, block_ms=0) == []


async def test_trim_forgets_exactly_what_is_below(bus: Bus) -> None:
    await bus.publish([entry(n, n) for n in range(1, 301)])
    await bus.trim(200)
    kept = await bus.read(0, limit=1000, block_ms=0)
    assert [found.last_seq for found in kept] == list(range(200, 301))


async def test_blocked_read_wakes_on_publish(bus: Bus) -> None:
    async def publish_later() -> None:
        await asyncio.sleep(0.05)
        await bus.publish([entry(1, 1)])

    task = asyncio.create_task(publish_later())
    started = time.monotonic()
    assert await bus.read(0, limit=10, block_ms=3000) == [entry(1, 1)]
    assert time.monotonic() - started < 2
    await task


async def test_read_gives_up_after_its_block(bus: Bus) -> None:
    started = time.monotonic()
    assert await bus.read(0, limit=10, block_ms=60) == []
    assert 0.05 <= time.monotonic() - started < 2


async def test_two_readers_get_the_same_entries(bus: Bus) -> None:
    reads = [asyncio.create_task(bus.read(0, limit=10, block_ms=3000)) for _ in range(2)]
    await asyncio.sleep(0.05)
    await bus.publish([entry(1, 2)])
    assert await asyncio.gather(*reads) == [[entry(1, 2)], [entry(1, 2)]]


async def test_abandoned_read_does_not_disturb_the_next_one(bus: Bus) -> None:
    abandoned = asyncio.create_task(bus.read(0, limit=10, block_ms=3000))
    await asyncio.sleep(0.05)
    abandoned.cancel()
    with pytest.raises(asyncio.CancelledError):
        await abandoned
    await bus.publish([entry(1, 1)])
    assert await bus.read(0, limit=10, block_ms=0) == [entry(1, 1)]
    assert await bus.last_seq() == 1


async def test_long_republication_arrives_whole(bus: Bus) -> None:
    sent = [entry(n, n) for n in range(1, 2 * PIPELINE_ENTRIES_MAX + 10)]
    await bus.publish(sent)
    assert await bus.read(0, limit=10_000, block_ms=0) == sent


async def test_refused_connection_is_bus_unavailable(unused_tcp_port: int) -> None:
    bus = RedisBus(f"redis://127.0.0.1:{unused_tcp_port}/0", "ow:0:1")
    for call in (bus.publish([entry(1, 1)]), bus.last_seq(), bus.read(0, limit=1, block_ms=10), bus.trim(1)):
        with pytest.raises(BusUnavailable):
            await call
    await bus.close()


async def test_refusal_by_the_server_is_bus_unavailable(redis_url: str, shard_prefix: str) -> None:
    bus = RedisBus(redis_url, stream_key(0, 1, prefix=shard_prefix))
    await bus._commands.set(f"{shard_prefix}:0:1", "not a stream", ex=60)
    with pytest.raises(BusUnavailable, match="WRONGTYPE"):
        await bus.publish([entry(1, 1)])
    with pytest.raises(BusUnavailable):
        await bus.last_seq()
    await bus.close()


async def test_silent_server_is_given_up_after_one_attempt() -> None:
    commands: list[bytes] = []

    async def never_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            if b"XADD" in data:
                commands.append(data)
            elif b"CLIENT" in data:
                writer.write(b"+OK\r\n" * data.count(b"CLIENT"))
        writer.close()

    server = await asyncio.start_server(never_answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    bus = RedisBus(f"redis://127.0.0.1:{port}/0", "ow:0:1")
    started = time.monotonic()
    with pytest.raises(BusUnavailable):
        await bus.publish([entry(1, 1)])
    assert time.monotonic() - started < 2
    assert len(commands) == 1
    await bus.close()
    server.close()
