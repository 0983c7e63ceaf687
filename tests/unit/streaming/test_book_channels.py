"""Depth, interval and checksum: a view equals the book as its options show it, at every frame."""

import asyncio
import random
from typing import Any
from zlib import crc32

import msgspec
import pytest

from app.protocol import messages
from app.protocol.messages import BookOptions
from app.streaming import book_channels
from app.streaming import feed as feed_module
from tests.unit.streaming.client import Client, replica_of
from tests.unit.streaming.client_book import ClientBook, change_at_random
from tests.unit.streaming.exchange import SYMBOL, Book, Exchange

NAME = f"orderbook:{SYMBOL}"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "BLOCK_MS", 40)


def best(book: Book, depth: int | None) -> tuple[dict[str, str], dict[str, str]]:
    bids, asks = book.levels()
    return tuple({f"{p / 100:g}": f"{q / 1000:g}" for p, q in side[:depth]} for side in (bids, asks))  # type: ignore[return-value]  # two sides


def check(book: Book, depth: int | None) -> int:
    bids, asks = book.levels()
    kept = min(depth or 10, 10)
    return crc32("".join(f"{price}{quantity}" for price, quantity in asks[:kept] + bids[:kept]).encode())


async def watching(client: Client, **options: Any) -> ClientBook:
    await client.subscribe(NAME, options={NAME: options})
    book = ClientBook()
    book.take(await client.next("snapshot"))
    return book


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("depth", [1, 3, 10, 5000])
async def test_depth_view_is_exactly_the_best_levels_after_every_batch(depth: int, seed: int) -> None:
    chance = random.Random(seed)
    exchange = Exchange()
    change_at_random(exchange, chance)
    async with replica_of(exchange) as replica:
        client = replica.client()
        book = await watching(client, depth=depth, checksum=True)
        for step in range(40):
            change_at_random(exchange, chance)
            await replica.applied()
            if step % 9 == 0:
                await replica.ticked()
            for frame in client.read():
                if frame["type"] != "heartbeat":
                    book.take(frame)
                    assert frame["checksum"] == check(exchange.books[SYMBOL], depth)
                    msgspec.convert(frame, messages.BookDeltaFrame)
            assert (book.bids, book.asks) == best(exchange.books[SYMBOL], depth)
        assert book.gaps == 0


async def test_change_out_of_sight_sends_nothing_until_the_heartbeat() -> None:
    exchange = Exchange()
    exchange.change([(100, 1), (99, 1)])
    async with replica_of(exchange) as replica:
        client = replica.client()
        book = await watching(client, depth=1)
        exchange.change([(98, 5)])
        exchange.change([(97, 5)])
        await replica.applied()
        assert client.read() == []
        await replica.ticked()
        delta, beat = client.read()
        assert (delta["prev_seq"], delta["seq"], delta["bids"], delta["asks"]) == (1, 3, [], [])
        assert beat["books"] == {SYMBOL: 3}
        book.take(delta)
        assert (book.seq, book.gaps) == (3, 0)


async def test_level_that_moves_into_view_is_shown_and_the_one_that_moves_out_is_removed() -> None:
    exchange = Exchange()
    exchange.change([(100, 1), (99, 2), (98, 3)])
    async with replica_of(exchange) as replica:
        client = replica.client()
        await watching(client, depth=2)
        exchange.change([(100, 0)])
        exchange.change([(101, 4)])
        await replica.applied()
        first, second = client.read()
        assert first["bids"] == [["1", "0"], ["0.98", "0.003"]]
        assert second["bids"] == [["1.01", "0.004"], ["0.98", "0"]]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("depth", [None, 3])
async def test_interval_merges_deltas_and_keeps_the_chain(depth: int | None, seed: int) -> None:
    chance = random.Random(seed)
    exchange = Exchange()
    async with replica_of(exchange) as replica:
        client = replica.client()
        options = {"interval_ms": 16} if depth is None else {"interval_ms": 16, "depth": depth}
        book = await watching(client, **options)
        frames = []
        for _ in range(60):
            change_at_random(exchange, chance)
            if chance.random() < 0.3:
                await asyncio.sleep(0.003)
                frames += client.read()
        await replica.applied()
        await asyncio.sleep(0.03)
        frames += client.read()
        for frame in frames:
            assert frame["prev_seq"] == book.seq, "each frame continues the one before"
            book.take(frame)
        assert 1 <= len(frames) < 40
        assert (book.bids, book.asks) == best(exchange.books[SYMBOL], depth)


