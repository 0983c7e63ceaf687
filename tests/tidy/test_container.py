"""The Dockerfile keeps its promises: pinned, small, without root, checked hashes, signals that arrive."""

import importlib.util
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import ModuleType

import pytest

from tests.tidy.tree import ROOT, text

ROLES = {"api", "engine", "worker", "migrate"}


def instructions() -> list[tuple[str, str]]:
    """Return instruction and arguments, continued lines joined, comments left out."""
    joined = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", text("Dockerfile"), flags=re.MULTILINE))
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1]) for line in joined.splitlines() if line.strip()]


def final_stage() -> list[tuple[str, str]]:
    """Return the instructions of the image that is shipped."""
    every = instructions()
    return every[max(index for index, (name, _) in enumerate(every) if name == "FROM") :]


def only(name: str) -> str:
    """Return the arguments of an instruction that the final stage has exactly once."""
    (found,) = [arguments for instruction, arguments in final_stage() if instruction == name]
    return found


def test_every_base_is_a_slim_debian_of_a_stated_release() -> None:
    bases = [arguments for name, arguments in instructions() if name == "FROM"]
    assert len(bases) == 2
    for base in bases:
        assert re.match(r"python:3\.\d+-slim-[a-z]+( AS builder)?$", base), base


def test_image_runs_without_root_under_a_fixed_number() -> None:
    uid, gid = only("USER").split(":")
    assert int(uid) >= 10_000
    assert int(gid) >= 10_000
    names = [name for name, _ in final_stage()]
    assert names.index("USER") > max(index for index, name in enumerate(names) if name in {"RUN", "COPY"})


def test_every_copied_file_exists() -> None:
    sources = [
        source
        for name, arguments in instructions()
        if name == "COPY" and "--from=" not in arguments
        for source in arguments.split()[:-1]
    ]
    assert sources
    assert [source for source in sources if not (ROOT / source).exists()] == []


def test_packages_come_from_the_lock_with_hashes_and_nothing_else_is_fetched() -> None:
    runs = [arguments for name, arguments in instructions() if name == "RUN" and "pip " in arguments]
    download, install = runs
    assert "--require-hashes" in download
    assert "requirements.lock" in download
    assert "--no-index" in install
    assert not re.search(r"\[embedded\]|--group|-e ", install)


def test_process_gets_the_signals_and_its_role_by_name() -> None:
    assert json.loads(only("ENTRYPOINT")) == ["orderwire"]
    assert set(json.loads(only("CMD"))) <= ROLES
    assert only("STOPSIGNAL") == "SIGTERM"
    assert 'orderwire = "app.__main__:main"' in text("pyproject.toml")


def test_health_check_runs_without_a_shell() -> None:
    command = json.loads(only("HEALTHCHECK").split("CMD ", 1)[1])
    assert command[-1] in {arguments.split()[-1] for name, arguments in final_stage() if name == "COPY"}


def test_dockerignore_lets_through_what_is_copied_and_nothing_private() -> None:
    ignored = text(".dockerignore").splitlines()
    assert ignored[0] == "*"
    admitted = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    sources = {
        source
        for name, arguments in instructions()
        if name == "COPY" and "--from=" not in arguments
        for source in arguments.split()[:-1]
    }
    assert admitted == sources


@pytest.fixture
def healthcheck() -> ModuleType:
    spec = importlib.util.spec_from_file_location("healthcheck", ROOT / "deploy" / "healthcheck.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Answering(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/healthz" else 404)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture
def port() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_health_check_asks_a_replica_and_lets_other_roles_be(healthcheck: ModuleType, port: int) -> None:
    assert healthcheck.is_api(b"/opt/orderwire/bin/python\0/opt/orderwire/bin/orderwire\0api\0")
    assert not healthcheck.is_api(b"/opt/orderwire/bin/python\0/opt/orderwire/bin/orderwire\0engine\0")
    assert healthcheck.answers(str(port))


def test_health_check_fails_when_the_replica_does_not_answer_well(
    healthcheck: ModuleType, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Answering, "status", 500)
    assert not healthcheck.answers(str(port))
    assert not healthcheck.answers("1")
