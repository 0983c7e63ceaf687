"""The administrative half of the reference model: assets, instruments, accounts, transfers, limits, epochs."""

from fractions import Fraction

import msgspec

from app.domain.commands import (
    CreateAccount,
    CreateAsset,
    CreateInstrument,
    Deposit,
    StartEpoch,
    UpdateInstrument,
    Withdraw,
)
from app.domain.enums import InstrumentStatus, OrderReason, OrderType, RejectReason, Side
from app.domain.events import (
    AccountOpened,
    AssetCreated,
    EpochStarted,
    FundsTransferred,
    InstrumentListed,
)
from app.domain.identity import EXTERNAL_ACCOUNT_ID, FIRST_ACCOUNT_ID
from app.domain.instrument import Instrument
from app.domain.outcomes import Outcome
from tests.property.groups import GROUPS
from tests.property.reference_ledger import HOUSE
from tests.property.reference_positions import AMOUNT_MAX, DAY_NS, ReferencePositions
from tests.property.reference_records import RefAccount, RefOrder, Refused

INVALID = RejectReason.INVALID_REQUEST
INTEGER_MAX = 9_223_372_036_854_775_807
WHOLE = 100_000_000
"""A rate of 1."""
TENTH = WHOLE // 10
BUILT = tuple(OrderType) if "triggers" in GROUPS else (OrderType.LIMIT, OrderType.MARKET)
COUNTS = ("min_quantity", "max_quantity", "min_notional", "max_notional", "reference_price")
BREAKER = ("breaker_move", "breaker_window_ns", "breaker_halt_ns")
TIMES = ("auction_ns", "session_close_ns")
RATES = ("price_band", "max_slippage", "maker_fee", "taker_fee")
EDITABLE = (*COUNTS, *RATES, *BREAKER, *TIMES)


class ReferenceListing(ReferencePositions):
    """What administrators do."""

    def end(self, order: RefOrder, reason: OrderReason) -> None:
        """End an order; the half that knows orders says how."""
        raise NotImplementedError

    def queue_mass_cancel(
        self, reason: OrderReason, *, symbol: str | None = None, account_id: int | None = None
    ) -> None:
        """Have all orders of an instrument, an account or the exchange canceled by Ticks."""
        raise NotImplementedError

    def create_asset(self, command: CreateAsset) -> Outcome:
        known = self.assets.get(command.asset)
        if known == command.scale:
            return Outcome(0, 0, duplicate=True)
        if known is not None or not 0 <= command.scale <= 18:
            raise Refused(INVALID, "scale")
        self.assets[command.asset] = command.scale
        self.say(AssetCreated(self.sequence, command.asset, command.scale))
        return Outcome(0, 0)

    def create_instrument(self, command: CreateInstrument) -> Outcome:
        for field, asset in (("base", command.base), ("quote", command.quote)):
            if asset not in self.assets or (field == "base" and asset == command.quote):
                raise Refused(INVALID, field)
        base_scale, quote_scale = self.assets[command.base], self.assets[command.quote]
        tick = positive(command.tick_size, "tick_size")
        lot = positive(command.lot_size, "lot_size")
        lot_units = whole(lot * 10**base_scale, "lot_size")
        notional_unit = whole(tick * lot * 10**quote_scale, "tick_size")
        fields = {name: getattr(command, name) for name in (*EDITABLE, "status", "tick_size", "lot_size")}
        fields["max_slippage"] = TENTH if command.max_slippage is None else command.max_slippage
        types = BUILT if command.order_types is None else command.order_types
        instrument = Instrument(
            command.symbol,
            command.base,
            command.quote,
            base_scale=base_scale,
            quote_scale=quote_scale,
            notional_unit=notional_unit,
            lot_units=lot_units,
            order_types=types,
            **fields,
        )
        known = self.instruments.get(command.symbol)
        if known == instrument:
            return Outcome(0, 0, duplicate=True, instrument=instrument)
        if known is not None:
            raise Refused(INVALID, "symbol")
        return self._list(instrument)

    def _list(self, instrument: Instrument) -> Outcome:
        field = unsound(instrument)
        if field is not None:
            raise Refused(INVALID, field)
        self.instruments[instrument.symbol] = instrument
        self.say(InstrumentListed(self.sequence, instrument))
        return Outcome(0, 0, instrument=instrument)

    def update_instrument(self, command: UpdateInstrument) -> Outcome:
        instrument = self.instruments.get(command.symbol)
        if instrument is None:
            raise Refused(RejectReason.UNKNOWN_SYMBOL, "symbol")
        if instrument.status is InstrumentStatus.CLOSED:
            raise Refused(RejectReason.INSTRUMENT_NOT_OPEN, "status")
        if not set(command.changes) <= set(EDITABLE):
            raise Refused(INVALID, "filters")
        types = instrument.order_types if command.order_types is None else command.order_types
        return self.update_status(command, msgspec.structs.replace(instrument, order_types=types, **command.changes))

    def update_status(self, command: UpdateInstrument, edited: Instrument) -> Outcome:
        """Give an instrument its edited fields and status; one that closes loses its orders."""
        status = edited.status if command.status is None else command.status
        outcome = self._list(msgspec.structs.replace(edited, status=status))
        if status is InstrumentStatus.CLOSED and "mass_cancel" in GROUPS:
            self.queue_mass_cancel(OrderReason.INSTRUMENT_CLOSED, symbol=command.symbol)
        elif status is InstrumentStatus.CLOSED:
            for side in (Side.BUY, Side.SELL):
                ours = [o for o in self.open if o.terms.symbol == command.symbol and o.terms.side is side]
                for order in sorted(ours, key=queue_place):
                    self.end(order, OrderReason.INSTRUMENT_CLOSED)
        return outcome

    def create_account(self, command: CreateAccount) -> Outcome:
        for account in self.accounts.values():
            if account.name == command.name:
                if account.account_id in HOUSE:
                    raise Refused(INVALID, "name")
                return Outcome(0, 0, duplicate=True, account_id=account.account_id)
        number = max(FIRST_ACCOUNT_ID - 1, *self.accounts) + 1
        self.accounts[number] = RefAccount(number, command.name)
        self.say(AccountOpened(self.sequence, number, command.name))
        return Outcome(0, 0, account_id=number)

    def transfer(self, command: Deposit | Withdraw) -> Outcome:
        account_id, asset = self.client(command.account_id).account_id, command.asset
        if asset not in self.assets:
            raise Refused(INVALID, "asset")
        size = int(command.amount)
        amount = size if isinstance(command, Deposit) else -size
        known = self.transfers.get((account_id, command.transfer_id))
        if known == (asset, amount):
            return Outcome(0, 0, duplicate=True)
        if known is not None:
            raise Refused(RejectReason.TRANSFER_ID_REUSED, "transfer_id")
        available = self.available(account_id, asset)
        if size < 1 or size > AMOUNT_MAX or self.owned.get((account_id, asset), 0) + amount > AMOUNT_MAX:
            raise Refused(RejectReason.AMOUNT_OUT_OF_RANGE, "amount", limit=AMOUNT_MAX, actual=size, unit=asset)
        if -amount > available:
            raise Refused(RejectReason.INSUFFICIENT_BALANCE, "amount", limit=available, actual=size, unit=asset)
        self.transfers[account_id, command.transfer_id] = asset, amount
        self.move(EXTERNAL_ACCOUNT_ID, asset, -amount)
        self.move(account_id, asset, amount)
        self.say(FundsTransferred(self.sequence, account_id, asset, str(amount), command.transfer_id))
        return Outcome(0, 0)

    def start_epoch(self, command: StartEpoch) -> Outcome:
        if command.epoch <= self.epoch:
            raise Refused(INVALID, "epoch", limit=self.epoch, actual=command.epoch, unit="count")
        self.epoch = command.epoch
        self.book_seqs.clear()
        self.say(EpochStarted(self.sequence, command.epoch))
        return Outcome(0, 0)


