"""Finding and ending the processes that a test started, by the folder they work in."""

import contextlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path


def eventually(condition: Callable[[], bool], seconds: float) -> bool:
    """Return whether a condition becomes true within a time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def processes_in(folder: Path) -> list[int]:
    """Return the live processes that work in a folder or name it in their command line, except this one."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if int(entry.name) == os.getpid() or _state(entry) in "ZX":
                continue
            works_here = os.readlink(entry / "cwd").startswith(str(folder))
            if works_here or str(folder).encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return found


def kill_all_in(folder: Path) -> None:
    """SIGKILL every process of a folder."""
    for pid in processes_in(folder):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _state(entry: Path) -> str:
    return (entry / "stat").read_text().rpartition(")")[2].split()[0]
