"""The publisher view: committed books, and where an auction stands, whether it began before the view or after it."""

from app.domain.enums import InstrumentStatus
from app.engine.engine import Engine
from app.sequencer.view import PublisherView
from tests.unit.engine.builders import ALICE, SYMBOL, accepted, auction_with, buy, engine_with, sell, update


def stated(view: PublisherView) -> tuple[int, int, int] | None:
    book = view.book(SYMBOL)
    assert book is not None
    return book.auction


def loaded(engine: Engine) -> PublisherView:
    view = PublisherView()
    view.load(engine.state.books, head_seq=engine.state.sequence, epoch=0, timestamp_ns=0)
    return view


def test_a_view_that_starts_in_an_auction_knows_what_was_stated_last() -> None:
    engine = auction_with(sell(ALICE, quantity=5, price=90), buy(quantity=3, price=110))
    engine.seal()
    view = loaded(engine)
    price, quantity, surplus = stated(view) or (0, 0, 0)
    assert (90 <= price <= 110, quantity, surplus) == (True, 3, -2)


def test_a_view_follows_what_each_batch_states() -> None:
    engine = engine_with()
    engine.seal()
    view = loaded(engine)
    assert stated(view) is None
    for command, expected in (
        (update(status=InstrumentStatus.AUCTION), (0, 0, 0)),
        (sell(ALICE, quantity=5, price=90), (0, 0, 0)),
        (buy(quantity=5, price=90), (90, 5, 0)),
    ):
        accepted(engine, command)
        view.commit(engine.seal().books, head_seq=engine.state.sequence, timestamp_ns=1)
        assert stated(view) == expected


def test_a_book_without_a_change_is_as_old_as_its_listing() -> None:
    view = PublisherView()
    view.open_book(SYMBOL, 5)
    view.commit([], head_seq=2, timestamp_ns=9)
    book = view.book(SYMBOL)
    assert book is not None
    assert (book.seq, book.timestamp_ns, book.engine_seq) == (0, 5, 2)
