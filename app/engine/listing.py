"""Assets, instruments, accounts, transfers and limits: the commands of administrators.

Each is idempotent by its natural key, so that an unknown outcome is resolved by repeating it.
"""

import msgspec

from app.domain.commands import (
    CreateAccount,
    CreateAsset,
    CreateInstrument,
    Deposit,
    SetLimits,
    StartEpoch,
    UpdateAccount,
    UpdateInstrument,
    Withdraw,
)
from app.domain.decimals import SCALE_MAX, parse_decimal
from app.domain.enums import InstrumentStatus, OrderReason, RejectReason
from app.domain.events import (
    AccountOpened,
    AccountUpdated,
    AssetCreated,
    EpochStarted,
    FundsTransferred,
    InstrumentListed,
    LimitsSet,
)
from app.domain.identity import FIRST_ACCOUNT_ID
from app.domain.instrument import MAX_SLIPPAGE_DEFAULT, ORDER_TYPES_FIRST_CUT, RATE_SCALE, Instrument, units_of
from app.domain.outcomes import Outcome
from app.engine.book import Book
from app.engine.bounds import INTEGER_MAX
from app.engine.ledger import AMOUNT_MAX, Ledger
from app.engine.matching import Matcher
from app.engine.recorder import Recorder, refuse
from app.engine.state import Account, State

ASSETS_MAX = 10_000
INSTRUMENTS_MAX = 10_000
_RATES = ("price_band", "max_slippage", "maker_fee", "taker_fee")
_FILTERS = (
    "min_quantity",
    "max_quantity",
    "min_notional",
    "max_notional",
    "price_band",
    "reference_price",
    "max_slippage",
    "maker_fee",
    "taker_fee",
)


