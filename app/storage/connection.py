"""One asyncpg connection that heals: opened when needed, dropped at the first doubt, never waited for without bound.

For the journal and the projector, whose statements follow each other on a connection of their own. Every
statement has an alarm that cuts the connection: asyncpg's own timeout asks the server to cancel and may
wait for ever when that server is frozen.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias, TypeVar

import asyncpg

CONNECT_TIMEOUT_S = 2.0
CLOSE_TIMEOUT_S = 1.0
BACKOFF_FIRST_S = 0.01
BACKOFF_MAX_S = 0.25

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
T = TypeVar("T")

_FAULTS = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.PostgresSystemError,
    asyncpg.TransactionRollbackError,
    asyncpg.LockNotAvailableError,
    asyncpg.ReadOnlySQLTransactionError,
)


def is_server_fault(error: BaseException) -> bool:
    """Return whether a later attempt may succeed: the server is away, starting, stopping, full or too slow."""
    return isinstance(error, _FAULTS) and not isinstance(error, asyncpg.DataError | asyncpg.ClientConfigurationError)


def backoff(attempt: int) -> float:
    """Return the pause in seconds before the attempt after this one; the first is attempt 0."""
    return min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2.0 ** min(attempt, 10))


class HealingConnection:
    """Owner of at most one connection. Not for concurrent use: the owner runs one operation at a time."""

    def __init__(self, dsn: str, *, server_settings: Mapping[str, str]) -> None:
        self._dsn = dsn
        self._server_settings = dict(server_settings)
        self._connection: Connection | None = None

    async def run(self, operation: Callable[[Connection], Awaitable[T]], *, timeout_s: float) -> T:
        """Run one operation, connecting first if need be. After any failure the connection is gone.

        Raises what asyncpg raises; `is_server_fault` tells whether to try again. The outcome of a
        statement that failed is unknown to this class.
        """
        connection = await self._opened()
        alarm = asyncio.get_running_loop().call_later(timeout_s, connection.terminate)
        try:
            return await operation(connection)
        except BaseException:
            self.drop()
            raise
        finally:
            alarm.cancel()

    @property
    def is_open(self) -> bool:
        """Whether the connection of the last operation still stands, as far as is known without asking."""
        return self._connection is not None and not self._connection.is_closed()

    def drop(self) -> None:
        """Cut the connection at once."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    async def close(self) -> None:
        """Say goodbye to the server, for CLOSE_TIMEOUT_S at most."""
        connection, self._connection = self._connection, None
        if connection is None or connection.is_closed():
            return
        goodbye = asyncio.ensure_future(connection.close(timeout=CLOSE_TIMEOUT_S))
        # Wait without cancelling: a close that ignores its cancellation must not hold us.
        await asyncio.wait({goodbye}, timeout=CLOSE_TIMEOUT_S)
        connection.terminate()
        goodbye.add_done_callback(lambda task: task.cancelled() or task.exception())

    async def _opened(self) -> Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(
                self._dsn,
                timeout=CONNECT_TIMEOUT_S,
                server_settings=self._server_settings,
                # Statements stay prepared for the connection's life.
                max_cached_statement_lifetime=0,
            )
        return self._connection
