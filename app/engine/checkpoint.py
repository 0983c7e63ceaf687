"""The whole engine state as canonical bytes, and back.

Two engines with the same history give the same bytes, restored or not, so their BLAKE2b is the
state hash. A checkpoint is taken between batches only. Damaged bytes are refused.
"""

from collections.abc import Callable, Generator
from hashlib import blake2b
from typing import TypeVar

import msgspec

from app.domain.enums import DisconnectScope, ListKind
from app.domain.identity import EXTERNAL_ACCOUNT_ID, FEE_ACCOUNT_ID
from app.domain.instrument import Instrument
from app.engine.book import Book, BookSide, FeeTier, Rates
from app.engine.checkpoint_accounts import (
    AccountEntry,
    dump_account,
    dump_limits,
    restore_account,
    restore_limits,
    restore_positions,
)
from app.engine.checkpoint_orders import LIVE, StoredOrder, dump_order, restore_order
from app.engine.links import Link, OrderList, link_of, pair
from app.engine.phases import trail_of
from app.engine.selection import MassCancel
from app.engine.state import Account, Order, SeenMark, SessionGuard, State, TransferDone
from app.engine.timers import AUCTION_END, HALT_END
from app.engine.triggers import BookTriggers
from app.engine.uncross import Uncross
from app.errors import JournalDamaged

STATE_HASH_BYTES = 32
STEP = 500
"""Orders or accounts that are dumped in one step, which takes a few milliseconds."""
T = TypeVar("T")


class _Book(msgspec.Struct, array_like=True):
    instrument: Instrument
    seq: int
    trade_id: int
    last_price: int | None
    bids: list[int]
    """Order ids, best price first, oldest first."""
    asks: list[int]
    external: tuple[int, int] | None
    killed: bool
    trail: list[tuple[int, int]] | None
    """Times and prices that its breaker measures against."""
    indicated: Uncross | None
    uncross_price: int | None


class _State(msgspec.Struct, array_like=True):
    engine_version: int
    sequence: int
    epoch: int
    timestamp_ns: int
    last_order_id: int
    last_account_id: int
    last_order_list_id: int
    exchange_limits: list[tuple[str, str]]
    tier_limits: list[tuple[str, list[tuple[str, str]]]]
    fee_tiers: list[tuple[str, list[tuple[str, int, int]]]]
    assets: list[tuple[str, int]]
    accounts: list[AccountEntry]
    orders: list[StoredOrder]
    """Open and remembered orders by id."""
    closed: list[int]
    """Ids of the remembered closed orders, oldest first."""
    books: list[_Book]
    transfers: list[tuple[int, str, str, str, int | None]]
    fired: list[int]
    """Ids of fired orders, first fired first."""
    marks: list[tuple[str, int | None, tuple[int | None, int, int, tuple[int, int] | None]]]
    timers: list[tuple[int, int, int | str]]
    """(when, kind, whose), the first to act first."""
    killed: bool
    mass_cancels: list[MassCancel]
    """The oldest first."""
    uncrossing: list[tuple[str, int]]
    """Symbols and the commands that began it, the oldest first."""
    lists: list[tuple[int, ListKind, tuple[int, ...], int]]
    """Of the orders above: id, kind, ids of all its orders, and lots that its parent traded; by id."""


class _GuardedState(_State, array_like=True):
    """A state with guarded sessions; without one it is written as `_State`, as it was before there were any."""

    guards: list[tuple[int, str, DisconnectScope, int]] = []
    """By account and session."""


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(_GuardedState)


def state_hash(data: bytes) -> bytes:
    """Return the state hash of checkpoint bytes."""
    return blake2b(data, digest_size=STATE_HASH_BYTES).digest()


def dump(state: State, engine_version: int) -> bytes:
    """Return the state as canonical bytes; the batch must be sealed."""
    steps = dump_in_steps(state, engine_version)
    while True:
        try:
            next(steps)
        except StopIteration as done:
            data: bytes = done.value
            return data


