"""Run one program that cannot outlive the process that started it.

    python -I -S leash.py PARENT_PID DEATH_SIGNAL UID GID LIFELINE_FD PROGRAM [ARGUMENT...]

A script of its own because the alternatives are worse: code between fork and exec is unsafe in a
process with threads, and the parent cannot ask the kernel on its child's behalf. On Linux the
kernel sends the signal (PR_SET_PDEATHSIG) and this process becomes the program. Elsewhere it stays
as the program's parent and watches a pipe whose other end closes with the starter. UID -1 keeps
the user. Imports only the standard library, and of that little: it runs before every server.
"""

import os
import select
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ctypes

PR_SET_PDEATHSIG = 1
KEEP_USER = -1
POLL_S = 0.1
GRACE_S = 5.0
"""How long the program may take to obey the death signal before it is killed."""

_PARENT_DIED = 125


def main(arguments: list[str]) -> int:
    """Become the program, or watch it; returns the exit code in the second case."""
    parent, death_signal, uid, gid, lifeline = (int(word) for word in arguments[:5])
    program = arguments[5:]
    # Loaded before the change of user: the new one may not be able to read this Python.
    kernel = _kernel() if lifeline < 0 else None
    if uid != KEEP_USER:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    # Python ignores these two; ignored signals would be inherited by the program.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    if hasattr(signal, "SIGXFSZ"):
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    if kernel is not None:
        # After the change of user, which would clear it.
        if kernel.prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0) != 0:
            raise OSError("prctl(PR_SET_PDEATHSIG) failed")
        if os.getppid() != parent:
            return _PARENT_DIED
        os.execv(program[0], program)  # noqa: S606  # its whole purpose
    return _watch(program, death_signal, lifeline)


def _kernel() -> "ctypes.CDLL":
    import ctypes

    return ctypes.CDLL(None)


def _watch(program: list[str], death_signal: int, lifeline: int) -> int:
    # The lifeline stays out of the program: descriptors are not inheritable by default.
    os.set_inheritable(lifeline, False)
    child = os.posix_spawn(program[0], program, os.environ)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT):
        signal.signal(number, lambda received, _frame: os.kill(child, received))
    rounds_left = None
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status) & 0xFF
        if rounds_left is None:
            readable, _, _ = select.select([lifeline], [], [], POLL_S)
            if readable:
                os.kill(child, death_signal)
                rounds_left = int(GRACE_S / POLL_S)
        else:
            select.select([], [], [], POLL_S)
            rounds_left -= 1
            if rounds_left == 0:
                os.kill(child, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
