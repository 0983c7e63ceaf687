"""The hub on a hand-driven exchange: activation, gaps, healing, reads, epochs."""

from tests.unit.streaming.client import replica_of
from tests.unit.streaming.exchange import SYMBOL, ClientBook, Exchange

BOOK = f"orderbook:{SYMBOL}"


async def test_client_that_seeds_in_band_equals_the_book() -> None:
    exchange = Exchange()
    exchange.change([(100, 5)], [(101, 7)])
    async with replica_of(exchange) as replica:
        client = replica.client()
        await client.subscribe(BOOK)
        book = ClientBook()
        book.take(await client.next("snapshot"))
        exchange.change([(100, 0), (99, 2)])
        exchange.change([], [(101, 8)])
        await replica.applied()
        for frame in client.read():
            book.take(frame)
        assert (book.bids, book.asks, book.seq) == ({"0.99": "0.002"}, {"1.01": "0.008"}, 3)
