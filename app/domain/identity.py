"""Who is asking: the result of authentication, the same for every transport."""

from typing import NamedTuple

import msgspec

SCOPES = ("read", "trade", "transfer", "admin")

EXTERNAL_ACCOUNT_ID = 1
"""Owner of everything that is outside: its balance is minus the sum of deposits and withdrawals."""
FEE_ACCOUNT_ID = 2
"""Collects fees and rounding, pays rebates; the only account that may go below zero besides the external one."""
FIRST_ACCOUNT_ID = 1001
"""First account that is given to a client."""


class Principal(msgspec.Struct, frozen=True):
    """An authenticated caller acting for one account."""

    account_id: int
    scopes: frozenset[str]
    symbols: frozenset[str] | None = None
    """Instruments the credentials are limited to; None is all."""
    key_id: str | None = None
    user_id: int | None = None
    expires_at_ms: int | None = None
    """When the credentials end, in Unix milliseconds; None is never."""

    def may_see(self, symbol: str) -> bool:
        """Return whether the credentials are good for an instrument."""
        return self.symbols is None or symbol in self.symbols


class SessionKey(NamedTuple):
    """A session of the stream: its name counts within its account."""

    account_id: int
    session_id: str
