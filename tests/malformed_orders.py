"""Malformed orders: numbers of every odd kind, broken bytes, wrong fields, media types.

Rows of `tests.malformed_requests`, which says how they are sent.
"""

from collections.abc import Iterator
from typing import NamedTuple

JSON = {"Content-Type": "application/json"}
BODY_BYTES_MAX = 64 * 1024


class MalformedRequest(NamedTuple):
    """One row; `code` is the problem's code."""

    name: str
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    status: int
    code: str


NUMBERS_THAT_ARE_NONE = {
    "empty": '""',
    "space": '" "',
    "leading space": '" 1"',
    "trailing space": '"1 "',
    "tab": '"1\\t"',
    "trailing newline": '"1\\n"',
    "carriage return": '"1\\r\\n"',
    "null character": '"1\\u0000"',
    "no-break space": '"1\\u00a0"',
    "zero-width space": '"1\\u200b"',
    "exponent": '"1e5"',
    "capital exponent": '"1E5"',
    "huge exponent": '"1e1000000"',
    "tiny exponent": '"1e-1000000"',
    "leading zero": '"01"',
    "leading zeros with fraction": '"00.5"',
    "no digit before the point": '".5"',
    "no digit after the point": '"1."',
    "two points": '"1.2.3"',
    "point only": '"."',
    "comma": '"1,5"',
    "thousands comma": '"1,000"',
    "underscore": '"1_000"',
    "plus": '"+1"',
    "minus": '"-1"',
    "minus zero": '"-0"',
    "two minuses": '"--1"',
    "unicode minus": '"\\u22121"',
    "hexadecimal": '"0x10"',
    "octal": '"0o17"',
    "full-width digits": '"\uff11\uff12"',
    "arabic digits": '"\u0661\u0662"',
    "devanagari digits": '"\u0967\u0968"',
    "superscript": '"1\u00b2"',
    "fraction character": '"\u00bd"',
    "circled digit": '"\u2460"',
    "mathematical bold digit": '"\U0001d7cf"',
    "nan": '"NaN"',
    "lower nan": '"nan"',
    "signaling nan": '"sNaN"',
    "infinity": '"Infinity"',
    "inf": '"inf"',
    "minus infinity": '"-Infinity"',
    "41 characters": '"' + "1" * 41 + '"',
    "41 characters with fraction": '"1.' + "0" * 39 + '"',
    "60,000 characters": '"' + "1" * 60_000 + '"',
    "currency": '"$1"',
    "percent": '"1%"',
    "ratio": '"1/2"',
    "word": '"one"',
    "null word": '"null"',
    "array text": '"[1]"',
    "json integer": "1",
    "json negative": "-1",
    "json fraction": "1.5",
    "json exponent": "1e5",
    "json long fraction": "12345678901234567.123456789",
    "json 60 digits": "1" * 60,
    "true": "true",
    "array": "[]",
    "array of text": '["1"]',
    "object": "{}",
    "object with value": '{"value":"1"}',
}
"""JSON texts in the place of a decimal."""

BROKEN_VALUES = {
    "nan literal": "NaN",
    "infinity literal": "Infinity",
    "minus infinity literal": "-Infinity",
    "number beyond floats": "1e400",
    "negative number beyond floats": "-1e400",
    "leading zero literal": "01",
    "plus literal": "+1",
    "point literal": ".5",
    "hexadecimal literal": "0x10",
    "single quotes": "'1'",
    "bare word": "one",
    "undefined": "undefined",
    "raw control character": '"1\n"',
    "lone surrogate": '"\\ud800"',
    "lone low surrogate": '"\\udc00"',
    "bad escape": '"\\x31"',
    "unfinished text": '"1',
    "nothing": "",
}
"""In the place of a decimal they make the whole body something other than JSON."""


def order_body(**fields: str) -> bytes:
    """Return an order body with some fields given as JSON text."""
    members = {
        "symbol": '"BTC-USD"',
        "side": '"buy"',
        "type": '"limit"',
        "quantity": '"1"',
        "price": '"100"',
    } | fields
    return ("{" + ",".join(f'"{name}":{value}' for name, value in members.items()) + "}").encode()


def place(name: str, body: bytes, status: int = 400, code: str = "invalid_request") -> MalformedRequest:
    """Return a row that places an order."""
    return MalformedRequest(f"order: {name}", "POST", "/v1/orders", JSON, body, status, code)


def _numbers() -> Iterator[MalformedRequest]:
    for name, value in NUMBERS_THAT_ARE_NONE.items():
        yield place(f"price {name}", order_body(price=value))
        yield place(f"quantity {name}", order_body(quantity=value))
    for field in ("quote_quantity", "display_quantity", "trigger_price", "trailing_offset", "max_slippage"):
        for name in ("json fraction", "exponent", "arabic digits", "minus"):
            yield place(f"{field} {name}", order_body(**{field: NUMBERS_THAT_ARE_NONE[name]}))
    for name, value in BROKEN_VALUES.items():
        yield place(f"price {name}", order_body(price=value), 400, "invalid_json")


