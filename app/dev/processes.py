"""Child processes that die with their parent, whatever kills it.

`spawn` starts every server and role of the development setup through `leash.py`. Each child leads
a session of its own, so a Ctrl+C in the terminal reaches the parent alone, which then stops its
children in order.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple

KERNEL_TELLS_OF_DEATH = sys.platform == "linux"
"""Whether the kernel signals a child when its parent dies; elsewhere the leash watches a pipe."""

_HAS_PROC = Path("/proc/self/stat").exists()
_LEASH = Path(__file__).with_name("leash.py")
_KEEP_USER = -1
_POLL_FIRST_S = 0.001
_POLL_LAST_S = 0.05


class Owner(NamedTuple):
    """User and group a server runs as."""

    uid: int
    gid: int


class StopStep(NamedTuple):
    """One try to end a child: a signal and how long it may take."""

    signal: int
    seconds: float


class Child(ABC):
    """A process that dies with this one, whatever kills it."""

    def __init__(self, name: str, pid: int) -> None:
        self.name = name
        self.pid = pid

    @abstractmethod
    def exit_code(self) -> int | None:
        """Return the exit code (negative: the signal), or None while it runs."""

    def send(self, number: int) -> None:
        """Send a signal, unless the child has ended."""
        # Asking first reaps an ended child, so that the number cannot be somebody else's by now.
        if self.exit_code() is None:
            os.kill(self.pid, number)

    def wait(self, seconds: float | None = None) -> int | None:
        """Return the exit code, or None when it still runs after so many seconds."""
        deadline = None if seconds is None else time.monotonic() + seconds
        pause = _POLL_FIRST_S
        while (code := self.exit_code()) is None:
            if deadline is not None and time.monotonic() > deadline:
                return None
            time.sleep(pause)
            pause = min(pause * 2, _POLL_LAST_S)
        return code

    def stop(self, *steps: StopStep) -> int:
        """End the child by each step in turn, then SIGKILL to its whole group. Returns the exit code."""
        for step in steps:
            self.send(step.signal)
            if self.wait(step.seconds) is not None:
                break
        else:
            if self.exit_code() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.pid, signal.SIGKILL)
        code = self.wait()
        return code if code is not None else -signal.SIGKILL


class LeashedChild(Child):
    """A program started through `leash.py`.

    Where the kernel does not tell of a parent's death, the process id is the leash's.
    """

    def __init__(self, name: str, process: "subprocess.Popen[bytes]", lifeline: int | None) -> None:
        super().__init__(name, process.pid)
        self._process = process
        self._lifeline = lifeline

    def exit_code(self) -> int | None:
        """Return the exit code (negative: the signal), or None while it runs."""
        code = self._process.poll()
        if code is not None and self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None
        return code

    def feed(self, data: bytes) -> None:
        """Write all of its standard input and close it; a child that ended before reading it is no fault here."""
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError), self._process.stdin as stdin:
                stdin.write(data)


def spawn(
    name: str,
    command: Sequence[str | Path],
    *,
    environment: Mapping[str, str],
    owner: Owner | None = None,
    death_signal: int = signal.SIGKILL,
    folder: Path = Path("/"),
    stdin: int | IO[bytes] = subprocess.DEVNULL,
    stdout: int | IO[bytes] | None = None,
    stderr: int | IO[bytes] | None = None,
) -> LeashedChild:
    """Start a program that gets `death_signal` when this process dies; the first word is its absolute path.

    Only from the main thread: the kernel means the thread that forked when it speaks of the parent.
    Raises OSError when the program cannot be started.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("expected the main thread: children of a thread die with the thread")
    read_end, write_end = (-1, None) if KERNEL_TELLS_OF_DEATH else os.pipe()
    user = owner or Owner(_KEEP_USER, _KEEP_USER)
    words = [os.getpid(), int(death_signal), user.uid, user.gid, read_end, *command]
    try:
        process = subprocess.Popen(  # noqa: S603  # the callers name our own programs
            [sys.executable, "-I", "-S", str(_LEASH), *(str(word) for word in words)],
            env=dict(environment),
            cwd=folder,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
            pass_fds=() if read_end < 0 else (read_end,),
        )
    finally:
        if read_end >= 0:
            os.close(read_end)
    return LeashedChild(name, process, write_end)


def is_running(pid: int) -> bool:
    """Return whether a process exists and is more than a zombie that nobody has reaped yet."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return _state(pid) not in ("Z", "X")


def command_line(pid: int) -> list[str]:
    """Return the words of a running process, empty when it is gone or may not be seen."""
    if _HAS_PROC:
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
        except OSError:
            return []
    return _ps("command=", pid).split()


def _state(pid: int) -> str:
    if _HAS_PROC:
        try:
            # The name in parentheses may hold anything, so the state is what follows the last one.
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (OSError, IndexError):
            return "X"
    return _ps("stat=", pid)[:1] or "X"


def _ps(column: str, pid: int) -> str:
    answer = subprocess.run(  # noqa: S603  # fixed words and a number
        ["/bin/ps", "-o", column, "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return answer.stdout.strip()
