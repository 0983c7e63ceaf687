"""The role processes of a development exchange: started, started again when they end, stopped in order."""

import signal
import time
from collections.abc import Mapping

import structlog

from app.dev.processes import Child, StopStep
from app.dev.roles import start_role

RESTART_FIRST_S = 0.1
RESTART_LAST_S = 5.0
STEADY_AFTER_S = 30.0
"""A role that ran this long starts again without delay."""
STOP_S = 10.0

log = structlog.get_logger(__name__)


class Member:
    """One role with its environment, and its process while it runs."""

    def __init__(self, role: str, environment: Mapping[str, str]) -> None:
        self.role = role
        self._environment = dict(environment)
        self._failures = 0
        self._start_at = 0.0
        self.child = self._start()

    def check(self) -> None:
        """Start the role again, after a growing pause, if its process has ended."""
        now = time.monotonic()
        if self.child is None:
            if now >= self._start_at:
                self.child = self._start()
            return
        code = self.child.exit_code()
        if code is None:
            return
        self._failures = 0 if now - self._started > STEADY_AFTER_S else self._failures + 1
        pause = min(RESTART_FIRST_S * 2**self._failures, RESTART_LAST_S) if self._failures else 0.0
        log.warning("role_ended", role=self.role, pid=self.child.pid, exit_code=code, starts_again_in_s=pause)
        self.child, self._start_at = None, now + pause

    def _start(self) -> Child | None:
        self._started = time.monotonic()
        return start_role(self.role, self._environment)


class Crew:
    """All roles, in the order they were added."""

    def __init__(self) -> None:
        self._members: list[Member] = []

    def add(self, role: str, environment: Mapping[str, str]) -> None:
        """Start a role."""
        self._members.append(Member(role, environment))

    def ended(self) -> tuple[str, int] | None:
        """Return role and exit code of one whose process has ended, while none may."""
        for member in self._members:
            code = member.child.exit_code() if member.child is not None else None
            if code is not None:
                return member.role, code
        return None

    def check(self) -> None:
        """Start again what has ended."""
        for member in self._members:
            member.check()

    def stop(self) -> None:
        """Stop role by role, last added first; processes of one role stop together."""
        while self._members:
            role = self._members[-1].role
            last = [member.child for member in self._members if member.role == role and member.child is not None]
            for child in last:
                child.send(signal.SIGTERM)
            deadline = time.monotonic() + STOP_S
            for child in last:
                if child.wait(max(deadline - time.monotonic(), 0.0)) is None:
                    log.warning("role_killed", role=role, pid=child.pid)
                    child.stop(StopStep(signal.SIGKILL, STOP_S))
            self._members = [member for member in self._members if member.role != role]
