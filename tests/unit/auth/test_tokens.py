"""Each row of the table of python-jose's openings is closed by `AccessTokens`."""

import base64
import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jose import jwt
from jose.exceptions import ExpiredSignatureError

from app.auth import tokens
from app.auth.tokens import ACCESS_TOKEN_SECONDS, TOKEN_BYTES_MAX, AccessTokens
from app.errors import ApiError, StartupError

SECRET = "s" * 32
NOW = int(time.time())
CLAIMS: dict[str, Any] = {
    "sub": "7",
    "exp": NOW + 86_400,  # longer than any run of the suite, which may reach these tests late
    "iat": NOW,
    "aud": tokens.AUDIENCE,
    "iss": tokens.ISSUER,
    "jti": "one",
    "account": 1001,
    "scope": "read trade",
}
HEADER = {"alg": "HS256", "typ": "at+jwt"}


def segment(value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":"), sort_keys=True).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def forge(header: object = HEADER, claims: object = CLAIMS, key: bytes = SECRET.encode()) -> str:
    """Sign any header and claims with HMAC-SHA256, as an attacker's own tool would."""
    text = f"{segment(header)}.{segment(claims)}"
    return f"{text}.{segment(hmac.new(key, text.encode(), hashlib.sha256).digest())}"


def refused(token: str) -> str:
    with pytest.raises(ApiError) as caught:
        AccessTokens(SECRET).verify(token)
    return caught.value.code


def test_issued_token_says_who_it_speaks_for() -> None:
    issuer = AccessTokens(SECRET)
    token, seconds = issuer.issue(user_id=7, account_id=1001, scopes=frozenset({"trade", "read"}))
    principal = issuer.verify(token)
    assert (principal.user_id, principal.account_id, principal.scopes) == (7, 1001, frozenset({"read", "trade"}))
    assert principal.key_id is None
    assert principal.expires_at_ms is not None
    assert abs(principal.expires_at_ms / 1000 - time.time() - ACCESS_TOKEN_SECONDS) < 60
    assert seconds == ACCESS_TOKEN_SECONDS


def test_forged_tokens_of_these_tests_would_pass_if_they_were_right() -> None:
    assert AccessTokens(SECRET).verify(forge()).account_id == 1001


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "", "HS384", "HS512", "RS256", "HS256,RS256", "S256"])
def test_any_other_algorithm_is_refused(algorithm: str) -> None:
    assert refused(forge({"alg": algorithm, "typ": "at+jwt"})) == "unauthenticated"


def test_unsigned_token_is_refused() -> None:
    assert refused(f"{segment({'alg': 'none', 'typ': 'at+jwt'})}.{segment(CLAIMS)}.") == "unauthenticated"


@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
def test_public_key_used_as_hmac_secret_is_refused(encoding: Encoding) -> None:
    public = rsa.generate_private_key(65537, 2048).public_key()
    key = public.public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)
    assert refused(forge(key=key)) == "unauthenticated"


def test_public_key_as_our_secret_is_refused_at_start() -> None:
    public = rsa.generate_private_key(65537, 2048).public_key()
    with pytest.raises(StartupError, match="JWT_SECRET"):
        AccessTokens(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


@pytest.mark.parametrize("secret", ["", "short", "x" * 31])
def test_short_secret_is_refused_at_start(secret: str) -> None:
    with pytest.raises(StartupError, match="32 bytes"):
        AccessTokens(secret)


@pytest.mark.parametrize("secret", ['["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "x"]', '{"keys": []}' + " " * 32, "1" * 32])
def test_secret_that_is_also_json_is_one_opaque_key(secret: str) -> None:
    issuer = AccessTokens(secret)
    token, _ = issuer.issue(user_id=1, account_id=1001, scopes=frozenset())
    assert issuer.verify(token).account_id == 1001
    with pytest.raises(ApiError):
        issuer.verify(forge(key=b"x"))


@pytest.mark.parametrize("claim", ["exp", "iat", "sub", "aud", "iss", "jti", "account", "scope"])
def test_token_without_a_claim_is_refused(claim: str) -> None:
    assert refused(forge(claims={name: value for name, value in CLAIMS.items() if name != claim})) == "unauthenticated"


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("aud", "another-api"),
        ("aud", [tokens.AUDIENCE]),
        ("iss", "somebody"),
        ("iss", [tokens.ISSUER]),
        ("sub", 7),
        ("sub", "alice"),
        ("exp", "tomorrow"),
        ("exp", "4102444800"),
        ("exp", None),
        ("exp", 1e400),
        ("iat", "x"),
        ("account", "1001"),
        ("account", 1001.5),
        ("scope", ["admin"]),
    ],
)
def test_claim_with_a_wrong_value_is_refused(claim: str, value: object) -> None:
    assert refused(forge(claims=CLAIMS | {claim: value})) == "unauthenticated"


def test_expired_token_is_told_apart() -> None:
    assert refused(forge(claims=CLAIMS | {"exp": NOW - 1})) == "token_expired"
    token, _ = AccessTokens(SECRET, clock=lambda: (NOW - ACCESS_TOKEN_SECONDS - 1) * 1000).issue(
        user_id=7, account_id=1001, scopes=frozenset()
    )
    assert refused(token) == "token_expired"


