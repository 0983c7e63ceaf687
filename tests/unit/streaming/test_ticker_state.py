"""The rolling day against sums over all trades, and the ticker's text."""

from hypothesis import given
from hypothesis import strategies as st

from app.domain.enums import Side
from app.protocol.ports import BookView
from app.streaming.channel_state import BookState, TradePrint
from app.streaming.ticker_state import MINUTE_NS, WINDOW_MINUTES, RollingDay, mark_price, ticker_shape
from tests.unit.streaming.exchange import SYMBOL, bars_of, instrument

START = 28_333_333 * MINUTE_NS


def trade(trade_id: int, minute: int, price: int, quantity: int) -> TradePrint:
    return TradePrint(trade_id, price, quantity, Side.BUY, START + minute * MINUTE_NS + trade_id)


@given(
    st.lists(st.tuples(st.integers(0, 500), st.integers(1, 9), st.integers(1, 5)), max_size=40),
    st.integers(0, 3000),
    st.integers(0, 40),
)
def test_day_equals_sums_over_the_trades_in_its_window(
    steps: list[tuple[int, int, int]], later: int, seeded: int
) -> None:
    minute, prints = 0, []
    for trade_id, (pause, price, quantity) in enumerate(steps, 1):
        minute += pause
        prints.append(trade(trade_id, minute, price, quantity))
    day = RollingDay(bars_of(prints[:seeded]))
    for one in prints[seeded:]:
        day.advance(one.timestamp_ns)
        day.add(one)
    now = minute + later
    day.advance(START + now * MINUTE_NS)
    inside = [one for one in prints if one.timestamp_ns // MINUTE_NS > START // MINUTE_NS + now - WINDOW_MINUTES]
    assert day.open == (inside[0].price if inside else None)
    assert day.high == max((one.price for one in inside), default=None)
    assert day.low == min((one.price for one in inside), default=None)
    assert day.volume == sum(one.quantity for one in inside)
    assert day.turnover == sum(one.price * one.quantity for one in inside)


def test_minute_leaves_the_window_after_a_day() -> None:
    day = RollingDay([])
    day.add(trade(1, 0, 100, 1))
    assert not day.advance(START + (WINDOW_MINUTES - 1) * MINUTE_NS)
    assert day.volume == 1
    assert day.advance(START + WINDOW_MINUTES * MINUTE_NS)
    assert (day.volume, day.open, day.high) == (0, None, None)


def test_ticker_is_decimal_text() -> None:
    book = BookState(instrument(), BookView(SYMBOL, 9, 1, 4, START, [(99, 5)], [(103, 6)]))
    prints = [trade(1, 0, 100, 2), trade(2, 1, 90, 1)]
    ticker = ticker_shape(instrument(), book, RollingDay(bars_of(prints)), prints[-1])
    assert (ticker.bid, ticker.bid_quantity, ticker.ask, ticker.ask_quantity) == ("0.99", "0.005", "1.03", "0.006")
    assert (ticker.last, ticker.last_quantity) == ("0.9", "0.001")
    assert (ticker.open_24h, ticker.high_24h, ticker.low_24h) == ("1", "1", "0.9")
    assert (ticker.volume_24h, ticker.quote_volume_24h) == ("0.003", "0.0029")
    assert (ticker.vwap_24h, ticker.change_24h) == ("0.96666667", "-0.1")
    assert (ticker.mark_price, ticker.seq) == (None, 4)


def test_ticker_of_a_silent_market_has_nulls() -> None:
    book = BookState(instrument(), BookView(SYMBOL, 0, 1, 0, START, [], []))
    ticker = ticker_shape(instrument(), book, RollingDay([]), None)
    assert (ticker.bid, ticker.ask, ticker.last, ticker.open_24h, ticker.vwap_24h, ticker.change_24h) == (None,) * 6
    assert (ticker.volume_24h, ticker.quote_volume_24h) == ("0", "0")


def test_mark_price_needs_something_to_be_made_of() -> None:
    empty = BookState(instrument(), BookView(SYMBOL, 0, 1, 0, START, [], []))
    one_sided = BookState(instrument(), BookView(SYMBOL, 0, 1, 0, START, [(99, 5)], []))
    both = BookState(instrument(), BookView(SYMBOL, 0, 1, 0, START, [(99, 5)], [(102, 1)]))
    assert mark_price(empty, None, None) is None
    assert mark_price(one_sided, None, None) is None
    assert mark_price(one_sided, None, 7) == 7
    assert mark_price(both, None, None) == 100
    assert mark_price(both, trade(1, 0, 107, 1), None) == 103
    assert mark_price(both, trade(1, 0, 107, 1), 104) == 104
