"""Roles are started again after a growing pause, and stopped in reverse order."""

import itertools
import signal
import time
from collections.abc import Mapping

import pytest

from app.dev import crew
from app.dev.crew import RESTART_LAST_S, STEADY_AFTER_S, Crew
from app.dev.processes import Child


class FakeChild(Child):
    """A process that ends when the test says so."""

    def __init__(self, name: str, journal: list[str]) -> None:
        super().__init__(name, pid=0)
        self.code: int | None = None
        self._journal = journal

    def exit_code(self) -> int | None:
        return self.code

    def send(self, number: int) -> None:
        self._journal.append(f"{self.name} {signal.Signals(number).name}")
        self.code = 0


class Stage:
    """A crew on a clock and with processes of the test's own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.started: list[FakeChild] = []
        self.environments: list[Mapping[str, str]] = []
        self.journal: list[str] = []
        self.crew = Crew()
        monkeypatch.setattr(crew, "start_role", self._start)
        monkeypatch.setattr(time, "monotonic", lambda: self.now)

    def _start(self, role: str, environment: Mapping[str, str]) -> FakeChild:
        child = FakeChild(role, self.journal)
        self.started.append(child)
        self.environments.append(environment)
        return child

    def pass_time(self, seconds: float, step: float = 0.05) -> None:
        end = self.now + seconds
        while self.now < end:
            self.now += step
            self.crew.check()


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(monkeypatch)


def test_role_that_ends_starts_again_with_its_own_environment(stage: Stage) -> None:
    environment = {"PORT": "1"}
    stage.crew.add("api", environment)
    environment["PORT"] = "2"
    stage.started[0].code = 1
    stage.pass_time(2.0)
    assert len(stage.started) == 2
    assert stage.environments == [{"PORT": "1"}, {"PORT": "1"}]


def test_pause_grows_to_its_bound_while_a_role_keeps_failing(stage: Stage) -> None:
    stage.crew.add("engine", {})
    starts = [stage.now]
    for _ in range(12):
        stage.started[-1].code = 1
        begun = len(stage.started)
        while len(stage.started) == begun:
            stage.pass_time(0.05)
        starts.append(stage.now)
    pauses = [later - earlier for earlier, later in itertools.pairwise(starts)]
    assert pauses[0] < 0.5
    assert pauses[-1] == pytest.approx(RESTART_LAST_S, abs=0.2)
    assert pauses == sorted(pauses)


def test_role_that_was_steady_starts_again_at_once(stage: Stage) -> None:
    stage.crew.add("engine", {})
    stage.started[0].code = 1
    stage.pass_time(1.0)
    stage.pass_time(STEADY_AFTER_S + 1)
    stage.started[-1].code = 1
    begun = len(stage.started)
    stage.pass_time(0.1)
    assert len(stage.started) == begun + 1


def test_roles_stop_last_added_first_and_replicas_together(stage: Stage) -> None:
    for role in ("worker", "engine", "api", "api"):
        stage.crew.add(role, {})
    stage.crew.stop()
    assert stage.journal == ["api SIGTERM", "api SIGTERM", "engine SIGTERM", "worker SIGTERM"]


def test_ended_role_is_reported_by_name_and_code(stage: Stage) -> None:
    stage.crew.add("worker", {})
    stage.crew.add("engine", {})
    assert stage.crew.ended() is None
    stage.started[1].code = 3
    assert stage.crew.ended() == ("engine", 3)
