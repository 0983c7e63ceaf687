"""What the leader's lock makes of the driver's errors."""

from unittest.mock import AsyncMock

import asyncpg
import pytest

from app.errors import JournalUnavailable
from app.storage.connection import HealingConnection
from app.storage.leader_lock import LeaderLock


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(),
        TimeoutError(),
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.InternalClientError("got result for unknown protocol state 3"),
        asyncpg.AdminShutdownError("terminating"),
        asyncpg.InsufficientPrivilegeError("no"),
    ],
)
async def test_whatever_the_driver_raises_says_that_the_journal_is_away(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who holds the lock looks at it again later; another error would end that task without a word."""
    monkeypatch.setattr(HealingConnection, "run", AsyncMock(side_effect=error))
    with pytest.raises(JournalUnavailable):
        await LeaderLock("postgresql://nobody@localhost/nothing", 0).try_acquire()
