"""Malformed requests as data, for the application with fakes and for the real stack alike.

A row is sent as it stands, with one addition: unless its headers hold `Authorization` or `X-API-Key`, the
sender adds good credentials with every scope. `BTC-USD` must be listed. Every row must be answered by
a 4xx problem with exactly this status and code, and change nothing.
"""

import base64
from collections.abc import Iterator

from tests.malformed_orders import GATEWAY_ROWS, JSON, ORDER_ROWS, MalformedRequest, order_body

__all__ = ["JSON", "MALFORMED_REQUESTS", "MalformedRequest", "order_body"]


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
    for query, status in (("validate=true", 422), ("validate_only=1", 400), ("validate_only=", 400), ("x=1", 422)):
        row = ("POST", f"/v1/orders?{query}", JSON, order_body(), status, "invalid_request")
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
        ("bearer and two spaces", {"Authorization": "Bearer  a.b.c"}, 401, "unauthenticated"),
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


def _people() -> Iterator[MalformedRequest]:
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


def _keys() -> Iterator[MalformedRequest]:
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


def _administration() -> Iterator[MalformedRequest]:
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
    *ORDER_ROWS,
    *GATEWAY_ROWS,
    *_queries(),
    *_paths(),
    *_credentials(),
    *_people(),
    *_keys(),
    *_administration(),
)
