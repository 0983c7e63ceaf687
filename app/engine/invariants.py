"""What must hold after every command: checked in tests, and in production at each checkpoint.

Each function raises AssertionError with what it expected and what it found.
"""

from collections import defaultdict

from app.domain.enums import InstrumentStatus, OrderStatus, TimeInForce, TriggerBy
from app.domain.identity import EXTERNAL_ACCOUNT_ID, FEE_ACCOUNT_ID
from app.engine.book import BookSide
from app.engine.bounds import Bounds
from app.engine.ledger import Ledger
from app.engine.links import Link, link_of
from app.engine.positions import VOLUME_DAYS, Position
from app.engine.recorder import Recorder
from app.engine.state import Order, State
from app.engine.timers import CANCEL_AFTER, EXPIRY, HALT_END, Timer
from app.engine.triggers import trigger_of

# On Python 3.11 an enum member looked up on its class costs fifteen times a global.
_OPEN = OrderStatus.OPEN
_PARTIALLY_FILLED = OrderStatus.PARTIALLY_FILLED
_FILLED = OrderStatus.FILLED
_UNTRIGGERED = OrderStatus.UNTRIGGERED
_PENDING = OrderStatus.PENDING
_GTD = TimeInForce.GTD
_DAY = TimeInForce.DAY


def check(state: State) -> None:
    """Check everything; costs time in proportion to the state."""
    check_balances(state)
    check_books(state)
    check_orders(state)
    check_timers(state)
    check_triggers(state)
    check_kill_switches(state)
    check_positions(state)
    check_lists(state)
    check_turnovers(state)
    check_origins(state)


def check_balances(state: State) -> None:
    """No negative balance, holds equal to what the orders hold, every asset's balances add up to nothing."""
    held: defaultdict[tuple[int, str], int] = defaultdict(int)
    ledger = Ledger(state, Recorder(state))
    for account in state.accounts.values():
        for order in account.open_orders.values():
            required = ledger.required_hold(order) if order.extras is None else dict(ledger.shares(order))[order]
            assert order.held == required, f"order {order.order_id}: expected hold {required}, was {order.held}"
            held[account.account_id, order.balance.asset] += order.held
    sums: defaultdict[str, int] = defaultdict(int)
    for account in state.accounts.values():
        house = account.account_id in (EXTERNAL_ACCOUNT_ID, FEE_ACCOUNT_ID)
        for asset, balance in account.balances.items():
            where = f"account {account.account_id} {asset}"
            assert house or balance.available >= 0, f"{where}: negative available {balance.available}"
            expected = held[account.account_id, asset]
            assert balance.held == expected, f"{where}: expected held {expected}, was {balance.held}"
            sums[asset] += balance.available + balance.held
    for asset, total in sums.items():
        assert total == 0, f"{asset}: expected all balances to add up to 0, was {total}"


def check_books(state: State) -> None:
    """Crossed only where an auction left it so, level sums right, queues linked both ways, best level at hand."""
    for symbol, book in state.books.items():
        bid, ask = book.bids.best, book.asks.best
        crossed = bid is not None and ask is not None and bid.price >= ask.price
        status = book.instrument.status
        assert not crossed or status not in (InstrumentStatus.OPEN, InstrumentStatus.POST_ONLY), f"{symbol} is crossed"
        assert book.is_hidden == (crossed or status is InstrumentStatus.AUCTION), f"{symbol}: wrong in hiding"
        assert (book.trail is None) == (book.instrument.breaker_move is None), f"{symbol}: trail without a breaker"
        uncrosses = symbol in state.uncrossing
        assert uncrosses == (book.uncross_price is not None), f"{symbol}: uncross price without an uncross"
        assert not uncrosses or status is InstrumentStatus.AUCTION, f"{symbol} uncrosses while {status}"
        assert book.bounds == Bounds(book.instrument, book.last_price), f"{symbol}: bounds of other rules or prices"
        for side in (book.bids, book.asks):
            _check_side(symbol, side)


