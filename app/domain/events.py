"""Immutable facts, in past tense, as the engine states them and readers keep them for ever.

Private events carry `account_seq`, one gapless counter per account. Public events belong to a book,
system events to the whole shard. Balances travel as decimal text of integer units because they may
pass 64 bits. The batch's time stands in its record, not in every event. Tags are the wire's event names.
"""

import msgspec

from app.domain.commands import PlaceOrder
from app.domain.enums import (
    AccountStatus,
    KillSwitchScope,
    Liquidity,
    OrderReason,
    OrderStatus,
    RejectReason,
    SelfTradePrevention,
    Side,
)
from app.domain.instrument import Instrument

BookLevels = list[tuple[int, int]]
"""(price in ticks, quantity in lots) pairs, best first; in a delta a quantity of 0 removes the level."""


class BaseEvent(msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="event"):
    """Shape shared by all events: a positional record headed by its tag."""


class Fill(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One side's view of a trade on one order; the fee is in quote units, negative for a rebate."""

    trade_id: int
    price: int
    quantity: int
    fee: int
    liquidity: Liquidity
    account_seq: int
    """Of the order event that carries the fill."""


class OrderState(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An order as it stands after one event; price and quantity are the current, amended ones."""

    order_id: int
    terms: PlaceOrder
    status: OrderStatus
    version: int
    price: int
    """Limit price in ticks; a market order's is its cap price."""
    quantity: int
    filled_quantity: int
    notional: int
    """Quote units traded so far; divided by the filled quantity it is the average price."""
    fees: int
    reason: OrderReason | None
    created_ns: int
    updated_ns: int
    engine_seq: int
    """Sequence of the command that made this state."""
    display_quantity: int | None = None
    """Of an iceberg: the most it shows, in lots."""
    trigger_price: int | None = None
    """Current trigger in ticks; a trailing stop's as of this event."""
    order_list_id: int | None = None

    @property
    def remaining_quantity(self) -> int:
        """Quantity still open, in lots; what was left when the order ended, if it ended unfilled."""
        return self.quantity - self.filled_quantity


class OrderEvent(BaseEvent, frozen=True):
    """Base of the events that move an order from one version to the next."""

    account_seq: int
    order: OrderState

    @property
    def account_id(self) -> int:
        """Owner of the order, and of the event."""
        return self.order.terms.account_id

    @property
    def engine_seq(self) -> int:
        """Sequence of the command that caused the event."""
        return self.order.engine_seq

    @property
    def remaining_quantity(self) -> int:
        """Quantity still open after the event, in lots."""
        return self.order.remaining_quantity


class OrderAccepted(OrderEvent, frozen=True, tag="order.accepted"):
    """The order passed every check and its hold is taken."""


class OrderTriggered(OrderEvent, frozen=True, tag="order.triggered"):
    """Its trigger fired, or its parent filled: the order is active from here on."""


class OrderAmended(OrderEvent, frozen=True, tag="order.amended"):
    """Price or quantity changed."""


class OrderPartiallyFilled(OrderEvent, frozen=True, tag="order.partially_filled"):
    """A trade filled part of the order."""

    fill: Fill


class OrderFilled(OrderEvent, frozen=True, tag="order.filled"):
    """A trade filled the last of the order."""

    fill: Fill


class OrderCanceled(OrderEvent, frozen=True, tag="order.canceled"):
    """The rest of the order was canceled, for the order's reason; its hold is released."""


class OrderExpired(OrderEvent, frozen=True, tag="order.expired"):
    """The order's time ran out."""


class Rejection(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Why the engine declined a command.

    `limit` and `actual` are integers as text; `unit` says of what: `ticks`, `lots`, `count`, or
    the name of the asset whose units they are.
    """

    reason: RejectReason
    field: str | None = None
    limit: str | None = None
    actual: str | None = None
    unit: str | None = None


class OrderRejected(BaseEvent, frozen=True, tag="order.rejected"):
    """The order was declined; it gets no id and is not remembered."""

    account_seq: int
    engine_seq: int
    terms: PlaceOrder
    rejection: Rejection

    @property
    def account_id(self) -> int:
        """Account that tried."""
        return self.terms.account_id


class OrderCancelRejected(BaseEvent, frozen=True, tag="order.cancel_rejected"):
    """A cancel was declined."""

    account_seq: int
    engine_seq: int
    account_id: int
    order_id: int | None
    client_order_id: str | None
    rejection: Rejection


class OrderAmendRejected(BaseEvent, frozen=True, tag="order.amend_rejected"):
    """An amend was declined; the order is as it was."""

    account_seq: int
    engine_seq: int
    account_id: int
    order_id: int
    rejection: Rejection


class TradePrevented(BaseEvent, frozen=True, tag="trade.prevented"):
    """Self-trade prevention kept an order from meeting its own account."""

    account_seq: int
    engine_seq: int
    account_id: int
    """Owner of the incoming order."""
    symbol: str
    taker_order_id: int
    maker_order_id: int
    price: int
    quantity: int
    mode: SelfTradePrevention
    maker_account_id: int | None = None
    """Set when the resting order belongs to another account of the group."""


class BalanceChanged(BaseEvent, frozen=True, tag="balance.changed"):
    """Balances of one asset after a batch that changed them, in asset units as text; comes last of its account."""

    account_seq: int
    engine_seq: int
    """Sequence of the batch's last command."""
    account_id: int
    asset: str
    available: str
    held: str


class PositionChanged(BaseEvent, frozen=True, tag="position.changed"):
    """Position of one instrument after a batch that changed it; amounts are quote units as text."""

    account_seq: int
    engine_seq: int
    account_id: int
    symbol: str
    quantity: str
    """Net lots as text, negative when more was sold than bought."""
    cost: str
    """What the net lots cost when bought (or brought when sold), without fees; never negative."""
    realized_pnl: str
    """Of all closed lots, without fees."""
    fees: str


class CancelAfterSet(BaseEvent, frozen=True, tag="cancel_after.set"):
    """The dead man's switch was armed, disarmed (`trigger_ns` None), or has fired (None, `fired`)."""

    account_seq: int
    engine_seq: int
    account_id: int
    trigger_ns: int | None
    fired: bool = False


PrivateEvent = (
    OrderAccepted
    | OrderTriggered
    | OrderAmended
    | OrderPartiallyFilled
    | OrderFilled
    | OrderCanceled
    | OrderExpired
    | OrderRejected
    | OrderCancelRejected
    | OrderAmendRejected
    | TradePrevented
    | BalanceChanged
    | PositionChanged
    | CancelAfterSet
)


class TradeExecuted(BaseEvent, frozen=True, tag="trade"):
    """One match of maker and taker. Trade ids are contiguous per instrument, from 1."""

    symbol: str
    trade_id: int
    engine_seq: int
    price: int
    quantity: int
    taker_side: Side
    maker_order_id: int
    taker_order_id: int
    maker_account_id: int
    taker_account_id: int


class BookDelta(BaseEvent, frozen=True, tag="delta"):
    """What a batch changed in a published book: absolute quantities at prices. `seq == prev_seq + 1`."""

    symbol: str
    epoch: int
    prev_seq: int
    seq: int
    engine_seq: int
    """Last sequence of the batch."""
    bids: BookLevels
    asks: BookLevels


class AuctionIndicated(BaseEvent, frozen=True, tag="auction"):
    """Where a call auction would uncross now; without a crossing price and quantity are 0."""

    symbol: str
    engine_seq: int
    price: int
    quantity: int
    surplus: int
    """Lots left over at that price: positive on the buy side, negative on the sell side."""


class AssetCreated(BaseEvent, frozen=True, tag="asset_created"):
    """An asset exists; one unit is 10**-scale."""

    engine_seq: int
    asset: str
    scale: int


class InstrumentListed(BaseEvent, frozen=True, tag="instrument_listed"):
    """An instrument was created or edited; this is all of it."""

    engine_seq: int
    instrument: Instrument


class AccountOpened(BaseEvent, frozen=True, tag="account_opened"):
    """An account exists."""

    engine_seq: int
    account_id: int
    name: str


class AccountUpdated(BaseEvent, frozen=True, tag="account_updated"):
    """An account's status, tier, limits, group or restrictions changed; this is all of it."""

    engine_seq: int
    account_id: int
    status: AccountStatus
    tier: str | None = None
    limits: dict[str, str] = {}
    """Limits that are set on the account's own level, integers as text."""
    stp_group: int | None = None
    restricted: tuple[str, ...] = ()
    killed: bool = False
    throttled: bool = False


class FundsTransferred(BaseEvent, frozen=True, tag="funds_transferred"):
    """Money entered (positive amount text) or left (negative) an account: from or to outside, or another account."""

    engine_seq: int
    account_id: int
    asset: str
    amount: str
    transfer_id: str
    counterparty_id: int | None = None
    """The other account of a transfer, which has the same event with the opposite amount; None is outside."""


class LimitsSet(BaseEvent, frozen=True, tag="limits_set"):
    """Limits of the exchange (tier None) or of a tier changed; these are all that are set there."""

    engine_seq: int
    limits: dict[str, str]
    """Integers as text."""
    tier: str | None = None


class KillSwitchSet(BaseEvent, frozen=True, tag="kill_switch_set"):
    """A kill switch went on or off."""

    engine_seq: int
    scope: KillSwitchScope
    target: str | None
    on: bool
    note: str | None = None


class FeeTiersSet(BaseEvent, frozen=True, tag="fee_tiers_set"):
    """The fee tiers of a quote asset, as in the command."""

    engine_seq: int
    asset: str
    tiers: tuple[tuple[str, int, int], ...]


class ReferenceSet(BaseEvent, frozen=True, tag="reference_set"):
    """An external reference price came in."""

    engine_seq: int
    symbol: str
    price: int


class EpochStarted(BaseEvent, frozen=True, tag="epoch_started"):
    """Published sequences have a new identity from here on."""

    engine_seq: int
    epoch: int


SystemEvent = (
    AssetCreated
    | InstrumentListed
    | AccountOpened
    | AccountUpdated
    | FundsTransferred
    | LimitsSet
    | KillSwitchSet
    | FeeTiersSet
    | ReferenceSet
    | EpochStarted
)
Event = PrivateEvent | TradeExecuted | AuctionIndicated | SystemEvent
