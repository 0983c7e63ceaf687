"""Check an order without placing it: every check is run, whatever the ones before it found.

The checks are those of placing (desk.py, orders.py), in their order; what refuses an order there is the first one
that fails here. Nothing is counted, held or remembered.
"""

from collections.abc import Iterable
from typing import NamedTuple

from app.domain.commands import CheckOrder, PlaceOrder
from app.domain.enums import AccountStatus, OrderType, RejectReason, TimeInForce
from app.domain.events import Rejection
from app.domain.limits import LIMITS
from app.domain.outcomes import CheckResult, Outcome
from app.engine import controls, forms, risk
from app.engine.book import Book
from app.engine.bounds import INTEGER_MAX
from app.engine.controls import Attempt, Gauge
from app.engine.kill_switch import check_kill_switch
from app.engine.limits import counts_of, gate_of
from app.engine.orders import BANDED_TYPES, OrderDesk
from app.engine.recorder import refuse
from app.engine.rehearsal import fillable
from app.engine.state import Account, Order

EXPOSURES = ("order_notional", "open_notional", "daily_notional", "position_notional", "daily_loss")
"""Limits of what an order may be worth, in the order of their checks."""

# On Python 3.11 an enum member looked up on its class costs fifteen times a global.
_REDUCE_ONLY = AccountStatus.REDUCE_ONLY
_AT_WORK = (OrderType.LIMIT, OrderType.MARKET)
_FOK = TimeInForce.FOK


class Measure(NamedTuple):
    """What a check that passes compared."""

    limit: int
    used: int
    unit: str


