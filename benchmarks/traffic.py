"""The orders of the path benchmark, and the market and accounts they go to.

Seeded. Seven of ten orders rest behind the best price, three take from a standing quote of the maker, one
fill each; so the book only grows by what rests, and no account meets itself.
"""

import random
import time
from typing import NamedTuple

import msgspec

from app.dev.client import RestClient
from app.dev.credentials import Credentials

SEED = 7
BASE, QUOTE = "BENCH", "BENCHUSD"
MID = 100_000
SPREAD_MEAN = 40.0
CROSSING_SHARE = 0.3
QUANTITY_MAX = 100
FUNDS = str(10**18)
STANDING_QUANTITY = 10**9
"""Of the maker's quotes: more than all crossing orders of a run take."""


class Market(NamedTuple):
    """Where the load trades."""

    symbol: str
    traders: list[Credentials]


async def open_market(rest: RestClient, url: str, traders: int) -> Market:
    """List a symbol, open and fund accounts, and place the maker's quotes. Raises RequestRefused."""
    symbol = f"B-{time.time_ns() // 1_000_000:X}"
    for asset in (BASE, QUOTE):
        await rest.call("POST", "/v1/admin/assets", {"asset": asset, "scale": 2})
    instrument = {"symbol": symbol, "base": BASE, "quote": QUOTE, "tick_size": "0.01", "lot_size": "1"}
    await rest.call("POST", "/v1/admin/instruments", instrument | {"maker_fee": "0.0002", "taker_fee": "0.0005"})
    accounts = [await _open_account(rest, f"{symbol}-{number}") for number in range(traders + 1)]
    async with RestClient(url, accounts[0]) as maker:
        for side, price in (("buy", MID - 1), ("sell", MID + 1)):
            order = {"symbol": symbol, "side": side, "type": "limit", "price": price_text(price)}
            await maker.call("POST", "/v1/orders", order | {"quantity": str(STANDING_QUANTITY)})
    return Market(symbol, accounts[1:])


def orders(symbol: str, name: str, count: int) -> list[bytes]:
    """Return order bodies, the same for the same name; `name` must be new on the exchange."""
    choice = random.Random(f"{SEED} {name}")
    made = []
    for number in range(count):
        is_buy = choice.random() < 0.5
        away = 1 if is_buy else -1
        if choice.random() < CROSSING_SHARE:
            price = MID + away
        else:
            price = MID - away * (2 + int(choice.expovariate(1 / SPREAD_MEAN)))
        body = {
            "symbol": symbol,
            "side": "buy" if is_buy else "sell",
            "type": "limit",
            "price": price_text(price),
            "quantity": str(choice.randint(1, QUANTITY_MAX)),
            "client_order_id": f"{name}.{number}",
        }
        made.append(msgspec.json.encode(body))
    return made


def price_text(ticks: int) -> str:
    """Return ticks of 0.01 as the wire's decimal text."""
    return f"{ticks // 100}.{ticks % 100:02d}"


async def _open_account(rest: RestClient, name: str) -> Credentials:
    account_id = (await rest.call("POST", "/v1/admin/accounts", {"name": name}))["account_id"]
    for asset in (BASE, QUOTE):
        deposit = {"asset": asset, "amount": FUNDS, "transfer_id": f"{name}-{asset}"}
        await rest.call("POST", f"/v1/admin/accounts/{account_id}/deposits", deposit)
    body = {"name": name, "scopes": ["read", "trade"]}
    key = await rest.call("POST", f"/v1/admin/accounts/{account_id}/api-keys", body)
    return Credentials(account_id, key["key"], key["secret"])
