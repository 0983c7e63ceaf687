"""A command is sent again only when it cannot be executed twice."""

import pytest

from app.domain.commands import (
    AmendOrder,
    CheckOrder,
    CloseSession,
    Command,
    CreateAccount,
    GuardSession,
    PlaceBatch,
    PlaceList,
    PlaceOrder,
    SetReference,
    Transfer,
)
from app.domain.enums import DisconnectScope, ListKind, OrderType, Side
from app.link.resending import resendable

NAMED = PlaceOrder(1001, "X-USD", Side.BUY, OrderType.LIMIT, 1, 1, client_order_id="a")
NAMELESS = PlaceOrder(1001, "X-USD", Side.BUY, OrderType.LIMIT, 1, 1)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (NAMED, True),
        (NAMELESS, False),
        (PlaceBatch(1001, (NAMED,), atomic=False), True),
        (PlaceList(1001, ListKind.OCO, (NAMED, NAMELESS)), True),
        (PlaceList(1001, ListKind.OCO, (NAMELESS, NAMED)), False),
        (AmendOrder(1001, 1, 5, if_version=1), True),
        (AmendOrder(1001, 1, 5), False),
        (CheckOrder(NAMELESS), True),
        (CloseSession(1001, "s"), True),
        (GuardSession(1001, "s", None, 0), True),
        (GuardSession(1001, "s", DisconnectScope.SESSION, 0, is_adopted=True), True),
        (GuardSession(1001, "s", None, 0, is_adopted=True), False),
        (Transfer(1001, 1002, "USD", "1", "t"), True),
        (SetReference("X-USD", 5), False),
        (CreateAccount("a"), False),
    ],
)
def test_only_what_has_a_key_or_repeats_harmlessly_is_sent_again(command: Command, expected: bool) -> None:
    assert resendable(command) is expected