def _check_side(symbol: str, side: BookSide) -> None:
    levels = list(side.best_first())
    prices = [level.price for level in levels]
    assert prices == sorted(side.levels, reverse=side.direction > 0), f"{symbol}: price order {prices}"
    assert (levels[0] if levels else None) is side.best, f"{symbol}: wrong best level"
    for level in levels:
        total, reserve, ahead, order = 0, 0, None, level.head
        while order is not None:
            assert order.ahead is ahead, f"{symbol} {level.price}: broken queue at order {order.order_id}"
            assert order.level is level, f"{symbol} {level.price}: order {order.order_id} names another level"
            total += order.shown
            reserve += order.remaining - order.shown
            assert 0 < order.shown <= order.remaining, f"{symbol} {level.price}: order {order.order_id} shows wrongly"
            ahead, order = order, order.behind
        assert level.tail is ahead, f"{symbol} {level.price}: wrong tail"
        assert total == level.quantity > 0, f"{symbol} {level.price}: expected {total}, was {level.quantity}"
        assert reserve == level.reserve, f"{symbol} {level.price}: expected reserve {reserve}, was {level.reserve}"


def check_orders(state: State) -> None:
    """Quantities add up, open orders are in the book and known, ended ones are in neither."""
    for order in state.orders.values():
        status, terms = order.state.status, order.state.terms
        rests = status is _OPEN or status is _PARTIALLY_FILLED
        is_open = rests or status is _UNTRIGGERED or status is _PENDING
        assert is_open == (order.order_id in order.account.open_orders), f"{_named(order)}: wrong in open_orders"
        assert rests == (order.level is not None), f"{_named(order)}: wrong in the book"
        assert order.price == order.state.price, (
            f"{_named(order)}: expected price {order.state.price}, was {order.price}"
        )
        filled, quantity = order.state.filled_quantity, order.state.quantity
        assert 0 <= filled <= quantity, f"{_named(order)}: filled {filled} of {quantity}"
        expected = quantity - filled if is_open else 0
        assert order.remaining == expected, f"{_named(order)}: expected remaining {expected}, was {order.remaining}"
        # A market buy by quote_quantity has the quantity it filled, however it ended.
        is_filled = filled == quantity
        may_differ = terms.quote_quantity is not None and is_filled
        assert may_differ or (status is _FILLED) == is_filled, f"{_named(order)}: status and quantity differ"
        assert is_open or order.held == 0, f"{_named(order)}: still holds {order.held}"


def _named(order: Order) -> str:
    """Return what a message calls an order: only asked for when something is wrong, as it costs as much as all else."""
    return f"order {order.order_id} ({order.status})"


def check_timers(state: State) -> None:
    """Timers in their order; one for every open order that ends by time and every dead man's switch, and no other."""
    timers = state.timers.all()
    assert timers == sorted(timers), "timers out of order"
    expected = {
        Timer(order.extras.due_ns, EXPIRY, order.order_id)
        for order in state.orders.values()
        if order.extras is not None and order.extras.due_ns is not None
    }
    for account in state.accounts.values():
        if account.cancel_after is not None:
            expected.add(Timer(account.cancel_after.due_ns, CANCEL_AFTER, account.account_id))
    for symbol, book in state.books.items():
        if book.phase_timer is not None:
            kind, due_ns = book.phase_timer
            expected.add(Timer(due_ns, kind, symbol))
            status = InstrumentStatus.HALTED if kind == HALT_END else InstrumentStatus.AUCTION
            assert book.instrument.status is status, f"{symbol}: timer {kind} while {book.instrument.status}"
    assert set(timers) == expected, f"expected timers {sorted(expected)}, were {timers}"
    for order in state.orders.values():
        time_in_force = order.state.terms.time_in_force
        ends = (time_in_force is _GTD or time_in_force is _DAY) and order.order_id in order.account.open_orders
        assert ((order.extras is not None) and (order.extras.due_ns is not None)) == ends, (
            f"order {order.order_id} ({order.status}): wrong end by time"
        )


