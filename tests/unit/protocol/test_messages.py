"""Client messages and frames: what is accepted, what is refused and how, what is left out."""

import msgspec
import pytest

from app.domain.enums import Side
from app.errors import ApiError
from app.protocol import messages
from app.protocol.messages import decode_client, echo_id, encode_frame


def test_subscribe_with_options_and_resume() -> None:
    message = decode_client(
        '{"action":"subscribe","id":"1","channels":["ticker:BTC-USD","orders"],'
        '"options":{"orderbook:AAPL":{"depth":50,"interval_ms":100,"checksum":true}},"resume_from":7}'
    )
    assert message == messages.Subscribe(
        id="1",
        channels=["ticker:BTC-USD", "orders"],
        options={"orderbook:AAPL": messages.BookOptions(depth=50, interval_ms=100, checksum=True)},
        resume_from=7,
    )


def test_order_actions_carry_the_rest_bodies() -> None:
    placed = decode_client(
        '{"action":"order.place","id":"7","order":{"symbol":"AAPL","side":"buy","type":"limit","price":"1","quantity":"2"}}'
    )
    assert isinstance(placed, messages.OrderPlace)
    assert placed.order.side is Side.BUY
    amended = decode_client('{"action":"order.amend","order_id":"12","quantity":"3","if_version":2}')
    assert isinstance(amended, messages.OrderAmend)
    request = amended.request()
    assert (request.quantity, request.if_version, request.price) == ("3", 2, None)
    assert decode_client('{"action":"order.cancel","client_order_id":"a:1"}') == messages.OrderCancel(
        client_order_id="a:1"
    )
    assert decode_client('{"action":"order.cancel_all","side":"sell"}') == messages.OrderCancelAll(side=Side.SELL)


REFUSED = [
    # text, code, field, echoed id
    ("", "invalid_json", None, None),
    ("nope", "invalid_json", None, None),
    ('{"action":"ping"', "invalid_json", None, None),
    ('{"action":"ping","id":NaN}', "invalid_json", None, None),
    ('{"action":"ping"} x', "invalid_json", None, None),
    ('{"action":"ping","id":"\ud800"}', "invalid_json", None, None),
    ("[" * 100_000, None, None, None),
    ("[]", "invalid_request", None, None),
    ('"ping"', "invalid_request", None, None),
    ("{}", "invalid_request", "action", None),
    ('{"action":"order.batch","id":"3"}', "invalid_request", "orders", "3"),
    ('{"action":"order.list","id":"3"}', "invalid_request", "action", "3"),
    ('{"action":7,"id":"3"}', "invalid_request", "action", "3"),
    ('{"action":"ping","id":5}', "invalid_request", "id", None),
    ('{"action":"ping","id":"' + "x" * 65 + '"}', "invalid_request", "id", None),
    ('{"action":"ping","more":1,"id":"4"}', "invalid_request", "more", "4"),
    ('{"action":"subscribe","id":"5"}', "invalid_request", "channels", "5"),
    ('{"action":"subscribe","channels":[]}', "invalid_request", "channels", None),
    ('{"action":"subscribe","channels":[1]}', "invalid_request", "channels[0]", None),
    (
        '{"action":"subscribe","channels":["a"],"options":{"a":{"deep":1}}}',
        "invalid_request",
        "options[...].deep",
        None,
    ),
    (
        '{"action":"subscribe","channels":["a"],"options":{"a":{"depth":5001}}}',
        "invalid_request",
        "options[...].depth",
        None,
    ),
    (
        '{"action":"subscribe","channels":["a"],"options":{"a":{"interval_ms":17}}}',
        "invalid_request",
        "options[...].interval_ms",
        None,
    ),
    ('{"action":"subscribe","channels":["a"],"resume_from":-1}', "invalid_request", "resume_from", None),
    ('{"action":"auth","timestamp":1.5}', "invalid_request", "timestamp", None),
    (
        '{"action":"order.place","id":"7","order":{"symbol":"X","side":"buy","type":"limit","quantity":1}}',
        "invalid_request",
        "order.quantity",
        "7",
    ),
    (
        '{"action":"order.place","order":{"symbol":"X","side":"buy","type":"limit","quantity":"1e3"}}',
        "invalid_request",
        "order.quantity",
        None,
    ),
    ('{"action":"order.amend","quantity":"1"}', "invalid_request", "order_id", None),
    ('{"action":"order.cancel","order_id":12}', "invalid_request", "order_id", None),
]


@pytest.mark.parametrize(("text", "code", "field", "echoed"), REFUSED)
def test_wrong_message_is_refused_by_field(text: str, code: str | None, field: str | None, echoed: str | None) -> None:
    with pytest.raises(ApiError) as refused:
        decode_client(text)
    if code is not None:
        assert (refused.value.code, refused.value.field) == (code, field)
    assert echo_id(text) == echoed


def test_refusal_never_repeats_the_input() -> None:
    for text in (
        '{"action":"sec\\"ret"}',
        '{"action":"ping","s3cret value":1}',
        '{"action":"subscribe","channels":"s3"}',
    ):
        with pytest.raises(ApiError) as refused:
            decode_client(text)
        assert "s3" not in refused.value.detail
        assert "ret" not in refused.value.detail.replace("required", "")
        assert "s3" not in (refused.value.field or "")


def test_absent_members_are_left_out_of_a_frame() -> None:
    assert encode_frame(messages.Pong(server_time="t")) == '{"type":"pong","server_time":"t"}'
    assert encode_frame(messages.Pong(id="9", server_time="t")) == '{"type":"pong","id":"9","server_time":"t"}'
    beat = messages.Heartbeat(ts="t", engine_seq=1, books={}, lag_ms=0)
    assert msgspec.json.decode(encode_frame(beat)) == {
        "type": "heartbeat",
        "ts": "t",
        "engine_seq": 1,
        "books": {},
        "lag_ms": 0,
    }
