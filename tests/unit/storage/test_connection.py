"""Which errors of the driver mean that a later attempt may succeed."""

import asyncpg
import pytest

from app.storage.connection import BACKOFF_FIRST_S, BACKOFF_MAX_S, backoff, is_server_fault


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(),
        TimeoutError(),
        asyncpg.ConnectionDoesNotExistError("closed"),
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.CannotConnectNowError("the database system is starting up"),
        asyncpg.AdminShutdownError("terminating"),
        asyncpg.CrashShutdownError("crash"),
        asyncpg.QueryCanceledError("statement timeout"),
        asyncpg.TooManyConnectionsError("too many clients"),
        asyncpg.DiskFullError("no space left"),
        asyncpg.LockNotAvailableError("lock timeout"),
        asyncpg.DeadlockDetectedError("deadlock"),
        asyncpg.ReadOnlySQLTransactionError("a standby"),
    ],
)
def test_an_outage_is_worth_another_attempt(error: Exception) -> None:
    assert is_server_fault(error)


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.UndefinedTableError("no journal"),
        asyncpg.UniqueViolationError("again"),
        asyncpg.InvalidPasswordError("no"),
        asyncpg.exceptions.DataError("out of range"),
        asyncpg.InsufficientPrivilegeError("append-only"),
        ValueError("a mistake of ours"),
    ],
)
def test_a_mistake_is_not(error: Exception) -> None:
    assert not is_server_fault(error)


def test_pauses_grow_to_a_bound() -> None:
    pauses = [backoff(attempt) for attempt in range(2_000)]

    assert pauses[0] == BACKOFF_FIRST_S
    assert pauses == sorted(pauses)
    assert pauses[-1] == BACKOFF_MAX_S
