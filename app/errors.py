"""Operating faults: what may go wrong around the engine, each handled at one edge.

    OrderwireError
    ├── ApiError             a refusal with a wire code (protocol.codes), answered to the client
    ├── StartupError         a role cannot start: one line on stderr, exit code 3
    ├── Fenced               another leader has the term: the process must exit
    ├── JournalDamaged       a row or checkpoint fails its checks; names the sequence
    ├── Unavailable          a dependency does not answer
    │   ├── JournalUnavailable   PostgreSQL; whether an append committed is settled before anything leaves
    │   └── BusUnavailable       Redis; never on the acknowledgement path
    └── LinkError            no leader, or the link was lost

Business refusals of the engine are values (`domain.events.Rejection`), not exceptions; a broken
invariant is an AssertionError and stops the process.
"""

from typing import Any


class OrderwireError(Exception):
    """Base of every operating fault."""


class ApiError(OrderwireError):
    """A refusal with a stable wire code; both transports render it as the one problem object."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        status: int | None = None,
        field: str | None = None,
        retryable: bool | None = None,
        retry_after_ms: int | None = None,
        check: str | None = None,
        limit: str | None = None,
        actual: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.status = status
        self.field = field
        self.retryable = retryable
        self.retry_after_ms = retry_after_ms
        self.check = check
        self.limit = limit
        self.actual = actual
        self.headers = headers or {}

    def extras(self) -> dict[str, Any]:
        """Return the optional members that apply."""
        members = {
            "field": self.field,
            "retry_after_ms": self.retry_after_ms,
            "check": self.check,
            "limit": self.limit,
            "actual": self.actual,
        }
        return {name: value for name, value in members.items() if value is not None}


class StartupError(OrderwireError):
    """A role cannot start; its message is the one line that the operator sees."""


class Fenced(OrderwireError):
    """The shard has a newer leader, or an unknown row stands at our position: exit, never guess."""


class Unavailable(OrderwireError):
    """A dependency does not answer; `retry_after_ms` says when it will be asked again, None if nobody knows."""

    def __init__(self, message: str, *, retry_after_ms: int | None = None) -> None:
        super().__init__(message)
        self.retry_after_ms = retry_after_ms


class JournalUnavailable(Unavailable):
    """PostgreSQL is down or too slow."""


class JournalDamaged(OrderwireError):
    """A journal row or checkpoint does not verify."""


class BusUnavailable(Unavailable):
    """Redis is down or refuses."""


class LinkError(OrderwireError):
    """The command link to the leader failed; `sent` says whether the command may have been executed."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent
