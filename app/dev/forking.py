"""Roles as copies of this process: they start in milliseconds because the imports are done.

Importing the web framework and the database layer takes a role longer than everything else in its
start, and on a small machine five roles would queue for the processor to do the same work. So the
supervisor imports once and forks. A copy is a process like any other: a session of its own, only
the standard descriptors, its environment, its own signal handlers, its name in the process list,
and the kernel kills it with the supervisor. Linux only, and only while no other thread runs.
"""

import contextlib
import ctypes
import gc
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn

from app.dev.leash import PR_SET_PDEATHSIG
from app.dev.processes import Child

_DESCRIPTORS = Path("/proc/self/fd")
_ARGUMENTS_BEGIN, _ARGUMENTS_END = 47, 48
"""Places in /proc/self/stat of the memory that holds the command line, counted from 0."""


class ForkedChild(Child):
    """A copy of this process that runs a role."""

    def __init__(self, name: str, pid: int) -> None:
        super().__init__(name, pid)
        self._code: int | None = None

    def exit_code(self) -> int | None:
        """Return the exit code (negative: the signal), or None while it runs."""
        if self._code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._code = os.waitstatus_to_exitcode(status)
        return self._code


def fork(name: str, run: Callable[[], int], environment: Mapping[str, str]) -> ForkedChild:
    """Start a copy of this process that calls `run`, ends with its result, and is killed when this process dies."""
    if threading.active_count() != 1:
        raise RuntimeError(f"expected a single thread, were {threading.active_count()}: a fork copies held locks")
    kernel = ctypes.CDLL(None)
    parent = os.getpid()
    sys.stdout.flush()
    sys.stderr.flush()
    # The collector of a copy would otherwise touch, and so duplicate, every page of the imports.
    gc.freeze()
    pid = os.fork()
    if pid == 0:
        kernel.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)
        _run_and_exit(name, run, environment)
    return ForkedChild(name, pid)


def _run_and_exit(name: str, run: Callable[[], int], environment: Mapping[str, str]) -> NoReturn:
    code = 1
    try:
        _become_independent(name, environment)
        code = run()
    except SystemExit as ending:
        code = ending.code if isinstance(ending.code, int) else int(ending.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError):
            sys.stderr.flush()
        # Not sys.exit: what the original has still to clean up is not the copy's to do.
        os._exit(code)


def _become_independent(name: str, environment: Mapping[str, str]) -> None:
    os.setsid()
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    silence = os.open(os.devnull, os.O_RDWR)
    os.dup2(silence, 0)
    os.dup2(2, 1)  # stdout belongs to the supervisor
    for descriptor in sorted(int(entry.name) for entry in _DESCRIPTORS.iterdir()):
        if descriptor > 2:
            with contextlib.suppress(OSError):
                os.close(descriptor)
    wanted = dict(environment)  # it may be os.environ itself
    os.environ.clear()
    os.environ.update(wanted)
    _show_as(name)


def _show_as(name: str) -> None:
    """Show the role instead of the supervisor's command line in the process list, as far as it has room."""
    Path("/proc/self/comm").write_text(f"ow-{name}"[:15])
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    # Counting from the third field on, which follows the name in parentheses.
    begin, end = int(fields[_ARGUMENTS_BEGIN - 2]), int(fields[_ARGUMENTS_END - 2])
    words = b"\0".join((b"python", b"-m", b"app", name.encode()))
    if begin and len(words) < end - begin:
        ctypes.memset(begin, 0, end - begin)
        ctypes.memmove(begin, words, len(words))
