"""A batch on its way into the journal, with everybody who waits for it."""

import asyncio
from typing import NamedTuple

from app.domain.outcomes import Outcome
from app.engine.engine import Sealed
from app.link.server import Connection
from app.protocol.records import BatchRecord
from app.sequencer.questions import Readings
from app.storage.journal import JournalRow


class Flight(NamedTuple):
    """A sealed batch whose append is running."""

    row: JournalRow
    record: BatchRecord
    sealed: Sealed
    answers: list[tuple[Connection, int, Outcome]]
    readings: Readings
    append: asyncio.Task[None]