def queue_place(order: RefOrder) -> tuple[int, int]:
    """Return what sorts the orders of one side: best price first, then the one that came first."""
    assert order.arrival is not None
    return (-order.price if order.is_buy else order.price), order.arrival


def positive(text: str, field: str) -> Fraction:
    """Return a decimal of the wire's grammar that is above zero."""
    plain = text.replace(".", "", 1)
    if not plain.isascii() or not plain.isdigit() or Fraction(text) == 0:
        raise Refused(INVALID, field)
    return Fraction(text)


def whole(number: Fraction, field: str) -> int:
    """Return a number of units that must be whole and fit 64 bits."""
    if number.denominator != 1 or number > INTEGER_MAX:
        raise Refused(INVALID, field)
    return int(number)


def unsound(instrument: Instrument) -> str | None:
    """Return the first field that makes no valid instrument."""
    values = {name: getattr(instrument, name) for name in (*COUNTS, *RATES)}
    for name in COUNTS:
        if values[name] is not None and not 1 <= values[name] <= INTEGER_MAX:
            return name
    for what in ("quantity", "notional"):
        low, high = values[f"min_{what}"], values[f"max_{what}"]
        if None not in (low, high) and high < low:
            return f"max_{what}"
    for name in RATES:
        if values[name] is None and name != "price_band":
            return name
        rate = values[name] or 0
        if abs(rate) >= WHOLE or (rate < 0 and name != "maker_fee"):
            return name
    if values["maker_fee"] + values["taker_fee"] < 0:
        return "taker_fee"
    if values["price_band"] is not None and values["reference_price"] is None:
        return "reference_price"
    types = None if instrument.order_types and set(BUILT).issuperset(instrument.order_types) else "order_types"
    return unsound_breaker(instrument) or unsound_times(instrument) or types


def unsound_breaker(instrument: Instrument) -> str | None:
    """Return the first field that makes no volatility breaker; all or none must be set."""
    given = any(getattr(instrument, name) is not None for name in BREAKER)
    for name in BREAKER:
        value = getattr(instrument, name)
        if given and (value is None or not 1 <= value <= INTEGER_MAX):
            return name
    return None


def unsound_times(instrument: Instrument) -> str | None:
    """Return the first field that is no length of an auction or time of a day."""
    for name, most in (("auction_ns", INTEGER_MAX), ("session_close_ns", DAY_NS - 1)):
        value = getattr(instrument, name)
        if value is None or not 0 <= value <= most:
            return name
    return None
