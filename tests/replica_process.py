"""The API role as a real process, asked over its own HTTP: for tests of what clients see while something fails."""

import asyncio
import subprocess
import sys
from typing import Any

import httpx2

from app.auth.tokens import AccessTokens
from app.dev.client import StreamSession
from tests.database_roles import as_role
from tests.engine_process import SECRETS, role_environment
from tests.exchange import free_ports

START_WAIT_S = 20.0
LOOK_S = 0.02


class ReplicaProcess:
    """`python -m app api` on a free port; an async context manager, killed at the end whatever happens."""

    def __init__(self, database_url: str, redis_url: str, *, shard: int, **settings: str) -> None:
        self._port = free_ports(1)
        self._environment = role_environment(
            as_role(database_url, "api"),
            redis_url,
            ORDERWIRE_SHARD=str(shard),
            ORDERWIRE_API_PORT=str(self._port),
            **settings,
        )
        self._tokens = AccessTokens(SECRETS["JWT_SECRET"])
        self.process: subprocess.Popen[bytes] | None = None
        self.http = httpx2.AsyncClient(base_url=f"http://127.0.0.1:{self._port}", timeout=10)
        self.ws_url = f"ws://127.0.0.1:{self._port}/v1/stream"

    async def __aenter__(self) -> "ReplicaProcess":
        command = [sys.executable, "-m", "app", "api"]
        self.process = subprocess.Popen(  # noqa: ASYNC220  # starting takes no time
            command, env=self._environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        async with asyncio.timeout(START_WAIT_S):
            while True:
                try:
                    await self.http.get("/healthz")
                except httpx2.TransportError:
                    await asyncio.sleep(LOOK_S)
                else:
                    return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    async def call(self, method: str, path: str, body: object = None, *, account_id: int) -> httpx2.Response:
        """Send a request with an access token of an account."""
        headers = {"Authorization": f"Bearer {self._token_of(account_id)}"}
        return await self.http.request(method, path, json=body, headers=headers)

    async def session(self, account_id: int) -> StreamSession:
        """Open a session of an account on the stream."""
        stream = await StreamSession.connect(self.ws_url)
        await stream.request("auth", token=self._token_of(account_id))
        return stream

    def _token_of(self, account_id: int) -> str:
        token, _ = self._tokens.issue(user_id=1, account_id=account_id, scopes=frozenset({"read", "trade"}))
        return token

    async def status(self) -> dict[str, Any]:
        """Return what `/v1/status` says."""
        answer: dict[str, Any] = (await self.http.get("/v1/status")).json()
        return answer

    async def metric(self, sample: str) -> float | None:
        """Return the value of one sample of `/metrics`, written as it stands there; None if it is not there."""
        text = (await self.http.get("/metrics")).text
        values = [line.rpartition(" ")[2] for line in text.splitlines() if line.startswith(f"{sample} ")]
        return float(values[0]) if values else None

    async def wait_for_metric(self, sample: str, value: float, *, timeout_s: float) -> None:
        """Return once a sample has a value."""
        async with asyncio.timeout(timeout_s):
            while await self.metric(sample) != value:  # noqa: ASYNC110  # polls a server
                await asyncio.sleep(LOOK_S)

    async def wait_for_mode(self, mode: str, part: str | None = None, *, timeout_s: float) -> dict[str, Any]:
        """Return the status once it has the mode, and something wrong with the part if one is named."""
        status: dict[str, Any] = {}
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    status = await self.status()
                    if status["mode"] == mode and (part is None or status["reasons"][part] != "ok"):
                        return status
                    await asyncio.sleep(LOOK_S)
        except TimeoutError:
            raise AssertionError(f"expected {mode} for {part}, was {status}") from None
