"""A request whose answer is awaited, and what its sender learns if the answer never comes."""

import asyncio
from typing import Any

from app.domain.commands import CancelAll, CancelOrder, CloseSession, Command
from app.errors import ApiError

_CANCELS = (CancelOrder, CancelAll, CloseSession)


class Pending:
    """One request; `command` is None for a query."""

    __slots__ = ("attempt", "command", "deadline", "future", "resendable", "sent")

    def __init__(self, future: "asyncio.Future[Any]", deadline: float, command: bytes | None, resendable: bool) -> None:
        self.future = future
        self.deadline = deadline
        self.command = command
        self.resendable = resendable
        self.attempt = 0
        self.sent = False

    def unknown(self) -> ApiError:
        """Return the refusal of a request without an answer."""
        if not self.sent:
            return ApiError("engine_unavailable", "no engine is leading right now", retry_after_ms=500)
        return ApiError(
            "execution_unknown",
            "the command may or may not have been executed; ask by its natural key, or repeat it if it has one",
            retryable=self.resendable,
        )


def is_cancel(command: Command) -> bool:
    """Return whether the command only takes risk out of the market: every queue keeps places for these."""
    return isinstance(command, _CANCELS)
