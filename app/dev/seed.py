"""Fills a new exchange with assets, instruments, accounts, keys and money, through the public admin API.

Everything has a natural key (asset, symbol, account name, transfer_id), so seeding an exchange again
changes nothing. API keys have none: known credentials are handed in, and only missing ones are made.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import NamedTuple

from app.dev import catalog
from app.dev.banner import Person
from app.dev.client import RequestRefused, RestClient
from app.dev.credentials import Credentials

KEY_SCOPES = ["read", "trade", "transfer"]
VISIBLE_WITHIN_S = 20.0
"""How long the projections and the other replicas may take to show what was seeded."""
RETRY_S = 0.02


class Seeded(NamedTuple):
    """What seeding gives: credentials by account name, and the journal position that holds all of it."""

    credentials: dict[str, Credentials]
    engine_seq: int


async def seed(base_url: str, known: Mapping[str, Credentials], *, demo: bool) -> Seeded:
    """Seed the exchange; `known` holds at least the administrator's credentials.

    Raises RequestRefused and ConnectionError.
    """
    names = (*catalog.CLIENTS, *(catalog.BOTS if demo else ()))
    async with RestClient(base_url, known[catalog.ADMINISTRATOR]) as admin:
        sequences = [await _list(admin, demo=demo)]
        owners = await asyncio.gather(*(_open_account(admin, name, known.get(name)) for name in names))
        credentials = dict(known) | dict(zip(names, owners, strict=True))
        funded = (*names, catalog.ADMINISTRATOR) if demo else names
        deposits = (
            _deposit(admin, credentials[name].account_id, asset, amount, f"seed-{name}-{asset}")
            for name in funded
            for asset, amount in (catalog.BOT_FUNDS if name in catalog.BOTS else catalog.CLIENT_FUNDS).items()
        )
        sequences += await asyncio.gather(*deposits)
    return Seeded(credentials, max(sequences))


async def engine_sequence(base_url: str, administrator: Credentials) -> int | None:
    """Return the journal position, or None when the exchange does not know the stored key: it is another one."""
    async with RestClient(base_url, administrator) as admin:
        try:
            return int((await admin.call("GET", "/v1/admin/engine"))["engine_seq"])
        except RequestRefused as refusal:
            if refusal.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
                return None
            raise


async def wait_visible(base_urls: Iterable[str], owner: Credentials, engine_seq: int) -> None:
    """Return when every replica's books and reads have applied a journal position. Raises TimeoutError."""
    symbol = catalog.INSTRUMENTS[-1].symbol
    async with asyncio.timeout(VISIBLE_WITHIN_S):
        for base_url in base_urls:
            async with RestClient(base_url, owner) as client:
                for path in (f"/v1/orderbook/{symbol}", "/v1/balances"):
                    # The server waits for the position itself, 2 s at a time.
                    target = f"{path}?min_seq={engine_seq}"
                    while (await client.send("GET", target)).status_code != HTTPStatus.OK:  # noqa: ASYNC110  # remote
                        await asyncio.sleep(RETRY_S)


async def sign_in(base_url: str, known: Mapping[str, Credentials], *, password: str) -> Person:
    """Let a person sign in to alice's account; the access token is fresh. Raises RequestRefused and ConnectionError."""
    # The second is for a database that another start filled, whose password nobody remembers.
    emails = ("alice@example.com", f"alice-{hashlib.sha256(password.encode()).hexdigest()[:6]}@example.com")
    async with RestClient(base_url, known[catalog.ADMINISTRATOR]) as admin:
        for email in emails:
            body = {"email": email, "password": password}
            await admin.call("POST", "/v1/admin/accounts", {"name": catalog.CLIENTS[0], **body})
            with contextlib.suppress(RequestRefused):
                return Person(email, password, str((await admin.call("POST", "/v1/auth/login", body))["access_token"]))
    raise ConnectionError("nobody can sign in")


async def _list(admin: RestClient, *, demo: bool) -> int:
    """Create assets and instruments that are missing; returns the journal position."""
    assets = ({"asset": asset, "scale": scale} for asset, scale in catalog.ASSET_SCALES.items())
    answers = await asyncio.gather(*(admin.call("POST", "/v1/admin/assets", body) for body in assets))
    # Looked up first: one that was edited since may not be listed again as it was.
    listed = {shape["symbol"] for shape in (await admin.call("GET", "/v1/instruments"))["data"]}
    missing = [instrument for instrument in catalog.INSTRUMENTS if instrument.symbol not in listed]
    bodies = (catalog.instrument_body(instrument, demo=demo) for instrument in missing)
    answers += await asyncio.gather(*(admin.call("POST", "/v1/admin/instruments", body) for body in bodies))
    if not demo:
        answers.append(await admin.call("PATCH", "/v1/admin/limits", {"open_orders": None}))
    return max(int(answer["engine_seq"]) for answer in answers)


async def _open_account(admin: RestClient, name: str, known: Credentials | None) -> Credentials:
    if known is not None:
        return known
    account_id = (await admin.call("POST", "/v1/admin/accounts", {"name": name}))["account_id"]
    body = {"name": "orderwire dev", "scopes": KEY_SCOPES}
    created = await admin.call("POST", f"/v1/admin/accounts/{account_id}/api-keys", body)
    return Credentials(account_id, created["key"], created["secret"])


async def _deposit(admin: RestClient, account_id: str, asset: str, amount: str, transfer_id: str) -> int:
    body = {"asset": asset, "amount": amount, "transfer_id": transfer_id}
    return int((await admin.call("POST", f"/v1/admin/accounts/{account_id}/deposits", body))["engine_seq"])
