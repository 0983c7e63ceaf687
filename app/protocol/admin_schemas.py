"""Bodies of the administrative calls, and the money bodies that accounts send too."""

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from app.domain.enums import AccountStatus, InstrumentStatus, KillSwitchScope, OrderType
from app.protocol.fields import (
    AccountName,
    AssetText,
    DecimalText,
    EmailText,
    IdText,
    NameText,
    RateText,
    Request,
    SymbolText,
    TierName,
    TransferId,
    UnitsText,
)

BreakerMs = Annotated[int, Meta(ge=1, le=86_400_000)]
AuctionMs = Annotated[int, Meta(ge=0, le=86_400_000)]
SessionCloseMs = Annotated[int, Meta(ge=0, lt=86_400_000)]
Count = Annotated[int, Meta(ge=0, le=2**53)]


class AssetRequest(Request, frozen=True):
    """Body of `POST /v1/admin/assets`."""

    asset: AssetText
    scale: Annotated[int, Meta(ge=0, le=18)]


class InstrumentRequest(Request, frozen=True):
    """Body of `POST /v1/admin/instruments`."""

    symbol: SymbolText
    base: AssetText
    quote: AssetText
    tick_size: DecimalText
    lot_size: DecimalText
    min_quantity: DecimalText | None = None
    max_quantity: DecimalText | None = None
    min_notional: DecimalText | None = None
    max_notional: DecimalText | None = None
    price_band: RateText | None = None
    reference_price: DecimalText | None = None
    max_slippage: RateText | None = None
    order_types: list[OrderType] | None = None
    status: InstrumentStatus = InstrumentStatus.OPEN
    maker_fee: RateText = "0"
    taker_fee: RateText = "0"
    breaker_move: RateText | None = None
    breaker_window_ms: BreakerMs | None = None
    breaker_halt_ms: BreakerMs | None = None
    auction_ms: AuctionMs = 0
    session_close_ms: SessionCloseMs = 0


class InstrumentFilters(Request, frozen=True):
    """Filters of an instrument edit: left out keeps, null removes."""

    min_quantity: DecimalText | UnsetType | None = UNSET
    max_quantity: DecimalText | UnsetType | None = UNSET
    min_notional: DecimalText | UnsetType | None = UNSET
    max_notional: DecimalText | UnsetType | None = UNSET
    price_band: RateText | UnsetType | None = UNSET
    reference_price: DecimalText | UnsetType | None = UNSET
    max_slippage: RateText | UnsetType = UNSET
    breaker_move: RateText | UnsetType | None = UNSET
    breaker_window_ms: BreakerMs | UnsetType | None = UNSET
    breaker_halt_ms: BreakerMs | UnsetType | None = UNSET
    auction_ms: AuctionMs | UnsetType = UNSET
    session_close_ms: SessionCloseMs | UnsetType = UNSET


class InstrumentFees(Request, frozen=True):
    """Fees of an instrument edit."""

    maker_fee: RateText | UnsetType = UNSET
    taker_fee: RateText | UnsetType = UNSET


class InstrumentEditRequest(Request, frozen=True):
    """Body of `PATCH /v1/admin/instruments/{symbol}`."""

    status: InstrumentStatus | None = None
    filters: InstrumentFilters | None = None
    fees: InstrumentFees | None = None
    order_types: Annotated[list[OrderType], Meta(min_length=1)] | None = None


class ReferenceRequest(Request, frozen=True):
    """Body of `POST /v1/admin/instruments/{symbol}/reference`: a price from outside, good for 5 s."""

    price: DecimalText


class FeeTier(Request, frozen=True):
    """Rates of accounts that turned over at least `volume` of the quote asset in 30 days."""

    volume: DecimalText
    maker_fee: RateText
    taker_fee: RateText


class FeeTiersRequest(Request, frozen=True):
    """Body of `POST /v1/admin/fee-tiers`: all tiers of a quote asset, by rising volume; none takes them away."""

    asset: AssetText
    tiers: Annotated[list[FeeTier], Meta(max_length=20)]


class AccountRequest(Request, frozen=True):
    """Body of `POST /v1/admin/accounts`; the name is the natural key, repeating it answers the same account."""

    name: AccountName
    email: EmailText | None = None
    password: Annotated[str, Meta(min_length=10, max_length=128)] | None = None


class LimitChanges(Request, frozen=True):
    """Changes of the limits of one level: left out keeps, null lifts.

    Counts are numbers; notionals are whole numbers of the quote asset's smallest unit, because one limit holds for
    every quote asset.
    """

    message_rate: Count | UnsetType | None = UNSET
    symbol_message_rate: Count | UnsetType | None = UNSET
    rejection_rate: Count | UnsetType | None = UNSET
    order_trade_ratio: Count | UnsetType | None = UNSET
    duplicate_window_ms: Count | UnsetType | None = UNSET
    execution_rate: Count | UnsetType | None = UNSET
    open_orders: Count | UnsetType | None = UNSET
    symbol_open_orders: Count | UnsetType | None = UNSET
    order_notional: UnitsText | UnsetType | None = UNSET
    open_notional: UnitsText | UnsetType | None = UNSET
    daily_notional: UnitsText | UnsetType | None = UNSET
    position_notional: UnitsText | UnsetType | None = UNSET
    daily_loss: UnitsText | UnsetType | None = UNSET


class LimitsRequest(LimitChanges, frozen=True):
    """Body of `PATCH /v1/admin/limits`: without a tier they are the exchange's own, which hold for every account."""

    tier: TierName | None = None


class AccountEditRequest(Request, frozen=True):
    """Body of `PATCH /v1/admin/accounts/{id}`: what is left out stays."""

    status: AccountStatus | UnsetType = UNSET
    tier: TierName | UnsetType | None = UNSET
    """Tier of limits; null takes the account out of its tier."""
    limits: LimitChanges | UnsetType = UNSET
    stp_group: Annotated[int, Meta(ge=1, le=2**53)] | UnsetType | None = UNSET
    """Accounts of one group never trade with each other; null leaves the group."""
    restricted: Annotated[list[SymbolText], Meta(max_length=1000)] | UnsetType = UNSET
    """Instruments that the account may not trade; replaces the ones before."""
    release_throttle: bool | UnsetType = UNSET
    """Let the account trade again after its executions were throttled."""


class KillSwitchRequest(Request, frozen=True):
    """Body of `POST /v1/admin/kill-switch`: the target is a symbol or an account id, and absent for the exchange."""

    scope: KillSwitchScope
    on: bool
    target: Annotated[str, Meta(min_length=1, max_length=40)] | None = None
    note: NameText | None = None


class TransferRequest(Request, frozen=True):
    """Body of deposits and withdrawals; idempotent by transfer_id."""

    asset: AssetText
    amount: DecimalText
    transfer_id: TransferId


class MoveRequest(Request, frozen=True):
    """Body of transfers from one account to another; idempotent by transfer_id."""

    to_account_id: IdText
    asset: AssetText
    amount: DecimalText
    transfer_id: TransferId
