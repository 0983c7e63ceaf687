"""Fee tiers: accounts that turned over much in the 30 days before today pay the tier's rates, where they are lower."""

from app.domain.commands import SetFeeTiers
from app.domain.enums import RejectReason
from app.domain.events import FeeTiersSet
from app.domain.instrument import RATE_SCALE
from app.domain.limits import LIMIT_MAX
from app.domain.outcomes import Outcome
from app.engine.book import Book, Rates, rates_of
from app.engine.positions import Turnover
from app.engine.recorder import Recorder, refuse
from app.engine.state import FeeTier, State

TIERS_MAX = 20
"""Fee tiers of one quote asset."""


class FeeTiers:
    """Executes SetFeeTiers."""

    __slots__ = ("_recorder", "_state")

    def __init__(self, state: State, recorder: Recorder) -> None:
        self._state = state
        self._recorder = recorder

    def set(self, command: SetFeeTiers) -> Outcome:
        """Replace the tiers of a quote asset; orders that are open keep what they captured."""
        state = self._state
        if command.asset not in state.assets:
            rejection = refuse(RejectReason.INVALID_REQUEST, field="asset")
            return Outcome(state.sequence, state.timestamp_ns, rejection)
        tiers = tiers_of(command.tiers)
        if tiers is None:
            rejection = refuse(RejectReason.INVALID_REQUEST, field="tiers")
            return Outcome(state.sequence, state.timestamp_ns, rejection)
        state.fee_tiers[command.asset] = tiers
        self._recorder.system(FeeTiersSet(state.sequence, command.asset, command.tiers))
        return Outcome(state.sequence, state.timestamp_ns)


def tiers_of(rows: tuple[tuple[str, int, int], ...]) -> tuple[FeeTier, ...] | None:
    """Return the tiers of rows of least volume, maker and taker rate; None if they are none."""
    tiers: list[FeeTier] = []
    for text, maker, taker in rows:
        least = int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(LIMIT_MAX)) else -1
        before = tiers[-1].volume if tiers else -1
        if not before < least <= LIMIT_MAX or not 0 <= taker < RATE_SCALE or not -taker <= maker < RATE_SCALE:
            return None
        tiers.append(FeeTier(least, maker, taker))
    return tuple(tiers) if len(tiers) <= TIERS_MAX else None


def captured(tiers: tuple[FeeTier, ...], turnover: Turnover, book: Book, day: int) -> Rates:
    """Return the rates that an order accepted today captures."""
    if turnover.day != day:
        turnover.begin_day(day)
    current, volume = book.rates, turnover.volume
    for tier in reversed(tiers):
        if tier.volume <= volume:
            maker, taker = min(current.maker, tier.maker), min(current.taker, tier.taker)
            return current if (maker, taker) == (current.maker, current.taker) else rates_of(maker, taker)
    return current
