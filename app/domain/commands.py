"""Requests to change state, in imperative names; the engine applies them in journal order.

All numbers are integers (prices in ticks, quantities in lots, amounts in asset units, times in
UTC nanoseconds), except amounts that may pass 64 bits, which travel as decimal text of an integer.
Fields are only ever appended, each with a default: old journal rows stay readable.
"""

import msgspec

from app.domain.enums import (
    AccountStatus,
    InstrumentStatus,
    OrderType,
    PostOnly,
    SelfTradePrevention,
    Side,
    TimeInForce,
    TriggerBy,
)


class BaseCommand(msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="command"):
    """Shape shared by all commands: a positional record headed by its tag."""


class PlaceOrder(BaseCommand, frozen=True, tag="place"):
    """Place one order. An accepted order keeps its command: these are the terms that never change."""

    account_id: int
    symbol: str
    side: Side
    type: OrderType
    quantity: int
    price: int | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    client_order_id: str | None = None
    post_only: PostOnly | None = None
    stp: SelfTradePrevention = SelfTradePrevention.CANCEL_NEWEST
    label: str | None = None
    max_slippage: int | None = None
    session_id: str | None = None
    reduce_only: bool = False
    display_quantity: int | None = None
    trigger_price: int | None = None
    trigger_by: TriggerBy | None = None
    trailing_offset: int | None = None
    quote_quantity: int | None = None
    expire_ns: int | None = None


class CancelOrder(BaseCommand, frozen=True, tag="cancel"):
    """Cancel one order, by exactly one of the two ids."""

    account_id: int
    order_id: int | None = None
    client_order_id: str | None = None
    symbols: tuple[str, ...] | None = None
    """Instruments the caller's credentials are limited to; an order of another one is unknown to them."""


class AmendOrder(BaseCommand, frozen=True, tag="amend"):
    """Change price or total quantity (filled part included) of an open order; None leaves it.

    A replica need not know the order's instrument: with a scale, the number is a decimal
    `value * 10**-scale` that the engine turns into ticks or lots; without, it is ticks or lots already.
    """

    account_id: int
    order_id: int
    price: int | None = None
    quantity: int | None = None
    if_version: int | None = None
    price_scale: int | None = None
    quantity_scale: int | None = None
    symbols: tuple[str, ...] | None = None
    """As in CancelOrder."""


class CancelAll(BaseCommand, frozen=True, tag="cancel_all"):
    """Cancel every open order of the account that matches all given filters, atomically."""

    account_id: int
    symbol: str | None = None
    side: Side | None = None
    label: str | None = None


class CreateAsset(BaseCommand, frozen=True, tag="create_asset"):
    """Add an asset; one unit is 10**-scale. Repeating it with the same scale changes nothing."""

    asset: str
    scale: int


class CreateInstrument(BaseCommand, frozen=True, tag="create_instrument"):
    """List an instrument between two known assets. Tick, lot, base and quote never change."""

    symbol: str
    base: str
    quote: str
    tick_size: str
    lot_size: str
    min_quantity: int | None = None
    max_quantity: int | None = None
    min_notional: int | None = None
    max_notional: int | None = None
    price_band: int | None = None
    reference_price: int | None = None
    max_slippage: int | None = None
    maker_fee: int = 0
    taker_fee: int = 0
    order_types: tuple[OrderType, ...] | None = None
    status: InstrumentStatus = InstrumentStatus.OPEN


class UpdateInstrument(BaseCommand, frozen=True, tag="update_instrument"):
    """Change status, filters or fees. A field not among the changes stays as it is, None removes the limit."""

    symbol: str
    status: InstrumentStatus | None = None
    changes: dict[str, int | None] = {}
    """Of min_quantity, max_quantity, min_notional, max_notional, price_band, reference_price,
    max_slippage, maker_fee, taker_fee."""


class CreateAccount(BaseCommand, frozen=True, tag="create_account"):
    """Open an account. The name is its natural key: repeating it answers the same account."""

    name: str


class UpdateAccount(BaseCommand, frozen=True, tag="update_account"):
    """Freeze an account or make it active again."""

    account_id: int
    status: AccountStatus


class Deposit(BaseCommand, frozen=True, tag="deposit"):
    """Credit an amount (decimal text of asset units) from outside; idempotent by transfer_id, for ever."""

    account_id: int
    asset: str
    amount: str
    transfer_id: str


class Withdraw(BaseCommand, frozen=True, tag="withdraw"):
    """Debit an amount (decimal text of asset units) out of available; idempotent by transfer_id, for ever."""

    account_id: int
    asset: str
    amount: str
    transfer_id: str


class SetLimits(BaseCommand, frozen=True, tag="set_limits"):
    """Set the limits that hold for every account of the exchange; None lifts a limit."""

    open_orders: int | None


class StartEpoch(BaseCommand, frozen=True, tag="start_epoch"):
    """Give the published sequences a new identity: at genesis and after a lossy restore only."""

    epoch: int


Command = (
    PlaceOrder
    | CancelOrder
    | AmendOrder
    | CancelAll
    | CreateAsset
    | CreateInstrument
    | UpdateInstrument
    | CreateAccount
    | UpdateAccount
    | Deposit
    | Withdraw
    | SetLimits
    | StartEpoch
)
