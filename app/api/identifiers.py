"""Ids and symbols in paths. What is not even formed like one cannot exist, so it is 404, not 400."""

import re
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from app.errors import ApiError

ID_MAX = 2**63 - 1
_ID = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)
_SYMBOL = re.compile(r"[A-Z0-9.-]{1,20}", re.ASCII)
_CLIENT_ORDER_ID = re.compile(r"[A-Za-z0-9._:-]{1,36}", re.ASCII)
_KEY_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


def _matching(request: Request, name: str, pattern: re.Pattern[str]) -> str | None:
    text: str = request.path_params[name]
    return text if pattern.fullmatch(text) else None


async def _order_id(request: Request) -> str:
    text = _matching(request, "order_id", _ID)
    if text is None or int(text) > ID_MAX:
        raise ApiError("unknown_order", "There is no such order.")
    return text


async def _client_order_id(request: Request) -> str:
    text = _matching(request, "client_order_id", _CLIENT_ORDER_ID)
    if text is None:
        raise ApiError("unknown_order", "There is no such order.")
    return text


async def _order_list_id(request: Request) -> str:
    text = _matching(request, "order_list_id", _ID)
    if text is None or int(text) > ID_MAX:
        raise unknown_list()
    return text


async def _account_id(request: Request) -> int:
    text = _matching(request, "account_id", _ID)
    if text is None or int(text) > ID_MAX:
        raise ApiError("not_found", "There is no such account.")
    return int(text)


async def _symbol(request: Request) -> str:
    text = _matching(request, "symbol", _SYMBOL)
    if text is None:
        raise unknown_symbol()
    return text


async def _key_id(request: Request) -> str:
    text = _matching(request, "key_id", _KEY_ID)
    if text is None:
        raise ApiError("not_found", "There is no such key.")
    return text


def order_id_filter(text: str) -> int:
    """Return a well-formed order id of a query parameter as a number. Raises ApiError for one beyond 63 bits."""
    number = int(text)
    if number > ID_MAX:
        raise ApiError("invalid_request", "Expected an order id.", field="order_id")
    return number


def unknown_list() -> ApiError:
    """Return the refusal for an order list that the account does not have."""
    return ApiError("not_found", "There is no such order list.")


def unknown_symbol() -> ApiError:
    """Return the refusal for a symbol in a path that is not listed."""
    return ApiError("unknown_symbol", "There is no such instrument.", status=404)


OrderIdPath = Annotated[str, Depends(_order_id)]
OrderListIdPath = Annotated[str, Depends(_order_list_id)]
ClientOrderIdPath = Annotated[str, Depends(_client_order_id)]
AccountIdPath = Annotated[int, Depends(_account_id)]
SymbolPath = Annotated[str, Depends(_symbol)]
KeyIdPath = Annotated[str, Depends(_key_id)]