def _bytes() -> Iterator[MalformedRequest]:
    good = order_body()
    for name, body in {
        "empty body": b"",
        "spaces": b"   ",
        "open brace": b"{",
        "missing brace": good[:-1],
        "trailing comma": good[:-1] + b",}",
        "trailing text": good + b"x",
        "two documents": good + good,
        "comment": b"/* order */" + good,
        "unquoted names": b"{symbol:1}",
        "byte order mark": b"\xef\xbb\xbf" + good,
        "utf-16": good.decode().encode("utf-16"),
        "utf-16 without mark": good.decode().encode("utf-16-le"),
        "utf-32": good.decode().encode("utf-32"),
        "bad utf-8 in a value": order_body(label='"@"').replace(b"@", b"\xff"),
        "bad utf-8 in a name": good.replace(b"price", b"pric\xff"),
        "overlong utf-8": order_body(label='"@"').replace(b"@", b"\xc0\xaf"),
        "utf-8 surrogate": order_body(label='"@"').replace(b"@", b"\xed\xa0\x80"),
        "null byte after": good + b"\x00",
        "only null bytes": b"\x00" * 100,
        "gzip bytes": b"\x1f\x8b\x08\x00" + bytes(60),
        "form": b"symbol=BTC-USD&side=buy",
        "xml": b"<order/>",
        "nested arrays 30,000 deep, unclosed": b"[" * 30_000,
        "nested arrays 30,000 deep": b"[" * 30_000 + b"]" * 30_000,
        "nested objects 10,000 deep": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        "nested arrays in a field": order_body(price="[" * 30_000 + "]" * 30_000),
        "nested arrays in an unknown field": order_body(extra="[" * 30_000 + "]" * 30_000),
        "nan deep in an unknown field": order_body(extra='{"a":[NaN]}'),
    }.items():
        yield place(name, body, 400, "invalid_json")
    too_big = {
        "nested arrays 100,000 deep": b"[" * 100_000,
        "one byte over the bound": good + b" " * (BODY_BYTES_MAX + 1 - len(good)),
        "long label": order_body(label='"' + "x" * 100_000 + '"'),
        "many fields": b"{" + b",".join(b'"f%d":1' % number for number in range(20_000)) + b"}",
        "spaces 500 KB": b" " * 500_000,
    }
    for name, body in too_big.items():
        yield place(name, body, 413, "message_too_big")
    for name, body in {"null": b"null", "number": b"1", "text": b'"x"', "array": b"[]", "true": b"true"}.items():
        yield place(f"top level {name}", body)


def _fields() -> Iterator[MalformedRequest]:
    wrong = {"number": "1", "true": "true", "array": "[]", "object": "{}", "empty": '""', "word": '"sideways"'}
    for field in ("side", "type", "time_in_force", "post_only", "trigger_by", "stp"):
        for name, value in wrong.items():
            yield place(f"{field} {name}", order_body(**{field: value}))
    yield place("side capital", order_body(side='"BUY"'))
    yield place("type null", order_body(type="null"))
    for name, value in wrong.items():
        if name != "true":
            yield place(f"reduce_only {name}", order_body(reduce_only=value))
    for name, value in {
        "lower case": '"btc-usd"',
        "slash": '"BTC/USD"',
        "21 characters": '"' + "A" * 21 + '"',
        "empty": '""',
        "null": "null",
        "number": "1",
        "array": '["BTC-USD"]',
        "newline": '"BTC-USD\\n"',
        "full-width": '"\uff22TC-USD"',
    }.items():
        yield place(f"symbol {name}", order_body(symbol=value))
    for name, value in {
        "empty": '""',
        "37 characters": '"' + "a" * 37 + '"',
        "space": '"a b"',
        "newline": '"a\\n"',
        "letter beyond ascii": '"\u00e9"',
        "number": "7",
        "object": "{}",
    }.items():
        yield place(f"client_order_id {name}", order_body(client_order_id=value))
        yield place(f"label {name}", order_body(label=value))
    for field in ("expire_at", "deadline"):
        yield place(f"{field} number", order_body(**{field: "1795168800"}))
        yield place(f"{field} 41 characters", order_body(**{field: '"' + "2" * 41 + '"'}))
    for field in ("symbol", "side", "type"):
        members = {"symbol": b'"BTC-USD"', "side": b'"buy"', "type": b'"limit"'}
        left = b",".join(b'"%s":%s' % (name.encode(), value) for name, value in members.items() if name != field)
        yield place(f"{field} missing", b"{" + left + b"}")
    yield place("empty object", b"{}")
    for name in ("extra", "Price", "price ", "orderId", "account_id", "fee", "status", "__proto__", "", "a" * 500):
        yield place(f"unknown field {name[:20]!r}", order_body(**{name: '"1"'}), 422)
    yield place("unknown field of odd characters", order_body(**{"<b>`\\n": "1"}), 422)
    yield place("price twice", order_body()[:-1] + b',"price":"200"}', 422)
    yield place("price twice, once escaped", order_body()[:-1] + b',"\\u0070rice":"200"}', 422)
    yield place("symbol twice, the same", order_body()[:-1] + b',"symbol":"BTC-USD"}', 422)