def check_triggers(state: State) -> None:
    """Every untriggered order waits in its book or has fired; what waits is in order, and no print is missed."""
    untriggered = {order.order_id for order in state.orders.values() if order.state.status is _UNTRIGGERED}
    found: list[int] = []
    for symbol, book in state.books.items():
        triggers = book.triggers
        if triggers is None:
            continue
        for order in triggers.waiting():
            assert order.book is book, f"{symbol}: order {order.order_id} waits in another book"
            assert order.extras is not None
            assert order.extras.waits, f"{symbol}: order {order.order_id} does not know that it waits"
            if order.terms.trigger_by is not TriggerBy.MARK:
                trigger = trigger_of(order)
                assert trigger is not None, f"{symbol}: order {order.order_id} has no trigger"
                is_outside = trigger >= triggers.above or trigger <= triggers.below
                assert is_outside, f"{symbol}: {triggers.below} to {triggers.above} passes over {trigger}"
            found.append(order.order_id)
        numbers = [number for number, _ in triggers.fired.values()]
        assert numbers == sorted(numbers), f"{symbol}: fired out of order"
        assert not numbers or symbol in state.firing, f"{symbol}: what fired is not known"
        # A limit child that waits for its instrument to open is queued as well.
        found += [order.order_id for _, order in triggers.fired.values() if order.order_id in untriggered]
    assert sorted(found) == sorted(untriggered), f"expected {sorted(untriggered)} to wait, found {sorted(found)}"


def check_positions(state: State) -> None:
    """Nobody holds what nobody else sold; sums of open orders are those of the orders."""
    nets: defaultdict[str, int] = defaultdict(int)
    for account in state.accounts.values():
        where = f"account {account.account_id}"
        worth: defaultdict[str, int] = defaultdict(int)
        for symbol, position in account.positions.items():
            nets[symbol] += position.net
            orders = [order for order in account.open_orders.values() if order.book is position.book]
            lots = [sum(order.remaining for order in orders if order.is_buy is is_buy) for is_buy in (True, False)]
            found = [position.buying, position.selling]
            assert found == lots, f"{where} {symbol}: expected open buys and sells {lots}, were {found}"
            count = position.open_orders
            assert count == len(orders), f"{where} {symbol}: expected {len(orders)} open orders, were {count}"
            worth[position.book.quote] += sum(
                order.remaining * order.price * position.book.notional_unit for order in orders
            )
            _check_reducing(position, [order for order in orders if order.terms.reduce_only])
            stated = position.touched or position.stated == position.figures
            assert stated, f"{where} {symbol}: {position.figures} not stated"
            assert position.cost >= 0, f"{where} {symbol}: cost {position.cost} of net {position.net}"
            assert position.net or not position.cost, f"{where} {symbol}: cost {position.cost} of no lots"
            assert position.turnover is account.turnovers[position.book.quote], f"{where} {symbol}: another's turnover"
        for quote, turnover in account.turnovers.items():
            value = turnover.open_notional
            assert value == worth[quote], f"{where} {quote}: expected open notional {worth[quote]}, was {value}"
    for symbol, net in nets.items():
        assert net == 0, f"{symbol}: expected all positions to add up to 0, was {net}"


def _check_reducing(position: Position, orders: list[Order]) -> None:
    """Count the reduce-only orders of a position anew."""
    where = f"account {position.account.account_id} {position.book.symbol}"
    found = position.reducing
    assert (found is not None) == bool(orders), f"{where}: reduce-only orders {orders}, counted {found}"
    for is_buy in (True, False) if found is not None else ():
        assert found is not None
        expected = {order.order_id: order.remaining for order in orders if order.is_buy is is_buy}
        counted = found[is_buy].all()
        assert counted == expected, f"{where}: expected reduce-only lots {expected}, were {counted}"
        assert found[is_buy].lots == sum(expected.values()), f"{where}: wrong sum of reduce-only lots"


def check_turnovers(state: State) -> None:
    """Fee tiers known to every book; days that count for them, no others, and their sum."""
    for symbol, book in state.books.items():
        assert book.tiers == state.fee_tiers.get(book.quote, ()), f"{symbol}: other fee tiers, {book.tiers}"
    for account in state.accounts.values():
        for quote, turnover in account.turnovers.items():
            where, days = f"account {account.account_id} {quote}", turnover.days
            assert turnover.day <= state.day, f"{where}: day {turnover.day} has not begun"
            assert all(turnover.day - VOLUME_DAYS <= day < turnover.day for day in days), f"{where}: days {days}"
            expected = sum(days.values())
            assert turnover.volume == expected, f"{where}: expected volume {expected}, was {turnover.volume}"


