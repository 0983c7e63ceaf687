"""`orderwire dev` as a newcomer and a script meet it: one line, the addresses it names, and nothing left afterwards."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.dev import catalog
from app.dev.client import RequestRefused, RestClient, StreamSession
from app.dev.credentials import Credentials
from app.dev.processes import is_running
from tests.exchange import REPOSITORY, free_ports
from tests.processes import eventually, kill_all_in, processes_in

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0
FIRST_TRADE_WITHIN_S = 50.0
"""Ten times the promise: a test must not fail because the machine is busy."""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that any user can reach, for servers that do not run as us."""
    path = Path(tempfile.mkdtemp(prefix="orderwire-test-"))
    path.chmod(0o777)
    yield path
    kill_all_in(path)
    shutil.rmtree(path)


class Dev:
    """`orderwire dev` with its stdout caught."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.port = free_ports(2)
        self.folder = folder
        self.began = time.monotonic()
        with (folder / "stderr.txt").open("ab") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "app", "dev", "--port", str(self.port), *options],
                cwd=folder,
                env={"PATH": "", "HOME": str(folder), "TMPDIR": str(folder), "PYTHONPATH": str(REPOSITORY)},
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def first_line(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, (self.folder / "stderr.txt").read_text()
        facts: dict[str, Any] = json.loads(line)
        return facts

    def roles(self) -> dict[str, list[int]]:
        """Return the process ids of the roles by name."""
        found: dict[str, list[int]] = {}
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError, IndexError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                words = (entry / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
                if int(fields[1]) == self.process.pid and fields[0] not in "ZX" and b"app" in words[:3]:
                    found.setdefault(words[3].decode(), []).append(int(entry.name))
        return found

    def end(self, number: int) -> tuple[int, str]:
        """Send a signal; returns exit code and the rest of stdout."""
        self.process.send_signal(number)
        rest, _ = self.process.communicate(timeout=STOP_TIMEOUT_S)
        return self.process.returncode, rest


def accounts_of(facts: dict[str, Any]) -> dict[str, Credentials]:
    return {name: Credentials(**members) for name, members in facts["accounts"].items()}


async def test_first_line_says_everything_when_all_is_ready_and_the_stop_leaves_nothing(folder: Path) -> None:
    dev = Dev(folder, "--json", "--no-demo")
    facts = dev.first_line()

    assert list(facts) == ["rest", "ws", "accounts"]
    assert facts["rest"] == [f"http://127.0.0.1:{dev.port + index}" for index in range(2)]
    assert facts["ws"] == [f"ws://127.0.0.1:{dev.port + index}/v1/stream" for index in range(2)]
    assert list(facts["accounts"]) == ["alice", "bob", "admin"]
    assert all(list(account) == ["account_id", "key", "secret"] for account in facts["accounts"].values())
    dev_file = folder / ".orderwire" / "dev.json"
    assert json.loads(dev_file.read_text()) == facts
    assert stat.S_IMODE(dev_file.stat().st_mode) == 0o600
    for url in facts["rest"]:
        await expect_new_exchange(url, accounts_of(facts))

    roles = dev.roles()
    assert {name: len(pids) for name, pids in roles.items()} == {"worker": 1, "engine": 1, "api": 2}
    assert dev.end(signal.SIGTERM) == (0, "")
    said = (folder / "stderr.txt").read_text()
    assert "disk_not_measured" not in said, "a newcomer is not told to set what nobody needs to set here"
    assert [pid for pids in roles.values() for pid in pids if is_running(pid)] == []
    assert processes_in(folder) == []
    assert files_in(folder) == [".orderwire", ".orderwire/dev.json", "stderr.txt"]


def files_in(folder: Path) -> list[str]:
    """Return every file and folder below a folder."""
    return sorted(str(entry.relative_to(folder)) for entry in folder.rglob("*"))


async def expect_new_exchange(url: str, accounts: dict[str, Credentials]) -> None:
    """Check readiness, money, empty books and the absence of every limit, on one replica."""
    for name in ("alice", "bob"):
        async with RestClient(url, accounts[name]) as client:
            assert (await client.send("GET", "/readyz")).status_code == 200
            balances = (await client.call("GET", "/v1/balances"))["data"]
            assert {row["asset"]: row["available"] for row in balances} == {
                "USD": "10000000",
                **dict.fromkeys(("BTC", "ETH", "AAPL", "XAU"), "1000"),
            }
    async with RestClient(url) as client:
        listed = {shape["symbol"]: shape for shape in (await client.call("GET", "/v1/instruments"))["data"]}
        assert set(listed) == {"BTC-USD", "ETH-USD", "AAPL", "XAU-USD"}
        assert (listed["BTC-USD"]["tick_size"], listed["BTC-USD"]["lot_size"]) == ("0.01", "0.00000001")
        for symbol, shape in listed.items():
            limits = ("min_quantity", "max_quantity", "min_notional", "max_notional", "price_band")
            assert [shape[limit] for limit in limits] == [None] * len(limits)
            book = await client.call("GET", f"/v1/orderbook/{symbol}")
            assert (book["bids"], book["asks"]) == ([], [])


def test_busy_port_is_named_and_nothing_starts(folder: Path) -> None:
    with socket.socket() as taken:
        dev_port = free_ports(2)
        taken.bind(("127.0.0.1", dev_port + 1))
        taken.listen()
        answer = subprocess.run(
            [sys.executable, "-m", "app", "dev", "--json", "--port", str(dev_port)],
            cwd=folder,
            env={"PATH": "", "TMPDIR": str(folder), "PYTHONPATH": str(REPOSITORY)},
            capture_output=True,
            text=True,
            timeout=START_TIMEOUT_S,
            check=False,
        )
    assert (answer.returncode, answer.stdout) == (2, "")
    assert str(dev_port + 1) in answer.stderr
    assert len(answer.stderr.splitlines()) == 1
    assert list(folder.iterdir()) == []


async def test_demo_market_trades_on_every_book_and_dies_with_its_killed_parent(folder: Path) -> None:
    dev = Dev(folder, "--json", "--data-dir", str(folder / "data"))
    facts = await asyncio.to_thread(dev.first_line)
    symbols = [instrument.symbol for instrument in catalog.INSTRUMENTS]
    seen: dict[str, int] = {}
    async with await StreamSession.connect(facts["ws"][1]) as stream:
        await stream.subscribe(*(f"trades:{symbol}" for symbol in symbols))
        first_trade_after = None
        async with asyncio.timeout(FIRST_TRADE_WITHIN_S):
            while len(seen) < len(symbols) or sum(seen.values()) < 50:
                for trade in (await stream.next_frame("trades", FIRST_TRADE_WITHIN_S))["trades"]:
                    first_trade_after = first_trade_after or time.monotonic() - dev.began
                    seen[trade["symbol"]] = seen.get(trade["symbol"], 0) + 1
    assert first_trade_after is not None
    assert first_trade_after < FIRST_TRADE_WITHIN_S
    roles = dev.roles()
    assert len(roles["demo-market"]) == 1

    # Nobody is left to clean up: the kernel must have told every child.
    dev.end(signal.SIGKILL)
    assert eventually(lambda: not any(is_running(pid) for pids in roles.values() for pid in pids), 10.0)
    assert eventually(lambda: processes_in(folder) == [], 10.0)


async def test_roles_and_servers_that_are_killed_start_again_and_service_returns(folder: Path) -> None:
    dev = Dev(folder, "--json", "--no-demo")
    facts = await asyncio.to_thread(dev.first_line)
    alice = accounts_of(facts)["alice"]
    before = dev.roles()
    for role in ("engine", "worker", "api"):
        os.kill(before[role][0], signal.SIGKILL)
    assert eventually(lambda: counts(dev.roles()) == counts(before), 20.0)
    after = dev.roles()
    assert all(after[role] != before[role] for role in ("engine", "worker", "api"))
    assert await eventually_places(facts["rest"][0], alice, "after-the-roles")

    os.kill(postgres_of(folder), signal.SIGKILL)
    assert await eventually_places(facts["rest"][1], alice, "after-the-database")
    assert await eventually_reads(facts["rest"][0], alice, "after-the-roles") == "open"

    assert dev.end(signal.SIGINT) == (0, "")
    assert processes_in(folder) == []


def counts(roles: dict[str, list[int]]) -> dict[str, int]:
    return {name: len(pids) for name, pids in roles.items()}


def postgres_of(folder: Path) -> int:
    (lock,) = folder.glob("orderwire-servers-*/postgres/postmaster.pid")
    return int(lock.read_text().splitlines()[0])


async def eventually_places(url: str, owner: Credentials, client_order_id: str) -> bool:
    """Return whether an order is accepted within some seconds; the client order id makes trying again safe."""
    order = {"symbol": "AAPL", "side": "buy", "type": "limit", "price": "1", "quantity": "1"}
    deadline = time.monotonic() + 30
    async with RestClient(url, owner) as client:
        while time.monotonic() < deadline:
            with contextlib.suppress(ConnectionError, RequestRefused):
                await client.call("POST", "/v1/orders", {**order, "client_order_id": client_order_id})
                return True
            await asyncio.sleep(0.05)
    return False


async def eventually_reads(url: str, owner: Credentials, client_order_id: str) -> str | None:
    """Return the status of an order; a replica that has not tried the database since it was away refuses at first."""
    deadline = time.monotonic() + 10
    async with RestClient(url, owner) as client:
        while time.monotonic() < deadline:
            with contextlib.suppress(ConnectionError, RequestRefused):
                answer = await client.call("GET", f"/v1/orders/by-client-id/{client_order_id}")
                return str(answer["status"])
            await asyncio.sleep(0.05)
    return None


def test_data_folder_of_the_other_mode_is_refused(folder: Path) -> None:
    data = folder / "data"
    data.mkdir()
    (data / "orderwire.json").write_text('{"demo": true}')
    answer = subprocess.run(
        [sys.executable, "-m", "app", "dev", "--no-demo", "--port", str(free_ports(2)), "--data-dir", str(data)],
        cwd=folder,
        env={"PATH": "", "TMPDIR": str(folder), "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=START_TIMEOUT_S,
        check=False,
    )
    assert answer.returncode == 3
    assert "with the demo market" in answer.stderr
