"""A random but consistent stream of events of a small market, with the tables it must lead to.

The stream is no engine: orders are accepted, amended, filled and canceled at random, and balances are
any numbers. What matters is that versions, account sequences and trade ids run as the engine's do.
"""

import random
from collections import defaultdict

import msgspec

from app.domain.commands import PlaceOrder
from app.domain.enums import Liquidity, OrderReason, OrderStatus, OrderType, Side
from app.domain.events import (
    AccountOpened,
    AssetCreated,
    BalanceChanged,
    BookDelta,
    CancelAfterSet,
    Fill,
    InstrumentListed,
    OrderAccepted,
    OrderAmended,
    OrderCanceled,
    OrderFilled,
    OrderPartiallyFilled,
    OrderState,
    PositionChanged,
    PrivateEvent,
    SystemEvent,
    TradeExecuted,
)
from app.domain.instrument import Instrument
from app.protocol.records import BatchRecord
from tests.journal_rows import BATCH_NS, START_NS, batch

ACCOUNTS = (1001, 1002, 1003)
SYMBOLS = ("BTC-USD", "ETH-USD")
ASSETS = ("BTC", "ETH", "USD")
BIG = 10**30
SWITCH_EVERY = 20
"""Commands between two changes of the accounts' dead man's switches."""


def instrument(symbol: str) -> Instrument:
    """Return an instrument like the ones of the stream."""
    base, quote = symbol.split("-")
    return Instrument(
        symbol=symbol,
        base=base,
        quote=quote,
        tick_size="0.01",
        lot_size="0.001",
        base_scale=8,
        quote_scale=10,
        notional_unit=100_000,
        lot_units=100_000,
        max_notional=10**18,
        maker_fee=-10_000,
    )