class Findings:
    """Results of the checks so far, one of each name, in their order."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._results: dict[str, CheckResult] = {}

    @property
    def results(self) -> tuple[CheckResult, ...]:
        """Return them."""
        return tuple(self._results.values())

    def add(self, code: RejectReason, rejection: Rejection | None, measure: Measure | None = None) -> None:
        """Record a check by its code: refused, or passed with what it compared; of several of a code a failed one."""
        if rejection is not None:
            self._results[code] = CheckResult(code, False, rejection.limit, rejection.actual, rejection.unit)
        elif code in self._results:
            return
        elif measure is None:
            self._results[code] = CheckResult(code, True)
        else:
            self._results[code] = CheckResult(code, True, str(measure.limit), str(measure.used), measure.unit)

    def gauge(self, code: RejectReason, gauges: Iterable[Gauge]) -> None:
        """Record limits: the first that is passed, else the first that is set."""
        found = list(gauges)
        for gauge in found:
            if not gauge.is_kept:
                self.add(code, gauge.rejection(self._book))
                return
        self.add(code, None, measure_of(found[0], self._book) if found else None)


class CheckDesk(OrderDesk):
    """Executes CheckOrder."""

    __slots__ = ()

    def check(self, command: CheckOrder) -> Outcome:
        """Answer with the result of every check, as far as they make sense."""
        terms = command.order
        account = self._accounts.get(terms.account_id)
        if account is None:
            return self._outcome(rejection=refuse(RejectReason.NOT_FOUND))
        book = self._books.get(terms.symbol)
        if book is None:
            return self._outcome(rejection=refuse(RejectReason.UNKNOWN_SYMBOL, field="symbol"))
        findings = Findings(book)
        self._find_entry(findings, terms, account, book)
        rejection = forms.check_form(terms, book, self._state.timestamp_ns)
        findings.add(RejectReason.INVALID_REQUEST if rejection is None else rejection.reason, rejection)
        if rejection is None:
            self._find_price(findings, terms, account, book)
        return self._outcome(checks=findings.results)

    def _find_entry(self, findings: Findings, terms: PlaceOrder, account: Account, book: Book) -> None:
        """Check whether such an order may be sent now; without regard to what it says in detail."""
        state, add = self._state, findings.add
        reused = None
        if terms.client_order_id is not None and terms.client_order_id in account.client_ids:
            reused = refuse(RejectReason.CLIENT_ORDER_ID_REUSED)
        add(RejectReason.CLIENT_ORDER_ID_REUSED, reused)
        add(RejectReason.KILL_SWITCH, check_kill_switch(state, account, book))
        add(RejectReason.RESTRICTED_SYMBOL, controls.check_restricted(account, book))
        add(RejectReason.INSTRUMENT_NOT_OPEN, risk.check_phase(book, terms))
        add(RejectReason.ACCOUNT_FROZEN, risk.check_frozen(account))
        reducing = None
        if terms.reduce_only or account.status is _REDUCE_ONLY:
            reducing = Measure(controls.room_to_reduce(account, book, terms), terms.quantity, "lots")
        rejection = controls.check_reduce_only(account, book, terms, terms.quantity, None)
        add(RejectReason.REDUCE_ONLY_WOULD_INCREASE, rejection, reducing)
        add(RejectReason.EXECUTION_THROTTLED, controls.check_throttle(account))
        counts = counts_of(state, account)
        rates = [] if counts is None else controls.rate_gauges(gate_of(state, account), counts, book.symbol)
        findings.gauge(RejectReason.ORDER_RATE_LIMIT, rates)
        ratio = controls.ratio_gauge(state, account)
        measure = None if ratio is None else measure_of(ratio, book)
        add(RejectReason.ORDER_TRADE_RATIO, controls.check_ratio(state, account, book), measure)
        repeated = controls.duplicate_gauge(state, account, terms)
        findings.gauge(RejectReason.DUPLICATE_ORDER, [] if repeated is None else [repeated])

    def _find_price(self, findings: Findings, terms: PlaceOrder, account: Account, book: Book) -> None:
        """Check what a sound order's price, numbers and size come to; without a price there is nothing to check."""
        price, rejection = self._price(terms, book)
        is_missing = rejection is not None and rejection.reason is RejectReason.NO_LIQUIDITY
        findings.add(RejectReason.NO_LIQUIDITY, rejection if is_missing else None)
        if is_missing:
            return
        findings.add(RejectReason.POST_ONLY_WOULD_TAKE, rejection)
        if rejection is not None:
            assert terms.price is not None, "only orders with a price are post-only"
            price = terms.price
        order = self._draft(terms, account, book, price)
        self._find_numbers(findings, order)
        self._find_exposure(findings, order)
        fails = terms.type in _AT_WORK and terms.time_in_force is _FOK
        if fails:
            fails = not fillable(book, order, self._state.timestamp_ns)
        findings.add(RejectReason.FOK_NOT_FILLABLE, refuse(RejectReason.FOK_NOT_FILLABLE) if fails else None)
        required, balance = self._ledger.required_hold(order), order.balance
        missing = required - balance.available
        findings.add(
            RejectReason.INSUFFICIENT_BALANCE,
            self.insufficient(order, missing) if missing > 0 else None,
            Measure(balance.available, required, balance.asset),
        )

    def _find_numbers(self, findings: Findings, order: Order) -> None:
        terms, book, price = order.terms, order.book, order.price
        instrument, money = book.instrument, terms.quote_quantity
        if money is None:
            rejection = risk.check_quantity(instrument, price, terms.quantity)
            measure = Measure(most_of(instrument.max_quantity, instrument.lot_units), terms.quantity, "lots")
            findings.add(RejectReason.QUANTITY_OUT_OF_RANGE, rejection, measure)
            rejection = risk.check_notional(instrument, price, terms.quantity)
            traded = price * terms.quantity * book.notional_unit
            notional = Measure(most_of(instrument.max_notional), traded, book.quote)
            findings.add(RejectReason.NOTIONAL_OUT_OF_RANGE, rejection, notional)
        else:
            rejection = risk.check_money(book, money, order.rates.taker)
            measure = Measure(most_of(instrument.max_notional), money, book.quote)
            findings.add(RejectReason.QUANTITY_OUT_OF_RANGE, rejection, measure)
        rejection = risk.check_sums(book, terms.side, price, terms.quantity)
        findings.add(RejectReason.NOTIONAL_OUT_OF_RANGE, rejection)
        band = risk.band_of(book) if terms.type in BANDED_TYPES else None
        if band is None:
            findings.add(RejectReason.PRICE_BAND, None)
        else:
            findings.add(RejectReason.PRICE_BAND, risk.check_band(book, price), Measure(band[0], price, "ticks"))

    def _find_exposure(self, findings: Findings, order: Order) -> None:
        state, account, terms = self._state, order.account, order.terms
        attempt = Attempt(account, order.book, terms, order.is_buy, order.price, terms.quantity)
        gate = gate_of(state, account)
        findings.gauge(RejectReason.OPEN_ORDER_LIMIT, controls.open_order_gauges(gate, attempt))
        exposures = {gauge.name: gauge for gauge in controls.exposure_gauges(state, gate, attempt)}
        for name in EXPOSURES:
            findings.gauge(LIMITS[name].reason, [exposures[name]] if name in exposures else [])


def most_of(highest: int | None, units: int = 1) -> int:
    """Return an instrument's upper bound, or the largest number of so many units each that is exact everywhere."""
    most = INTEGER_MAX // units
    return most if highest is None else min(highest, most)


def measure_of(gauge: Gauge, book: Book) -> Measure:
    """Return what a limit that is set compares."""
    unit = LIMITS[gauge.name].unit
    return Measure(gauge.limit, gauge.actual, book.quote if unit == "quote" else unit)
