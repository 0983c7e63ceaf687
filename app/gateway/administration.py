"""The gateway's administrative calls: the same path as orders, for what administrators change."""

import msgspec

from app.domain.commands import (
    Command,
    CreateAccount,
    CreateAsset,
    CreateInstrument,
    Deposit,
    SetKillSwitch,
    SetLimits,
    UpdateAccount,
    UpdateInstrument,
    Withdraw,
)
from app.domain.decimals import Step, parse_decimal
from app.domain.enums import OrderType
from app.domain.instrument import Instrument
from app.domain.outcomes import Outcome
from app.errors import ApiError
from app.gateway.numbers import amount_units, price_ticks, quantity_lots, rate_units, steps
from app.gateway.refusals import refused
from app.link.client import LinkClient
from app.protocol import schemas, shapes
from app.protocol.ports import Instruments

CATALOG_WAIT_S = 2.0


ORDER_TYPES_SERVED = (OrderType.LIMIT, OrderType.MARKET)
"""Of an instrument that names none: the API does not take the fields of the others yet."""


class AdministrationGateway:
    """Implements ports.Administration."""

    def __init__(self, link: LinkClient, instruments: Instruments) -> None:
        self._link = link
        self._instruments = instruments

    async def create_asset(self, request: schemas.AssetRequest) -> int:
        """Add an asset."""
        return (await self._submit(CreateAsset(request.asset, request.scale))).engine_seq

    async def create_instrument(self, request: schemas.InstrumentRequest) -> tuple[schemas.InstrumentShape, int]:
        """List an instrument; its numbers are converted with the tick and lot of the same body."""
        tick, lot = _step(request.tick_size, "tick_size"), _step(request.lot_size, "lot_size")
        quote_scale = self._instruments.asset_scale(request.quote)

        def lots(text: str | None, field: str) -> int | None:
            return None if text is None else steps(text, lot, code="invalid_quantity_lot", field=field)

        def units(text: str | None, field: str) -> int | None:
            if text is None:
                return None
            if quote_scale is None:
                raise ApiError("invalid_request", "there is no such asset", field="quote")
            return amount_units(text, quote_scale, field)

        reference = request.reference_price
        command = CreateInstrument(
            request.symbol,
            request.base,
            request.quote,
            request.tick_size,
            request.lot_size,
            lots(request.min_quantity, "min_quantity"),
            lots(request.max_quantity, "max_quantity"),
            units(request.min_notional, "min_notional"),
            units(request.max_notional, "max_notional"),
            None if request.price_band is None else rate_units(request.price_band, "price_band"),
            None if reference is None else steps(reference, tick, code="invalid_price_tick", field="reference_price"),
            None if request.max_slippage is None else rate_units(request.max_slippage, "max_slippage"),
            rate_units(request.maker_fee, "maker_fee"),
            rate_units(request.taker_fee, "taker_fee"),
            ORDER_TYPES_SERVED if request.order_types is None else tuple(request.order_types),
            request.status,
        )
        outcome = await self._submit(command)
        return shapes.instrument_shape(_listed(outcome)), outcome.engine_seq

    async def edit_instrument(
        self, symbol: str, request: schemas.InstrumentEditRequest
    ) -> tuple[schemas.InstrumentShape, int]:
        """Change status, filters or fees."""
        instrument = self._instruments.get(symbol)
        if instrument is None:
            raise ApiError("unknown_symbol", "there is no such instrument", status=404)
        outcome = await self._submit(UpdateInstrument(symbol, request.status, filter_changes(request, instrument)))
        return shapes.instrument_shape(_listed(outcome)), outcome.engine_seq

    async def create_account(self, name: str) -> tuple[int, int, bool]:
        """Open an account, or find the one of that name."""
        outcome = await self._submit(CreateAccount(name))
        assert outcome.account_id is not None  # noqa: S101  # an opened account has its id
        return outcome.account_id, outcome.engine_seq, outcome.duplicate

    async def edit_account(self, account_id: int, request: schemas.AccountEditRequest) -> int:
        """Freeze or reactivate."""
        return (await self._submit(UpdateAccount(account_id, request.status))).engine_seq

    async def deposit(self, account_id: int, request: schemas.TransferRequest) -> tuple[int, bool]:
        """Credit from outside."""
        outcome = await self._submit(Deposit(account_id, request.asset, self._amount(request), request.transfer_id))
        return outcome.engine_seq, outcome.duplicate

    async def withdraw(self, account_id: int, request: schemas.TransferRequest) -> tuple[int, bool]:
        """Debit to outside."""
        outcome = await self._submit(Withdraw(account_id, request.asset, self._amount(request), request.transfer_id))
        return outcome.engine_seq, outcome.duplicate

    async def set_limits(self, request: schemas.LimitsRequest) -> int:
        """Set the limits of the whole exchange."""
        most = None if request.open_orders is None else str(request.open_orders)
        return (await self._submit(SetLimits({"open_orders": most}))).engine_seq

    async def set_kill_switch(self, request: schemas.KillSwitchRequest) -> tuple[int, bool]:
        """Stop trading of a scope, or allow it again."""
        command = SetKillSwitch(request.scope, request.target, request.on, request.note)
        outcome = await self._submit(command)
        return outcome.engine_seq, outcome.duplicate

    async def engine_status(self) -> dict[str, object]:
        """Return where the leader stands."""
        return msgspec.structs.asdict(await self._link.status())

    def _amount(self, request: schemas.TransferRequest) -> str:
        scale = self._instruments.asset_scale(request.asset)
        if scale is None:
            raise ApiError("invalid_request", "there is no such asset", status=422, field="asset")
        return str(amount_units(request.amount, scale, "amount"))

    async def _submit(self, command: Command) -> Outcome:
        outcome = await self._link.submit(command)
        if outcome.rejection is not None:
            raise refused(outcome.rejection, self._instruments)
        return outcome


def filter_changes(request: schemas.InstrumentEditRequest, instrument: Instrument) -> dict[str, int | None]:
    """Return the changes of an edit in the engine's integers; what is unset is left out."""
    changes: dict[str, int | None] = {}
    given: dict[str, str | None] = {}
    for part in (request.filters, request.fees):
        if part is not None:
            fields = {name: getattr(part, name) for name in part.__struct_fields__}
            given |= {name: value for name, value in fields.items() if value is not msgspec.UNSET}
    for name, text in given.items():
        if text is None:
            changes[name] = None
        elif name in ("min_quantity", "max_quantity"):
            changes[name] = quantity_lots(text, instrument, name)
        elif name in ("min_notional", "max_notional"):
            changes[name] = amount_units(text, instrument.quote_scale, name)
        elif name == "reference_price":
            changes[name] = price_ticks(text, instrument, name)
        else:
            changes[name] = rate_units(text, name)
    return changes


def _step(text: str, field: str) -> Step:
    step = parse_decimal(text)
    if step is None or step.mantissa == 0:
        raise ApiError("invalid_request", "expected a positive decimal in plain notation", field=field)
    return step


def _listed(outcome: Outcome) -> Instrument:
    assert outcome.instrument is not None  # noqa: S101  # a listing answers its instrument
    return outcome.instrument
