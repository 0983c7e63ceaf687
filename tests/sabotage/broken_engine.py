"""`python -m tests.sabotage.broken_engine WHAT engine`: the engine role without one of its promises.

Nothing of this is in `app/`: the promise is cut out of a running interpreter. Every variant, the sound one too, has
slow commits (a tired disk), so that what happens around a commit lasts long enough to be hit.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from app.link.frames import Answer, encode_frame
from app.sequencer.sequencer import Sequencer
from app.storage import journal
from app.storage.journal import Journal, JournalRow

COMMIT_S = 0.03
SOUND = "sound"


def slow_commits() -> None:
    """Let every commit take a while longer."""
    append: Callable[[Journal, JournalRow], Awaitable[None]] = Journal.append

    async def slowly(self: Journal, row: JournalRow) -> None:
        await asyncio.sleep(COMMIT_S)
        await append(self, row)

    Journal.append = slowly  # type: ignore[method-assign]  # what sabotage is


def answer_before_commit() -> None:
    """Acknowledge a batch when its append is started, not when it is done."""
    launch = Sequencer._launch

    def hastily(self: Any) -> None:
        answers, self._answers = self._answers, []
        launch(self)
        for connection, request_id, outcome in answers:
            connection.send_frame(encode_frame(Answer(request_id, outcome)))

    Sequencer._launch = hastily  # type: ignore[method-assign]  # what sabotage is


def publish_before_commit() -> None:
    """Give a batch to the bus when its append is started."""
    launch = Sequencer._launch

    def hastily(self: Any) -> None:
        launch(self)
        self._publish(self._flight)

    Sequencer._launch = hastily  # type: ignore[method-assign]  # what sabotage is


def forget_the_term() -> None:
    """Append and beat whoever leads by now."""
    for name in ("_APPEND", "_BEAT"):
        statement: str = getattr(journal, name)
        place = "$4" if name == "_APPEND" else "$2"
        # The parameter keeps its place and type, and changes nothing.
        broken = statement.replace(f" AND term = {place}", f" AND term = term + 0 * {place}")
        if broken == statement:
            raise SystemExit(f"there is no test of the term in {name} any more")
        setattr(journal, name, broken)


SABOTAGES: dict[str, Callable[[], None]] = {
    SOUND: lambda: None,
    "answer-before-commit": answer_before_commit,
    "publish-before-commit": publish_before_commit,
    "forget-the-term": forget_the_term,
}


def main() -> None:
    """Break one promise, then be `orderwire`."""
    from app.cli import main as orderwire

    slow_commits()
    SABOTAGES[sys.argv.pop(1)]()
    orderwire()


if __name__ == "__main__":
    main()
