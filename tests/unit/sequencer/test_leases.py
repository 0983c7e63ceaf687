"""Leases of guarded sessions: when the leader closes one, and when it does not, on a clock of the test's own."""

import pytest

from app.domain.commands import CloseSession, Command, GuardSession
from app.domain.enums import DisconnectScope
from app.domain.identity import SessionKey
from app.engine.state import SessionGuard
from app.errors import LinkError
from app.link.frames import SILENCE_MAX_S, HeldSession
from app.sequencer import leases as leases_module
from app.sequencer.leases import LEASE_S, Leases, leases_of
from tests.unit.engine.builders import BOB, accepted, engine_with

SESSION = DisconnectScope.SESSION
GRACE_MS = 2_000
GRACE_S = GRACE_MS / 1000
FIRST, SECOND = SessionKey(1001, "first"), SessionKey(1002, "second")
HERE, THERE = "one replica's link", "another replica's link"


class Shard:
    """The guards of an engine that executes at once, leases that judge them, and a clock."""

    def __init__(self, *guarded: SessionKey) -> None:
        self.now_s = 1_000.0
        self.guards = {key: SessionGuard(SESSION, GRACE_MS * 1_000_000) for key in guarded}
        self.executed: list[Command] = []
        self.is_busy = False
        """Whether the engine does not come to what it is told."""
        self.leases = Leases(self.guards.get, self._execute, lambda: self.now_s)

    def _execute(self, command: Command) -> None:
        self.executed.append(command)
        if isinstance(command, CloseSession) and not self.is_busy:
            del self.guards[SessionKey(command.account_id, command.session_id)]

    def hold(self, link: str, *keys: SessionKey, is_again: bool = False) -> None:
        """Hold sessions with the grace that they have."""
        self.leases.hold(link, [HeldSession(*key, SESSION, GRACE_MS) for key in keys], is_again=is_again)

    def closed_after(self, seconds: float) -> list[Command]:
        """Judge as often as a leader does until so much time has passed; returns what was executed meanwhile."""
        before, until_s = len(self.executed), self.now_s + seconds
        while self.now_s < until_s:
            self.now_s = min(self.now_s + 0.1, until_s)
            self.leases.judge()
        return self.executed[before:]


def test_a_released_session_is_closed_after_its_grace() -> None:
    shard = Shard(FIRST)
    shard.hold(HERE, FIRST)
    assert shard.closed_after(60) == []
    shard.leases.release(HERE, [FIRST])
    assert shard.closed_after(GRACE_S - 0.01) == []
    assert shard.closed_after(0.02) == [CloseSession(*FIRST)]
    assert shard.closed_after(60) == []


def test_sessions_of_a_silent_replica_lapse_first_and_others_stay() -> None:
    shard = Shard(FIRST, SECOND)
    shard.hold(HERE, FIRST)
    shard.hold(THERE, SECOND)
    shard.leases.lose(HERE, silent_s=0.5)
    assert shard.closed_after(LEASE_S - 0.5 + GRACE_S - 0.01) == []
    assert shard.closed_after(0.02) == [CloseSession(*FIRST)]


def test_a_replica_that_comes_back_in_time_renews() -> None:
    shard = Shard(FIRST)
    shard.hold(HERE, FIRST)
    shard.leases.lose(HERE, silent_s=0)
    assert shard.closed_after(LEASE_S + GRACE_S - 0.1) == []
    shard.hold("its next link", FIRST, is_again=True)
    assert shard.closed_after(60) == []


def test_an_adopted_session_lives_as_long_as_either_replica_has_a_socket_of_it() -> None:
    shard = Shard(FIRST)
    shard.hold(HERE, FIRST)
    shard.hold(THERE, FIRST)
    shard.leases.lose(HERE, silent_s=0)
    assert shard.closed_after(60) == []
    shard.leases.release(THERE, [FIRST])
    shard.leases.release(THERE, [FIRST])
    assert shard.closed_after(GRACE_S + 0.01) == [CloseSession(*FIRST)]


