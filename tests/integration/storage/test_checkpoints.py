"""Checkpoints: the newest three, newest first, read one at a time."""

from sqlalchemy.ext.asyncio import AsyncEngine

from app.storage.checkpoints import KEPT, Checkpoint, load_newest_first, save


def checkpoint(shard: int, last_seq: int, body: bytes = b"state") -> Checkpoint:
    return Checkpoint(shard, last_seq, b"r" * 32, 1, b"s" * 32, body)


async def saved(engine: AsyncEngine, shard: int) -> list[Checkpoint]:
    return [kept async for kept in load_newest_first(engine, shard)]


async def test_the_newest_three_are_kept_and_come_newest_first(engine: AsyncEngine, shard: int) -> None:
    made = [checkpoint(shard, last_seq) for last_seq in (10, 20, 30, 40, 50)]
    for one in made:
        await save(engine, one)

    assert await saved(engine, shard) == made[:1:-1]
    assert len(made[:1:-1]) == KEPT


async def test_a_late_older_one_does_not_push_out_newer_ones(engine: AsyncEngine, shard: int) -> None:
    for last_seq in (20, 30, 40, 10):
        await save(engine, checkpoint(shard, last_seq))

    assert [kept.last_seq for kept in await saved(engine, shard)] == [40, 30, 20]


async def test_one_at_the_same_sequence_is_replaced(engine: AsyncEngine, shard: int) -> None:
    await save(engine, checkpoint(shard, 10, b"damaged"))
    await save(engine, checkpoint(shard, 10, b"whole"))

    assert [kept.body for kept in await saved(engine, shard)] == [b"whole"]


async def test_a_large_body_comes_back_whole(engine: AsyncEngine, shard: int) -> None:
    body = bytes(range(256)) * 80_000
    await save(engine, checkpoint(shard, 1, body))

    assert (await saved(engine, shard))[0].body == body


async def test_shards_are_kept_apart(engine: AsyncEngine, shard: int) -> None:
    for other in (shard, shard + 10_000):
        for last_seq in (1, 2):
            await save(engine, checkpoint(other, last_seq))

    assert [(kept.shard, kept.last_seq) for kept in await saved(engine, shard)] == [(shard, 2), (shard, 1)]
    assert await saved(engine, shard + 20_000) == []
