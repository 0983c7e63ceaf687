"""The market that the load goes to: a new symbol, funded traders, and the standing quotes of a maker."""

import time
from typing import NamedTuple

from app.dev.client import RestClient
from app.dev.credentials import Credentials
from app.domain.commands import Command, CreateAccount, CreateAsset, CreateInstrument, Deposit, PlaceOrder
from app.domain.enums import OrderType, Side
from app.domain.outcomes import Outcome
from app.errors import StartupError
from app.link.client import LinkClient
from app.load.flow import MID, Place, order_body

BASE, QUOTE = "BENCH", "BENCHUSD"
FUNDS = str(10**18)
STANDING_QUANTITY = 10**9
"""Of the maker's quotes: more than all crossing orders of a run take."""
MAKER_FEE, TAKER_FEE = "0.0002", "0.0005"


class Market(NamedTuple):
    """Where the load of the public API trades."""

    symbol: str
    traders: list[Credentials]


class LinkMarket(NamedTuple):
    """Where the load of the link trades."""

    symbol: str
    accounts: list[int]


async def open_market(rest: RestClient, url: str, traders: int) -> Market:
    """List a symbol, open and fund accounts, and place the maker's quotes. Raises RequestRefused."""
    symbol = _new_symbol()
    for asset in (BASE, QUOTE):
        await rest.call("POST", "/v1/admin/assets", {"asset": asset, "scale": 2})
    instrument = {"symbol": symbol, "base": BASE, "quote": QUOTE, "tick_size": "0.01", "lot_size": "1"}
    await rest.call("POST", "/v1/admin/instruments", instrument | {"maker_fee": MAKER_FEE, "taker_fee": TAKER_FEE})
    accounts = [await _open_account(rest, f"{symbol}-{number}") for number in range(traders + 1)]
    async with RestClient(url, accounts[0]) as maker:
        for quote in _quotes(symbol):
            await maker.call("POST", "/v1/orders", order_body(symbol, quote))
    return Market(symbol, accounts[1:])


async def open_link_market(link: LinkClient, traders: int) -> LinkMarket:
    """Do the same with commands over the link. Raises ApiError, or StartupError for a refusal."""
    symbol = _new_symbol()
    for asset in (BASE, QUOTE):
        await link.submit(CreateAsset(asset, 2))
    await _accepted(link, CreateInstrument(symbol, BASE, QUOTE, "0.01", "1", maker_fee=20_000, taker_fee=50_000))
    accounts = []
    for number in range(traders + 1):
        name = f"{symbol}-{number}"
        account_id = (await _accepted(link, CreateAccount(name))).account_id
        assert account_id is not None, "a created account has a number"  # noqa: S101  # what the engine promises
        for asset in (BASE, QUOTE):
            await _accepted(link, Deposit(account_id, asset, FUNDS, f"{name}-{asset}"))
        accounts.append(account_id)
    for quote in _quotes(symbol):
        await _accepted(link, place_command(accounts[0], symbol, quote))
    return LinkMarket(symbol, accounts[1:])


def place_command(account_id: int, symbol: str, order: Place) -> PlaceOrder:
    """Return an order as the engine takes it."""
    return PlaceOrder(
        account_id,
        symbol,
        Side.BUY if order.is_buy else Side.SELL,
        OrderType.LIMIT,
        order.quantity,
        order.price,
        client_order_id=order.client_order_id,
    )


def _new_symbol() -> str:
    return f"B-{time.time_ns() // 1_000_000:X}"


def _quotes(symbol: str) -> tuple[Place, Place]:
    name = f"{symbol}.quote"
    return (
        Place(True, MID - 1, STANDING_QUANTITY, f"{name}.bid", True),
        Place(False, MID + 1, STANDING_QUANTITY, f"{name}.ask", True),
    )


async def _accepted(link: LinkClient, command: Command) -> Outcome:
    outcome = await link.submit(command)
    if outcome.rejection is not None:
        raise StartupError(f"the exchange refused the market of the load: {outcome.rejection}")
    return outcome


async def _open_account(rest: RestClient, name: str) -> Credentials:
    account_id = (await rest.call("POST", "/v1/admin/accounts", {"name": name}))["account_id"]
    for asset in (BASE, QUOTE):
        deposit = {"asset": asset, "amount": FUNDS, "transfer_id": f"{name}-{asset}"}
        await rest.call("POST", f"/v1/admin/accounts/{account_id}/deposits", deposit)
    body = {"name": name, "scopes": ["read", "trade"]}
    key = await rest.call("POST", f"/v1/admin/accounts/{account_id}/api-keys", body)
    return Credentials(account_id, key["key"], key["secret"])
