"""What `orderwire dev` tells a person once the exchange is up: addresses, a key, and three commands to copy."""

import json
import sys
from collections.abc import Mapping
from typing import NamedTuple

from app.dev.credentials import Credentials
from app.dev.options import DevOptions

EXAMPLE_SYMBOL = "BTC-USD"
EXAMPLE_ORDER = {"symbol": EXAMPLE_SYMBOL, "side": "buy", "type": "limit", "price": "50000", "quantity": "0.01"}
EXAMPLE_SUBSCRIPTION = {"action": "subscribe", "channels": [f"orderbook:{EXAMPLE_SYMBOL}"]}


class Person(NamedTuple):
    """How a person signs in to alice's account, and a token that is fresh now."""

    email: str
    password: str
    token: str


def banner(options: DevOptions, accounts: Mapping[str, Credentials], person: Person, *, keeps_data: bool) -> str:
    """Return the text."""
    rest, stream = options.rest_urls[0], options.stream_urls[-1]
    alice = accounts["alice"]
    order, subscription = json.dumps(EXAMPLE_ORDER), json.dumps(EXAMPLE_SUBSCRIPTION)
    market = "The demo market trades." if options.demo else "The books are empty."
    return f"""
Orderwire is up. {market} Ctrl+C stops everything{"" if keeps_data else " and removes its data"}.

  REST       {"  ".join(options.rest_urls)}
  WebSocket  {"  ".join(options.stream_urls)}
  key        {alice.key}   (account alice; her secret, bob's and admin's keys are in .orderwire/dev.json)
  sign in    {person.email}  {person.password}

Place an order (the token lasts 15 minutes; POST /v1/auth/login gives the next):

  curl -s {rest}/v1/orders -H 'Authorization: Bearer {person.token}' \\
    -H 'Content-Type: application/json' -d '{order}'

Watch a book:

  (echo '{subscription}'; cat) | {sys.executable} -m websockets {stream}

Open the docs:

  {sys.executable} -m webbrowser {rest}/docs
"""
