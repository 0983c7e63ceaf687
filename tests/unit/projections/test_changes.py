"""What rows change: facts all kept in order, of states only the newest."""

from app.domain.events import BalanceChanged
from app.projections.changes import changes_of
from app.protocol.records import encode
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


def test_no_rows_change_nothing() -> None:
    assert vars(changes_of([], {})) == {name: type(value)() for name, value in vars(changes_of([], {})).items()}
