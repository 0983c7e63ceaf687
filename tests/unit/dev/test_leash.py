"""A child dies with its starter, by kernel or by pipe."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import eventually, kill_all_in, processes_in

PROJECT = Path(__file__).resolve().parents[3]
STARTER = """
import signal, subprocess, sys
from pathlib import Path
from app.dev import processes

processes.KERNEL_TELLS_OF_DEATH = sys.argv[1] == "kernel"
folder = Path(sys.argv[2])
child = processes.spawn(
    "shell",
    ["/bin/sh", "-c", sys.argv[3]],
    environment={"PATH": "/bin:/usr/bin"},
    folder=folder,
    stdout=subprocess.DEVNULL,
)
print(child.pid, flush=True)
signal.pause()
"""
STUBBORN = "trap '' TERM QUIT INT; echo > ready; while true; do sleep 0.1; done"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    kill_all_in(tmp_path)


def start(watch: str, folder: Path, script: str) -> tuple[subprocess.Popen[str], int]:
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER, watch, str(folder), script],
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert starter.stdout is not None
    return starter, int(starter.stdout.readline())


@pytest.mark.parametrize("watch", ["kernel", "pipe"])
def test_program_dies_with_its_starter(watch: str, folder: Path) -> None:
    starter, _ = start(watch, folder, STUBBORN)
    assert eventually((folder / "ready").exists, 5.0)
    starter.kill()
    starter.communicate()
    assert eventually(lambda: processes_in(folder) == [], 5.0)


def test_watching_leash_passes_signals_on_and_tells_the_exit_code(folder: Path) -> None:
    script = "trap 'echo ended > ended; exit 7' TERM; echo > ready; while true; do sleep 0.05; done"
    starter, leash = start("pipe", folder, script)
    assert eventually((folder / "ready").exists, 5.0)
    os.kill(leash, signal.SIGTERM)
    assert eventually((folder / "ended").exists, 5.0)
    # The starter has not reaped the leash, so its exit code can still be read.
    assert eventually(lambda: exit_code_of(leash) == 7, 5.0)
    starter.kill()
    starter.communicate()


def exit_code_of(pid: int) -> int:
    return os.waitstatus_to_exitcode(int(Path(f"/proc/{pid}/stat").read_text().split()[-1]))
