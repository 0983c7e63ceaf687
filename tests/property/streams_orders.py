"""Orders of all kinds for the random streams: plain ones, ones that wait, and several in one command."""

import random
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from app.domain.commands import Command, PlaceBatch, PlaceList, PlaceOrder
from app.domain.enums import ListKind, OrderType, PostOnly, SelfTradePrevention, Side, TimeInForce, TriggerBy
from app.domain.events import OrderState
from app.domain.instrument import Instrument
from tests.property.groups import GROUPS
from tests.property.profiles import DAY_NS, INTEGER_MAX, MILLISECOND_NS, PERCENT, SECOND_NS, Profile

SESSIONS = (None, "s1", "s2") if "sessions" in GROUPS else (None,)
TRIGGERS = OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT
PRICED = OrderType.LIMIT, OrderType.STOP_LIMIT, OrderType.TAKE_PROFIT_LIMIT
COMPARED = (None, None, TriggerBy.LAST, TriggerBy.MARK) if "mark" in GROUPS else (None, TriggerBy.LAST)
SPOILED = 0.08
"""Share of orders that one member makes senseless."""
ODD_MEMBERS_OF: dict[str, tuple[dict[str, Any], ...]] = {
    "triggers": (
        {"trigger_price": 0},
        {"trigger_price": 5},
        {"trigger_price": INTEGER_MAX},
        {"trigger_by": TriggerBy.LAST},
        {"trailing_offset": 0},
        {"trailing_offset": 1},
        {"trailing_offset": INTEGER_MAX},
    ),
    "mark": ({"trigger_by": TriggerBy.MARK},),
    "icebergs": ({"display_quantity": 0}, {"display_quantity": 10**6}),
    "quotes": ({"quote_quantity": 5},),
    "expiry": ({"expire_ns": 5}, {"time_in_force": TimeInForce.GTD}, {"time_in_force": TimeInForce.DAY}),
    "reduce_only": ({"reduce_only": True},),
}
ODD_MEMBERS: tuple[dict[str, Any], ...] = (
    {"max_slippage": 1},
    {"post_only": PostOnly.REJECT},
    {"time_in_force": TimeInForce.FOK},
    {"price": None},
    {"price": 5},
    {"quantity": 0},
    *[members for group in sorted(GROUPS) for members in ODD_MEMBERS_OF.get(group, ())],
)
"""Members that do not fit most orders."""


