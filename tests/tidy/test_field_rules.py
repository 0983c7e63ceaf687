"""Whatever is refused by its field is explained in words, and never with a regular expression."""

import re
from collections.abc import Iterator
from typing import get_args, get_type_hints

import msgspec

import app.main  # noqa: F401  # every request of the application is defined with it
from app.api.query import Query
from app.protocol import messages
from app.protocol.field_rules import FIELD_RULES
from app.protocol.fields import Request
from app.protocol.limit_shapes import wire_name
from app.protocol.validation import invalid_request
from tests.tidy.tree import modules, text


def test_every_field_that_the_engine_refuses_by_name_is_explained() -> None:
    """As far as its modules spell the name out beside the refusal, or return it as the wrong one."""
    source = "".join(text(str(module)) for module in modules("app/engine"))
    named = set(re.findall(r'INVALID(?:_REQUEST)?, (?:field=)?"([a-z_]+)"', source))
    named |= set(re.findall(r'return "([a-z_]+)"\n', source)) | {"breaker_move", "breaker_window_ns", "breaker_halt_ns"}
    named -= {"client_order_id", "filters", "epoch", "expire_ns"}
    assert len(named) > 25
    assert {wire_name(field) for field in named} - set(FIELD_RULES) == set()


def requests() -> Iterator[type]:
    """Yield everything that clients send."""
    waiting: list[type] = [Request, Query, messages.ClientMessage]
    while waiting:
        struct = waiting.pop()
        waiting += struct.__subclasses__()
        yield struct


def patterns(hint: object) -> Iterator[str]:
    for part in get_args(hint):
        if isinstance(part, msgspec.Meta) and part.pattern is not None:
            yield part.pattern
        yield from patterns(part)


def test_no_refusal_shows_a_regular_expression() -> None:
    found = {
        pattern
        for struct in requests()
        for hint in get_type_hints(struct, include_extras=True).values()
        for pattern in patterns(hint)
    }
    assert len(found) > 10
    for pattern in found:
        error = invalid_request(msgspec.ValidationError(f"Expected `str` matching regex {pattern!r} - at `$.x`"))
        assert "regex" not in error.detail, pattern