def _media_types() -> Iterator[MalformedRequest]:
    for media_type in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonx",
        "application/problem+json",
        "application/json; charset=utf-16",
        "application/json; charset=latin-1",
        "application/json, text/plain",
        "application/json; boundary=x",
        "application",
        "",
        "*/*",
    ):
        headers = {"Content-Type": media_type}
        yield MalformedRequest(
            f"content type {media_type!r}", "POST", "/v1/orders", headers, order_body(), 415, "unsupported_media_type"
        )
    yield MalformedRequest(
        "content type missing", "POST", "/v1/orders", {}, order_body(), 415, "unsupported_media_type"
    )
    for encoding in ("gzip", "deflate", "br", "identity", "x"):
        headers = JSON | {"Content-Encoding": encoding}
        yield MalformedRequest(
            f"content encoding {encoding}", "POST", "/v1/orders", headers, order_body(), 415, "unsupported_media_type"
        )


def _amends() -> Iterator[MalformedRequest]:
    for name, body in {
        "version text": b'{"price":"1","if_version":"1"}',
        "version fraction": b'{"price":"1","if_version":1.0}',
        "version exponent": b'{"price":"1","if_version":1e0}',
        "version zero": b'{"price":"1","if_version":0}',
        "version negative": b'{"price":"1","if_version":-1}',
        "version true": b'{"price":"1","if_version":true}',
        "version beyond 2^53": b'{"price":"1","if_version":9007199254740993}',
        "version of 40 digits": b'{"price":"1","if_version":%s}' % (b"9" * 40),
        "price number": b'{"price":1}',
        "quantity exponent": b'{"quantity":"1e1"}',
        "array": b"[]",
    }.items():
        yield MalformedRequest(f"amend: {name}", "PATCH", "/v1/orders/7", JSON, body, 400, "invalid_request")
    row = ("PATCH", "/v1/orders/7", JSON)
    yield MalformedRequest("amend: nan", *row, b'{"price":NaN}', 400, "invalid_json")
    yield MalformedRequest("amend: version beyond floats", *row, b'{"if_version":1e999}', 400, "invalid_json")
    yield MalformedRequest("amend: side", *row, b'{"side":"buy"}', 422, "invalid_request")
    yield MalformedRequest("amend: symbol", *row, b'{"symbol":"AAPL","price":"1"}', 422, "invalid_request")


def _meanings() -> Iterator[MalformedRequest]:
    for name, fields in {
        "price zero": {"price": '"0"'},
        "price zero with places": {"price": '"0.00"'},
        "quantity zero": {"quantity": '"0"'},
        "price of 40 digits": {"price": '"' + "9" * 40 + '"'},
        "quantity of 40 digits": {"quantity": '"' + "9" * 40 + '"'},
        "price null": {"price": "null"},
        "quantity null": {"quantity": "null"},
        "deadline word": {"deadline": '"soon"'},
        "deadline without zone": {"deadline": '"2100-01-01T00:00:00"'},
    }.items():
        yield place(f"meaning: {name}", order_body(**fields))
    yield place("meaning: price off the tick", order_body(price='"100.001"'), 422, "invalid_price_tick")
    yield place("meaning: quantity off the lot", order_body(quantity='"0.000000001"'), 422, "invalid_quantity_lot")
    yield place("meaning: unlisted symbol", order_body(symbol='"NOPE"'), 422, "unknown_symbol")
    row = ("PATCH", "/v1/orders/7", JSON)
    yield MalformedRequest("meaning: amend of nothing", *row, b"{}", 400, "invalid_request")
    yield MalformedRequest("meaning: amend to price zero", *row, b'{"price":"0"}', 400, "invalid_request")
    yield MalformedRequest("meaning: amend to 40 digits", *row, b'{"price":"%s"}' % (b"9" * 40), 400, "invalid_request")


GATEWAY_ROWS: tuple[MalformedRequest, ...] = tuple(_meanings())
"""Well-formed orders that mean nothing: the gateway refuses them before the engine sees them."""
ORDER_ROWS: tuple[MalformedRequest, ...] = (*_numbers(), *_bytes(), *_fields(), *_media_types(), *_amends())