class OrderCommands:
    """Part of a stream: makes orders."""

    rng: random.Random
    profile: Profile
    now_ns: int
    """Time of the batch."""
    _accounts: list[int]
    _listed: dict[str, Instrument]
    _open: dict[int, OrderState]
    _recent: deque[OrderState]
    _names: int

    # ---- plain orders --------------------------------------------------------------------------

    def _limit(self, time_in_force: TimeInForce = TimeInForce.GTC, **terms: Any) -> PlaceOrder:
        rng, profile = self.rng, self.profile
        side = rng.choice((Side.BUY, Side.SELL))
        distance = int(rng.triangular(0, profile.reach + 1, 0))
        sign = -1 if side is Side.BUY else 1
        if rng.random() < 0.35:
            sign = -sign
        members: dict[str, Any] = {
            "account_id": rng.choice(self._accounts),
            "symbol": rng.choice(list(self._listed)),
            "side": side,
            "type": OrderType.LIMIT,
            "price": max(1, profile.middle + sign * distance),
            "quantity": self._lots(),
            "time_in_force": time_in_force,
            "stp": rng.choice(profile.stp),
            "label": rng.choice((None, "a", "b")),
            "session_id": rng.choice(SESSIONS),
        }
        if rng.random() < profile.client_ids:
            self._names += 1
            members["client_order_id"] = f"c{self._names}"
        return PlaceOrder(**(members | terms))

    def _lots(self) -> int:
        most = self.profile.lots_max
        return self.rng.randint(1, max(1, most // self.rng.choice((1, 1, 2, 10))))

    def _ioc(self) -> PlaceOrder:
        return self._limit(TimeInForce.IOC)

    def _fok(self) -> PlaceOrder:
        """Often exactly what is reachable, or one lot more."""
        order = self._limit(TimeInForce.FOK)
        assert order.price is not None
        reachable = [
            state
            for state in self._open.values()
            if state.terms.symbol == order.symbol
            and state.terms.side is not order.side
            and (state.price <= order.price if order.side is Side.BUY else state.price >= order.price)
        ]
        lots = sum(state.remaining_quantity for state in reachable) + self.rng.choice((0, 0, 1))
        exact = 0 < lots <= INTEGER_MAX and self.rng.random() < 0.6
        return msgspec.structs.replace(order, quantity=lots) if exact else order

    def _market(self) -> PlaceOrder:
        kind = self.rng.choice((TimeInForce.IOC, TimeInForce.IOC, TimeInForce.FOK))
        slippage = self.rng.choice((None, None, 0, PERCENT))
        return self._limit(kind, type=OrderType.MARKET, price=None, max_slippage=slippage)

    def _post_only(self) -> PlaceOrder:
        return self._limit(post_only=self.rng.choice((PostOnly.REJECT, PostOnly.REPRICE, PostOnly.REPRICE)))

    def _repeat(self) -> Command:
        """Send an order again, sometimes with another body or from another session."""
        known = [state.terms for state in (*self._open.values(), *self._recent) if state.terms.client_order_id]
        if not known:
            return self._limit(client_order_id="again")
        change = self.rng.choice(({}, {}, {"session_id": "other"}, {"quantity": self._lots()}, {"label": "other"}))
        return msgspec.structs.replace(self.rng.choice(known), **change)

    def _plain_orders(self) -> Sequence[Callable[[], Command]]:
        makers: list[Callable[[], Command]] = [self._limit, self._ioc, self._fok, self._market, self._post_only]
        makers += [self._trigger, self._trailing] if "triggers" in GROUPS else []
        makers += [self._iceberg] if "icebergs" in GROUPS else []
        makers += [self._quote] if "quotes" in GROUPS else []
        return makers

    def _spoiled(self, order: PlaceOrder) -> PlaceOrder:
        """Return the order, at times with a member that does not fit."""
        if self.rng.random() > SPOILED:
            return order
        return msgspec.structs.replace(order, **self.rng.choice(ODD_MEMBERS))

    def _near(self) -> int:
        reach = self.profile.reach
        return max(1, self.profile.middle + self.rng.randint(-reach, reach))

    # ---- orders that show less, spend money, wait, or end --------------------------------------

    def _iceberg(self) -> PlaceOrder:
        lots = max(2, self._lots())
        # Not too small a part, or one sweep would be thousands of prints.
        shown = self.rng.randint(max(1, lots // 10), lots - 1)
        post_only = self.rng.choice((None, None, None, PostOnly.REPRICE))
        return self._spoiled(self._limit(quantity=lots, display_quantity=shown, post_only=post_only))

    def _quote(self) -> PlaceOrder:
        """Mostly money for some lots near the middle, to the unit or a little more or less."""
        rng = self.rng
        order = self._market()
        unit = self._listed[order.symbol].notional_unit
        money = self._lots() * self._near() * unit + rng.choice((0, 0, 1, -1, rng.randint(0, unit)))
        members: dict[str, Any] = {"side": Side.BUY, "time_in_force": TimeInForce.IOC, "quantity": 0}
        if order.stp is SelfTradePrevention.DECREMENT and rng.random() < 0.9:
            members["stp"] = SelfTradePrevention.CANCEL_OLDEST
        money = rng.choice((money, money, money, money, 1, unit * self.profile.middle, INTEGER_MAX))
        return self._spoiled(msgspec.structs.replace(order, quote_quantity=money, **members))

    def _trigger(self, **terms: Any) -> PlaceOrder:
        rng, kind = self.rng, self.rng.choice(TRIGGERS)
        members: dict[str, Any] = {
            "type": kind,
            "trigger_price": self._near(),
            "trigger_by": rng.choice(COMPARED),
            "price": None,
        }
        if kind in PRICED:
            members["price"] = self._near()
            members["post_only"] = rng.choice((None, None, None, PostOnly.REJECT, PostOnly.REPRICE))
            if members["post_only"] is None:
                members["time_in_force"] = rng.choice((*[TimeInForce.GTC] * 3, TimeInForce.IOC, TimeInForce.FOK))
        else:
            members["max_slippage"] = rng.choice((None, None, 0, PERCENT))
        return self._spoiled(self._limit(**(members | terms)))

    def _trailing(self, **terms: Any) -> PlaceOrder:
        offset = self.rng.randint(1, max(1, self.profile.reach))
        members: dict[str, Any] = {"type": OrderType.TRAILING_STOP, "trailing_offset": offset, "price": None}
        return self._spoiled(self._limit(**(members | terms)))

    def _expiring(self) -> PlaceOrder:
        """Until soon, later, the end of the day, or a time that is past."""
        rng = self.rng
        order = rng.choice((self._limit, self._limit, self._trigger))() if "triggers" in GROUPS else self._limit()
        if rng.random() < 0.35:
            return msgspec.structs.replace(order, time_in_force=TimeInForce.DAY)
        spans = MILLISECOND_NS, 2 * MILLISECOND_NS, SECOND_NS, 5 * SECOND_NS, DAY_NS, 1, 0, -1
        weights = 5, 5, 5, 5, 1, 1, 1, 1
        due = self.now_ns + rng.choices(spans, weights)[0]
        return self._spoiled(msgspec.structs.replace(order, time_in_force=TimeInForce.GTD, expire_ns=due))

    # ---- several orders ------------------------------------------------------------------------

    def _leg(self, like: PlaceOrder, kinds: Sequence[str], **terms: Any) -> PlaceOrder:
        """Return another order of the same account, instrument and size."""
        makers = {"limit": self._limit, "trigger": self._trigger, "trailing": self._trailing}
        same = {"account_id": like.account_id, "symbol": like.symbol, "quantity": like.quantity}
        order = makers[self.rng.choice(kinds)](**(same | terms))
        at_once = order.time_in_force in (TimeInForce.IOC, TimeInForce.FOK)
        if at_once and self.rng.random() < 0.95:
            order = msgspec.structs.replace(order, time_in_force=TimeInForce.GTC)
        if "expiry" in GROUPS and self.rng.random() < 0.05:
            order = msgspec.structs.replace(order, time_in_force=TimeInForce.DAY)
        return order

    def _oco(self) -> Command:
        first = self._leg(self._limit(), ("limit", "limit", "trigger", "trailing"))
        second = self._leg(first, ("limit", "trigger", "trigger", "trailing"), side=first.side)
        return self._listing_of(ListKind.OCO, first, second)

    def _entry(self) -> PlaceOrder:
        order = self._leg(self._limit(), ("limit", "limit", "limit", "trigger"))
        if self.rng.random() < 0.25:
            market: dict[str, Any] = {"type": OrderType.MARKET, "time_in_force": TimeInForce.IOC, "price": None}
            order = self._limit(quantity=order.quantity, **market)
        return order

    def _oto(self) -> Command:
        entry = self._entry()
        kinds = "limit", "limit", "trigger", "trailing"
        children = [self._leg(entry, kinds) for _ in range(self.rng.choice((1, 1, 2)))]
        return self._listing_of(ListKind.OTO, entry, *children)

    def _bracket(self) -> Command:
        entry = self._entry()
        other = Side.SELL if entry.side is Side.BUY else Side.BUY
        target = self._leg(entry, ("limit", "limit", "limit", "trigger"), side=other)
        stop = self._leg(entry, ("trigger", "trigger", "trailing"), side=other)
        return self._listing_of(ListKind.BRACKET, entry, target, stop)

    def _listing_of(self, kind: ListKind, *orders: PlaceOrder) -> Command:
        """Return the list, at times one that makes no sense."""
        rng, account_id = self.rng, orders[0].account_id
        if rng.random() < SPOILED:
            odd: tuple[tuple[PlaceOrder, ...], ...] = (
                orders[:1],
                (*orders, orders[-1]),
                (*orders[:-1], msgspec.structs.replace(orders[-1], account_id=self._accounts[0])),
                (*orders[:-1], msgspec.structs.replace(orders[-1], quantity=1)),
                (orders[0], *[msgspec.structs.replace(order, symbol="NOPE") for order in orders[1:]]),
                tuple(msgspec.structs.replace(order, symbol="NOPE") for order in orders),
                tuple(msgspec.structs.replace(order, client_order_id="same") for order in orders),
                orders[::-1],
            )
            orders = rng.choice(odd)
        elif rng.random() < 0.04:
            known = [state.terms for state in (*self._open.values(), *self._recent) if state.terms.client_order_id]
            orders = (rng.choice(known), *orders[1:]) if known else orders
        return PlaceList(account_id, kind, orders)

    def _batched(self, makers: Sequence[Callable[[], Command]]) -> tuple[int, tuple[PlaceOrder, ...]]:
        """Return an account and orders of it, at times ones that make no batch."""
        rng, account_id = self.rng, self.rng.choice(self._accounts)
        orders = []
        for _ in range(rng.choice((1, 2, 3, 3, 5, 8))):
            order = rng.choice(makers)()
            assert isinstance(order, PlaceOrder)
            self._names += 1
            orders.append(msgspec.structs.replace(order, account_id=account_id, client_order_id=f"c{self._names}"))
        place = rng.randrange(len(orders))
        odd: dict[str, Any] = rng.choice(
            (
                {"client_order_id": None},
                {"client_order_id": "c1"},
                {"account_id": 999},
                {"symbol": "NOPE"},
                {"price": 0},
            )
        )
        if rng.random() < SPOILED:
            orders[place] = msgspec.structs.replace(orders[place], **odd)
        return account_id, tuple(orders)

    def _batch(self) -> Command:
        account_id, orders = self._batched(self._plain_orders())
        return PlaceBatch(account_id, orders * 20 if self.rng.random() < 0.01 else orders, atomic=False)

    def _atomic_batch(self) -> Command:
        makers = [self._limit, self._limit, self._limit, self._post_only]
        makers += [self._iceberg] if "icebergs" in GROUPS else []
        account_id, orders = self._batched([*makers, self._market] if self.rng.random() < 0.1 else makers)
        return PlaceBatch(account_id, orders, atomic=True)
