"""The whole engine state as canonical bytes, and back.

Two engines with the same history give the same bytes, restored or not, so their BLAKE2b is the
state hash. A checkpoint is taken between batches only. Damaged bytes are refused.
"""

from hashlib import blake2b

import msgspec

from app.domain.commands import PlaceOrder
from app.domain.enums import AccountStatus, OrderReason, OrderStatus, Side
from app.domain.events import OrderState
from app.domain.identity import EXTERNAL_ACCOUNT_ID, FEE_ACCOUNT_ID
from app.domain.instrument import Instrument
from app.engine.book import Book, BookSide, Rates, rates_of
from app.engine.state import Account, Order, State
from app.errors import JournalDamaged

STATE_HASH_BYTES = 32


class _Order(msgspec.Struct, array_like=True):
    order_id: int
    terms: PlaceOrder
    status: OrderStatus
    version: int
    price: int
    quantity: int
    remaining: int
    filled: int
    notional: int
    maker_rate: int
    taker_rate: int
    fee_accrued: str
    fees: int
    held: str
    reason: OrderReason | None
    created_ns: int
    updated_ns: int
    engine_seq: int


class _Account(msgspec.Struct, array_like=True):
    account_id: int
    name: str
    status: AccountStatus
    seq: int
    balances: list[tuple[str, str, str]]


class _Book(msgspec.Struct, array_like=True):
    instrument: Instrument
    seq: int
    trade_id: int
    last_price: int | None
    bids: list[int]
    """Order ids, best price first, oldest first."""
    asks: list[int]


class _State(msgspec.Struct, array_like=True):
    engine_version: int
    sequence: int
    epoch: int
    timestamp_ns: int
    last_order_id: int
    last_account_id: int
    open_orders_max: int | None
    assets: list[tuple[str, int]]
    accounts: list[_Account]
    orders: list[_Order]
    """Open and remembered orders by id."""
    closed: list[int]
    """Ids of the remembered closed orders, oldest first."""
    books: list[_Book]
    transfers: list[tuple[int, str, str, str]]


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(_State)


def state_hash(data: bytes) -> bytes:
    """Return the state hash of checkpoint bytes."""
    return blake2b(data, digest_size=STATE_HASH_BYTES).digest()


def dump(state: State, engine_version: int) -> bytes:
    """Return the state as canonical bytes; the batch must be sealed."""
    assert not state.system, "expected a sealed batch"
    return _encode(
        _State(
            engine_version,
            state.sequence,
            state.epoch,
            state.timestamp_ns,
            state.last_order_id,
            state.last_account_id,
            state.open_orders_max,
            sorted(state.assets.items()),
            [_dump_account(state.accounts[account_id]) for account_id in sorted(state.accounts)],
            [_dump_order(state.orders[order_id]) for order_id in sorted(state.orders)],
            [order.order_id for order in state.closed],
            [_dump_book(state.books[symbol]) for symbol in sorted(state.books)],
            sorted((account_id, transfer_id, *rest) for (account_id, transfer_id), rest in state.transfers.items()),
        )
    )


def load(data: bytes, expected_hash: bytes, engine_version: int) -> State:
    """Return the state of checkpoint bytes. Raises JournalDamaged if they are not what was hashed."""
    if state_hash(data) != expected_hash:
        raise JournalDamaged("the checkpoint's bytes do not match its state hash")
    try:
        stored = _decoder.decode(data)
    except msgspec.DecodeError as error:
        raise JournalDamaged(f"the checkpoint cannot be read: {error}") from error
    if stored.engine_version != engine_version:
        raise JournalDamaged(
            f"expected a checkpoint of engine version {engine_version}, was {stored.engine_version}: start that build"
        )
    return _restore(stored)


def _restore(stored: _State) -> State:
    state = State()
    state.sequence = stored.sequence
    state.epoch = stored.epoch
    state.timestamp_ns = stored.timestamp_ns
    state.last_order_id = stored.last_order_id
    state.last_account_id = stored.last_account_id
    state.open_orders_max = stored.open_orders_max
    state.assets = dict(stored.assets)
    for entry in stored.accounts:
        account = state.accounts.get(entry.account_id)
        if account is None:
            account = state.accounts[entry.account_id] = Account(entry.account_id, entry.name)
            state.account_names[entry.name] = entry.account_id
        account.status = entry.status
        account.seq = entry.seq
        for asset, available, held in entry.balances:
            balance = account.balance(asset)
            balance.available = balance.shown_available = int(available)
            balance.held = balance.shown_held = int(held)
    for item in stored.books:
        book = state.books[item.instrument.symbol] = Book(item.instrument)
        book.seq, book.trade_id = item.seq, item.trade_id
        book.move_last_price(item.last_price)
    captured: dict[Rates, Rates] = {}
    for saved in stored.orders:
        _restore_order(state, saved, captured)
    for item in stored.books:
        book = state.books[item.instrument.symbol]
        for side, ids in ((book.bids, item.bids), (book.asks, item.asks)):
            for order_id in ids:
                side.add(state.orders[order_id])
            side.published.clear()
    state.closed.extend(state.orders[order_id] for order_id in stored.closed)
    state.transfers = {
        (account_id, transfer_id): (asset, amount) for account_id, transfer_id, asset, amount in stored.transfers
    }
    assert {EXTERNAL_ACCOUNT_ID, FEE_ACCOUNT_ID} <= state.accounts.keys()
    return state


def _restore_order(state: State, saved: _Order, captured: dict[Rates, Rates]) -> None:
    terms = saved.terms
    account, book = state.accounts[terms.account_id], state.books[terms.symbol]
    rates = rates_of(saved.maker_rate, saved.taker_rate)
    shown = OrderState(
        saved.order_id,
        terms,
        saved.status,
        saved.version,
        saved.price,
        saved.quantity,
        saved.filled,
        saved.notional,
        saved.fees,
        saved.reason,
        saved.created_ns,
        saved.updated_ns,
        saved.engine_seq,
    )
    balance = account.balance(book.quote if terms.side is Side.BUY else book.base)
    rates = book.rates if rates == book.rates else captured.setdefault(rates, rates)
    order = Order(shown, account, book, balance, rates)
    order.remaining, order.held, order.fee_accrued = saved.remaining, int(saved.held), int(saved.fee_accrued)
    state.orders[order.order_id] = order
    if saved.status in (OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED):
        account.open_orders[order.order_id] = order
    if terms.client_order_id is not None:
        account.client_ids[terms.client_order_id] = order


def _dump_account(account: Account) -> _Account:
    balances = [(asset, str(held.available), str(held.held)) for asset, held in sorted(account.balances.items())]
    return _Account(account.account_id, account.name, account.status, account.seq, balances)


def _dump_order(order: Order) -> _Order:
    shown = order.state
    return _Order(
        shown.order_id,
        shown.terms,
        shown.status,
        shown.version,
        shown.price,
        shown.quantity,
        order.remaining,
        shown.filled_quantity,
        shown.notional,
        order.rates.maker,
        order.rates.taker,
        str(order.fee_accrued),
        shown.fees,
        str(order.held),
        shown.reason,
        shown.created_ns,
        shown.updated_ns,
        shown.engine_seq,
    )


def _dump_book(book: Book) -> _Book:
    return _Book(book.instrument, book.seq, book.trade_id, book.last_price, _queue(book.bids), _queue(book.asks))


def _queue(side: BookSide) -> list[int]:
    ids = []
    for level in side.best_first():
        order = level.head
        while order is not None:
            ids.append(order.order_id)
            order = order.behind
    return ids
