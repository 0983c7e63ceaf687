"""A leader that tells how accounts stand, as far as a test scripts it."""

import asyncio

from app.domain.standing import AccountStanding
from app.errors import ApiError


class FakeStandings:
    """Tells one standing for everybody, or refuses; nobody leads until a test says so."""

    def __init__(self) -> None:
        self.told: AccountStanding | None = None
        self.asked = 0
        self.heard = asyncio.Event()
        """Set by whoever asks."""
        self.refusal = ApiError("engine_unavailable", "no engine is leading right now", retry_after_ms=500)

    async def standing(self, account_id: int) -> AccountStanding:
        self.asked += 1
        self.heard.set()
        if self.told is None:
            raise self.refusal
        return self.told
