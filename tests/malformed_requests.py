"""Malformed requests as data, for the application with fakes and for the real stack alike.

A row is sent as it stands, with one addition: unless its headers hold `Authorization` or `X-API-Key`, the
sender adds good credentials with every scope. `BTC-USD` must be listed. Every row must be answered by
a 4xx problem with exactly this status and code, and change nothing.
"""

import base64
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


def _queries() -> Iterator[MalformedRequest]:
    wrong_limits = ("0", "-1", "1001", "1e2", "1.0", "01", "+1", "", "%201", "ten", "1_0", "%D9%A1", "9" * 30)
    for value in wrong_limits:
        yield _get(f"limit {value[:20]!r}", f"/v1/orders?limit={value}")
    for value in ("-1", "1.5", "x", "", "9223372036854775808", "1" * 5000, "%EF%BC%91"):
        yield _get(f"min_seq {value[:20]!r}", f"/v1/balances?min_seq={value}")
    foreign = base64.urlsafe_b64encode(b"fills:7").decode().rstrip("=")
    beyond = base64.urlsafe_b64encode(b"orders:9223372036854775808").decode().rstrip("=")
    for name, value in {
        "empty": "",
        "junk": "junk",
        "of another list": foreign,
        "beyond 63 bits": beyond,
        "long": "A" * 101,
        "not base64": "%21%21%21",
    }.items():
        yield _get(f"cursor {name}", f"/v1/orders?cursor={value}")
    for value in ("0", "5001", "-1", "all", "FULL", "", "1.0", "05", "%D9%A5", "10000"):
        yield _get(f"depth {value!r}", f"/v1/orderbook/BTC-USD?depth={value}")
    for query in (
        "status=done",
        "side=SELL",
        "symbol=btc",
        "symbol=",
        "since=yesterday",
        "since=2026-01-01",
        "since=2026-01-01T00:00:00",
        "until=0",
        "since=1969-12-31T23:59:59Z",
        "until=9999-12-31T23:59:59Z",
        "label=a%20b",
        "label=%00",
        "label=%FF",
    ):
        yield _get(f"filter {query}", f"/v1/orders?{query}")
    yield _get("order_id beyond 63 bits", "/v1/fills?order_id=9999999999999999999")
    yield _get("order_id zero", "/v1/fills?order_id=0")
    yield _get("after_id negative", "/v1/trades/BTC-USD?after_id=-1")
    yield _get("after_id text", "/v1/trades/BTC-USD?after_id=first")
    for path in (
        "/v1/orders?unknown=1",
        "/v1/orders?Limit=1",
        "/v1/orders?limit=1&limit=2",
        "/v1/orders?limit=1&limit=1",
        "/v1/orders?account_id=1",
        "/v1/orderbook/BTC-USD?levels=5",
        "/v1/time?x",
        "/v1/time?=1",
        "/v1/instruments?limit=5",
        "/v1/balances?min_seq=1&min_seq=2",
    ):
        yield _get(f"query of {path}", path, 422)
    yield _get("filter for an unlisted instrument", "/v1/orders?symbol=NOPE", 422, "unknown_symbol")
    for query in ("validate_only=true", "x=1"):
        row = ("POST", f"/v1/orders?{query}", JSON, order_body(), 422, "invalid_request")
        yield MalformedRequest(f"order with query {query}", *row)
    for query, status in (("side=up", 400), ("symbol=btc", 400), ("symbols=BTC-USD", 422), ("side=buy&side=sell", 422)):
        row = ("DELETE", f"/v1/orders?{query}", {}, b"", status, "invalid_request")
        yield MalformedRequest(f"cancel all with {query}", *row)


def _get(
    name: str, path: str, status: int = 400, code: str = "invalid_request", headers: dict[str, str] | None = None
) -> MalformedRequest:
    return MalformedRequest(name, "GET", path, headers or {}, b"", status, code)


