"""Rules of the engine that are broken on purpose, each by a small edit of the one place that keeps it.

The edit is made in a running interpreter and undone afterwards; an edit whose place is gone is an error, so that no
plant rots into one that breaks nothing.
"""

import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FunctionType, ModuleType
from typing import NamedTuple
from unittest.mock import patch

from app.engine.amends import AmendDesk
from app.engine.ledger import Ledger
from app.engine.matching import Matcher, charge
from app.engine.owner import one_owner
from app.engine.trigger_watch import TriggerWatch


class Edit(NamedTuple):
    """Another text in the source of a function or method."""

    function: Callable[..., object]
    old: str
    new: str


PLANTS: dict[str, tuple[Edit, ...]] = {
    "hold released twice": (
        Edit(Ledger.release, "balance.available += order.held", "balance.available += 2 * order.held"),
    ),
    "fee rounded to the payer's side": (
        Edit(charge, "-(-order.fee_accrued // RATE_SCALE)", "order.fee_accrued // RATE_SCALE"),
        Edit(Matcher._sweep, "-(-accrued // RATE_SCALE)", "accrued // RATE_SCALE"),
    ),
    "priority kept on a larger amend": (
        Edit(AmendDesk.amend, "wish.quantity <= order.quantity and not wish.reforms", "not wish.reforms"),
        Edit(AmendDesk._shrink, "if quantity < order.quantity:", "if quantity != order.quantity:"),
        # Level and reserve stay right: nothing but the place in the queue is wrong.
        Edit(AmendDesk._shrink, "max(order.shown - remaining, 0)", "order.shown - remaining"),
    ),
    "self-trade prevention ignored for icebergs": (
        Edit(one_owner, "owner is other or", "maker.shown == maker.remaining and owner is other or"),
    ),
    "stop triggered by its own print": (
        Edit(
            TriggerWatch.close_command,
            "book.triggers.add(order)",
            "book.triggers.add(order); book.last_price is None or self.printed(book, book.last_price)",
        ),
    ),
}


@contextmanager
def planted(plant: str) -> Iterator[None]:
    """Break one rule of every engine in this process. Raises LookupError if there is nothing left to edit."""
    sources: dict[FunctionType, str] = {}
    for function, old, new in PLANTS[plant]:
        assert isinstance(function, FunctionType)
        source = sources.get(function) or textwrap.dedent(inspect.getsource(function))
        if old not in source:
            raise LookupError(f"{plant}: {function.__qualname__} has no {old!r} any more")
        sources[function] = source.replace(old, new)
    with ExitStack() as stack:
        for function, source in sources.items():
            broken = compiled(function, source)
            for owner in owners_of(function):
                stack.enter_context(patch.object(owner, function.__name__, broken))
        yield


def compiled(function: FunctionType, source: str) -> object:
    """Return what the source defines, in the module of the function."""
    defined: dict[str, object] = {}
    exec(compile(source, f"broken {function.__qualname__}", "exec"), function.__globals__, defined)  # noqa: S102  # our own source
    return defined[function.__name__]


def owners_of(function: FunctionType) -> list[type | ModuleType]:
    """Return the class of a method, or every module of the engine that has the function."""
    name, *rest = function.__qualname__.split(".")
    if rest:
        owner: type = getattr(sys.modules[function.__module__], name)
        return [owner]
    modules = [module for name, module in sys.modules.items() if name.startswith("app.engine")]
    return [module for module in modules if getattr(module, function.__name__, None) is function]
