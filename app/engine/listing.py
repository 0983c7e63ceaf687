"""Assets and epochs: commands of administrators.

Each is idempotent by its natural key, so that an unknown outcome is resolved by repeating it.
"""

from app.domain.commands import CreateAsset, StartEpoch
from app.domain.decimals import SCALE_MAX
from app.domain.enums import RejectReason
from app.domain.events import AssetCreated, EpochStarted
from app.domain.outcomes import Outcome
from app.engine.recorder import Recorder, refuse
from app.engine.state import State

ASSETS_MAX = 10_000


class Listing:
    """Executes the administrative commands."""

    __slots__ = ("_recorder", "_state")

    def __init__(self, state: State, recorder: Recorder) -> None:
        self._state = state
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

    def _done(self, *, duplicate: bool = False) -> Outcome:
        return Outcome(self._state.sequence, self._state.timestamp_ns, duplicate=duplicate)

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
