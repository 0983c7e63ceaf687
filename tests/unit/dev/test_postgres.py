"""What becomes of a lock file that a killed server left."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.dev.postgres import clear_stale_lock
from app.errors import StartupError
from tests.processes import eventually


def write_lock(data: Path, pid: int, memory: str = "123 99999999") -> Path:
    lock = data / "postmaster.pid"
    lock.write_text(f"{pid}\n{data}\n1700000000\n5432\n\n127.0.0.1\n{memory}\nready   \n")
    return lock


def test_lock_of_a_process_that_is_gone_is_removed(tmp_path: Path) -> None:
    process = subprocess.Popen(["/bin/true"])
    process.wait()
    lock = write_lock(tmp_path, process.pid)
    clear_stale_lock(tmp_path)
    assert not lock.exists()


def test_lock_of_a_zombie_is_removed(tmp_path: Path) -> None:
    process = subprocess.Popen(["/bin/true", str(tmp_path)])
    assert eventually(lambda: "Z" in Path(f"/proc/{process.pid}/stat").read_text(), 5.0)
    lock = write_lock(tmp_path, process.pid)
    clear_stale_lock(tmp_path)
    assert not lock.exists()
    process.wait()


def test_lock_that_names_some_other_program_is_removed(tmp_path: Path) -> None:
    lock = write_lock(tmp_path, os.getpid())
    clear_stale_lock(tmp_path)
    assert not lock.exists()


def test_damaged_lock_is_removed(tmp_path: Path) -> None:
    lock = tmp_path / "postmaster.pid"
    lock.write_text("")
    clear_stale_lock(tmp_path)
    assert not lock.exists()


def test_lock_of_a_live_server_is_waited_for_and_then_refused_by_pid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.dev.postgres.PREDECESSOR_WAIT_S", 0.2)
    server = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", "-D", str(tmp_path)])
    # Until its exec is done, a new process shows the command line of this one.
    assert eventually(lambda: str(tmp_path).encode() in Path(f"/proc/{server.pid}/cmdline").read_bytes(), 5.0)
    lock = write_lock(tmp_path, server.pid)
    with pytest.raises(StartupError, match=str(server.pid)):
        clear_stale_lock(tmp_path)
    assert lock.exists()
    server.kill()
    server.wait()
    clear_stale_lock(tmp_path)
    assert not lock.exists()


def test_lock_whose_shared_memory_is_still_attached_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.dev.postgres.PREDECESSOR_WAIT_S", 0.1)
    listing = tmp_path / "shm"
    listing.write_text("key shmid perms size cpid lpid nattch\n  77  4711   600  56  1  1  3 0 0 0 0 0 0 0 0 0\n")
    monkeypatch.setattr("app.dev.postgres.SHARED_MEMORY_LISTING", listing)
    process = subprocess.Popen(["/bin/true"])
    process.wait()
    lock = write_lock(tmp_path, process.pid, memory="77 4711")
    with pytest.raises(StartupError, match="in use"):
        clear_stale_lock(tmp_path)
    assert lock.exists()
