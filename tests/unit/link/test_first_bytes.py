"""What arrives with the connection itself, on the loop of production."""

import asyncio
import socket
import time

import uvloop

from app.link.client import LinkClient
from app.link.frames import (
    NONCE_BYTES,
    REQUEST_BYTES_MAX,
    Challenge,
    FrameReader,
    Hello,
    decode_request,
    encode_frame,
)

SECRET = b"the shared secret of this test, long"


def challenged_at_once(sock: socket.socket) -> bytes:
    """Accept one replica and speak at that very moment; returns what it says before it closes."""
    peer, _ = sock.accept()
    with peer:
        peer.sendall(encode_frame(Challenge(0, bytes(NONCE_BYTES))))
        peer.settimeout(10)
        return peer.recv(65_536)


def test_a_leader_that_speaks_before_the_replica_looks_is_answered_on_the_first_connection() -> None:
    """On the loop of production what is in the socket is handed over before the task that connected goes on."""

    async def first_answer(sock: socket.socket) -> bytes:
        loop = asyncio.get_running_loop()

        async def locate() -> tuple[str, int]:
            return f"127.0.0.1:{sock.getsockname()[1]}", 1

        def keep_busy() -> None:
            # As after a failover: every turn of the loop takes longer than the leader's first message.
            time.sleep(0.005)
            if not heard.done():
                loop.call_soon(keep_busy)

        client = LinkClient(shard=0, secret=SECRET, replica="r1", build="test", locate=locate)
        heard = asyncio.ensure_future(asyncio.to_thread(challenged_at_once, sock))
        keep_busy()
        await client.start()
        try:
            return await heard
        finally:
            await client.stop()

    with socket.create_server(("127.0.0.1", 0)) as sock, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        heard = runner.run(first_answer(sock))
    assert heard, "the replica did not hear the leader"
    (body,) = FrameReader(REQUEST_BYTES_MAX).feed(heard)
    assert isinstance(decode_request(body), Hello)