def dump_in_steps(state: State, engine_version: int) -> Generator[None, None, bytes]:
    """Yield every few milliseconds of work, and return what `dump` does; the state must not change meanwhile."""
    assert not state.system, "expected a sealed batch"
    accounts = yield from _encoded(dump_account, state.accounts)
    orders = yield from _encoded(dump_order, state.orders)
    guards = [
        (account_id, session_id, *account.guards[session_id])
        for account_id, account in sorted(state.accounts.items())
        for session_id in sorted(account.guards)
    ]
    shape: Callable[..., _State] = _GuardedState if guards else _State
    return _encode(
        shape(
            engine_version,
            state.sequence,
            state.epoch,
            state.timestamp_ns,
            state.last_order_id,
            state.last_account_id,
            state.last_order_list_id,
            dump_limits(state.exchange_limits),
            [(tier, dump_limits(state.tier_limits[tier])) for tier in sorted(state.tier_limits)],
            [(asset, _dump_tiers(state.fee_tiers[asset])) for asset in sorted(state.fee_tiers)],
            sorted(state.assets.items()),
            accounts,
            orders,
            [order.order_id for order in state.closed],
            [_dump_book(state.books[symbol]) for symbol in sorted(state.books)],
            sorted((account_id, transfer_id, *rest) for (account_id, transfer_id), rest in state.transfers.items()),
            _fired(state),
            [(symbol, *state.marks[symbol]) for symbol in sorted(state.marks)],
            [(timer.due_ns, timer.kind, timer.whose) for timer in state.timers.all()],
            state.killed,
            state.mass_cancels,
            list(state.uncrossing.items()),
            _dump_lists(state),
            *([guards] if guards else []),
        )
    )


def _encoded(dump_one: Callable[[T], object], all_of_them: dict[int, T]) -> Generator[None, None, list[msgspec.Raw]]:
    """Return what is by id, in that order, each encoded by itself: the rest is copying."""
    encoded = []
    for number, key in enumerate(sorted(all_of_them)):
        if number % STEP == 0:
            yield
        encoded.append(msgspec.Raw(_encode(dump_one(all_of_them[key]))))
    return encoded


def load(data: bytes, expected_hash: bytes, engine_version: int) -> State:
    """Return the state of checkpoint bytes. Raises JournalDamaged if they are not what was hashed.

    Of an older engine version it is taken if it is written again byte for byte: then this build has lost nothing of it.
    """
    if state_hash(data) != expected_hash:
        raise JournalDamaged("the checkpoint's bytes do not match its state hash")
    try:
        stored = _decoder.decode(data)
    except msgspec.DecodeError as error:
        raise JournalDamaged(f"the checkpoint cannot be read: {error}") from error
    if stored.engine_version > engine_version:
        raise JournalDamaged(
            f"expected a checkpoint of engine version {engine_version} or older, was {stored.engine_version}: "
            "start that build"
        )
    state = _restore(stored)
    if stored.engine_version < engine_version and dump(state, stored.engine_version) != data:
        raise JournalDamaged(
            f"this build, engine version {engine_version}, does not know all that a checkpoint of version "
            f"{stored.engine_version} holds: start that build"
        )
    return state


def _restore(stored: _GuardedState) -> State:
    state = State()
    state.sequence = stored.sequence
    state.epoch = stored.epoch
    state.set_time(stored.timestamp_ns)
    state.last_order_id = stored.last_order_id
    state.last_account_id = stored.last_account_id
    state.last_order_list_id = stored.last_order_list_id
    state.exchange_limits = restore_limits(stored.exchange_limits)
    state.tier_limits = {tier: restore_limits(limits) for tier, limits in stored.tier_limits}
    for asset, tiers in stored.fee_tiers:
        state.fee_tiers[asset] = tuple([FeeTier(int(volume), maker, taker) for volume, maker, taker in tiers])
    state.assets = dict(stored.assets)
    for entry in stored.accounts:
        restore_account(state, entry)
    for item in stored.books:
        state.books[item.instrument.symbol] = _restore_book(item, state.fee_tiers)
    for entry in stored.accounts:
        restore_positions(state, entry)
    captured: dict[Rates, Rates] = {}
    for saved in stored.orders:
        restore_order(state, saved, captured)
    for item in stored.books:
        book = state.books[item.instrument.symbol]
        for side, ids in ((book.bids, item.bids), (book.asks, item.asks)):
            for order_id in ids:
                _restore_place(side, state.orders[order_id])
            side.published.clear()
        # Between batches nothing is hidden that is not withdrawn.
        book.is_veiled = True
        book.is_veiled = book.is_withdrawn = book.is_hidden
    state.closed.extend(state.orders[order_id] for order_id in stored.closed)
    state.transfers = {
        (account_id, transfer_id): TransferDone(asset, amount, to_account_id)
        for account_id, transfer_id, asset, amount, to_account_id in stored.transfers
    }
    _restore_lists(state, stored)
    _restore_triggers(state, stored)
    _restore_time(state, stored)
    state.killed = stored.killed
    for account_id, session_id, scope, grace_ns in stored.guards:
        state.accounts[account_id].guards[session_id] = SessionGuard(scope, grace_ns)
    holders: list[State | Book | Account] = [state, *state.books.values(), *state.accounts.values()]
    state.kills = sum(holder.killed for holder in holders)
    assert {EXTERNAL_ACCOUNT_ID, FEE_ACCOUNT_ID} <= state.accounts.keys()
    return state


