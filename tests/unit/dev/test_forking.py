"""A forked role is a process of its own: environment, descriptors, session, name, and an end with its parent."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from app.dev.forking import fork
from tests.exchange import REPOSITORY
from tests.processes import eventually

PARENT = """
import json, os, signal, sys, time
from pathlib import Path
from app.dev.forking import fork

def role():
    facts = {
        "session": os.getsid(0) == os.getpid(),
        "environment": dict(os.environ),
        "descriptors": sorted(int(name) for name in os.listdir("/proc/self/fd"))[:-1],
        "command_line": Path("/proc/self/cmdline").read_bytes().rstrip(b"\\0").decode().split("\\0"),
        "comm": Path("/proc/self/comm").read_text().strip(),
        "parent_is_starter": os.getppid() == int(sys.argv[2]) if len(sys.argv) > 2 else True,
    }
    print("to stdout")
    print(json.dumps(facts), file=sys.stderr, flush=True)
    if sys.argv[1] == "wait":
        time.sleep(60)
    sys.exit(7)

kept_open = open(os.devnull)
signal.signal(signal.SIGTERM, lambda *_: None)
child = fork("engine", role, {"ONLY": "this"})
if sys.argv[1] == "wait":
    print(child.pid, flush=True)
    signal.pause()
print("code", child.wait(10), flush=True)
"""


def run(mode: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PARENT, mode],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_forked_role_is_a_process_of_its_own() -> None:
    output, errors = run("end").communicate(timeout=20)
    # What the role prints goes to stderr: stdout is the supervisor's.
    assert output == "code 7\n"
    assert "to stdout" in errors
    facts = json.loads(next(line for line in errors.splitlines() if line.startswith("{")))
    assert facts["session"]
    assert facts["environment"] == {"ONLY": "this"}
    assert facts["descriptors"] == [0, 1, 2]
    assert facts["command_line"] == ["python", "-m", "app", "engine"]
    assert facts["comm"] == "ow-engine"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_forked_role_dies_with_its_parent(number: int) -> None:
    parent = run("wait")
    assert parent.stdout is not None
    assert parent.stderr is not None
    pid = int(parent.stdout.readline())
    assert parent.stderr.readline()
    parent.send_signal(number)
    parent.communicate(timeout=20)
    assert eventually(lambda: not Path(f"/proc/{pid}").exists(), 5.0)


def test_forked_role_obeys_sigterm_although_its_parent_ignores_it() -> None:
    parent = run("wait")
    assert parent.stdout is not None
    assert parent.stderr is not None
    pid = int(parent.stdout.readline())
    parent.stderr.readline()
    os.kill(pid, signal.SIGTERM)
    assert eventually(lambda: "Z" in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0], 5.0)
    parent.kill()
    parent.communicate()


def test_fork_beside_other_threads_is_refused() -> None:
    release = threading.Event()
    thread = threading.Thread(target=release.wait)
    thread.start()
    try:
        with pytest.raises(RuntimeError, match="single thread"):
            fork("engine", lambda: 0, {})
    finally:
        release.set()
        thread.join()
