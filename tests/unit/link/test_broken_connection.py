"""A replica that is lost while answers leave: the leader's loop writes to it and must not be the one that fails."""

import asyncio
import socket
import struct
from types import SimpleNamespace
from typing import Any, cast

import pytest
import uvloop

from app.link.frames import Beat, encode_frame
from app.link.server import Connection, Leader, SessionLeases

RESET = struct.pack("ii", 1, 0)
TURNS_MAX = 10_000


class Leases:
    def __init__(self) -> None:
        self.lost = False

    def lose(self, link: Connection, silent_s: float) -> None:
        self.lost = True


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("new_loop", [uvloop.new_event_loop, asyncio.new_event_loop], ids=["uvloop", "asyncio"])
def test_writing_to_a_connection_until_its_loss_is_told_raises_nothing(new_loop: Any, reset: bool) -> None:
    with asyncio.Runner(loop_factory=new_loop) as runner:
        assert 0 < runner.run(_turns_until_lost(reset)) < TURNS_MAX


async def _turns_until_lost(reset: bool) -> int:
    loop, leases = asyncio.get_running_loop(), Leases()
    made: asyncio.Future[Connection] = loop.create_future()
    leader = cast(Leader, SimpleNamespace(shard=0))

    def connection() -> Connection:
        made.set_result(Connection(leader, cast(SessionLeases, leases), b"secret", set()))
        return made.result()

    server = await loop.create_server(connection, "127.0.0.1", 0)
    peer = socket.create_connection(server.sockets[0].getsockname())
    broken = await made
    await asyncio.sleep(0.01)
    if reset:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    peer.close()
    turns = 0
    try:
        while not leases.lost and turns < TURNS_MAX:
            broken.send_frame(encode_frame(Beat(1, ())))
            broken.flush()
            turns += 1
            await asyncio.sleep(0)
    finally:
        server.close()
        # uvloop's close() waits for ever for a connection that is still closing.
        await asyncio.sleep(0.01)
    return turns
