"""REST bodies and the shapes shared with streams, as PROTOCOL.md promises them.

Requests refuse unknown fields. Money, prices and quantities are decimal strings, ids strings,
times RFC 3339 UTC with microseconds; sequences are JSON integers. The OpenAPI document is
generated from these types (api/openapi.py), so the two cannot drift.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from app.domain.enums import (
    InstrumentStatus,
    Liquidity,
    ListKind,
    OrderStatus,
    OrderType,
    PostOnly,
    Priority,
    SelfTradePrevention,
    Side,
    TimeInForce,
    TriggerBy,
)
from app.protocol.fields import (
    ClientOrderId,
    DecimalText,
    EmailText,
    Label,
    NameText,
    Request,
    Scope,
    SymbolText,
    Timestamp,
    Version,
)


class PlaceOrderRequest(Request, frozen=True):
    """Order body of `POST /v1/orders` and of `order.place`."""

    symbol: SymbolText
    side: Side
    type: OrderType
    quantity: DecimalText | None = None
    quote_quantity: DecimalText | None = None
    price: DecimalText | None = None
    time_in_force: TimeInForce | None = None
    client_order_id: ClientOrderId | None = None
    post_only: PostOnly | None = None
    reduce_only: bool = False
    display_quantity: DecimalText | None = None
    trigger_price: DecimalText | None = None
    trigger_by: TriggerBy | None = None
    trailing_offset: DecimalText | None = None
    stp: SelfTradePrevention | None = None
    expire_at: Timestamp | None = None
    deadline: Timestamp | None = None
    label: Label | None = None
    max_slippage: DecimalText | None = None


class AmendOrderRequest(Request, frozen=True):
    """Body of `PATCH /v1/orders/{order_id}`; a field left out stays as it is."""

    price: DecimalText | None = None
    quantity: DecimalText | None = None
    display_quantity: DecimalText | None = None
    trigger_price: DecimalText | None = None
    if_version: Version | None = None


BATCH_ORDERS_MAX = 50


class BatchRequest(Request, frozen=True):
    """Body of `POST /v1/orders/batch`: atomic is all of the orders or none."""

    orders: Annotated[list[PlaceOrderRequest], Meta(min_length=1, max_length=BATCH_ORDERS_MAX)]
    atomic: bool = False


class OrderListRequest(Request, frozen=True):
    """Body of `POST /v1/order-lists`: oco is two orders, oto a parent and its children, bracket entry, target, stop."""

    kind: ListKind
    orders: Annotated[list[PlaceOrderRequest], Meta(min_length=2, max_length=3)]


class LoginRequest(Request, frozen=True):
    """Body of `POST /v1/auth/login` and `/register`."""

    email: EmailText
    password: Annotated[str, Meta(min_length=10, max_length=128)]


class RefreshRequest(Request, frozen=True):
    """Body of `POST /v1/auth/refresh` and `/logout`."""

    refresh_token: Annotated[str, Meta(min_length=16, max_length=200)]


class ApiKeyRequest(Request, frozen=True):
    """Body of `POST /v1/api-keys`: a new key for the caller's account, with no more than the caller's scopes."""

    name: NameText
    scopes: Annotated[list[Scope], Meta(min_length=1, max_length=4)]
    symbols: Annotated[list[SymbolText], Meta(min_length=1, max_length=100)] | None = None
    ip_allow: Annotated[list[Annotated[str, Meta(max_length=49)]], Meta(min_length=1, max_length=50)] | None = None
    expires_at: Timestamp | None = None
    public_key: Annotated[str, Meta(max_length=100)] | None = None
    """Base64 Ed25519 public key; without it an HMAC secret is made and shown once."""


CancelAfterMs = Annotated[int, Meta(ge=0, le=300_000)]
SymbolTexts = Annotated[list[SymbolText], Meta(min_length=1, max_length=100)]


class CancelAfterRequest(Request, frozen=True):
    """Body of `POST /v1/cancel-after`: 0 disarms, else 3000 to 300000."""

    timeout_ms: CancelAfterMs
    symbols: SymbolTexts | None = None
    keep_protective: bool = False


class Order(msgspec.Struct, kw_only=True):
    """An order as clients see it."""

    order_id: str | None
    client_order_id: str | None
    symbol: str
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    price: str | None
    quantity: str
    quote_quantity: str | None = None
    """Of a market buy by money: what it may spend, fees included."""
    display_quantity: str | None = None
    trigger_price: str | None = None
    """As it stands now: a trailing stop's follows the market."""
    trigger_by: TriggerBy | None = None
    trailing_offset: str | None = None
    post_only: PostOnly | None = None
    reduce_only: bool = False
    expire_at: str | None = None
    order_list_id: str | None = None
    status: OrderStatus
    filled_quantity: str
    remaining_quantity: str
    average_price: str | None
    fees: str
    version: int
    reason: str | None
    """An OrderReason; of a rejected order the RejectReason."""
    label: str | None
    created_at: str
    updated_at: str
    engine_seq: int


