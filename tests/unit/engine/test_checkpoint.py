"""A checkpoint is the whole state: equal histories give equal bytes, restored engines go on the same, damage shows."""

from collections.abc import Callable, Generator
from hashlib import blake2b

import msgspec
import pytest

from app.domain.commands import Command, StartEpoch, UpdateAccount
from app.domain.enums import AccountStatus, PostOnly, SelfTradePrevention
from app.engine import checkpoint, invariants
from app.engine.book import BookSide
from app.engine.checkpoint import load, state_hash
from app.engine.engine import ENGINE_VERSION, Engine
from app.errors import JournalDamaged
from tests.unit.engine.builders import (
    ALICE,
    BOB,
    CAROL,
    IOC,
    NOON_NS,
    PERCENT,
    accepted,
    amend,
    buy,
    cancel,
    cancel_all,
    engine_with,
    sell,
    update,
)

LATER: list[Command] = [
    sell(CAROL, quantity=9, price=98, client_order_id="sweep"),
    amend(2, ALICE, quantity=3),
    buy(ALICE, quantity=4, price=101, stp=SelfTradePrevention.DECREMENT),
    buy(BOB, quantity=1, price=200, post_only=PostOnly.REPRICE),
    cancel(1),
    buy(ALICE, quantity=1, price=7, client_order_id="mine"),
    cancel_all(ALICE),
]


def lively() -> Engine:
    """Return an engine with something of everything: queues, partial fills, fees, closed orders, a frozen account."""
    engine = engine_with(
        resting=[
            buy(BOB, quantity=5, price=99),
            buy(ALICE, quantity=5, price=99, client_order_id="mine"),
            sell(BOB, quantity=5, price=101, label="grid"),
        ],
        maker_fee=-PERCENT // 3,
        taker_fee=PERCENT,
    )
    accepted(engine, StartEpoch(2))
    accepted(engine, amend(1, quantity=6))  # behind order 2 from now on
    accepted(engine, sell(CAROL, quantity=2, price=99))
    accepted(engine, buy(CAROL, quantity=2, price=3, time_in_force=IOC, client_order_id="gone"))
    accepted(engine, update(taker_fee=2 * PERCENT, min_quantity=1))
    accepted(engine, UpdateAccount(CAROL, AccountStatus.ACTIVE))
    engine.seal()
    return engine


def restored(engine: Engine) -> Engine:
    data = engine.checkpoint()
    return Engine.restore(data, state_hash(data))


def test_restored_engine_has_the_same_bytes_and_hash() -> None:
    engine = lively()
    twin = restored(engine)
    assert twin.checkpoint() == engine.checkpoint()
    assert twin.state_hash() == engine.state_hash() == blake2b(engine.checkpoint(), digest_size=32).digest()
    invariants.check(twin.state)


def test_restored_engine_goes_on_with_the_same_events() -> None:
    engine = lively()
    twin = restored(engine)
    for command in LATER:
        for each in (engine, twin):
            each.begin(NOON_NS + 1)
        assert twin.apply(command) == engine.apply(command)
        assert twin.outcome == engine.outcome
        assert twin.seal() == engine.seal()
    assert twin.state_hash() == engine.state_hash()


def test_equal_histories_give_equal_hashes_and_any_command_changes_it() -> None:
    engine, twin = lively(), lively()
    assert engine.state_hash() == twin.state_hash()
    for command in LATER:
        before = engine.state_hash()
        engine.apply(command)
        engine.seal()
        assert engine.state_hash() != before


def test_every_flipped_bit_is_refused() -> None:
    data = lively().checkpoint()
    expected = state_hash(data)
    for place in range(len(data) * 8):
        damaged = bytearray(data)
        damaged[place // 8] ^= 1 << place % 8
        with pytest.raises(JournalDamaged, match="do not match its state hash"):
            Engine.restore(bytes(damaged), expected)


@pytest.mark.parametrize("cut", [0, 1, 100])
def test_truncated_or_extended_bytes_are_refused(cut: int) -> None:
    data = lively().checkpoint()
    with pytest.raises(JournalDamaged):
        Engine.restore(data[:cut], state_hash(data))
    with pytest.raises(JournalDamaged):
        Engine.restore(data + bytes(1), state_hash(data))


def test_bytes_that_are_no_state_are_refused_even_under_their_own_hash() -> None:
    for data in (b"", b"\xc1", msgspec.msgpack.encode([1, 2, 3]), lively().checkpoint()[:-1]):
        with pytest.raises(JournalDamaged, match="cannot be read"):
            Engine.restore(data, state_hash(data))


def test_a_dump_in_steps_gives_the_same_bytes_and_stops_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "STEP", 2)
    engine = lively()
    results: list[bytes] = []

    def steps() -> Generator[None, None, None]:
        results.append((yield from engine.checkpoint_in_steps()))

    taken = sum(1 for _ in steps())
    assert results == [engine.checkpoint()]
    state = engine.state
    assert taken == -(-len(state.accounts) // 2) + -(-len(state.orders) // 2) >= 5


def test_a_checkpoint_of_a_newer_engine_version_is_refused_naming_both() -> None:
    data = lively().checkpoint()
    older = ENGINE_VERSION - 1
    with pytest.raises(JournalDamaged, match=f"expected .* version {older} or older, was {ENGINE_VERSION}"):
        load(data, state_hash(data), older)


def test_a_checkpoint_of_an_older_engine_version_is_taken_whole() -> None:
    engine = lively()
    data = engine.checkpoint()
    state = load(data, state_hash(data), ENGINE_VERSION + 1)
    assert checkpoint.dump(state, ENGINE_VERSION) == data


@pytest.mark.parametrize("version", [ENGINE_VERSION, ENGINE_VERSION - 1])
def test_an_older_checkpoint_with_more_than_this_build_knows_is_refused(version: int) -> None:
    fields = msgspec.msgpack.decode(lively().checkpoint())
    data = msgspec.msgpack.encode([version, *fields[1:], [], "of a feature that is gone"])
    with pytest.raises(JournalDamaged, match=f"does not know all that a checkpoint of version {version} holds"):
        load(data, state_hash(data), ENGINE_VERSION + 1)


def queues(side: BookSide) -> list[list[int]]:
    """Return the order ids of each level, first in the queue first."""
    found: list[list[int]] = []
    for level in side.best_first():
        found.append([])
        order = level.head
        while order is not None:
            found[-1].append(order.order_id)
            order = order.behind
    return found


Look = Callable[[Engine], object]


@pytest.mark.parametrize(
    "look",
    [
        lambda engine: [order.order_id for order in engine.state.closed],
        lambda engine: {number: order.state for number, order in engine.state.orders.items()},
        lambda engine: {number: list(account.open_orders) for number, account in engine.state.accounts.items()},
        lambda engine: [queues(side) for book in engine.state.books.values() for side in (book.bids, book.asks)],
        lambda engine: {number: sorted(account.client_ids) for number, account in engine.state.accounts.items()},
        lambda engine: engine.state.transfers,
        lambda engine: [(book.seq, book.trade_id, book.last_price) for book in engine.state.books.values()],
        lambda engine: (engine.state.epoch, engine.state.timestamp_ns, engine.state.last_order_id),
        lambda engine: engine.state.account_names,
    ],
    ids=["closed", "orders", "open orders", "queues", "client ids", "transfers", "books", "counters", "names"],
)
def test_restored_state_holds(look: Look) -> None:
    engine = lively()
    assert look(restored(engine)) == look(engine)