def test_a_good_token_is_verified_once_and_expires_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = int(time.time())
    now_ms = [now_s * 1000]
    verifier = AccessTokens(SECRET, clock=lambda: now_ms[0])
    token = forge(claims=CLAIMS | {"exp": now_s + 60})
    principal = verifier.verify(token)
    real, calls = jwt.decode, []

    def counting(*arguments: Any, **options: Any) -> Any:
        calls.append(arguments)
        return real(*arguments, **options)

    monkeypatch.setattr(jwt, "decode", counting)
    assert (verifier.verify(token), calls) == (principal, [])
    flipped = token[:-5] + ("A" if token[-5] != "A" else "B") + token[-4:]
    with pytest.raises(ApiError, match="not valid"):
        verifier.verify(flipped)
    now_ms[0] = (now_s + 60) * 1000
    monkeypatch.setattr(jwt, "decode", lambda *_, **__: (_ for _ in ()).throw(ExpiredSignatureError()))
    with pytest.raises(ApiError) as caught:
        verifier.verify(token)
    assert caught.value.code == "token_expired"


def test_bad_tokens_are_not_remembered_and_good_ones_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "VERIFIED_MAX", 3)
    verifier = AccessTokens(SECRET)
    for number in range(5):
        verifier.verify(forge(claims=CLAIMS | {"jti": str(number)}))
        with pytest.raises(ApiError):
            verifier.verify(forge(claims=CLAIMS | {"jti": str(number)}, key=b"y" * 32))
    assert len(verifier._verified) == 3


def test_expired_token_of_another_key_is_only_unauthenticated() -> None:
    assert refused(forge(claims=CLAIMS | {"exp": NOW - 1}, key=b"y" * 32)) == "unauthenticated"


@pytest.mark.parametrize(
    "addition",
    [{"crit": ["exp"]}, {"crit": []}, {"jku": "https://x"}, {"jwk": {}}, {"x5u": "x"}, {"kid": "../x"}, {"b64": False}],
)
def test_header_with_anything_more_is_refused(addition: dict[str, object]) -> None:
    assert refused(forge(HEADER | addition)) == "unauthenticated"


@pytest.mark.parametrize("header", [{"alg": "HS256"}, {"alg": "HS256", "typ": "JWT"}, {"typ": "at+jwt"}, [], "x", b"{"])
def test_header_of_another_kind_is_refused(header: object) -> None:
    assert refused(forge(header)) == "unauthenticated"


@pytest.mark.parametrize("claims", [[], "x", 1, b"\xff", b"{", b"[" * 3000])
def test_claims_that_are_no_object_are_refused(claims: object) -> None:
    assert refused(forge(claims=claims)) == "unauthenticated"


def test_token_over_the_size_limit_is_refused_unread() -> None:
    padding = "x" * TOKEN_BYTES_MAX
    assert refused(forge(claims=CLAIMS | {"padding": padding})) == "unauthenticated"
    # The bound, not the additional claim, is the reason.
    assert AccessTokens(SECRET).verify(forge(claims=CLAIMS | {"padding": "x"})).account_id == 1001


@pytest.mark.parametrize("token", ["", ".", "..", "a.b", "a.b.c.d.e", "ünïcode.a.b", "a.b.c", "Bearer x.y.z"])
def test_text_that_is_no_token_is_refused(token: str) -> None:
    assert refused(token) == "unauthenticated"


@pytest.mark.parametrize("junk", ["=", "\n", " ", "!"])
def test_second_spelling_of_a_good_token_is_refused(junk: str) -> None:
    assert refused(forge() + junk) == "unauthenticated"


def test_changed_signature_is_refused() -> None:
    token = forge()
    first, second, third = token.split(".")
    flipped = ("A" if third[0] != "A" else "B") + third[1:]
    assert refused(f"{first}.{second}.{flipped}") == "unauthenticated"


def test_encrypted_token_is_refused_without_decompression() -> None:
    assert refused(f"{segment({'alg': 'dir', 'enc': 'A256GCM', 'zip': 'DEF'})}..aaaa.aaaa.aaaa") == "unauthenticated"


def test_library_alone_would_have_accepted_some_of_this() -> None:
    # If this fails the library has changed: the wrapper may be simplified, never dropped unseen.
    assert jwt.decode(forge(HEADER | {"crit": ["exp"]}), SECRET, algorithms=["HS256"], audience=tokens.AUDIENCE)
    without_exp = {name: value for name, value in CLAIMS.items() if name != "exp"}
    assert jwt.decode(forge(claims=without_exp), SECRET, algorithms=["HS256"], audience=tokens.AUDIENCE)


def test_no_other_module_imports_the_library() -> None:
    root = Path(__file__).resolve().parents[3] / "app"
    importers = [path for path in root.rglob("*.py") if "jose" in path.read_text().replace("python-jose", "")]
    assert [path.name for path in importers] == ["tokens.py"]
