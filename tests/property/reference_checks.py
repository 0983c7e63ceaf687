"""The checks of the reference model: every order before the book, one after the other, the first failure wins."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from math import ceil, floor
from typing import Any

from app.domain import commands
from app.domain.commands import CheckOrder, PlaceOrder
from app.domain.enums import AccountStatus, InstrumentStatus, OrderType, PostOnly, RejectReason, Side, TimeInForce
from app.domain.events import Rejection
from app.domain.instrument import Instrument
from app.domain.outcomes import CheckResult, Outcome
from tests.property.reference_forms import AT_ONCE, CAPPED, PRICED, check_form
from tests.property.reference_gauges import Candidate, ReferenceGauges, Verdict, within
from tests.property.reference_limits import Attempt
from tests.property.reference_listing import INTEGER_MAX, INVALID, WHOLE
from tests.property.reference_records import RefAccount, RefOrder, Refused


class ReferenceChecks(ReferenceGauges):
    """Runs the checks: until the first failure for an order or amend, all of them for a validation."""

    def __init__(self) -> None:
        super().__init__()
        self.checks: tuple[tuple[RejectReason, Callable[[Candidate], list[Verdict]]], ...] = (
            (RejectReason.KILL_SWITCH, self._kill_switch),
            (RejectReason.RESTRICTED_SYMBOL, self._restricted),
            (RejectReason.INSTRUMENT_NOT_OPEN, self._phase),
            (RejectReason.ACCOUNT_FROZEN, self._frozen),
            (RejectReason.REDUCE_ONLY_WOULD_INCREASE, self._reduce_only),
            (RejectReason.EXECUTION_THROTTLED, self._throttle),
            (RejectReason.ORDER_RATE_LIMIT, self._rates),
            (RejectReason.ORDER_TRADE_RATIO, self._ratio),
            (RejectReason.DUPLICATE_ORDER, self._duplicate),
            (INVALID, self._form),
            (RejectReason.NO_LIQUIDITY, self._liquidity),
            (RejectReason.POST_ONLY_WOULD_TAKE, self._post_only),
            (RejectReason.QUANTITY_OUT_OF_RANGE, self._quantity),
            (RejectReason.NOTIONAL_OUT_OF_RANGE, self._notional),
            (RejectReason.NOTIONAL_OUT_OF_RANGE, self._sums),
            (RejectReason.PRICE_BAND, self._band),
            (RejectReason.OPEN_ORDER_LIMIT, self._open_orders),
            (RejectReason.ORDER_NOTIONAL_LIMIT, self._order_notional),
            (RejectReason.OPEN_NOTIONAL_LIMIT, self._open_notional),
            (RejectReason.DAILY_NOTIONAL_LIMIT, self._daily_notional),
            (RejectReason.POSITION_LIMIT, self._position_notional),
            (RejectReason.DAILY_LOSS_LIMIT, self._daily_loss),
            (RejectReason.FOK_NOT_FILLABLE, self._fok),
            (RejectReason.INSUFFICIENT_BALANCE, self._funds),
        )

    # ---- what the half that knows orders does ----------------------------------------------------

    def _fillable(self, order: RefOrder) -> bool:
        raise NotImplementedError

    def _account(self, account_id: int) -> RefAccount:
        raise NotImplementedError

    def _by_client_id(self, account_id: int, client_order_id: str | None) -> RefOrder | None:
        raise NotImplementedError

    def needed(self, candidate: Candidate) -> int:
        """Return what the order must find available: its hold, less what an amended order holds already."""
        held = 0 if candidate.replaces is None else self.hold_of(candidate.replaces)
        return self.hold_of(candidate.order) - held

    def admin_handlers(self) -> dict[type, Callable[[Any], Outcome]]:
        """Return what handles the commands of this half, by their type."""
        return {
            commands.CheckOrder: self.check_order,
            commands.CreateAsset: self.create_asset,
            commands.CreateInstrument: self.create_instrument,
            commands.UpdateInstrument: self.update_instrument,
            commands.SetReference: self.set_reference,
            commands.SetKillSwitch: self.set_kill_switch,
            commands.SetFeeTiers: self.set_fee_tiers,
            commands.CreateAccount: self.create_account,
            commands.UpdateAccount: self.update_account,
            commands.Deposit: self.transfer,
            commands.Withdraw: self.transfer,
            commands.Transfer: self.transfer_between,
            commands.SetLimits: self.set_limits,
            commands.StartEpoch: self.start_epoch,
        }

    # ---- ways through --------------------------------------------------------------------------

    def candidate(self, terms: PlaceOrder, earlier: Sequence[RefOrder] = (), together: int = 1) -> Candidate:
        """Return an order as it would be accepted now, its price still open."""
        instrument = self.captured(terms.account_id, self.instruments[terms.symbol])
        number = self.last_order_id + 1 + len(earlier)
        order = RefOrder(number, terms, instrument, terms.price or 0, terms.quantity, self.timestamp_ns)
        return Candidate(terms, order, earlier=earlier, together=together)

    def admit(self, terms: PlaceOrder, *, earlier: Sequence[RefOrder] = (), together: int = 1) -> RefOrder:
        """Return the order as it is accepted; raises Refused by the first check that fails."""
        candidate = self.candidate(terms, earlier, together)
        for _, check in self.checks:
            self._pass(candidate, check)
        return candidate.order

    def admit_amend(self, order: RefOrder, wished: RefOrder, *, also_moves: bool = False) -> bool:
        """Check an order in its wished shape, whose price may be moved by post-only; returns whether it keeps its
        place. `also_moves`: something else than price and quantity changes that costs the place."""
        candidate = Candidate(order.terms, wished, replaces=order)
        moves = wished.price != order.price or wished.quantity > order.quantity or also_moves
        without = {self._duplicate, self._form, self._open_orders, self._fok}
        checks = [check for _, check in self.checks if check not in without]
        first_number = checks.index(self._quantity)
        if moves:
            for check in checks[:first_number]:
                self._pass(candidate, check)
        else:
            self._count_message(candidate)
        keeps = wished.price == order.price and wished.quantity <= order.quantity and not also_moves
        if keeps and wished.quantity == order.quantity:
            return True
        for check in checks[first_number:]:
            if not keeps or check in {self._quantity, self._notional}:
                self._pass(candidate, check)
        if self.is_counted(order.terms.account_id):
            self.accepted.append(Attempt(self.timestamp_ns, order.terms.account_id))
        return keeps

    def _pass(self, candidate: Candidate, check: Callable[[Candidate], list[Verdict]]) -> None:
        verdicts = check(candidate)
        if check == self._rates:
            self._count_message(candidate)
        for verdict in verdicts:
            if not verdict.passed:
                raise verdict.refusal

    def _count_message(self, candidate: Candidate) -> None:
        account_id = candidate.account_id
        if self.is_counted(account_id):
            self.messages.append(Attempt(self.timestamp_ns, account_id))
        if self.limit(account_id, "symbol_message_rate") is not None:
            self.symbol_messages.append(Attempt(self.timestamp_ns, account_id, candidate.terms.symbol))

    def check_order(self, command: CheckOrder) -> Outcome:
        """Run every check and change nothing."""
        terms = command.order
        self._account(terms.account_id)
        if terms.symbol not in self.instruments:
            raise Refused(RejectReason.UNKNOWN_SYMBOL, "symbol", stated=False)
        candidate = self.candidate(terms)
        reused = RejectReason.CLIENT_ORDER_ID_REUSED
        results = {reused: CheckResult(reused, self._by_client_id(terms.account_id, terms.client_order_id) is None)}
        for code, check in self.checks:
            verdicts = check(candidate)
            failed = [each for each in verdicts if not each.passed]
            limited = [each for each in verdicts if each.limit is not None]
            shown = (failed or limited or [Verdict(True, code)])[0]
            if not failed and limited and check in {self._quantity, self._notional}:
                shown = shown._replace(limit=self._largest(candidate, code))
            name = shown.reason if code is INVALID and failed else code
            if name in results and not failed:
                continue
            limit, used = [None if number is None else str(number) for number in (shown.limit, shown.actual)]
            results[name] = CheckResult(name, not failed, limit, used, shown.unit)
            if failed and code in (INVALID, RejectReason.NO_LIQUIDITY):
                break
        return Outcome(0, 0, checks=tuple(results.values()))

    def _largest(self, c: Candidate, code: RejectReason) -> int:
        """Return the largest quantity, notional or money that the instrument takes and that is exact everywhere."""
        instrument = self.instruments[c.terms.symbol]
        if code is RejectReason.QUANTITY_OUT_OF_RANGE and c.terms.quote_quantity is None:
            bounds = [instrument.max_quantity, INTEGER_MAX // instrument.lot_units]
        else:
            bounds = [instrument.max_notional, INTEGER_MAX]
        return min(bound for bound in bounds if bound is not None)

    # ---- permission ----------------------------------------------------------------------------

    def _kill_switch(self, c: Candidate) -> list[Verdict]:
        scope = self.killed(c.account_id, c.terms.symbol)
        return [Verdict(scope is None, RejectReason.KILL_SWITCH, scope)]

    def _restricted(self, c: Candidate) -> list[Verdict]:
        is_free = c.terms.symbol not in self.settings_of(c.account_id).restricted
        return [Verdict(is_free, RejectReason.RESTRICTED_SYMBOL, "symbol")]

    def _phase(self, c: Candidate) -> list[Verdict]:
        terms, status = c.terms, self.instruments[c.terms.symbol].status
        rests = terms.type is OrderType.LIMIT and terms.time_in_force not in AT_ONCE and terms.post_only is None
        admits = {
            InstrumentStatus.OPEN: True,
            InstrumentStatus.POST_ONLY: terms.post_only is not None,
            InstrumentStatus.AUCTION: self.auctions_held and rests and terms.symbol not in self.uncrossing,
        }
        halted = status is InstrumentStatus.HALTED
        reason = RejectReason.INSTRUMENT_HALTED if halted else RejectReason.INSTRUMENT_NOT_OPEN
        return [Verdict(admits.get(status, False), reason)]

    def _frozen(self, c: Candidate) -> list[Verdict]:
        is_free = self.accounts[c.account_id].status is not AccountStatus.FROZEN
        return [Verdict(is_free, RejectReason.ACCOUNT_FROZEN)]

    def _reduce_only(self, c: Candidate) -> list[Verdict]:
        reason = RejectReason.REDUCE_ONLY_WOULD_INCREASE
        if not c.terms.reduce_only and not self.is_reducing_only(c.account_id):
            return [Verdict(True, reason)]
        if c.terms.quote_quantity is not None and self.is_reducing_only(c.account_id):
            return [Verdict(False, reason, None, 0, 0, "lots")]
        replaced = None if c.replaces is None else c.replaces.order_id
        allowed = self.reducible(c.account_id, c.terms.symbol, c.terms.side, replaced)
        return [Verdict(c.lots <= allowed, reason, None, allowed, c.lots, "lots")]

    # ---- form, price and numbers ---------------------------------------------------------------

    def _form(self, c: Candidate) -> list[Verdict]:
        symbol = c.terms.symbol
        try:
            check_form(c.terms, self.instruments[symbol], self.timestamp_ns, self.mark_price(symbol))
        except Refused as refused:
            return [verdict_of(refused.rejection)]
        return []

    def _liquidity(self, c: Candidate) -> list[Verdict]:
        """Give orders that trade up to a cap their price."""
        if c.terms.type not in CAPPED or c.replaces is not None:
            return []
        instrument, base = self.instruments[c.terms.symbol], self.cap_base(c.terms)
        if base is None:
            return [Verdict(False, RejectReason.NO_LIQUIDITY)]
        c.order.price = cap_price(base, instrument, c.terms)
        return []

    def cap_base(self, terms: PlaceOrder) -> int | None:
        """Return the price a cap is measured from: the best opposite one, or the (first) trigger."""
        if terms.type is OrderType.MARKET:
            return self.best(terms.symbol, opposite(terms.side))[0] or None
        return self.first_trigger(terms)

    def first_trigger(self, terms: PlaceOrder) -> int | None:
        """Return the trigger an order starts with: of a trailing stop, its distance from the price it starts at."""
        if terms.trailing_offset is None:
            return terms.trigger_price
        watermark = self.last_prices.get(terms.symbol) or self.reference_price(terms.symbol)
        if watermark is None:
            return None
        if terms.side is Side.BUY:
            return watermark + terms.trailing_offset
        return max(1, watermark - terms.trailing_offset)

    def _post_only(self, c: Candidate) -> list[Verdict]:
        """Move a post-only order that would take beside the best price, or refuse it."""
        terms, price, best = c.terms, c.order.price, self.best(c.terms.symbol, opposite(c.terms.side))[0]
        waits = terms.type is not OrderType.LIMIT and (c.replaces is None or c.replaces.arrival is None)
        takes = best and (price >= best if terms.side is Side.BUY else price <= best)
        if terms.post_only is None or waits or not takes:
            return []
        beside = best - 1 if terms.side is Side.BUY else best + 1
        if terms.post_only is PostOnly.REPRICE and beside >= 1:
            c.order.price = beside
            return []
        return [Verdict(False, RejectReason.POST_ONLY_WOULD_TAKE, "price", best, price, "ticks")]

    def _band(self, c: Candidate) -> list[Verdict]:
        instrument = self.instruments[c.terms.symbol]
        if instrument.price_band is None or not (c.terms.type in PRICED or c.terms.type is OrderType.MARKET):
            return []
        reference = self.reference_price(c.terms.symbol)
        assert reference is not None
        reach = reference * instrument.price_band // WHOLE
        return within(
            c.order.price, max(1, reference - reach), reference + reach, (RejectReason.PRICE_BAND, "price", "ticks")
        )

    def _fok(self, c: Candidate) -> list[Verdict]:
        at_once = c.terms.time_in_force is TimeInForce.FOK and c.terms.type in {OrderType.LIMIT, OrderType.MARKET}
        return [Verdict(not at_once or self._fillable(c.order), RejectReason.FOK_NOT_FILLABLE)]

    def _funds(self, c: Candidate) -> list[Verdict]:
        asset = c.order.hold_asset
        claimed = sum(self.hold_of(o) for o in c.earlier if o.hold_asset == asset)
        available, needed = self.available(c.account_id, asset) - claimed, self.needed(c)
        return [Verdict(needed <= available, RejectReason.INSUFFICIENT_BALANCE, None, available, needed, asset)]


def verdict_of(rejection: Rejection) -> Verdict:
    """Return a refusal as a failed verdict."""
    limit, actual = [None if text is None else int(text) for text in (rejection.limit, rejection.actual)]
    return Verdict(False, rejection.reason, rejection.field, limit, actual, rejection.unit)


def opposite(side: Side) -> Side:
    return Side.SELL if side is Side.BUY else Side.BUY


def cap_price(best: int, instrument: Instrument, terms: PlaceOrder) -> int:
    """Return the worst price an order may trade at, rounded towards the price it starts from and at least one tick."""
    slippage = (
        instrument.max_slippage if terms.max_slippage is None else min(instrument.max_slippage, terms.max_slippage)
    )
    moved = Fraction(best * slippage, WHOLE)
    if terms.side is Side.BUY:
        return floor(best + moved)
    return max(1, ceil(best - moved))


def in_steps(number: int | None, scale: int | None, step: str, current: int) -> int | None:
    """Return an amended number in ticks or lots; None if it is not an exact multiple."""
    if number is None:
        return current
    if scale is None:
        return number
    steps = Fraction(number, 10**scale) / Fraction(step)
    return int(steps) if steps.denominator == 1 else None
