"""Book and trade state: the chain rule, and text that is never out of date."""

import json
from zlib import crc32

from hypothesis import given
from hypothesis import strategies as st

from app.domain.enums import Side
from app.domain.events import AuctionIndicated, BookDelta, BookLevels
from app.protocol.ports import BookView
from app.streaming.channel_state import BookState, ChainStep, TradePrint, TradeTail, checksum, trades_text
from tests.unit.streaming.client_book import ClientBook
from tests.unit.streaming.exchange import SYMBOL, instrument


def book_at(seq: int = 5, bids: BookLevels | None = None, asks: BookLevels | None = None) -> BookState:
    return BookState(instrument(), BookView(SYMBOL, 50, 1, seq, 1_000, bids or [(100, 1), (99, 2)], asks or [(101, 3)]))


def delta(seq: int, bids: BookLevels, asks: BookLevels, *, prev_seq: int | None = None, epoch: int = 1) -> BookDelta:
    return BookDelta(SYMBOL, epoch, seq - 1 if prev_seq is None else prev_seq, seq, 60, bids, asks)


def shown(book: BookState) -> dict[str, list[list[str]]]:
    found: dict[str, list[list[str]]] = json.loads("{" + book.full_text() + "}")
    return found


def test_next_delta_sets_and_removes_levels() -> None:
    book = book_at()
    assert book.apply(delta(6, [(100, 0), (98, 4)], [(101, 9)]), 2_000) is ChainStep.NEXT
    assert shown(book) == {"bids": [["0.99", "0.002"], ["0.98", "0.004"]], "asks": [["1.01", "0.009"]]}
    assert (book.seq, book.engine_seq, book.timestamp_ns) == (6, 60, 2_000)


def test_known_delta_changes_nothing() -> None:
    book = book_at()
    before = shown(book)
    assert book.apply(delta(5, [(100, 77)], []), 2_000) is ChainStep.OLD
    assert (shown(book), book.seq, book.timestamp_ns) == (before, 5, 1_000)


def test_delta_beyond_a_gap_changes_nothing() -> None:
    book = book_at()
    before = shown(book)
    assert book.apply(delta(7, [(100, 77)], []), 2_000) is ChainStep.GAP
    assert (shown(book), book.seq) == (before, 5)


def test_delta_that_spans_the_position_is_applied() -> None:
    book = book_at()
    assert book.apply(delta(8, [(100, 77)], [], prev_seq=3), 2_000) is ChainStep.NEXT
    assert book.seq == 8


def test_later_epoch_is_a_gap_and_an_earlier_one_is_noise() -> None:
    book = book_at()
    assert book.apply(delta(6, [], [], epoch=2), 0) is ChainStep.GAP
    assert book.apply(delta(6, [], [], epoch=0), 0) is ChainStep.OLD


def test_best_levels_are_highest_bid_and_lowest_ask() -> None:
    book = book_at(bids=[(90, 1), (100, 2)], asks=[(105, 3), (101, 4)])
    assert (book.bids.best(), book.asks.best()) == ((100, 2), (101, 4))
    assert book.bids.top(1) == [(100, 2)]
    assert book.asks.top(None) == [(101, 4), (105, 3)]
    empty = BookState(instrument(), BookView(SYMBOL, 0, 1, 0, 0, [], []))
    assert (empty.bids.best(), empty.asks.best()) == (None, None)


changes = st.lists(st.tuples(st.integers(1, 12), st.integers(0, 3)), max_size=4)


@given(st.lists(st.tuples(changes, changes, st.booleans()), max_size=20))
def test_text_of_a_book_that_moved_is_that_of_a_new_one(steps: list[tuple[BookLevels, BookLevels, bool]]) -> None:
    book = book_at()
    client = ClientBook()
    client.take({"type": "snapshot", "epoch": 1, "seq": 5, **shown(book)})
    for seq, (bids, asks, is_looked_at) in enumerate(steps, 6):
        # A batch names a price once; the last word counts.
        bids, asks = list(dict(bids).items()), list(dict(asks).items())
        assert book.apply(delta(seq, bids, asks), seq) is ChainStep.NEXT
        if is_looked_at:
            book.full_text()
        client.take(
            {
                "type": "delta",
                "epoch": 1,
                "prev_seq": seq - 1,
                "seq": seq,
                **json.loads("{" + book.levels_text(bids, asks) + "}"),
            }
        )
    again = BookState(instrument(), BookView(SYMBOL, 0, 1, 0, 0, book.bids.top(None), book.asks.top(None)))
    assert book.full_text() == again.full_text()
    assert sorted(map(tuple, shown(book)["bids"])) == sorted(client.bids.items())
    assert sorted(map(tuple, shown(book)["asks"])) == sorted(client.asks.items())


def test_checksum_covers_ten_levels_a_side_asks_first_in_integers() -> None:
    bids = [(100 - n, n + 1) for n in range(12)]
    asks = [(101 + n, n + 20) for n in range(11)]
    text = "".join(f"{101 + n}{n + 20}" for n in range(10)) + "".join(f"{100 - n}{n + 1}" for n in range(10))
    assert checksum(bids, asks) == crc32(text.encode())
    assert checksum([], []) == 0


def trade(trade_id: int) -> TradePrint:
    return TradePrint(trade_id, 100 + trade_id, 1, Side.SELL, 1_700_000_000_000_000_000)


def test_tail_keeps_the_last_fifty_and_knows_duplicates() -> None:
    tail = TradeTail([])
    step, fresh = tail.apply([trade(n) for n in range(1, 61)])
    assert (step, len(fresh)) == (ChainStep.NEXT, 60)
    assert [kept.trade_id for kept in tail.trades] == list(range(11, 61))
    assert tail.apply([trade(60)]) == (ChainStep.OLD, [])
    step, fresh = tail.apply([trade(60), trade(61)])
    assert (step, [new.trade_id for new in fresh]) == (ChainStep.NEXT, [61])


def test_missing_trade_is_a_gap_that_changes_nothing() -> None:
    tail = TradeTail([trade(1)])
    assert tail.apply([trade(3)]) == (ChainStep.GAP, [])
    assert tail.last_id == 1


def test_trades_are_decimal_text() -> None:
    assert json.loads(trades_text([trade(7)], instrument())) == [
        {
            "trade_id": "7",
            "symbol": SYMBOL,
            "price": "1.07",
            "quantity": "0.001",
            "taker_side": "sell",
            "ts": "2023-11-14T22:13:20.000000Z",
        }
    ]


def test_what_an_auction_stated_before_the_view_of_its_book_is_not_taken_again() -> None:
    book = BookState(instrument(), BookView(SYMBOL, 50, 1, 4, 1_000, [], [], (102, 2, 2)))
    book.indicate(AuctionIndicated(SYMBOL, 50, 100, 1, 1))
    assert book.auction == (102, 2, 2)
    book.indicate(AuctionIndicated(SYMBOL, 51, 103, 3, 3))
    assert book.auction == (103, 3, 3)