def _paths() -> Iterator[MalformedRequest]:
    for order_id in ("0", "-1", "01", "1.0", "1e3", "x", "%20", "1%20", "%D9%A1", "9223372036854775808", "9" * 400):
        path = f"/v1/orders/{order_id}"
        yield _get(f"order id {order_id[:20]}", path, 404, "unknown_order")
        yield MalformedRequest(f"cancel of id {order_id[:20]}", "DELETE", path, {}, b"", 404, "unknown_order")
    for client_order_id in ("a%20b", "a" * 37, "%C3%A9", "%00"):
        path = f"/v1/orders/by-client-id/{client_order_id}"
        yield _get(f"client order id {client_order_id[:20]}", path, 404, "unknown_order")
    for symbol in ("NOPE", "btc-usd", "A" * 21, "%20", "BTC%2FUSD", "BTC%00USD", "..%2Fadmin"):
        for resource in ("orderbook", "ticker", "trades", "instruments"):
            status, code = (404, "not_found") if "%2F" in symbol else (404, "unknown_symbol")
            # Trades look the symbol up in the database's snapshot; unlisted ones are the real stack's to refuse.
            if not (resource == "trades" and symbol == "NOPE"):
                yield _get(f"{resource} of {symbol}", f"/v1/{resource}/{symbol}", status, code)
    for path in (
        "/",
        "/v1",
        "/v1/",
        "/v1/order",
        "/v1/orders/",
        "/v2/orders",
        "/v1/orders/7/fills",
        "/V1/time",
        "/v1//orders",
        "/v1/orderbook",
        "/v1/../etc/passwd",
        "/v1/time/now",
        "/admin",
        "/favicon.ico",
        "/.env",
        "/v1/%2e%2e/%2e%2e/etc/passwd",
    ):
        yield _get(f"path {path}", path, 404, "not_found")
    for account_id in ("0", "x", "-5", "9223372036854775808"):
        path = f"/v1/admin/accounts/{account_id}/deposits"
        body = b'{"asset":"USD","amount":"1","transfer_id":"t"}'
        yield MalformedRequest(f"deposit to account {account_id}", "POST", path, JSON, body, 404, "not_found")
    for method, path in (
        ("PUT", "/v1/orders"),
        ("PATCH", "/v1/orders"),
        ("POST", "/v1/orders/7"),
        ("PUT", "/v1/orders/7"),
        ("DELETE", "/v1/time"),
        ("POST", "/v1/orderbook/BTC-USD"),
        ("DELETE", "/v1/balances"),
        ("GET", "/v1/auth/login"),
        ("TRACE", "/v1/orders"),
        ("PROPFIND", "/v1/orders"),
        ("OPTIONS", "/v1/orders"),
        ("POST", "/healthz"),
    ):
        yield MalformedRequest(f"{method} {path}", method, path, {}, b"", 405, "method_not_allowed")


def _credentials() -> Iterator[MalformedRequest]:
    key = {"X-API-Key": "ow_unknown", "X-API-Timestamp": "1", "X-API-Signature": "0" * 64}
    for name, headers, status, code in (
        ("empty", {"Authorization": ""}, 401, "unauthenticated"),
        ("bearer alone", {"Authorization": "Bearer"}, 401, "unauthenticated"),
        ("bearer and spaces", {"Authorization": "Bearer   "}, 401, "unauthenticated"),
        ("basic", {"Authorization": "Basic YTpi"}, 401, "unauthenticated"),
        ("junk token", {"Authorization": "Bearer junk"}, 401, "unauthenticated"),
        ("unsigned token", {"Authorization": "Bearer eyJhbGciOiJub25lIn0.e30."}, 401, "unauthenticated"),
        ("huge token", {"Authorization": "Bearer " + "a" * 8000}, 401, "unauthenticated"),
        ("token and key", {"Authorization": "Bearer a.b.c"} | key, 401, "unauthenticated"),
        ("key alone", {"X-API-Key": "ow_unknown"}, 401, "unauthenticated"),
        ("key without signature", {"X-API-Key": "k", "X-API-Timestamp": "1"}, 401, "unauthenticated"),
        ("empty key", key | {"X-API-Key": ""}, 401, "timestamp_out_of_window"),
        ("old timestamp", key, 401, "timestamp_out_of_window"),
        ("future timestamp", key | {"X-API-Timestamp": "9999999999999"}, 401, "timestamp_out_of_window"),
        ("timestamp word", key | {"X-API-Timestamp": "now"}, 400, "invalid_request"),
        ("timestamp exponent", key | {"X-API-Timestamp": "1e12"}, 400, "invalid_request"),
        ("timestamp of 400 digits", key | {"X-API-Timestamp": "1" * 400}, 400, "invalid_request"),
        ("window zero", key | {"X-API-Recv-Window": "0"}, 400, "invalid_request"),
        ("window above the maximum", key | {"X-API-Recv-Window": "60001"}, 400, "invalid_request"),
        ("window word", key | {"X-API-Recv-Window": "wide"}, 400, "invalid_request"),
    ):
        yield _get(f"credentials: {name}", "/v1/balances", status, code, headers)


