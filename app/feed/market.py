"""A market of a feed's own on a running server: a new symbol and two funded accounts."""

from typing import NamedTuple

from app.dev.client import RestClient
from app.dev.credentials import Credentials
from app.feed.command_set import CommandSet

QUOTE_ASSET = "FEEDUSD"
BASE_ASSET = "FEED"
"""Both have no decimal places, so with tick 1 and lot 1 the recording's integers are the wire's decimals."""


class FeedMarket(NamedTuple):
    """Where a feed trades."""

    symbol: str
    buyer: Credentials
    seller: Credentials


async def open_market(rest: RestClient, symbol: str, commands: CommandSet) -> FeedMarket:
    """List the symbol without limits and fund one account for all buys and one for all sells. Raises RequestRefused."""
    for asset in (BASE_ASSET, QUOTE_ASSET):
        await rest.call("POST", "/v1/admin/assets", {"asset": asset, "scale": 0})
    await rest.call(
        "POST",
        "/v1/admin/instruments",
        {"symbol": symbol, "base": BASE_ASSET, "quote": QUOTE_ASSET, "tick_size": "1", "lot_size": "1"},
    )
    orders = [(item.side, item.price, item.quantity) for item in commands.seed]
    orders += [(item.side, item.price, item.quantity) for item in commands.commands]
    money = sum(price * quantity for side, price, quantity in orders if side == 1) + 1
    goods = sum(quantity for side, _, quantity in orders if side == -1) + 1
    buyer = await _open_account(rest, f"{symbol}-buys", QUOTE_ASSET, money)
    seller = await _open_account(rest, f"{symbol}-sells", BASE_ASSET, goods)
    return FeedMarket(symbol, buyer, seller)


async def _open_account(rest: RestClient, name: str, asset: str, amount: int) -> Credentials:
    account_id = (await rest.call("POST", "/v1/admin/accounts", {"name": name}))["account_id"]
    deposit = {"asset": asset, "amount": str(amount), "transfer_id": name}
    await rest.call("POST", f"/v1/admin/accounts/{account_id}/deposits", deposit)
    body = {"name": name, "scopes": ["read", "trade"]}
    key = await rest.call("POST", f"/v1/admin/accounts/{account_id}/api-keys", body)
    return Credentials(account_id, key["key"], key["secret"])
