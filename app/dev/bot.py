"""What every demo bot does: hold a session, find another replica when it is lost, know its inventory and orders."""

import asyncio
import random
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

import structlog

from app.dev.client import RequestRefused, StreamSession
from app.dev.credentials import Credentials
from app.dev.fair_price import FairPrice

BACKOFF_FIRST_S = 0.1
BACKOFF_LAST_S = 5.0
STEADY_AFTER_S = 30.0
"""After a session that lasted this long the next failure waits briefly again."""

TERMINAL = frozenset({"filled", "canceled", "expired", "rejected"})
LOST = (ConnectionError, TimeoutError, RequestRefused, OSError)
"""What ends a session but not a bot."""

INVENTORY_SPAN = 300.0
"""Usual orders' worth of inventory at which a bot leans against it with all its weight."""

log = structlog.get_logger(__name__)


class Traded(NamedTuple):
    """One instrument as bots trade it; prices and quantities in units of its assets."""

    symbol: str
    base: str
    tick_size: float
    price_digits: int
    quantity_digits: int
    min_quantity: float
    usual_quantity: float
    target: float
    """Inventory of the base asset that a bot returns to."""
    fair: FairPrice


class Bot(ABC):
    """One account's automaton. `run` never returns; a subclass says what to do with a live session."""

    def __init__(self, name: str, urls: Sequence[str], credentials: Credentials, *, first_url: int) -> None:
        self.name = name
        self._urls = urls
        self._credentials = credentials
        self._attempt = first_url
        self._backoff = BACKOFF_FIRST_S
        self.balances: dict[str, float] = {}
        """Available and held, by asset."""

    async def run(self) -> None:
        """Trade until canceled, over one session after another."""
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                await self._session(self._urls[self._attempt % len(self._urls)])
            except LOST as error:
                log.info("bot_reconnects", bot=self.name, reason=f"{type(error).__name__}: {error}")
            # Another replica next: a planned stop, too, asks for that.
            self._attempt += 1
            if loop.time() - began > STEADY_AFTER_S:
                self._backoff = BACKOFF_FIRST_S
            # Jittered: all clients of a stopped replica come back at once otherwise.
            await asyncio.sleep(self._backoff * random.uniform(0.5, 1.5))  # noqa: S311  # no secret
            self._backoff = min(self._backoff * 2, BACKOFF_LAST_S)

    async def _session(self, url: str) -> None:
        async with await StreamSession.connect(url, self._credentials, on_frame=self._on_frame) as session:
            trading = asyncio.create_task(self.trade(session))
            ended = asyncio.create_task(session.closed.wait())
            try:
                await asyncio.wait((trading, ended), return_when=asyncio.FIRST_COMPLETED)
            finally:
                ended.cancel()
                trading.cancel()
                (outcome, _) = await asyncio.gather(trading, ended, return_exceptions=True)
            if isinstance(outcome, Exception):
                raise outcome
            raise ConnectionError(f"the session ended with code {session.close_code}")

    @abstractmethod
    async def trade(self, session: StreamSession) -> None:
        """Trade over a live, authenticated session until it ends or the task is canceled."""

    @abstractmethod
    def on_frame(self, frame: dict[str, Any]) -> None:
        """Take a pushed frame other than balances; called in order."""

    def _on_frame(self, frame: dict[str, Any]) -> None:
        if frame.get("channel") == "balances":
            changed = [frame["balance"]] if "balance" in frame else frame.get("balances", [])
            for balance in changed:
                self.balances[balance["asset"]] = float(balance["available"]) + float(balance["held"])
        else:
            self.on_frame(frame)

    def lean(self, book: Traded) -> float:
        """Return how far the inventory is above (to 1) or below (to -1) what the bot began with."""
        held = self.balances.get(book.base)
        if held is None:
            return 0.0
        return max(-1.0, min(1.0, (held - book.target) / (INVENTORY_SPAN * book.usual_quantity)))


def plain(value: float, digits: int) -> str:
    """Return decimal text as the wire shows it, without needless zeros."""
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
