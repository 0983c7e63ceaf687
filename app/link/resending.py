"""Which commands may be sent again when the link was lost before their answer came."""

from app.domain.commands import (
    AmendOrder,
    CancelAll,
    CancelOrder,
    CheckOrder,
    CloseSession,
    Command,
    Deposit,
    GuardSession,
    PlaceBatch,
    PlaceList,
    PlaceOrder,
    SetCancelAfter,
    Transfer,
    Withdraw,
)

_REPEATABLE = (
    CancelOrder,
    CancelAll,
    CheckOrder,
    CloseSession,
    Deposit,
    PlaceBatch,
    SetCancelAfter,
    Transfer,
    Withdraw,
)
"""Commands with a key of their own, or whose repetition changes nothing; the orders of a batch all have one."""


def resendable(command: Command) -> bool:
    """Return whether sending the command again cannot execute it twice."""
    if isinstance(command, PlaceOrder):
        return command.client_order_id is not None
    if isinstance(command, PlaceList):
        # The engine knows a repeated list by its first order.
        return bool(command.orders) and command.orders[0].client_order_id is not None
    if isinstance(command, AmendOrder):
        return command.if_version is not None
    if isinstance(command, GuardSession):
        # Ending a guard that was taken over succeeds once.
        return command.scope is not None or not command.is_adopted
    return isinstance(command, _REPEATABLE)