@pytest.mark.parametrize("depth", [None, 3])
async def test_second_subscriber_of_a_merged_view_fits_in_without_disturbing_the_first(depth: int | None) -> None:
    options = {"interval_ms": 1000} if depth is None else {"interval_ms": 1000, "depth": depth}
    exchange = Exchange()
    exchange.change([(100, 1)])
    async with replica_of(exchange) as replica:
        first, second = replica.client(), replica.client()
        books = [await watching(first, **options)]
        exchange.change([(100, 2)])
        exchange.change([(100, 3), (99, 1)])
        await replica.applied()
        books.append(await watching(second, **options))
        assert books[1].bids == {"1": "0.003", "0.99": "0.001"}
        # Back to what the first was shown last: only the second has seen what was in between.
        exchange.change([(100, 2), (99, 0)])
        await replica.applied()
        await replica.ticked()
        for client, book in zip((first, second), books, strict=True):
            for frame in client.read():
                if frame["type"] == "delta":
                    book.take(frame)
            assert book.gaps == 0
            assert (book.seq, book.bids) == (4, {"1": "0.002"})
        assert len(replica.hub._markets[SYMBOL]._books) == 1


async def test_full_view_with_checksum_sends_every_delta() -> None:
    exchange = Exchange()
    async with replica_of(exchange) as replica:
        client = replica.client()
        await watching(client, checksum=True)
        for price in (100, 99, 98):
            exchange.change([(price, 1)])
        await replica.applied()
        frames = client.read()
        assert [frame["seq"] for frame in frames] == [1, 2, 3]
        assert frames[-1]["checksum"] == check(exchange.books[SYMBOL], None)


async def test_other_options_replace_the_subscription() -> None:
    exchange = Exchange()
    exchange.change([(100, 1), (99, 1)])
    async with replica_of(exchange) as replica:
        client = replica.client()
        await watching(client)
        book = await watching(client, depth=1)
        assert book.bids == {"1": "0.001"}
        exchange.change([(99, 2)])
        await replica.applied()
        assert client.read() == [], "the full book is left"
        assert (await client.ask("list"))["channels"] == [NAME]


async def test_view_whose_subscribers_left_starts_from_the_present() -> None:
    exchange = Exchange()
    async with replica_of(exchange) as replica:
        client = replica.client()
        await watching(client, depth=2)
        await client.ask("unsubscribe", channels=[NAME])
        exchange.change([(100, 1)])
        await replica.applied()
        book = await watching(client, depth=2)
        assert (book.seq, book.bids) == (1, {"1": "0.001"})
        exchange.change([(99, 1)])
        await replica.applied()
        (frame,) = client.read()
        assert frame["prev_seq"] == 1


async def test_view_starts_over_with_its_book() -> None:
    exchange = Exchange()
    async with replica_of(exchange) as replica:
        client = replica.client()
        book = await watching(client, depth=2, interval_ms=16)
        exchange.start_epoch(2)
        exchange.change([(100, 1)])
        snapshot = await client.next("snapshot")
        assert (snapshot["epoch"], snapshot["reason"]) == (2, "epoch")
        book.take(snapshot)
        exchange.change([(99, 1)])
        await replica.applied()
        await asyncio.sleep(0.03)
        for frame in client.read():
            book.take(frame)
        assert (book.epoch, book.seq, book.bids) == (2, 2, {"1": "0.001", "0.99": "0.001"})


def test_options_choose_the_channel() -> None:
    kinds = [
        type(book_channels.book_channel(SYMBOL, options, lambda: None))
        for options in (BookOptions(), BookOptions(checksum=True), BookOptions(interval_ms=100), BookOptions(depth=5))
    ]
    assert kinds == [
        book_channels.BookChannel,
        book_channels.FullView,
        book_channels.FullView,
        book_channels.DepthView,
    ]