class Listing:
    """Executes the administrative commands."""

    __slots__ = ("_ledger", "_matcher", "_recorder", "_state")

    def __init__(self, state: State, ledger: Ledger, matcher: Matcher, recorder: Recorder) -> None:
        self._state = state
        self._ledger = ledger
        self._matcher = matcher
        self._recorder = recorder

    def create_asset(self, command: CreateAsset) -> Outcome:
        """Add an asset."""
        state = self._state
        known = state.assets.get(command.asset)
        if known is not None:
            if known == command.scale:
                return self._done(duplicate=True)
            return self._refused(RejectReason.INVALID_REQUEST, "scale")
        if not 0 <= command.scale <= SCALE_MAX or len(state.assets) >= ASSETS_MAX:
            return self._refused(RejectReason.INVALID_REQUEST, "scale")
        state.assets[command.asset] = command.scale
        self._recorder.system(AssetCreated(state.sequence, command.asset, command.scale))
        return self._done()

    def create_instrument(self, command: CreateInstrument) -> Outcome:
        """List an instrument; repeating the same command changes nothing."""
        state = self._state
        base_scale = state.assets.get(command.base)
        quote_scale = state.assets.get(command.quote)
        if base_scale is None or command.base == command.quote:
            return self._refused(RejectReason.INVALID_REQUEST, "base")
        if quote_scale is None:
            return self._refused(RejectReason.INVALID_REQUEST, "quote")
        tick, lot = parse_decimal(command.tick_size), parse_decimal(command.lot_size)
        if tick is None or tick.mantissa == 0:
            return self._refused(RejectReason.INVALID_REQUEST, "tick_size")
        lot_units = None if lot is None or lot.mantissa == 0 else units_of(lot, base_scale)
        if lot is None or lot_units is None or lot_units > INTEGER_MAX:
            return self._refused(RejectReason.INVALID_REQUEST, "lot_size")
        notional_step = type(tick)(tick.mantissa * lot.mantissa, tick.scale + lot.scale)
        # 0.5 x 0.2 is 0.10: needless zeros must not make the product look finer than it is.
        while notional_step.mantissa % 10 == 0:
            notional_step = type(tick)(notional_step.mantissa // 10, notional_step.scale - 1)
        notional_unit = units_of(notional_step, quote_scale)
        if notional_unit is None or notional_unit > INTEGER_MAX:
            return self._refused(RejectReason.INVALID_REQUEST, "tick_size")
        instrument = Instrument(
            symbol=command.symbol,
            base=command.base,
            quote=command.quote,
            tick_size=command.tick_size,
            lot_size=command.lot_size,
            base_scale=base_scale,
            quote_scale=quote_scale,
            notional_unit=notional_unit,
            lot_units=lot_units,
            min_quantity=command.min_quantity,
            max_quantity=command.max_quantity,
            min_notional=command.min_notional,
            max_notional=command.max_notional,
            price_band=command.price_band,
            reference_price=command.reference_price,
            max_slippage=MAX_SLIPPAGE_DEFAULT if command.max_slippage is None else command.max_slippage,
            maker_fee=command.maker_fee,
            taker_fee=command.taker_fee,
            order_types=ORDER_TYPES_FIRST_CUT if command.order_types is None else command.order_types,
            status=command.status,
        )
        return self._list(instrument)

    def _list(self, instrument: Instrument) -> Outcome:
        state = self._state
        known = state.books.get(instrument.symbol)
        if known is not None:
            if known.instrument == instrument:
                return self._done(duplicate=True, instrument=instrument)
            return self._refused(RejectReason.INVALID_REQUEST, "symbol")
        field = invalid_field(instrument)
        if field is not None or len(state.books) >= INSTRUMENTS_MAX:
            return self._refused(RejectReason.INVALID_REQUEST, field or "symbol")
        state.books[instrument.symbol] = Book(instrument)
        self._recorder.system(InstrumentListed(state.sequence, instrument))
        return self._done(instrument=instrument)

    def update_instrument(self, command: UpdateInstrument) -> Outcome:
        """Edit status, filters or fees; closing cancels everything that is open."""
        state = self._state
        book = state.books.get(command.symbol)
        if book is None:
            return self._refused(RejectReason.UNKNOWN_SYMBOL, "symbol")
        if book.instrument.status is InstrumentStatus.CLOSED:
            return self._refused(RejectReason.INSTRUMENT_NOT_OPEN, "status")
        changes: dict[str, object] = {name: value for name, value in command.changes.items() if name in _FILTERS}
        if len(changes) != len(command.changes):
            return self._refused(RejectReason.INVALID_REQUEST, "filters")
        if command.status is not None:
            changes["status"] = command.status
        instrument = msgspec.structs.replace(book.instrument, **changes)
        field = invalid_field(instrument)
        if field is not None:
            return self._refused(RejectReason.INVALID_REQUEST, field)
        book.define(instrument)
        self._recorder.system(InstrumentListed(state.sequence, instrument))
        if instrument.status is InstrumentStatus.CLOSED:
            self._recorder.books[command.symbol] = book
            for side in (book.bids, book.asks):
                while side.best is not None and side.best.head is not None:
                    self._matcher.cancel(side.best.head, OrderReason.INSTRUMENT_CLOSED)
        return self._done(instrument=instrument)

    def create_account(self, command: CreateAccount) -> Outcome:
        """Open an account; its name is the natural key."""
        state = self._state
        known = state.account_names.get(command.name)
        if known is not None:
            if known < FIRST_ACCOUNT_ID:
                return self._refused(RejectReason.INVALID_REQUEST, "name")
            return self._done(duplicate=True, account_id=known)
        state.last_account_id += 1
        account = Account(state.last_account_id, command.name)
        state.accounts[account.account_id] = account
        state.account_names[account.name] = account.account_id
        self._recorder.system(AccountOpened(state.sequence, account.account_id, account.name))
        return self._done(account_id=account.account_id)

    def update_account(self, command: UpdateAccount) -> Outcome:
        """Freeze or reactivate an account."""
        account = self._state.accounts.get(command.account_id)
        if account is None or account.account_id < FIRST_ACCOUNT_ID:
            return self._refused(RejectReason.NOT_FOUND, None)
        account.status = command.status
        self._recorder.system(AccountUpdated(self._state.sequence, account.account_id, account.status))
        return self._done()

    def deposit(self, command: Deposit) -> Outcome:
        """Credit an account from outside."""
        return self._transfer(command, 1)

    def withdraw(self, command: Withdraw) -> Outcome:
        """Debit an account's available balance to outside."""
        return self._transfer(command, -1)

    def _transfer(self, command: Deposit | Withdraw, sign: int) -> Outcome:
        state = self._state
        account = state.accounts.get(command.account_id)
        if account is None or account.account_id < FIRST_ACCOUNT_ID:
            return self._refused(RejectReason.NOT_FOUND, None)
        if command.asset not in state.assets:
            return self._refused(RejectReason.INVALID_REQUEST, "asset")
        amount = int(command.amount) * sign
        key = (account.account_id, command.transfer_id)
        known = state.transfers.get(key)
        if known is not None:
            if known == (command.asset, str(amount)):
                return self._done(duplicate=True)
            return self._refused(RejectReason.TRANSFER_ID_REUSED, "transfer_id")
        balance = account.balance(command.asset)
        if not 0 < amount * sign <= AMOUNT_MAX or balance.available + balance.held + amount > AMOUNT_MAX:
            return self._refused(
                RejectReason.AMOUNT_OUT_OF_RANGE, "amount", limit=AMOUNT_MAX, actual=amount * sign, unit=command.asset
            )
        if balance.available + amount < 0:
            return self._refused(
                RejectReason.INSUFFICIENT_BALANCE, "amount", limit=balance.available, actual=-amount, unit=command.asset
            )
        state.transfers[key] = (command.asset, str(amount))
        self._ledger.transfer(balance, amount)
        self._recorder.system(
            FundsTransferred(state.sequence, account.account_id, command.asset, str(amount), command.transfer_id)
        )
        return self._done()

    def set_limits(self, command: SetLimits) -> Outcome:
        """Set the exchange's limits."""
        if command.open_orders is not None and command.open_orders < 0:
            return self._refused(RejectReason.INVALID_REQUEST, "open_orders")
        self._state.open_orders_max = command.open_orders
        self._recorder.system(LimitsSet(self._state.sequence, command.open_orders))
        return self._done()

    def start_epoch(self, command: StartEpoch) -> Outcome:
        """Begin a new identity of the published sequences; books count on from 0."""
        state = self._state
        if command.epoch <= state.epoch:
            return self._refused(
                RejectReason.INVALID_REQUEST, "epoch", limit=state.epoch, actual=command.epoch, unit="count"
            )
        state.epoch = command.epoch
        for book in state.books.values():
            book.seq = 0
        self._recorder.system(EpochStarted(state.sequence, state.epoch))
        return self._done()

    def _done(
        self, *, duplicate: bool = False, account_id: int | None = None, instrument: Instrument | None = None
    ) -> Outcome:
        state = self._state
        return Outcome(
            state.sequence, state.timestamp_ns, duplicate=duplicate, account_id=account_id, instrument=instrument
        )

    def _refused(
        self,
        reason: RejectReason,
        field: str | None,
        *,
        limit: int | None = None,
        actual: int | None = None,
        unit: str | None = None,
    ) -> Outcome:
        state = self._state
        rejection = refuse(reason, field=field, limit=limit, actual=actual, unit=unit)
        return Outcome(state.sequence, state.timestamp_ns, rejection)


def invalid_field(instrument: Instrument) -> str | None:
    """Return the first field whose value makes no valid instrument, or None."""
    for name in ("min_quantity", "max_quantity", "min_notional", "max_notional", "reference_price"):
        value = getattr(instrument, name)
        if value is not None and not 0 < value <= INTEGER_MAX:
            return name
    for low, high in (("min_quantity", "max_quantity"), ("min_notional", "max_notional")):
        least, most = getattr(instrument, low), getattr(instrument, high)
        if least is not None and most is not None and least > most:
            return high
    for name in _RATES:
        value = getattr(instrument, name)
        lowest = 1 - RATE_SCALE if name == "maker_fee" else 0
        # Only the band can be lifted: without a fee or a slippage no order could be priced.
        if not (name == "price_band" if value is None else lowest <= value < RATE_SCALE):
            return name
    # A rebate above the taker fee would let two accounts drain the fee account.
    if instrument.taker_fee < -instrument.maker_fee:
        return "taker_fee"
    if instrument.price_band is not None and instrument.reference_price is None:
        return "reference_price"
    # A type that is not built yet would be executed as another one.
    built = instrument.order_types and set(instrument.order_types) <= set(ORDER_TYPES_FIRST_CUT)
    return None if built else "order_types"
