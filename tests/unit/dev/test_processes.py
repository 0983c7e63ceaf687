"""Starting and stopping children."""

import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from app.dev.processes import Child, StopStep, command_line, is_running, spawn
from tests.processes import eventually

ENVIRONMENT = {"PATH": "/bin:/usr/bin"}


def shell(script: str, folder: Path) -> Child:
    return spawn("shell", ["/bin/sh", "-c", script], environment=ENVIRONMENT, folder=folder)


def test_stop_goes_on_to_the_next_step_and_at_last_kills(tmp_path: Path) -> None:
    child = shell("trap '' TERM INT; echo > ready; while true; do sleep 0.05; done", tmp_path)
    assert eventually((tmp_path / "ready").exists, 5.0)
    assert child.stop(StopStep(signal.SIGTERM, 0.1), StopStep(signal.SIGINT, 0.1)) == -signal.SIGKILL


def test_stop_of_an_obedient_child_needs_one_step(tmp_path: Path) -> None:
    child = shell("trap 'exit 3' TERM; echo > ready; while true; do sleep 0.05; done", tmp_path)
    assert eventually((tmp_path / "ready").exists, 5.0)
    started = time.monotonic()
    assert child.stop(StopStep(signal.SIGTERM, 20.0), StopStep(signal.SIGINT, 20.0)) == 3
    assert time.monotonic() - started < 10


def test_child_leads_a_session_of_its_own(tmp_path: Path) -> None:
    child = shell("sleep 30", tmp_path)
    assert os.getsid(child.pid) == child.pid != os.getsid(0)
    child.stop()


def test_spawn_outside_the_main_thread_is_refused(tmp_path: Path) -> None:
    errors: list[BaseException] = []

    def attempt() -> None:
        try:
            shell("true", tmp_path)
        except RuntimeError as error:
            errors.append(error)

    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()
    assert "main thread" in str(errors[0])


def test_zombie_is_not_running() -> None:
    process = subprocess.Popen(["/bin/true"])
    assert eventually(lambda: not is_running(process.pid), 5.0)
    os.kill(process.pid, 0)  # it still has an entry
    assert process.wait() == 0


def test_own_process_is_running_and_has_a_command_line() -> None:
    assert is_running(os.getpid())
    assert command_line(os.getpid())


@pytest.mark.parametrize("pid", [2**22 + 7])
def test_pid_that_cannot_exist_is_not_running(pid: int) -> None:
    assert not is_running(pid)
    assert command_line(pid) == []
