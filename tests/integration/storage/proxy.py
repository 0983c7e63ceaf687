"""A TCP proxy before PostgreSQL that can lose a statement, its answer, or deliver it too late."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum
from urllib.parse import urlsplit, urlunsplit


class Fault(Enum):
    """What happens to the next chunk that a client sends."""

    CUT_BEFORE = "the statement never reaches the server"
    CUT_AFTER = "the server executes it, its answer is lost"
    DELAY = "the statement is kept until released, the client hears nothing"


class Proxy:
    """Forwards connections; `arm` makes the next chunk from a client meet a fault."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._armed: list[Fault | None] = []
        self._release = asyncio.Event()
        self.delivered_late = asyncio.Event()
        self.delay_s = 0.0
        """How long every chunk of a client is kept: a server that is far away."""
        self.faults = 0
        self.faulted = asyncio.Event()

    def arm(self, *faults: Fault | None) -> None:
        """Let the next chunks meet these faults, one each; None lets one pass."""
        self._armed.extend(faults)

    def disarm(self) -> None:
        """Let everything pass again."""
        self._armed.clear()

    def release(self) -> None:
        """Deliver what was delayed."""
        self._release.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward one client's connection until either side ends."""
        server_reader, server_writer = await asyncio.open_connection(*self._target)
        answers = asyncio.create_task(self._forward_answers(server_reader, writer))
        try:
            while data := await reader.read(1 << 16):
                fault = self._armed.pop(0) if self._armed else None
                if fault is None:
                    if self.delay_s:
                        await asyncio.sleep(self.delay_s)
                    server_writer.write(data)
                    continue
                self.faults += 1
                self.faulted.set()
                if fault is Fault.CUT_BEFORE:
                    return
                answers.cancel()
                await asyncio.wait({answers})
                if fault is Fault.DELAY:
                    await self._release.wait()
                server_writer.write(data)
                # The answer follows the commit, so one that came proves the statement was executed.
                await server_reader.read(1 << 16)
                if fault is Fault.DELAY:
                    self.delivered_late.set()
                return
        except ConnectionError:
            pass
        finally:
            answers.cancel()
            writer.close()
            server_writer.close()

    async def _forward_answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            writer.write(data)
        writer.close()


@asynccontextmanager
async def proxy_before(url: str) -> AsyncIterator[tuple[Proxy, str]]:
    """Yield a proxy before the server of a database URL, and the URL through it."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    proxy = Proxy(parts.hostname, parts.port)
    connections: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(proxy.serve(reader, writer))
        connections.add(task)
        task.add_done_callback(connections.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield proxy, urlunsplit(parts._replace(netloc=f"{parts.username}:{parts.password}@127.0.0.1:{port}"))
    finally:
        server.close()
        for task in list(connections):
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