def test_a_session_lost_again_begins_its_grace_anew() -> None:
    shard = Shard(FIRST)
    shard.hold(HERE, FIRST)
    shard.leases.release(HERE, [FIRST])
    assert shard.closed_after(GRACE_S - 0.5) == []
    shard.hold(THERE, FIRST)
    assert shard.closed_after(0.4) == []
    shard.leases.release(THERE, [FIRST])
    assert shard.closed_after(GRACE_S - 0.01) == []
    assert shard.closed_after(0.02) == [CloseSession(*FIRST)]


def test_a_new_leader_expects_every_guarded_session_to_be_announced() -> None:
    shard = Shard(FIRST, SECOND)
    shard.leases.begin([FIRST, SECOND])
    assert shard.closed_after(LEASE_S - 0.1) == []
    shard.hold(HERE, SECOND, is_again=True)
    assert shard.closed_after(60) == [CloseSession(*FIRST)]


def test_a_new_leader_takes_them_from_the_engines_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases_module, "LEASE_S", 0.0)
    engine = engine_with()
    accepted(engine, GuardSession(BOB, "now", SESSION, 0))
    accepted(engine, GuardSession(BOB, "later", SESSION, 10**11))
    executed: list[Command] = []
    leases_of(engine.state, executed.append).judge()
    assert executed == [CloseSession(BOB, "now")]


def test_without_a_guard_nothing_is_closed_but_a_guard_on_its_way_is_waited_for() -> None:
    shard = Shard()
    shard.hold(HERE, FIRST, SECOND)
    shard.leases.release(HERE, [FIRST, SECOND])
    assert shard.closed_after(1) == []
    shard.guards[FIRST] = SessionGuard(SESSION, 0)
    assert shard.closed_after(60) == [CloseSession(*FIRST)]
    shard.guards[SECOND] = SessionGuard(SESSION, 0)
    assert shard.closed_after(60) == [], "it was forgotten"


def test_a_guard_that_lapsed_while_its_replica_was_cut_off_is_set_up_anew() -> None:
    shard = Shard(FIRST)
    anew = [GuardSession(*FIRST, SESSION, GRACE_MS * 1_000_000)]
    shard.hold(HERE, FIRST)
    shard.leases.lose(HERE, silent_s=0)
    assert shard.closed_after(60) == [CloseSession(*FIRST)]
    shard.hold(HERE, FIRST, is_again=True)
    assert shard.executed[1:] == anew
    assert shard.closed_after(60) == []


def test_it_is_set_up_anew_also_when_the_engine_has_not_come_to_its_end_yet() -> None:
    shard = Shard(FIRST)
    shard.is_busy = True
    shard.leases.begin([FIRST])
    assert shard.closed_after(60) == [CloseSession(*FIRST)]
    shard.hold(HERE, FIRST, is_again=True)
    assert isinstance(shard.executed[-1], GuardSession)


def test_a_first_hold_sets_nothing_up() -> None:
    shard = Shard()
    shard.hold(HERE, FIRST)
    assert shard.executed == []


def test_a_leader_that_was_away_itself_does_not_hold_it_against_the_replicas() -> None:
    shard = Shard(FIRST, SECOND)
    shard.hold(HERE, FIRST)
    shard.leases.begin([SECOND])
    shard.closed_after(1)
    shard.now_s += 3_600
    shard.leases.lose(HERE, silent_s=3_600)
    assert shard.closed_after(LEASE_S - SILENCE_MAX_S) == []
    shard.hold("its next link", FIRST, SECOND, is_again=True)
    assert shard.closed_after(60) == []


def test_many_are_closed_in_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases_module, "CLOSES_MAX", 3)
    keys = [SessionKey(1001, str(number)) for number in range(7)]
    shard = Shard(*keys)
    shard.hold(HERE, *keys)
    shard.leases.release(HERE, keys)
    shard.closed_after(GRACE_S - 0.05)
    rounds = [len(shard.closed_after(0.1)) for _ in range(4)]
    assert rounds == [3, 3, 1, 0]


def test_a_replica_has_a_bounded_number_of_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases_module, "HELD_MAX", 1)
    shard = Shard()
    shard.hold(HERE, FIRST)
    shard.hold(HERE, FIRST)
    with pytest.raises(LinkError, match="at most 1"):
        shard.hold(HERE, SECOND)
