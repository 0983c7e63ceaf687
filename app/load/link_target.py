"""The engine's link as a target: what a replica sees, without the API before it."""

import asyncio
from collections.abc import Sequence

from app.domain.commands import CancelOrder, Command
from app.errors import ApiError
from app.link.client import LinkClient
from app.load.flow import Place, Request, Trader
from app.load.market import LinkMarket, place_command
from app.load.open_loop import ANSWER_TIMEOUT_S, Observer

UNKNOWN = "execution_unknown"


class LinkTarget:
    """Traders in turn, each on one of the links."""

    def __init__(self, observer: Observer, links: Sequence[LinkClient], market: LinkMarket, *, seed: int) -> None:
        self._observer = observer
        self._links = links
        self._market = market
        self._traders = [Trader(f"{market.symbol}.{number}", seed) for number in range(len(market.accounts))]
        self._tasks: set[asyncio.Task[None]] = set()

    def can_send(self) -> bool:
        """Return True: a link without a leader refuses by itself."""
        return True

    def send(self, number: int) -> None:
        """Send the next trader's request."""
        task = asyncio.get_running_loop().create_task(self._submit(number))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def give_up(self, number: int) -> None:
        """Do nothing: the link has the same deadline."""

    async def close(self) -> None:
        """Give up what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _submit(self, number: int) -> None:
        place = number % len(self._traders)
        trader = self._traders[place]
        request = trader.next_request()
        command = self._command(self._market.accounts[place], request)
        try:
            outcome = await self._links[number % len(self._links)].submit(
                command, deadline_ms=int(ANSWER_TIMEOUT_S * 1000)
            )
        except ApiError as error:
            if error.code == UNKNOWN:
                self._observer.lost(number)
            else:
                self._observer.refused(number, error.code)
            return
        if outcome.rejection is not None:
            self._observer.refused(number, outcome.rejection.reason.value)
            return
        trader.acknowledged(request, None if outcome.order is None else outcome.order.order_id)
        self._observer.acknowledged(number)

    def _command(self, account_id: int, request: Request) -> Command:
        if isinstance(request, Place):
            return place_command(account_id, self._market.symbol, request)
        return CancelOrder(account_id, order_id=request.order_id)
