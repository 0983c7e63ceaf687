"""What the reference model derives from its list of prints: positions, volumes, daily figures, fee tiers."""

from typing import NamedTuple

import msgspec

from app.domain.commands import SetFeeTiers, Transfer
from app.domain.enums import Liquidity, RejectReason, Side
from app.domain.events import Event, FeeTiersSet, FundsTransferred, OrderFilled, OrderPartiallyFilled, PositionChanged
from app.domain.instrument import RATE_SCALE, Instrument
from app.domain.outcomes import Outcome
from tests.property.reference_ledger import HOUSE, ReferenceLedger
from tests.property.reference_records import RefAccount, Refused

AMOUNT_MAX = 10**30
DAY_NS = 86_400 * 10**9
VOLUME_DAYS = 30
TIERS_MAX = 20


class RefPrint(NamedTuple):
    """One account's side of one trade."""

    timestamp_ns: int
    account_id: int
    symbol: str
    quote: str
    is_buy: bool
    quantity: int
    lot_notional: int
    """Quote units of one lot at the price."""
    fee: int
    is_taker: bool

    @property
    def notional(self) -> int:
        return self.quantity * self.lot_notional

    @property
    def day(self) -> int:
        return self.timestamp_ns // DAY_NS


class RefPosition(NamedTuple):
    """Net lots (negative: short), what they cost or brought, and what closing brought so far."""

    net: int = 0
    cost: int = 0
    realized: int = 0
    fees: int = 0


