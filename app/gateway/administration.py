"""The gateway's administrative calls: the same path as orders, for what administrators change."""

import msgspec

from app.domain.commands import (
    Command,
    CreateAccount,
    CreateAsset,
    Deposit,
    SetFeeTiers,
    SetKillSwitch,
    SetLimits,
    SetReference,
    Transfer,
    UpdateAccount,
    Withdraw,
)
from app.domain.instrument import Instrument
from app.domain.outcomes import Outcome
from app.errors import ApiError
from app.gateway.listings import create_command, update_command
from app.gateway.numbers import INTEGER_MAX, amount_units, price_ticks, rate_units, tier_volume
from app.link.client import LinkClient
from app.protocol import admin_schemas, schemas, shapes
from app.protocol.field_rules import CLOSED_FOR_GOOD
from app.protocol.limit_shapes import limit_changes
from app.protocol.ports import Instruments
from app.protocol.rejections import rejection_error

_NO_ACCOUNT = "There is no such account."
_NOT_FOUND: dict[type[Command], str] = {
    Deposit: _NO_ACCOUNT,
    Withdraw: _NO_ACCOUNT,
    UpdateAccount: _NO_ACCOUNT,
    Transfer: "One of the two accounts does not exist.",
    SetKillSwitch: "There is no such instrument or account.",
}
"""What was not found, by the command that named it."""


class AdministrationGateway:
    """Implements ports.Administration."""

    def __init__(self, link: LinkClient, instruments: Instruments) -> None:
        self._link = link
        self._instruments = instruments

    async def create_asset(self, request: admin_schemas.AssetRequest) -> int:
        """Add an asset."""
        return (await self._submit(CreateAsset(request.asset, request.scale))).engine_seq

    async def create_instrument(self, request: admin_schemas.InstrumentRequest) -> tuple[schemas.InstrumentShape, int]:
        """List an instrument."""
        outcome = await self._submit(create_command(request, self._instruments.asset_scale(request.quote)))
        return shapes.instrument_shape(_listed(outcome)), outcome.engine_seq

    async def edit_instrument(
        self, symbol: str, request: admin_schemas.InstrumentEditRequest
    ) -> tuple[schemas.InstrumentShape, int]:
        """Change status, filters or fees."""
        outcome = await self._submit(update_command(request, self._instrument(symbol)))
        return shapes.instrument_shape(_listed(outcome)), outcome.engine_seq

    async def set_reference(self, symbol: str, request: admin_schemas.ReferenceRequest) -> int:
        """State an external price."""
        price = price_ticks(request.price, self._instrument(symbol))
        return (await self._submit(SetReference(symbol, price))).engine_seq

    async def set_fee_tiers(self, request: admin_schemas.FeeTiersRequest) -> int:
        """Replace the fee tiers of a quote asset."""
        scale = self._scale(request.asset)
        tiers = []
        for index, tier in enumerate(request.tiers):
            field = f"tiers[{index}]."
            volume = tier_volume(tier.volume, scale, field + "volume")
            maker, taker = (
                rate_units(tier.maker_fee, field + "maker_fee"),
                rate_units(tier.taker_fee, field + "taker_fee"),
            )
            tiers.append((str(volume), maker, taker))
        return (await self._submit(SetFeeTiers(request.asset, tuple(tiers)))).engine_seq

    async def create_account(self, name: str) -> tuple[int, int, bool]:
        """Open an account, or find the one of that name."""
        outcome = await self._submit(CreateAccount(name))
        assert outcome.account_id is not None  # noqa: S101  # an opened account has its id
        return outcome.account_id, outcome.engine_seq, outcome.duplicate

    async def edit_account(self, account_id: int, request: admin_schemas.AccountEditRequest) -> int:
        """Change what is named of an account."""
        tier, group, restricted = request.tier, request.stp_group, request.restricted
        command = UpdateAccount(
            account_id,
            None if request.status is msgspec.UNSET else request.status,
            None if tier is msgspec.UNSET else tier or "",
            None if request.limits is msgspec.UNSET else limit_changes(request.limits),
            None if group is msgspec.UNSET else group or 0,
            None if restricted is msgspec.UNSET else tuple(restricted),
            request.release_throttle is True,
        )
        return (await self._submit(command)).engine_seq

    async def deposit(self, account_id: int, request: admin_schemas.TransferRequest) -> tuple[int, bool]:
        """Credit from outside."""
        outcome = await self._submit(Deposit(account_id, request.asset, self._amount(request), request.transfer_id))
        return outcome.engine_seq, outcome.duplicate

    async def withdraw(self, account_id: int, request: admin_schemas.TransferRequest) -> tuple[int, bool]:
        """Debit to outside."""
        outcome = await self._submit(Withdraw(account_id, request.asset, self._amount(request), request.transfer_id))
        return outcome.engine_seq, outcome.duplicate

    async def transfer(self, account_id: int, request: admin_schemas.MoveRequest) -> tuple[int, bool]:
        """Move money to another account."""
        to_account_id = int(request.to_account_id)
        if to_account_id > INTEGER_MAX:
            raise ApiError("not_found", "there is no such account", field="to_account_id")
        command = Transfer(account_id, to_account_id, request.asset, self._amount(request), request.transfer_id)
        outcome = await self._submit(command)
        return outcome.engine_seq, outcome.duplicate

    async def set_limits(self, request: admin_schemas.LimitsRequest) -> int:
        """Change limits of the exchange, or of a tier."""
        return (await self._submit(SetLimits(limit_changes(request), request.tier))).engine_seq

    async def set_kill_switch(self, request: admin_schemas.KillSwitchRequest) -> tuple[int, bool]:
        """Stop trading of a scope, or allow it again."""
        command = SetKillSwitch(request.scope, request.target, request.on, request.note)
        outcome = await self._submit(command)
        return outcome.engine_seq, outcome.duplicate

    async def engine_status(self) -> dict[str, object]:
        """Return where the leader stands."""
        return msgspec.structs.asdict(await self._link.status())

    def _instrument(self, symbol: str) -> Instrument:
        instrument = self._instruments.get(symbol)
        if instrument is None:
            raise ApiError("unknown_symbol", "there is no such instrument", status=404)
        return instrument

    def _scale(self, asset: str) -> int:
        scale = self._instruments.asset_scale(asset)
        if scale is None:
            raise ApiError("invalid_request", "there is no such asset", status=422, field="asset")
        return scale

    def _amount(self, request: admin_schemas.TransferRequest | admin_schemas.MoveRequest) -> str:
        return str(amount_units(request.amount, self._scale(request.asset), "amount"))

    async def _submit(self, command: Command) -> Outcome:
        outcome = await self._link.submit(command)
        if outcome.rejection is not None:
            refusal = rejection_error(outcome.rejection, self._instruments)
            if refusal.code == "not_found":
                refusal.detail = _NOT_FOUND.get(type(command), refusal.detail)
            elif refusal.code == "instrument_not_open":
                refusal.detail = CLOSED_FOR_GOOD
            raise refusal
        return outcome


def _listed(outcome: Outcome) -> Instrument:
    assert outcome.instrument is not None  # noqa: S101  # a listing answers its instrument
    return outcome.instrument