def check_origins(state: State) -> None:
    """All that an account has came by transfers and by the prints that made its positions, and nothing got lost."""
    expected: defaultdict[tuple[int, str], int] = defaultdict(int)
    for (account_id, _), done in state.transfers.items():
        other = EXTERNAL_ACCOUNT_ID if done.to_account_id is None else done.to_account_id
        expected[account_id, done.asset] += int(done.amount)
        expected[other, done.asset] -= int(done.amount)
    for account in state.accounts.values():
        for position in account.positions.values():
            book = position.book
            expected[account.account_id, book.base] += position.net * book.lot_units
            expected[account.account_id, book.quote] -= position.paid + position.fees
            expected[FEE_ACCOUNT_ID, book.quote] += position.fees
    for account in state.accounts.values():
        for asset, balance in account.balances.items():
            total, origin = balance.available + balance.held, expected.pop((account.account_id, asset), 0)
            where = f"account {account.account_id} {asset}"
            assert total == origin, f"{where}: expected {origin} from transfers and prints, was {total}"
    assert not any(expected.values()), f"expected balances of {dict(expected)}"


def check_kill_switches(state: State) -> None:
    """As many switches counted as are on, and nothing that Ticks cancel is of an unknown account or instrument."""
    on = [state.killed, *(book.killed for book in state.books.values()), *(a.killed for a in state.accounts.values())]
    assert state.kills == sum(on), f"expected {sum(on)} kill switches, were {state.kills}"
    for mass_cancel in state.mass_cancels:
        selection = mass_cancel.selection
        assert selection.account_id is None or selection.account_id in state.accounts, f"{mass_cancel}"
        assert all(symbol in state.books for symbol in selection.symbols or ()), f"{mass_cancel}"


def check_lists(state: State) -> None:
    """Orders of a list know their places, two of a pair each other, and open children what their parent traded."""
    for order in state.orders.values():
        link = link_of(order)
        if link is None and order.state.order_list_id is None:
            assert order.state.status is not _PENDING, f"{_named(order)}: pending without a list"
            continue
        list_id = None if link is None else link.order_list.order_list_id
        assert order.state.order_list_id == list_id, (
            f"{_named(order)}: says list {order.state.order_list_id}, is in {list_id}"
        )
        assert link is not None
        order_list, is_open = link.order_list, order.order_id in order.account.open_orders
        assert order.order_id in order_list.order_ids, f"{_named(order)}: not in list {list_id}"
        assert order_list.order_list_id <= state.last_order_list_id, f"{_named(order)}: in a list of the future"
        pair = [state.orders[each] for each in order_list.pair_ids if each in state.orders]
        others = [each for each in pair if each is not order and each.order_id in each.account.open_orders]
        peer = others[0] if others and is_open and order in pair else None
        assert link.peer is peer, f"{_named(order)}: paired with the wrong order"
        assert peer is None or not (order.held and peer.held), f"{_named(order)}: its pair holds twice"
        if is_open and link.is_child:
            _check_child(state, order, link)


def _check_child(state: State, child: Order, link: Link) -> None:
    """An open child follows its parent, or is queued to; without a trade it does not outlive it."""
    where, order_list = f"order {child.order_id} ({child.status})", link.order_list
    assert (child.status is OrderStatus.PENDING) == link.is_pending, f"{where}: follows {link.granted} lots"
    parent = state.orders.get(order_list.order_ids[0])
    filled = order_list.filled if parent is None else parent.filled
    assert order_list.filled == filled, f"{where}: expected its parent to have {filled}, was {order_list.filled}"
    lives = parent is not None and parent.order_id in parent.account.open_orders
    assert filled or lives, f"{where}: its parent ended"
    triggers = child.book.triggers
    is_queued = triggers is not None and child.order_id in triggers.fired
    assert link.granted == filled or is_queued, f"{where}: expected to follow {filled} lots, was {link.granted}"