class ReferencePositions(ReferenceLedger):
    """Positions and figures over the prints, each worked out anew when asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.prints: list[RefPrint] = []
        self.tiers: dict[str, tuple[tuple[str, int, int], ...]] = {}
        self._stated_positions: dict[tuple[int, str], RefPosition] = {}
        self._traded: set[tuple[int, str]] = set()
        """Account and symbol of the prints since positions were stated."""
        self._positions: dict[tuple[int, str], tuple[int, RefPosition]] = {}
        """What so many of the prints came to: they only grow, and nobody waits for the same sum again."""

    def say(self, event: Event) -> None:
        super().say(event)
        if not isinstance(event, OrderFilled | OrderPartiallyFilled):
            return
        terms, fill = event.order.terms, event.fill
        instrument = self.instruments[terms.symbol]
        lot_notional = fill.price * instrument.notional_unit
        is_taker, is_buy = fill.liquidity is Liquidity.TAKER, terms.side is Side.BUY
        self.prints.append(
            RefPrint(
                self.timestamp_ns,
                terms.account_id,
                terms.symbol,
                instrument.quote,
                is_buy,
                fill.quantity,
                lot_notional,
                fill.fee,
                is_taker,
            )
        )
        self._traded.add((terms.account_id, terms.symbol))

    # ---- figures -------------------------------------------------------------------------------

    def prints_of(self, account_id: int) -> list[RefPrint]:
        """Return the account's sides of all prints, oldest first."""
        return [each for each in self.prints if each.account_id == account_id]

    @property
    def day(self) -> int:
        return self.timestamp_ns // DAY_NS

    def position(self, account_id: int, symbol: str) -> RefPosition:
        """Return the position after all prints."""
        key = account_id, symbol
        known, position = self._positions.get(key, (0, RefPosition()))
        for each in self.prints[known:]:
            if each.account_id == account_id and each.symbol == symbol:
                position = after_print(position, each)
        self._positions[key] = len(self.prints), position
        return position

    def profit_today(self, account_id: int, quote: str) -> int:
        """Return what was realized today in the quote asset, less today's fees."""
        positions: dict[str, RefPosition] = {}
        profit = 0
        for each in self.prints_of(account_id):
            before = positions.get(each.symbol, RefPosition())
            after = positions[each.symbol] = after_print(before, each)
            if each.quote == quote and each.day == self.day:
                profit += after.realized - before.realized - each.fee
        return profit

    def traded_today(self, account_id: int, quote: str) -> int:
        """Return the notional of today's prints in the quote asset."""
        prints = self.prints_of(account_id)
        return sum(each.notional for each in prints if each.quote == quote and each.day == self.day)

    def volume(self, account_id: int, quote: str) -> int:
        """Return the notional of the 30 days before today."""
        days = range(self.day - VOLUME_DAYS, self.day)
        return sum(each.notional for each in self.prints_of(account_id) if each.quote == quote and each.day in days)

    # ---- fee tiers -----------------------------------------------------------------------------

    def captured(self, account_id: int, instrument: Instrument) -> Instrument:
        """Return the instrument with the rates an order captures: its own, or the account's tier's if lower."""
        maker, taker = instrument.maker_fee, instrument.taker_fee
        volume = self.volume(account_id, instrument.quote)
        reached = [tier for tier in self.tiers.get(instrument.quote, ()) if int(tier[0]) <= volume]
        if not reached:
            return instrument
        _, tier_maker, tier_taker = reached[-1]
        rates = {"maker_fee": min(maker, tier_maker), "taker_fee": min(taker, tier_taker)}
        return msgspec.structs.replace(instrument, **rates)

    def set_fee_tiers(self, command: SetFeeTiers) -> Outcome:
        if command.asset not in self.assets:
            raise Refused(RejectReason.INVALID_REQUEST, "asset")
        least_before = -1
        for text, maker, taker in command.tiers:
            least = int(text) if text.isascii() and text.isdigit() else -1
            is_sound = least_before < least <= AMOUNT_MAX and 0 <= taker < RATE_SCALE and -taker <= maker < RATE_SCALE
            if not is_sound:
                raise Refused(RejectReason.INVALID_REQUEST, "tiers")
            least_before = least
        if len(command.tiers) > TIERS_MAX:
            raise Refused(RejectReason.INVALID_REQUEST, "tiers")
        self.tiers[command.asset] = command.tiers
        self.say(FeeTiersSet(self.sequence, command.asset, command.tiers))
        return Outcome(0, 0)

    # ---- transfers -----------------------------------------------------------------------------

    def client(self, account_id: int) -> RefAccount:
        """Return a client's account."""
        account = self.accounts.get(account_id)
        if account is None or account_id in HOUSE:
            raise Refused(RejectReason.NOT_FOUND)
        return account

    def transfer_between(self, command: Transfer) -> Outcome:
        sender, receiver, asset = command.account_id, command.to_account_id, command.asset
        self.client(sender)
        self.client(receiver)
        if sender == receiver:
            raise Refused(RejectReason.INVALID_REQUEST, "to_account_id")
        if asset not in self.assets:
            raise Refused(RejectReason.INVALID_REQUEST, "asset")
        amount = int(command.amount)
        value = asset, -amount, receiver
        known = self.transfers.get((sender, command.transfer_id))
        if known is not None:
            if known != value:
                raise Refused(RejectReason.TRANSFER_ID_REUSED, "transfer_id")
            return Outcome(0, 0, duplicate=True)
        available = self.available(sender, asset)
        if not 1 <= amount <= AMOUNT_MAX or self.owned.get((receiver, asset), 0) + amount > AMOUNT_MAX:
            raise Refused(RejectReason.AMOUNT_OUT_OF_RANGE, "amount", limit=AMOUNT_MAX, actual=amount, unit=asset)
        if amount > available:
            raise Refused(RejectReason.INSUFFICIENT_BALANCE, "amount", limit=available, actual=amount, unit=asset)
        self.transfers[sender, command.transfer_id] = value
        for account_id, signed, other in ((sender, -amount, receiver), (receiver, amount, sender)):
            self.move(account_id, asset, signed)
            self.say(FundsTransferred(self.sequence, account_id, asset, str(signed), command.transfer_id, other))
        return Outcome(0, 0)

    # ---- events --------------------------------------------------------------------------------

    def _state_balances(self, mentioned: list[tuple[int, str]]) -> None:
        super()._state_balances(mentioned)
        for account_id, symbol in sorted(self._traded):
            position = self.position(account_id, symbol)
            if position == self._stated_positions.get((account_id, symbol), RefPosition()):
                continue
            self._stated_positions[account_id, symbol] = position
            texts = str(position.cost), str(position.realized), str(position.fees)
            seq = self.next_seq(account_id)
            self.say(PositionChanged(seq, self.sequence, account_id, symbol, str(position.net), *texts))
        self._traded.clear()


def after_print(before: RefPosition, each: RefPrint) -> RefPosition:
    """Return a position after one more print: what it closes is released in proportion, the rest opens."""
    direction = 1 if each.is_buy else -1
    net, cost, realized, fees = before
    held = -direction * net
    """Lots that a print of this direction can close."""
    closed = min(each.quantity, max(0, held))
    released = 0
    if closed:
        released = cost if closed == held else cost * closed // held
        # A buy closes what was sold for `released`; a sell closes what was bought for it.
        realized += direction * (released - closed * each.lot_notional)
    cost += (each.quantity - closed) * each.lot_notional - released
    return RefPosition(net + direction * each.quantity, cost, realized, fees + each.fee)
