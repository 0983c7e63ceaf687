"""Bodies of the administrative calls, and the money bodies that accounts send too."""

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from app.domain.enums import AccountStatus, InstrumentStatus, KillSwitchScope, OrderType
from app.protocol.fields import (
    AccountName,
    AssetText,
    DecimalText,
    EmailText,
    NameText,
    RateText,
    Request,
    SymbolText,
    TransferId,
)


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


class InstrumentFilters(Request, frozen=True):
    """Filters of an instrument edit: left out keeps, null removes."""

    min_quantity: DecimalText | UnsetType | None = UNSET
    max_quantity: DecimalText | UnsetType | None = UNSET
    min_notional: DecimalText | UnsetType | None = UNSET
    max_notional: DecimalText | UnsetType | None = UNSET
    price_band: RateText | UnsetType | None = UNSET
    reference_price: DecimalText | UnsetType | None = UNSET
    max_slippage: RateText | UnsetType = UNSET


class InstrumentFees(Request, frozen=True):
    """Fees of an instrument edit."""

    maker_fee: RateText | UnsetType = UNSET
    taker_fee: RateText | UnsetType = UNSET


class InstrumentEditRequest(Request, frozen=True):
    """Body of `PATCH /v1/admin/instruments/{symbol}`."""

    status: InstrumentStatus | None = None
    filters: InstrumentFilters | None = None
    fees: InstrumentFees | None = None


class AccountRequest(Request, frozen=True):
    """Body of `POST /v1/admin/accounts`; the name is the natural key, repeating it answers the same account."""

    name: AccountName
    email: EmailText | None = None
    password: Annotated[str, Meta(min_length=10, max_length=128)] | None = None


class AccountEditRequest(Request, frozen=True):
    """Body of `PATCH /v1/admin/accounts/{id}`."""

    status: AccountStatus


class LimitsRequest(Request, frozen=True):
    """Body of `PATCH /v1/admin/limits`: limits of every account of the exchange; null lifts one."""

    open_orders: Annotated[int, Meta(ge=0, le=2**53)] | None


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
