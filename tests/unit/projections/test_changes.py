"""What rows change: facts all kept in order, of states only the newest."""

from collections import Counter

from app.domain.enums import OrderStatus
from app.domain.events import BalanceChanged, TradePrevented
from app.projections.changes import changes_of
from app.protocol.records import encode
from tests.engine_rows import engine_rows
from tests.journal_rows import START_NS, batch, chain
from tests.market_stream import MarketStream


def test_facts_are_all_kept_and_of_states_the_newest() -> None:
    stream = MarketStream(seed=1)
    rows = chain([stream.genesis(), *(stream.batch(5) for _ in range(40))])

    changes = changes_of(rows, {})

    assert changes.orders == stream.orders
    assert {key: (int(event.available), int(event.held)) for key, event in changes.balances.items()} == {
        (account_id, asset): amounts for account_id, held in stream.balances.items() for asset, amounts in held.items()
    }
    assert {account_id: len(events) for account_id, events in stream.events.items()} == changes.account_seqs
    assert len(changes.fills) == sum(map(len, stream.fills.values()))
    for symbol, trades in stream.trades.items():
        assert [trade for trade, _ in changes.trades if trade.symbol == symbol] == trades


def test_an_event_keeps_its_very_bytes() -> None:
    events = [BalanceChanged(1, 1, 1001, "USD", "5", "0"), BalanceChanged(2, 1, 1001, "BTC", "-1", "0")]

    changes = changes_of(chain([batch(1, accounts={1001: events})]), {})

    assert [(account_id, encoded) for account_id, _, encoded, _ in changes.events] == [
        (1001, encode(event)) for event in events
    ]
    assert {at_ns for *_, at_ns in changes.events} == {START_NS + 1_000_000}


def test_orders_that_ended_are_counted_by_reason_and_prevented_matches_by_mode() -> None:
    engine, rows = engine_rows(seed=5, commands=1_000)

    changes = changes_of(rows, {})

    ended = (OrderStatus.CANCELED, OrderStatus.EXPIRED)
    states = [order.state for order in engine.state.orders.values()]
    assert changes.ended == Counter(state.reason for state in states if state.status in ended)
    prevented = [event for _, event, _, _ in changes.events if isinstance(event, TradePrevented)]
    assert changes.prevented == Counter(event.mode for event in prevented)
    assert len(changes.ended) >= 3
    assert len(changes.prevented) >= 2


def test_no_rows_change_nothing() -> None:
    assert vars(changes_of([], {})) == {name: type(value)() for name, value in vars(changes_of([], {})).items()}
