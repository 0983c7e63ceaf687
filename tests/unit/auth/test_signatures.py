"""Signed text, its window, HMAC and Ed25519."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.auth import signatures
from app.errors import ApiError

NOW = 1_700_000_000_000
TEXT = signatures.signed_text(str(NOW), "post", "/v1/orders?a=1", b'{"x":1}')


def test_signed_text_is_timestamp_method_target_body() -> None:
    assert TEXT == b'1700000000000POST/v1/orders?a=1{"x":1}'


def test_known_hmac_vector() -> None:
    # echo -n '1700000000000GET/v1/balances' | openssl dgst -sha256 -hmac key
    text = signatures.signed_text("1700000000000", "GET", "/v1/balances", b"")
    expected = "f279ba9f2d39fdd449c197cb303c3d80de51c25ef3d0649a03fa0034415bb676"
    assert signatures.hmac_signature("key", text) == expected
    assert signatures.hmac_fits("key", text, expected)
    assert signatures.hmac_fits("key", text, expected.upper())


@pytest.mark.parametrize("change", [b"", b"x", TEXT[:-1], TEXT + b" "])
def test_hmac_of_another_text_does_not_fit(change: bytes) -> None:
    assert not signatures.hmac_fits("key", TEXT, signatures.hmac_signature("key", change))


@pytest.mark.parametrize("signature", ["", "0", "zz" * 32, "0" * 63, "0" * 65, "\u0661" * 64, "é" * 64])
def test_malformed_hmac_does_not_fit(signature: str) -> None:
    assert not signatures.hmac_fits("key", TEXT, signature)


def test_ed25519_signature_fits_its_text_and_key_only() -> None:
    private, other = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes_raw()
    signature = base64.b64encode(private.sign(TEXT)).decode()
    assert signatures.ed25519_fits(public, TEXT, signature)
    assert not signatures.ed25519_fits(public, TEXT + b" ", signature)
    assert not signatures.ed25519_fits(other.public_key().public_bytes_raw(), TEXT, signature)


def test_ed25519_signature_has_one_spelling() -> None:
    private = Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes_raw()
    signature = base64.b64encode(private.sign(TEXT)).decode()
    # The last character before the padding carries unused bits: another letter, the same bytes.
    unused = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    respelled = signature[:85] + unused[unused.index(signature[85]) + 1] + "=="
    assert base64.b64decode(respelled) == base64.b64decode(signature)
    for spelling in (respelled, signature.rstrip("="), signature + "\n", " " + signature, "", "é"):
        assert not signatures.ed25519_fits(public, TEXT, spelling)


@pytest.mark.parametrize("age", [-1000, 0, 5000])
def test_timestamp_inside_the_default_window_passes(age: int) -> None:
    signatures.check_window(str(NOW - age), None, now_ms=NOW)


@pytest.mark.parametrize(
    ("age", "window"), [(-1001, None), (5001, None), (-1001, "60000"), (60_001, "60000"), (11, "10"), (10**12, None)]
)
def test_timestamp_outside_its_window_is_refused(age: int, window: str | None) -> None:
    with pytest.raises(ApiError) as caught:
        signatures.check_window(str(NOW - age), window, now_ms=NOW)
    assert caught.value.code == "timestamp_out_of_window"


def test_widest_window_is_sixty_seconds() -> None:
    signatures.check_window(str(NOW - 60_000), "60000", now_ms=NOW)


@pytest.mark.parametrize("window", ["0", "60001", "-1", "1e3", "5000.0", "", " 5000", "05000", "99999999", "\u0665"])
def test_malformed_window_is_refused(window: str) -> None:
    with pytest.raises(ApiError) as caught:
        signatures.check_window(str(NOW), window, now_ms=NOW)
    assert (caught.value.code, caught.value.field) == ("invalid_request", "recv_window")


@pytest.mark.parametrize("timestamp", ["", "now", "1e12", "-1", "0", "1.5", "9" * 17, "\u0661" * 13, "1700000000000\n"])
def test_malformed_timestamp_is_refused(timestamp: str) -> None:
    with pytest.raises(ApiError) as caught:
        signatures.check_window(timestamp, None, now_ms=NOW)
    assert (caught.value.code, caught.value.field) == ("invalid_request", "timestamp")


@pytest.mark.parametrize(
    "text", ["", "x", "A" * 44, base64.b64encode(bytes(31)).decode(), base64.b64encode(bytes(33)).decode()]
)
def test_malformed_public_key_is_refused(text: str) -> None:
    with pytest.raises(ApiError) as caught:
        signatures.parse_public_key(text)
    assert caught.value.field == "public_key"


def test_all_spellings_of_a_signature_have_one_canonical_form() -> None:
    signature = signatures.hmac_signature("key", TEXT)
    assert signatures.canonical_signature(signature.upper()) == signature
    assert signatures.canonical_signature("aB+/==") == "aB+/=="