def _restore_book(item: _Book, fee_tiers: dict[str, tuple[FeeTier, ...]]) -> Book:
    book = Book(item.instrument, fee_tiers.get(item.instrument.quote, ()))
    book.seq, book.trade_id = item.seq, item.trade_id
    book.move_last_price(item.last_price)
    book.external, book.killed = item.external, item.killed
    book.indicated, book.uncross_price, book.trail = item.indicated, item.uncross_price, trail_of(item.instrument)
    if book.trail is not None and item.trail is not None:
        book.trail.load(item.trail)
    return book


def _restore_time(state: State, stored: _State) -> None:
    """Arm the timers, and queue what Ticks have to do."""
    for due_ns, kind, whose in stored.timers:
        state.timers.arm(due_ns, kind, whose)
        if kind in (HALT_END, AUCTION_END):
            state.books[str(whose)].phase_timer = kind, due_ns
    state.uncrossing = dict(stored.uncrossing)
    state.mass_cancels = stored.mass_cancels


def _restore_place(side: BookSide, order: Order) -> None:
    """Put an order in the book as it was: an iceberg may have shown only part of a part."""
    shown = order.shown
    side.add(order)
    unshown = order.shown - shown
    side.reduce(order, unshown, -unshown)


def _restore_lists(state: State, stored: _State) -> None:
    """Give orders their places in their lists again; two of which one may trade know each other while both are open."""
    found: dict[int | None, OrderList] = {}
    for order_list_id, kind, order_ids, filled in stored.lists:
        order_list = found[order_list_id] = OrderList(order_list_id, kind, order_ids)
        order_list.filled = filled
    for saved in stored.orders:
        if saved.extras is not None and saved.state.order_list_id is not None:
            order_id = saved.state.order_id
            link = Link(found[saved.state.order_list_id], order_id)
            link.granted = saved.extras.granted
            state.orders[order_id].extra().link = link
    for order_list in found.values():
        orders = [state.orders.get(order_id) for order_id in order_list.pair_ids]
        if orders and all(order is not None and order.status in LIVE for order in orders):
            pair(*[order for order in orders if order is not None])


def _restore_triggers(state: State, stored: _State) -> None:
    """Let orders wait for their prices again, and queue those that fired."""
    for saved in stored.orders:
        if saved.extras is not None and saved.extras.waits:
            order = state.orders[saved.state.order_id]
            order.book.triggers = order.book.triggers or BookTriggers()
            order.book.triggers.add(order)
    for order_id in stored.fired:
        order = state.orders[order_id]
        book = order.book
        book.triggers = book.triggers or BookTriggers()
        state.fired += 1
        book.triggers.fired[order_id] = state.fired, order
        state.firing[book.instrument.symbol] = book
    for symbol, mark_price, made_of in stored.marks:
        state.marks[symbol] = SeenMark(mark_price, made_of)


def _dump_lists(state: State) -> list[tuple[int, ListKind, tuple[int, ...], int]]:
    links = [link for order in state.orders.values() if (link := link_of(order)) is not None]
    lists = {link.order_list.order_list_id: link.order_list for link in links}
    return [(number, lists[number].kind, lists[number].order_ids, lists[number].filled) for number in sorted(lists)]


def _fired(state: State) -> list[int]:
    fired = [entry for book in state.firing.values() if book.triggers for entry in book.triggers.fired.values()]
    return [order.order_id for _, order in sorted(fired)]


def _dump_tiers(tiers: tuple[FeeTier, ...]) -> list[tuple[str, int, int]]:
    return [(str(tier.volume), tier.maker, tier.taker) for tier in tiers]


def _dump_book(book: Book) -> _Book:
    return _Book(
        book.instrument,
        book.seq,
        book.trade_id,
        book.last_price,
        _queue(book.bids),
        _queue(book.asks),
        book.external,
        book.killed,
        None if book.trail is None else book.trail.entries(),
        book.indicated,
        book.uncross_price,
    )


def _queue(side: BookSide) -> list[int]:
    ids = []
    for level in side.best_first():
        order = level.head
        while order is not None:
            ids.append(order.order_id)
            order = order.behind
    return ids
