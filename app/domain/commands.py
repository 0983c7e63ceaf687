"""Requests to change state, in imperative names; the engine applies them in journal order.

All numbers are integers (prices in ticks, quantities in lots, amounts in asset units, times in
UTC nanoseconds), except amounts that may pass 64 bits, which travel as decimal text of an integer.
Fields are only ever appended, each with a default: old journal rows stay readable.
"""

import msgspec

from app.domain.enums import (
    AccountStatus,
    DisconnectScope,
    InstrumentStatus,
    KillSwitchScope,
    ListKind,
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
    """In lots; 0 for a market buy by `quote_quantity`."""
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
    """Distance in ticks of a trailing stop behind the best price since it became active."""
    quote_quantity: int | None = None
    """Quote units a market buy may spend, its fees included."""
    expire_ns: int | None = None
    """End of a gtd order, in UTC nanoseconds."""


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
    display_quantity: int | None = None
    display_quantity_scale: int | None = None
    trigger_price: int | None = None
    trigger_price_scale: int | None = None


class CancelAll(BaseCommand, frozen=True, tag="cancel_all"):
    """Cancel every open order of the account that matches all given filters, atomically."""

    account_id: int
    symbol: str | None = None
    side: Side | None = None
    label: str | None = None
    session_id: str | None = None
    order_list_id: int | None = None


class PlaceBatch(BaseCommand, frozen=True, tag="place_batch"):
    """Place several orders of one account in one step; atomic: all of them or none."""

    account_id: int
    orders: tuple[PlaceOrder, ...]
    atomic: bool


class PlaceList(BaseCommand, frozen=True, tag="place_list"):
    """Place orders that depend on each other: OCO, OTO (parent, then children) or bracket (entry, target, stop)."""

    account_id: int
    kind: ListKind
    orders: tuple[PlaceOrder, ...]


class CheckOrder(BaseCommand, frozen=True, tag="check_order"):
    """Run every check of an order without placing it; changes nothing but its sequence."""

    order: PlaceOrder


class SetCancelAfter(BaseCommand, frozen=True, tag="set_cancel_after"):
    """Arm the account's dead man's switch anew, or disarm it with a timeout of 0."""

    account_id: int
    timeout_ns: int
    symbols: tuple[str, ...] | None = None
    """Instruments whose orders it will cancel; None is all."""
    keep_protective: bool = False
    """Spare untriggered and reduce-only orders."""


class GuardSession(BaseCommand, frozen=True, tag="guard_session"):
    """Note what becomes of orders when a session is gone; a session that is guarded already gets these terms."""

    account_id: int
    session_id: str
    scope: DisconnectScope | None
    """None: nothing, the guard ends."""
    grace_ns: int
    """Time between the loss and the cancel."""
    is_adopted: bool = False
    """Refuse it unless the session is guarded still: another session takes it over."""


class CloseSession(BaseCommand, frozen=True, tag="close_session"):
    """End a session's guard and cancel what it was for: the session is gone and its grace is over."""

    account_id: int
    session_id: str


class Tick(BaseCommand, frozen=True, tag="tick"):
    """Let time act: due timers, fired triggers, the next slice of a mass cancel or an uncross.

    The sequencer puts one at the head of a batch whenever `Engine.next_deadline` has passed.
    """


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
    breaker_move: int | None = None
    breaker_window_ns: int | None = None
    breaker_halt_ns: int | None = None
    auction_ns: int = 0
    session_close_ns: int = 0


class UpdateInstrument(BaseCommand, frozen=True, tag="update_instrument"):
    """Change status, filters or fees. A field not among the changes stays as it is, None removes the limit."""

    symbol: str
    status: InstrumentStatus | None = None
    changes: dict[str, int | None] = {}
    """Of min_quantity, max_quantity, min_notional, max_notional, price_band, reference_price,
    max_slippage, maker_fee, taker_fee, breaker_move, breaker_window_ns, breaker_halt_ns, auction_ns,
    session_close_ns."""
    order_types: tuple[OrderType, ...] | None = None


class SetReference(BaseCommand, frozen=True, tag="set_reference"):
    """State an external reference price in ticks; it counts for the mark price while it is young."""

    symbol: str
    price: int


class SetKillSwitch(BaseCommand, frozen=True, tag="set_kill_switch"):
    """Stop trading of the exchange, an instrument (target: its symbol) or an account (its id), or allow it again."""

    scope: KillSwitchScope
    target: str | None
    on: bool
    note: str | None = None


class SetFeeTiers(BaseCommand, frozen=True, tag="set_fee_tiers"):
    """Set the fee tiers of a quote asset, by volume of the last 30 days; replaces the ones before."""

    asset: str
    tiers: tuple[tuple[str, int, int], ...]
    """(least volume as text of quote units, maker rate, taker rate), least volume rising."""


class CreateAccount(BaseCommand, frozen=True, tag="create_account"):
    """Open an account. The name is its natural key: repeating it answers the same account."""

    name: str


class UpdateAccount(BaseCommand, frozen=True, tag="update_account"):
    """Change an account's status, tier, limits, group or restrictions; None leaves each as it is."""

    account_id: int
    status: AccountStatus | None = None
    tier: str | None = None
    """Name of a tier of limits; the empty text takes the account out of its tier."""
    limits: dict[str, str | None] | None = None
    """Changed limits of the account's own level, integers as text by the names of domain.limits; None lifts one."""
    stp_group: int | None = None
    """Accounts of one group never trade with each other; 0 leaves the group."""
    restricted: tuple[str, ...] | None = None
    """Symbols the account may not trade; replaces the ones before."""
    release_throttle: bool = False
    """Let the account trade again after its executions were throttled."""


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


class Transfer(BaseCommand, frozen=True, tag="transfer"):
    """Move an amount (decimal text of asset units) to another account; idempotent by transfer_id, for ever."""

    account_id: int
    to_account_id: int
    asset: str
    amount: str
    transfer_id: str


class SetLimits(BaseCommand, frozen=True, tag="set_limits"):
    """Change limits of the exchange, or of a tier; a tier exists from its first limits on."""

    changes: dict[str, str | None]
    """Integers as text, by the names of domain.limits; None lifts one, a limit not named stays."""
    tier: str | None = None
    """None is the exchange's own level, which holds for everybody."""


class StartEpoch(BaseCommand, frozen=True, tag="start_epoch"):
    """Give the published sequences a new identity: at genesis and after a lossy restore only."""

    epoch: int


Command = (
    PlaceOrder
    | CancelOrder
    | AmendOrder
    | CancelAll
    | PlaceBatch
    | PlaceList
    | CheckOrder
    | SetCancelAfter
    | GuardSession
    | CloseSession
    | Tick
    | CreateAsset
    | CreateInstrument
    | UpdateInstrument
    | SetReference
    | SetKillSwitch
    | SetFeeTiers
    | CreateAccount
    | UpdateAccount
    | Deposit
    | Withdraw
    | Transfer
    | SetLimits
    | StartEpoch
)
