"""The accounts of a checkpoint: balances, positions, limits and counts, as canonical structures and back."""

import msgspec

from app.domain.enums import AccountStatus
from app.engine.limits import Counts, Likeness, Trip
from app.engine.positions import Turnover
from app.engine.state import Account, CancelAfter, State


class CountsEntry(msgspec.Struct, array_like=True):
    """Counts of a second and a day."""

    second: int
    messages: int
    symbols: list[tuple[str, int]]
    rejections: int
    executions: int
    day: int
    accepted: int
    recent: list[tuple[Likeness, int]]
    """The oldest first."""


class TurnoverEntry(msgspec.Struct, array_like=True):
    """Turnover in one quote asset; what open orders are worth is found again from them."""

    asset: str
    day: int
    notional: str
    prints: int
    profit: str
    days: list[tuple[int, str]]
    volume: str


class AccountEntry(msgspec.Struct, array_like=True):
    """An account; what it has in open orders is found again from them."""

    account_id: int
    name: str
    status: AccountStatus
    seq: int
    balances: list[tuple[str, str, str]]
    killed: bool
    cancel_after: CancelAfter | None
    stp_group: int | None
    tier: str | None
    limits: list[tuple[str, str]]
    restricted: tuple[str, ...]
    trip: tuple[str, int] | None
    counts: CountsEntry | None
    turnovers: list[TurnoverEntry]
    positions: list[tuple[str, str, str, str, str]]
    """Symbol, net, cost, realized and fees of those with prints."""


def dump_account(account: Account) -> AccountEntry:
    """Return an account; the batch must be sealed."""
    counts, trip = account.counts, account.trip
    return AccountEntry(
        account.account_id,
        account.name,
        account.status,
        account.seq,
        [(asset, str(balance.available), str(balance.held)) for asset, balance in sorted(account.balances.items())],
        account.killed,
        account.cancel_after,
        account.stp_group,
        account.tier,
        dump_limits(account.limits),
        account.restricted,
        None if trip is None else (str(trip.limit), trip.prints),
        None if counts is None else _dump_counts(counts),
        [_dump_turnover(asset, turnover) for asset, turnover in sorted(account.turnovers.items()) if turnover.day >= 0],
        [
            (symbol, *[str(figure) for figure in position.figures])  # type: ignore[misc]  # four figures
            for symbol, position in sorted(account.positions.items())
            if any(position.figures)
        ],
    )


def _dump_counts(counts: Counts) -> CountsEntry:
    return CountsEntry(
        counts.second,
        counts.messages,
        sorted(counts.symbols.items()),
        counts.rejections,
        counts.executions,
        counts.day,
        counts.accepted,
        list(counts.recent.items()),
    )


def _dump_turnover(asset: str, turnover: Turnover) -> TurnoverEntry:
    days = [(day, str(notional)) for day, notional in turnover.days.items()]
    notional, profit, volume = str(turnover.notional), str(turnover.profit), str(turnover.volume)
    return TurnoverEntry(asset, turnover.day, notional, turnover.prints, profit, days, volume)


def dump_limits(limits: dict[str, int]) -> list[tuple[str, str]]:
    """Return limits by name."""
    return [(name, str(limits[name])) for name in sorted(limits)]


def restore_limits(entries: list[tuple[str, str]]) -> dict[str, int]:
    """Return the limits of a checkpoint."""
    return {name: int(value) for name, value in entries}


def restore_account(state: State, entry: AccountEntry) -> None:
    """Take an account up again, its positions apart."""
    account = state.accounts.get(entry.account_id)
    if account is None:
        account = state.accounts[entry.account_id] = Account(entry.account_id, entry.name)
        state.account_names[entry.name] = entry.account_id
    account.status, account.seq = entry.status, entry.seq
    account.killed, account.cancel_after = entry.killed, entry.cancel_after
    account.stp_group, account.tier, account.restricted = entry.stp_group, entry.tier, entry.restricted
    account.limits = restore_limits(entry.limits)
    account.trip = None if entry.trip is None else Trip(int(entry.trip[0]), entry.trip[1])
    account.look_at_restraints()
    for asset, available, held in entry.balances:
        balance = account.balance(asset)
        balance.available = balance.shown_available = int(available)
        balance.held = balance.shown_held = int(held)
    if entry.counts is not None:
        account.counts = _restore_counts(entry.counts)
    for saved in entry.turnovers:
        turnover = account.turnover(saved.asset)
        turnover.day, turnover.prints = saved.day, saved.prints
        turnover.notional, turnover.profit, turnover.volume = int(saved.notional), int(saved.profit), int(saved.volume)
        turnover.days = {day: int(notional) for day, notional in saved.days}


def _restore_counts(entry: CountsEntry) -> Counts:
    counts = Counts()
    counts.second, counts.messages, counts.symbols = entry.second, entry.messages, dict(entry.symbols)
    counts.rejections, counts.executions = entry.rejections, entry.executions
    counts.day, counts.accepted, counts.recent = entry.day, entry.accepted, dict(entry.recent)
    return counts


def restore_positions(state: State, entry: AccountEntry) -> None:
    """Take an account's positions up again; the books are there."""
    account = state.accounts[entry.account_id]
    for symbol, *figures in entry.positions:
        position = account.position(state.books[symbol])
        position.net, position.cost, position.realized, position.fees = map(int, figures)
        position.stated = position.figures
