"""Cancel on disconnect in the engine: what a guard notes, and what the end of a guarded session cancels."""

import msgspec
import pytest

from app.domain.commands import CloseSession, GuardSession
from app.domain.enums import DisconnectScope
from app.domain.events import Event, OrderCanceled
from app.engine import sessions
from app.engine.engine import Engine
from app.engine.state import SessionGuard
from tests.unit.engine.builders import ALICE, BOB, accepted, all_of, buy, engine_with, reason_of, refused, sell, twin_of

SECOND_NS = 10**9
SESSION, ACCOUNT = DisconnectScope.SESSION, DisconnectScope.ACCOUNT


def guard(session_id: str, scope: DisconnectScope | None = SESSION, *, is_adopted: bool = False) -> GuardSession:
    return GuardSession(BOB, session_id, scope, SECOND_NS, is_adopted)


def guards(engine: Engine) -> dict[str, SessionGuard]:
    return engine.state.accounts[BOB].guards


def ended_by(engine: Engine, session_id: str) -> list[int]:
    """Close a session; events and answer must name the same orders, all with the same reason."""
    events: list[Event] = accepted(engine, CloseSession(BOB, session_id))
    canceled = [event.order for event in all_of(OrderCanceled, events)]
    assert list(engine.outcome.orders) == canceled
    assert {order.reason for order in canceled} <= {"disconnect"}
    return [order.order_id for order in canceled]


def engine_of_four() -> Engine:
    """Orders 1 of session s, 2 of t, 3 of none, 4 of another account's session s."""
    mine = [buy(quantity=1, price=10, session_id="s"), sell(quantity=1, price=20, session_id="t")]
    return engine_with([*mine, buy(quantity=1, price=9), buy(ALICE, quantity=1, price=9, session_id="s")])


def test_a_guarded_session_loses_what_it_placed_and_its_guard() -> None:
    engine = engine_of_four()
    accepted(engine, guard("s"))
    assert guards(engine) == {"s": SessionGuard(SESSION, SECOND_NS)}
    assert ended_by(engine, "s") == [1]
    assert guards(engine) == {}


def test_without_a_guard_the_end_of_a_session_still_cancels_what_it_placed() -> None:
    assert ended_by(engine_of_four(), "t") == [2]


def test_the_last_session_that_guards_the_account_takes_all_its_orders() -> None:
    engine = engine_of_four()
    for command in (guard("s", ACCOUNT), guard("t", ACCOUNT), guard("u")):
        accepted(engine, command)
    assert ended_by(engine, "s") == [], "t is left"
    assert ended_by(engine, "t") == [1, 2, 3]
    assert list(guards(engine)) == ["u"]


def test_a_guard_that_ended_counts_for_nothing() -> None:
    engine = engine_of_four()
    accepted(engine, guard("s", ACCOUNT))
    accepted(engine, guard("t", ACCOUNT))
    accepted(engine, guard("t", None))
    accepted(engine, guard("t", None))
    assert ended_by(engine, "s") == [1, 2, 3]


def test_only_what_is_guarded_can_be_adopted() -> None:
    engine = engine_of_four()
    assert refused(engine, guard("s", is_adopted=True)).field == "adopt"
    accepted(engine, guard("s"))
    accepted(engine, guard("s", ACCOUNT, is_adopted=True))
    assert guards(engine) == {"s": SessionGuard(ACCOUNT, SECOND_NS)}
    ended_by(engine, "s")
    assert reason_of(engine, guard("s", None, is_adopted=True)) == "not_found"


@pytest.mark.parametrize(("grace_ns", "limit"), [(-1, 0), (300 * SECOND_NS + 1, 300 * SECOND_NS)])
def test_a_grace_out_of_bounds_is_refused(grace_ns: int, limit: int) -> None:
    rejection = refused(engine_with(), GuardSession(BOB, "s", SESSION, grace_ns))
    assert (rejection.reason, rejection.field, rejection.limit) == ("invalid_request", "grace_ms", str(limit))


def test_an_account_has_a_bounded_number_of_guarded_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "ACCOUNT_GUARDS_MAX", 2)
    engine = engine_with()
    accepted(engine, guard("s"))
    accepted(engine, guard("t"))
    rejection = refused(engine, guard("u"))
    assert (rejection.field, rejection.limit, rejection.actual) == ("cancel_on_disconnect", "2", "3")
    accepted(engine, guard("t", ACCOUNT))
    accepted(engine, guard("u", None))
    assert reason_of(engine, GuardSession(999, "s", SESSION, 0)) == "not_found"


def test_guards_survive_a_checkpoint_and_without_any_nothing_is_written_of_them() -> None:
    engine = engine_of_four()
    members = len(msgspec.msgpack.decode(engine.checkpoint()))
    accepted(engine, guard("t", ACCOUNT))
    engine.seal()
    assert len(msgspec.msgpack.decode(engine.checkpoint())) == members + 1
    twin = twin_of(engine)
    assert guards(twin) == guards(engine)
    accepted(engine, guard("t", None))
    engine.seal()
    accepted(twin, guard("t", None))
    twin.seal()
    assert len(msgspec.msgpack.decode(engine.checkpoint())) == members
    assert twin.state_hash() == engine.state_hash()