class MarketStream:
    """Makes batches and remembers what the tables must hold after the last one."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.sequence = 0
        self.orders: dict[int, OrderState] = {}
        self.fills: dict[int, list[tuple[Fill, int, int]]] = defaultdict(list)
        """By account: fill, order id, time."""
        self.trades: dict[str, list[TradeExecuted]] = defaultdict(list)
        self.balances: dict[int, dict[str, tuple[int, int]]] = defaultdict(dict)
        self.positions: dict[int, dict[str, tuple[int, ...]]] = defaultdict(dict)
        """By account and symbol: net lots, cost, realized, fees."""
        self.events: dict[int, list[PrivateEvent]] = defaultdict(list)
        self._fresh: dict[int, list[PrivateEvent]] = {}
        self._fresh_trades: dict[str, list[TradeExecuted]] = {}

    def open_orders(self, account_id: int) -> list[OrderState]:
        """Return an account's open orders, oldest first."""
        return [
            order
            for order in self.orders.values()
            if order.terms.account_id == account_id and order.status in (OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED)
        ]

    def genesis(self) -> BatchRecord:
        """Return the batch that creates assets, instruments and accounts."""
        first_seq, system = self.sequence + 1, list[SystemEvent]()
        system += [AssetCreated(first_seq + index, asset, 8) for index, asset in enumerate(ASSETS)]
        system += [InstrumentListed(first_seq + 3 + index, instrument(symbol)) for index, symbol in enumerate(SYMBOLS)]
        system += [
            AccountOpened(first_seq + 5 + index, account, f"a{account}") for index, account in enumerate(ACCOUNTS)
        ]
        self.sequence += len(system)
        return batch(first_seq, commands=len(system), system=system)

    def batch(self, commands: int) -> BatchRecord:
        """Return the next batch of random commands."""
        first_seq = self.sequence + 1
        self._fresh, self._fresh_trades = {}, {}
        now_ns = START_NS + first_seq * BATCH_NS
        for _ in range(commands):
            self.sequence += 1
            open_ids = [number for number, order in self.orders.items() if order.status is not OrderStatus.CANCELED]
            open_ids = [number for number in open_ids if self.orders[number].status is not OrderStatus.FILLED]
            self._random.choice((*[self._place] * 4, self._trade, self._amend, self._cancel))(open_ids, now_ns)
            self._change_balance(self._random.choice(ACCOUNTS))
            if self._random.random() < 0.3:
                self._change_position(self._random.choice(ACCOUNTS))
            if self.sequence % SWITCH_EVERY == 0:
                self._set_cancel_after(now_ns)
        deltas = {
            symbol: BookDelta(symbol, 1, first_seq, first_seq + 1, self.sequence, [(100, first_seq)], [])
            for symbol in self._fresh_trades
        }
        return batch(first_seq, commands=commands, accounts=self._fresh, trades=self._fresh_trades, deltas=deltas)

    def _say(self, account_id: int, event: PrivateEvent) -> None:
        self.events[account_id].append(event)
        self._fresh.setdefault(account_id, []).append(event)

    def _next_seq(self, account_id: int) -> int:
        return len(self.events[account_id]) + 1

    def _place(self, _: list[int], now_ns: int) -> None:
        order_id, choose = len(self.orders) + 1, self._random.choice
        terms = PlaceOrder(
            account_id=choose(ACCOUNTS),
            symbol=choose(SYMBOLS),
            side=choose(list(Side)),
            type=OrderType.LIMIT,
            quantity=self._random.randint(2, 2**62),
            price=self._random.randint(1, 2**62),
            client_order_id=choose((None, f"client-{order_id}")),
            label=choose((None, "grid", "hedge")),
            max_slippage=choose((None, 5)),
            session_id=choose((None, "s-1")),
        )
        assert terms.price is not None
        state = OrderState(
            order_id,
            terms,
            OrderStatus.OPEN,
            1,
            terms.price,
            terms.quantity,
            0,
            0,
            0,
            None,
            now_ns,
            now_ns,
            self.sequence,
        )
        self._move(OrderAccepted(self._next_seq(terms.account_id), state))

    def _move(self, event: OrderAccepted | OrderAmended | OrderCanceled | OrderPartiallyFilled | OrderFilled) -> None:
        self.orders[event.order.order_id] = event.order
        self._say(event.account_id, event)

    def _next_state(self, order_id: int, now_ns: int, **changes: object) -> OrderState:
        before = self.orders[order_id]
        return msgspec.structs.replace(
            before, version=before.version + 1, updated_ns=now_ns, engine_seq=self.sequence, **changes
        )

    def _amend(self, open_ids: list[int], now_ns: int) -> None:
        if open_ids:
            state = self._next_state(self._random.choice(open_ids), now_ns, price=self._random.randint(1, 1000))
            self._move(OrderAmended(self._next_seq(state.terms.account_id), state))

    def _cancel(self, open_ids: list[int], now_ns: int) -> None:
        if open_ids:
            state = self._next_state(
                self._random.choice(open_ids), now_ns, status=OrderStatus.CANCELED, reason=OrderReason.USER
            )
            self._move(OrderCanceled(self._next_seq(state.terms.account_id), state))

    def _trade(self, open_ids: list[int], now_ns: int) -> None:
        if len(open_ids) < 2:
            return
        maker_id, taker_id = self._random.sample(open_ids, 2)
        maker, taker = self.orders[maker_id], self.orders[taker_id]
        symbol = maker.terms.symbol
        trade = TradeExecuted(
            symbol,
            len(self.trades[symbol]) + 1,
            self.sequence,
            self._random.randint(1, 1000),
            1,
            taker.terms.side,
            maker_id,
            taker_id,
            maker.terms.account_id,
            taker.terms.account_id,
        )
        self.trades[symbol].append(trade)
        self._fresh_trades.setdefault(symbol, []).append(trade)
        for order_id, liquidity in ((maker_id, Liquidity.MAKER), (taker_id, Liquidity.TAKER)):
            self._fill(order_id, trade, liquidity, now_ns)

    def _fill(self, order_id: int, trade: TradeExecuted, liquidity: Liquidity, now_ns: int) -> None:
        account_id = self.orders[order_id].terms.account_id
        account_seq = self._next_seq(account_id)
        fill = Fill(trade.trade_id, trade.price, 1, self._random.randint(-5, 5), liquidity, account_seq)
        self.fills[account_id].append((fill, order_id, now_ns))
        full = self._random.random() < 0.5
        state = self._next_state(
            order_id,
            now_ns,
            status=OrderStatus.FILLED if full else OrderStatus.PARTIALLY_FILLED,
            filled_quantity=self.orders[order_id].filled_quantity + 1,
            notional=self.orders[order_id].notional + trade.price,
            fees=self.orders[order_id].fees + fill.fee,
        )
        self._move((OrderFilled if full else OrderPartiallyFilled)(account_seq, state, fill))

    def _change_position(self, account_id: int) -> None:
        symbol, draw = self._random.choice(SYMBOLS), self._random.randint
        figures = (draw(-BIG, BIG), draw(0, BIG), draw(-BIG, BIG), draw(-BIG, BIG))
        self.positions[account_id][symbol] = figures
        self._say(
            account_id,
            PositionChanged(self._next_seq(account_id), self.sequence, account_id, symbol, *map(str, figures)),
        )

    def _set_cancel_after(self, now_ns: int) -> None:
        for account_id in ACCOUNTS:
            for trigger_ns, fired in ((now_ns, False), (None, True)):
                self._say(
                    account_id, CancelAfterSet(self._next_seq(account_id), self.sequence, account_id, trigger_ns, fired)
                )

    def _change_balance(self, account_id: int) -> None:
        asset, available, held = (
            self._random.choice(ASSETS),
            self._random.randint(-BIG, BIG),
            self._random.randint(0, BIG),
        )
        self.balances[account_id][asset] = (available, held)
        self._say(
            account_id,
            BalanceChanged(self._next_seq(account_id), self.sequence, account_id, asset, str(available), str(held)),
        )
