"""Each role alone, from its environment only: one line and exit code 3 when something is wrong."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import asyncpg
import pytest

from tests.conftest import administer
from tests.database_roles import as_role
from tests.engine_process import role_environment
from tests.exchange import REPOSITORY

ROLES = ("engine", "worker", "api", "migrate")
SERVING = ("engine", "worker", "api")
LOGINS = {"engine": "engine", "worker": "projector", "api": "api", "migrate": "migrator"}
NOWHERE = "127.0.0.1:9"
"""A port on which nothing listens."""


def run(role: str, environment: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a role to its end, in a folder without `.env`."""
    return subprocess.run(
        [sys.executable, "-m", "app", role],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    """Return the one line on stderr of a role that could not start."""
    assert done.returncode == 3, done.stderr
    assert done.stdout == ""
    lines = [line for line in done.stderr.splitlines() if not line.startswith("orderwire: engine link on")]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("orderwire: ")
    return lines[0]


@pytest.mark.parametrize("role", ROLES)
def test_a_missing_setting_is_named(role: str, tmp_path: Path) -> None:
    environment = role_environment("postgresql://x@127.0.0.1/x", "redis://127.0.0.1")
    del environment["LINK_SECRET"]
    assert "LINK_SECRET" in one_line(run(role, environment, tmp_path))


@pytest.mark.parametrize("role", SERVING)
def test_a_short_secret_is_refused(role: str, tmp_path: Path) -> None:
    environment = role_environment("postgresql://x@127.0.0.1/x", "redis://127.0.0.1") | {"JWT_SECRET": "short"}
    assert "JWT_SECRET" in one_line(run(role, environment, tmp_path))


@pytest.mark.parametrize("role", ROLES)
def test_a_database_that_does_not_answer_is_named_without_its_password(
    role: str, redis_url: str, tmp_path: Path
) -> None:
    environment = role_environment(f"postgresql://user:hidden-word@{NOWHERE}/x", redis_url)
    line = one_line(run(role, environment, tmp_path))
    assert NOWHERE in line
    assert "hidden-word" not in line


@pytest.mark.parametrize("role", ["engine", "api"])
def test_a_redis_that_does_not_answer_is_named_without_its_password(
    role: str, database_url: str, tmp_path: Path
) -> None:
    environment = role_environment(database_url, f"redis://:hidden-word@{NOWHERE}/0")
    line = one_line(run(role, environment, tmp_path))
    assert NOWHERE in line
    assert "hidden-word" not in line


@pytest.mark.parametrize("role", SERVING)
async def test_a_wrong_revision_is_named(role: str, database_url: str, redis_url: str, tmp_path: Path) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute("UPDATE alembic_version SET version_num = 'another'")
    await connection.close()
    environment = role_environment(as_role(database_url, LOGINS[role]), redis_url)
    line = one_line(run(role, environment, tmp_path))
    assert "another" in line
    assert "migrate" in line


def test_a_busy_port_is_named(database_url: str, redis_url: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        environment = role_environment(as_role(database_url, "api"), redis_url, ORDERWIRE_API_PORT=str(port))
        assert f"127.0.0.1:{port}" in one_line(run("api", environment, tmp_path))


@pytest.mark.parametrize("role", SERVING)
def test_a_role_says_where_it_is_and_stops_cleanly(
    role: str, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    environment = role_environment(
        as_role(database_url, LOGINS[role]),
        redis_url,
        ORDERWIRE_API_PORT="0",
        ORDERWIRE_SHARD=str(os.getpid() % 32_000),
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "app", role],
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        said = process.stderr.readline()
        expected = {"engine": "engine link on 127.0.0.1:", "worker": "worker projects shard", "api": "api on http://"}
        assert expected[role] in said
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=20)
    finally:
        process.kill()
        process.communicate()
    assert (process.returncode, output) == (0, "")


def test_migrate_brings_an_empty_database_to_the_revision_and_may_be_repeated(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    environment = role_environment(as_role(database_url, LOGINS["migrate"]), redis_url)
    for _ in range(2):
        done = run("migrate", environment, tmp_path)
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        assert "this build's revision" in done.stderr


def test_logins_are_made_and_renewed_by_an_administrator_and_serve(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    environment = {**role_environment(database_url, redis_url), "PYTHONPATH": str(REPOSITORY)}
    prefix = f"orderwire_test_{os.urandom(4).hex()}"
    command = [sys.executable, "-m", "app", "admin", "create-logins", "--prefix", prefix]

    def made() -> dict[str, str]:
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == 0, done.stderr
        urls: dict[str, str] = json.loads(done.stdout)
        return urls

    first, second = made(), made()
    try:
        assert list(second) == ["migrator", "engine", "projector", "api"]
        assert (
            "this build's revision" in run("migrate", role_environment(second["migrator"], redis_url), tmp_path).stderr
        )
        assert "password authentication failed" in one_line(
            run("worker", role_environment(first["projector"], redis_url), tmp_path)
        )
    finally:
        asyncio.run(administer(database_url, "; ".join(f"DROP ROLE {prefix}_{role}" for role in second)))