def _people_and_keys() -> Iterator[MalformedRequest]:
    for path in ("/v1/auth/register", "/v1/auth/login"):
        for name, body in {
            "no at": b'{"email":"alice","password":"correct horse"}',
            "two ats": b'{"email":"a@b@c","password":"correct horse"}',
            "null character": b'{"email":"a\\u0000@b","password":"correct horse"}',
            "space": b'{"email":"a b@c","password":"correct horse"}',
            "letters beyond ascii": '{"email":"\u00e4@b","password":"correct horse"}'.encode(),
            "short password": b'{"email":"a@b","password":"short"}',
            "long password": b'{"email":"a@b","password":"%s"}' % (b"x" * 129),
            "password number": b'{"email":"a@b","password":1234567890}',
            "password missing": b'{"email":"a@b"}',
        }.items():
            yield MalformedRequest(f"{path} {name}", "POST", path, JSON, body, 400, "invalid_request")
        body = b'{"email":"a@b","password":"correct horse","scopes":["admin"]}'
        yield MalformedRequest(f"{path} scopes", "POST", path, JSON, body, 422, "invalid_request")
    for name, body in {
        "no scope": b'{"name":"k","scopes":[]}',
        "unknown scope": b'{"name":"k","scopes":["root"]}',
        "scope number": b'{"name":"k","scopes":[1]}',
        "name missing": b'{"scopes":["read"]}',
        "name empty": b'{"name":"","scopes":["read"]}',
        "name control character": b'{"name":"a\\u0000","scopes":["read"]}',
        "address word": b'{"name":"k","scopes":["read"],"ip_allow":["localhost"]}',
        "address with host bits": b'{"name":"k","scopes":["read"],"ip_allow":["10.0.0.1/8"]}',
        "expiry past": b'{"name":"k","scopes":["read"],"expires_at":"2020-01-01T00:00:00Z"}',
        "expiry word": b'{"name":"k","scopes":["read"],"expires_at":"soon"}',
        "public key short": b'{"name":"k","scopes":["read"],"public_key":"AAAA"}',
    }.items():
        yield MalformedRequest(f"key: {name}", "POST", "/v1/api-keys", JSON, body, 400, "invalid_request")
    owned = b'{"name":"k","scopes":["read"],"account_id":"1"}'
    yield MalformedRequest("key: account", "POST", "/v1/api-keys", JSON, owned, 422, "invalid_request")
    yield MalformedRequest("key: revoke unknown", "DELETE", "/v1/api-keys/ow_x", {}, b"", 404, "not_found")
    yield MalformedRequest("key: revoke malformed", "DELETE", "/v1/api-keys/a%20b", {}, b"", 404, "not_found")
    for name, method, path, body, status in (
        ("asset lower case", "POST", "assets", b'{"asset":"usd","scale":2}', 400),
        ("asset scale text", "POST", "assets", b'{"asset":"USD","scale":"2"}', 400),
        ("asset scale 19", "POST", "assets", b'{"asset":"USD","scale":19}', 400),
        ("asset scale fraction", "POST", "assets", b'{"asset":"USD","scale":2.0}', 400),
        ("instrument without tick", "POST", "instruments", b'{"symbol":"A","base":"A","quote":"B"}', 400),
        ("instrument fields unknown", "PATCH", "instruments/BTC-USD", b'{"tick_size":"1"}', 422),
        ("instrument filter unknown", "PATCH", "instruments/BTC-USD", b'{"filters":{"tick_size":"1"}}', 422),
        (
            "instrument filter twice",
            "PATCH",
            "instruments/BTC-USD",
            b'{"filters":{"price_band":"1","price_band":"2"}}',
            422,
        ),
        ("instrument fee number", "PATCH", "instruments/BTC-USD", b'{"fees":{"taker_fee":0.1}}', 400),
        ("instrument status", "PATCH", "instruments/BTC-USD", b'{"status":"paused"}', 400),
        ("account name space", "POST", "accounts", b'{"name":"a b"}', 400),
        ("account email alone", "POST", "accounts", b'{"name":"a","email":"a@b"}', 400),
        ("account status", "PATCH", "accounts/1001", b'{"status":"gone"}', 400),
        ("deposit number", "POST", "accounts/1001/deposits", b'{"asset":"USD","amount":1,"transfer_id":"t"}', 400),
        ("deposit negative", "POST", "accounts/1001/deposits", b'{"asset":"USD","amount":"-1","transfer_id":"t"}', 400),
        ("deposit without id", "POST", "accounts/1001/deposits", b'{"asset":"USD","amount":"1"}', 400),
        ("limits missing", "PATCH", "limits", b"{}", 400),
        ("limits text", "PATCH", "limits", b'{"open_orders":"5"}', 400),
    ):
        yield MalformedRequest(f"admin: {name}", method, f"/v1/admin/{path}", JSON, body, status, "invalid_request")


MALFORMED_REQUESTS: tuple[MalformedRequest, ...] = (
    *_numbers(),
    *_bytes(),
    *_fields(),
    *_media_types(),
    *_amends(),
    *_queries(),
    *_paths(),
    *_credentials(),
    *_people_and_keys(),
)
