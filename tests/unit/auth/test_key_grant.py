"""A new key can never do more than the credentials that make it."""

import pytest

from app.auth.key_grant import Grant, address_allowed, granted, parse_networks
from app.domain.identity import Principal
from app.errors import ApiError
from app.protocol.schemas import ApiKeyRequest

NOW = 1_700_000_000_000
LATER, LATER_MS = "2023-11-15T00:00:00Z", 1_700_006_400_000
OWNER = Principal(account_id=1001, scopes=frozenset({"read", "trade"}), expires_at_ms=NOW + 1)
KEY = Principal(
    account_id=1001,
    scopes=frozenset({"read", "trade"}),
    symbols=frozenset({"AAPL", "BTC-USD"}),
    key_id="ow_1",
    expires_at_ms=LATER_MS,
)


def grant(request: ApiKeyRequest, maker: Principal = OWNER, ip_allow: tuple[str, ...] | None = None) -> Grant:
    return granted(request, maker, maker_ip_allow=ip_allow, now_ms=NOW)


def refusal(request: ApiKeyRequest, maker: Principal = OWNER, ip_allow: tuple[str, ...] | None = None) -> ApiError:
    with pytest.raises(ApiError) as caught:
        grant(request, maker, ip_allow)
    return caught.value


def test_user_may_make_an_unlimited_key_of_own_scopes() -> None:
    made = grant(ApiKeyRequest(name="bot", scopes=["trade", "read", "read"]))
    assert made == Grant(scopes=("read", "trade"), symbols=None, ip_allow=None, expires_at_ms=None)


@pytest.mark.parametrize("scope", ["transfer", "admin"])
def test_scope_that_the_maker_lacks_is_refused(scope: str) -> None:
    assert refusal(ApiKeyRequest(name="bot", scopes=["read", scope])).code == "missing_scope"


def test_key_made_by_a_key_inherits_its_limits() -> None:
    made = grant(ApiKeyRequest(name="bot", scopes=["read"]), KEY, ("10.0.0.0/8",))
    assert made == Grant(
        scopes=("read",), symbols=("AAPL", "BTC-USD"), ip_allow=("10.0.0.0/8",), expires_at_ms=LATER_MS
    )


def test_limits_may_be_tightened() -> None:
    request = ApiKeyRequest(
        name="b", scopes=["read"], symbols=["AAPL"], ip_allow=["10.1.2.3"], expires_at="2023-11-14T23:00:00Z"
    )
    made = grant(request, KEY, ("10.0.0.0/8", "::1"))
    assert made.symbols == ("AAPL",)
    assert made.ip_allow == ("10.1.2.3/32",)
    assert made.expires_at_ms == LATER_MS - 3_600_000


def test_limits_may_not_be_widened() -> None:
    assert refusal(ApiKeyRequest(name="b", scopes=["read"], symbols=["XAU-USD"]), KEY).field == "symbols"
    wider = ApiKeyRequest(name="b", scopes=["read"], ip_allow=["0.0.0.0/0"])
    assert refusal(wider, KEY, ("10.0.0.0/8",)).field == "ip_allow"
    other_family = ApiKeyRequest(name="b", scopes=["read"], ip_allow=["::/0"])
    assert refusal(other_family, KEY, ("10.0.0.0/8",)).code == "forbidden"
    longer = ApiKeyRequest(name="b", scopes=["read"], expires_at="2033-01-01T00:00:00Z")
    assert grant(longer, KEY).expires_at_ms == LATER_MS


def test_access_token_does_not_limit_the_life_of_a_key() -> None:
    assert grant(ApiKeyRequest(name="b", scopes=["read"], expires_at=LATER)).expires_at_ms == LATER_MS


@pytest.mark.parametrize(
    "expires_at", ["2023-11-14T00:00:00Z", "tomorrow", "2024-01-01", "2024-01-01T00:00:00", "", "0", "1e99"]
)
def test_expiry_that_is_past_or_malformed_is_refused(expires_at: str) -> None:
    error = refusal(ApiKeyRequest(name="b", scopes=["read"], expires_at=expires_at))
    assert (error.code, error.field) == ("invalid_request", "expires_at")


@pytest.mark.parametrize("text", ["", "x", "10.0.0.1/33", "10.0.0.1/8", "1.2.3", "localhost", "0x7f.1"])
def test_malformed_address_is_refused(text: str) -> None:
    error = refusal(ApiKeyRequest(name="b", scopes=["read"], ip_allow=[text]))
    assert (error.code, error.field) == ("invalid_request", "ip_allow")


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("2001:db8::1", True),
        ("11.0.0.1", False),
        ("::1", False),
        ("testclient", False),
        ("", False),
        (None, False),
    ],
)
def test_address_is_allowed_only_inside_a_network(address: str | None, allowed: bool) -> None:
    assert address_allowed(address, parse_networks(["10.0.0.0/8", "2001:db8::/32"])) is allowed
