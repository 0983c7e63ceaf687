"""A batch on its way into the journal, with everybody who waits for it."""

import asyncio
from dataclasses import dataclass, field

from app.domain.outcomes import Outcome
from app.engine.engine import Sealed
from app.link.server import Connection
from app.protocol.records import BatchRecord
from app.sequencer.questions import Readings
from app.storage.journal import JournalRow


@dataclass(slots=True, eq=False)
class Flight:
    """A sealed batch whose append is running."""

    row: JournalRow
    record: BatchRecord
    sealed: Sealed
    answers: list[tuple[Connection, int, Outcome]]
    readings: Readings
    append: "asyncio.Task[None]" = field(init=False)
    """Ends when the batch is committed and its answers are written."""
    commit_s: float = 0.0
