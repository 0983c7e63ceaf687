"""Framing and the handshake's proofs."""

import time

import pytest

from app.errors import LinkError
from app.link.frames import (
    Beat,
    Challenge,
    FrameReader,
    Submit,
    decode_reply,
    decode_request,
    encode_frame,
    leader_proof,
    replica_proof,
)

SECRET = b"s" * 32


def test_frames_survive_any_cut_of_the_byte_stream() -> None:
    messages = [Submit(n, 5000, 1, bytes(n)) for n in range(40)]
    stream = b"".join(encode_frame(message) for message in messages)
    for size in (1, 2, 3, 7, 64, len(stream)):
        reader = FrameReader(1 << 16)
        bodies = [body for at in range(0, len(stream), size) for body in reader.feed(stream[at : at + size])]
        assert [decode_request(body) for body in bodies] == messages


def test_messages_before_and_after_one_that_came_in_pieces_keep_their_order() -> None:
    frames = [encode_frame(Submit(n, 5000, 1, bytes(200))) for n in range(5)]
    reader = FrameReader(1 << 16)
    pieces = [frames[0] + frames[1][:3], frames[1][3:50], frames[1][50:] + frames[2] + frames[3][:100], frames[3][100:]]
    found = [list(reader.feed(piece)) for piece in pieces]
    bodies = [frame[4:] for frame in frames]
    assert found == [bodies[:1], [], bodies[1:3], bodies[3:4]]
    assert list(reader.feed(frames[4])) == bodies[4:]


def test_a_large_message_in_many_pieces_is_copied_a_few_times_only() -> None:
    body = bytes(16 << 20)
    stream = len(body).to_bytes(4, "big") + body
    reader = FrameReader(1 << 26)
    started = time.process_time()
    found = [part for at in range(0, len(stream), 4096) for part in reader.feed(stream[at : at + 4096])]
    # Copying what came before with every piece would move 32 GB.
    assert time.process_time() - started < 3
    assert found == [body]


def test_a_frame_above_the_limit_is_refused_before_it_is_buffered() -> None:
    reader = FrameReader(100)
    with pytest.raises(LinkError, match="at most 100"):
        list(reader.feed(encode_frame(Submit(1, 1, 1, bytes(200)))[:4]))


@pytest.mark.parametrize("body", [b"", b"\xc1", b"\x91\xa4nope", b"\x93\xa6submit\x01\x02", b"garbage"])
def test_unreadable_messages_are_link_errors(body: bytes) -> None:
    with pytest.raises(LinkError):
        decode_request(body)
    with pytest.raises(LinkError):
        decode_reply(body)


def test_a_leader_does_not_take_replies_for_requests() -> None:
    with pytest.raises(LinkError):
        decode_request(encode_frame(Challenge(0, b"n"))[4:])
    assert decode_request(encode_frame(Beat(3))[4:]) == Beat(3)


def test_proofs_depend_on_role_secret_shard_and_both_nonces() -> None:
    challenge, nonce = Challenge(0, b"a" * 32), b"b" * 32
    proofs = {
        replica_proof(SECRET, challenge, nonce),
        leader_proof(SECRET, challenge, nonce),
        replica_proof(b"t" * 32, challenge, nonce),
        replica_proof(SECRET, Challenge(1, b"a" * 32), nonce),
        replica_proof(SECRET, Challenge(0, b"c" * 32), nonce),
        replica_proof(SECRET, challenge, b"d" * 32),
    }
    assert len(proofs) == 6


def test_a_reflected_proof_does_not_pass_for_the_other_role() -> None:
    # Both sides with one nonce: the worst case for a reflection.
    challenge, nonce = Challenge(0, b"a" * 32), b"a" * 32
    assert replica_proof(SECRET, challenge, nonce) != leader_proof(SECRET, challenge, nonce)
