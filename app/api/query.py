"""Query parameters, as strict as bodies: a struct names them, and nothing else or twice is taken.

Values are text on the wire; a field typed as an integer or boolean takes exactly one spelling of each value.
"""

import re
from typing import Annotated, Any, Generic, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from fastapi import Depends
from msgspec import Meta
from starlette.requests import Request

from app.api.validation import repeated_field
from app.domain.enums import Side
from app.errors import ApiError
from app.protocol.fields import Label, SymbolText
from app.protocol.validation import invalid_request

LIMIT_DEFAULT = 100
LIMIT_MAX = 1000
SEQUENCE_MAX = 2**63 - 1
_INTEGER = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
T = TypeVar("T", bound="Query")

Sequence = Annotated[int, Meta(ge=0, le=SEQUENCE_MAX, description="A journal sequence.")]
Limit = Annotated[int, Meta(ge=1, le=LIMIT_MAX, description="Most items of the answer.")]
Cursor = Annotated[str, Meta(min_length=1, max_length=100, description="The next_cursor of the page before.")]


class Query(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A call without parameters; base of every set of query parameters."""


class ReadQuery(Query, frozen=True, kw_only=True):
    """Parameters of every read."""

    min_seq: Sequence | None = None
    """Wait, at most 2 s, until this journal sequence is applied."""


class ListQuery(ReadQuery, frozen=True, kw_only=True):
    """Parameters of every list."""

    limit: Limit = LIMIT_DEFAULT
    cursor: Cursor | None = None


class CancelAllQuery(Query, frozen=True, kw_only=True):
    """Which open orders `DELETE /v1/orders` cancels; all given filters must match."""

    symbol: SymbolText | None = None
    side: Side | None = None
    label: Label | None = None


class PlaceQuery(Query, frozen=True, kw_only=True):
    """Whether `POST /v1/orders` places the order or only runs its checks."""

    validate_only: bool = False


class QueryOf(Generic[T]):
    """Dependency that decodes the query string into one struct; the API document reads `schema` from it."""

    def __init__(self, schema: type[T]) -> None:
        self.schema = schema
        hints = get_type_hints(schema)
        self._integers = {name for name, hint in hints.items() if _is_integer(hint)}
        self._booleans = {name for name, hint in hints.items() if hint is bool}

    async def __call__(self, request: Request) -> T:
        """Return the decoded parameters. Raises ApiError."""
        values: dict[str, Any] = {}
        for name, text in request.query_params.multi_items():
            if name in values:
                raise repeated_field(name)
            values[name] = self._value(name, text)
        try:
            return msgspec.convert(values, self.schema)
        except msgspec.ValidationError as error:
            raise invalid_request(error) from error

    def _value(self, name: str, text: str) -> Any:
        if name in self._integers:
            return _integer(name, text)
        return _boolean(name, text) if name in self._booleans else text


def _is_integer(hint: Any) -> bool:
    if get_origin(hint) is Annotated:
        return get_args(hint)[0] is int
    return hint is int or any(_is_integer(part) for part in get_args(hint))


def _integer(name: str, text: str) -> int:
    if _INTEGER.fullmatch(text) is None:
        raise ApiError("invalid_request", "Expected a whole number in plain digits.", field=name)
    return int(text)


def _boolean(name: str, text: str) -> bool:
    if text not in ("true", "false"):
        raise ApiError("invalid_request", "Expected true or false.", field=name)
    return text == "true"


NoQuery = Annotated[Query, Depends(QueryOf(Query))]
ReadParameters = Annotated[ReadQuery, Depends(QueryOf(ReadQuery))]