class Fill(msgspec.Struct, kw_only=True):
    """One side's view of a trade."""

    trade_id: str
    order_id: str
    client_order_id: str | None
    symbol: str
    side: Side
    price: str
    quantity: str
    fee: str
    fee_asset: str
    liquidity: Liquidity
    ts: str
    account_seq: int


class Trade(msgspec.Struct, kw_only=True):
    """A public trade; trade ids are contiguous per symbol."""

    trade_id: str
    symbol: str
    price: str
    quantity: str
    taker_side: Side
    ts: str


class BookQuote(msgspec.Struct, kw_only=True):
    """Best bid and ask right after a command; null where a side is empty."""

    epoch: int
    seq: int
    bid: str | None
    bid_quantity: str | None
    ask: str | None
    ask_quantity: str | None


class PlacedOrder(Order, kw_only=True):
    """Answer of a placed order."""

    fills: list[Fill]
    duplicate: bool
    book: BookQuote | None


class CanceledOrder(Order, kw_only=True):
    """Answer of a cancel."""

    book: BookQuote | None


class AmendedOrder(Order, kw_only=True):
    """Answer of an amend."""

    priority: Priority
    book: BookQuote | None


class BatchEntry(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What became of one order of a batch: exactly one of the two is there."""

    order: PlacedOrder | None = None
    error: "Problem | None" = None


class PlacedBatch(msgspec.Struct, kw_only=True):
    """Answer of a batch, in the order of its orders."""

    engine_seq: int | None
    """Null when no order was fit to be sent to the engine."""
    results: list[BatchEntry]


class PlacedList(msgspec.Struct, kw_only=True):
    """Answer of an order list: its orders as they stand after the command, in the order of the list."""

    order_list_id: str
    orders: list[Order]
    duplicate: bool
    engine_seq: int


class OrderList(msgspec.Struct, kw_only=True):
    """The orders of a list as they are now, in the order of the list."""

    order_list_id: str
    orders: list[Order]


class OrderCheck(msgspec.Struct, kw_only=True):
    """One check of an order: `check` is the code it refuses with; numbers are null where there is no limit."""

    check: str
    passed: bool
    limit: str | None
    used: str | None
    """What the order brings it to."""
    headroom: str | None
    """How far that is from the limit; negative by how much it is beyond."""


class CheckedOrder(msgspec.Struct, kw_only=True):
    """Answer of an order that was only validated: nothing was placed."""

    valid: bool
    checks: list[OrderCheck]
    engine_seq: int


class CancelAfter(msgspec.Struct, frozen=True):
    """The dead man's switch as it stands: when it fires, null when it is disarmed."""

    engine_seq: int
    trigger_at: str | None


class CanceledOrders(msgspec.Struct, kw_only=True):
    """Answer of a cancel-all."""

    engine_seq: int
    canceled: list[Order]


class Balance(msgspec.Struct, kw_only=True):
    """Balances of one asset."""

    asset: str
    available: str
    held: str


class BookSnapshot(msgspec.Struct, kw_only=True):
    """`GET /v1/orderbook/{symbol}`: levels as [price, quantity], best first."""

    symbol: str
    epoch: int
    seq: int
    engine_seq: int
    as_of_seq: int
    ts: str
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]


class Ticker(msgspec.Struct, kw_only=True):
    """Best prices, last trade, 24-hour statistics and where a call auction would cross; null where there is none."""

    symbol: str
    status: InstrumentStatus
    bid: str | None
    bid_quantity: str | None
    ask: str | None
    ask_quantity: str | None
    last: str | None
    last_quantity: str | None
    open_24h: str | None
    high_24h: str | None
    low_24h: str | None
    volume_24h: str
    quote_volume_24h: str
    vwap_24h: str | None
    change_24h: str | None
    mark_price: str | None
    indicative_price: str | None
    indicative_quantity: str | None
    """In an auction "0" when nothing crosses."""
    indicative_surplus: str | None
    """What would be left over at that price: positive on the buy side, negative on the sell side."""
    seq: int
    ts: str


class InstrumentShape(msgspec.Struct, kw_only=True):
    """An instrument with every filter and fee; null means no limit."""

    symbol: str
    base: str
    quote: str
    tick_size: str
    lot_size: str
    min_quantity: str | None
    max_quantity: str | None
    min_notional: str | None
    max_notional: str | None
    price_band: str | None
    max_slippage: str
    order_types: list[OrderType]
    status: InstrumentStatus
    maker_fee: str
    taker_fee: str
    breaker_move: str | None = None
    breaker_window_ms: int | None = None
    breaker_halt_ms: int | None = None
    auction_ms: int = 0
    session_close_ms: int = 0
    shard: int = 0


class Problem(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The one error object (RFC 9457), the same on both transports."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str | None
    retryable: bool | None = None
    field: str | None = None
    retry_after_ms: int | None = None
    check: str | None = None
    limit: str | None = None
    actual: str | None = None
