"""The client signs what the server verifies, and no two requests alike."""

from app.auth.signatures import hmac_fits, signed_text
from app.dev.client import RequestRefused, Signer
from app.dev.credentials import Credentials


def test_signature_is_what_the_server_expects() -> None:
    signer = Signer(Credentials("1001", "key", "sécret"))
    timestamp, signature = signer.sign("POST", "/v1/orders?validate_only=true", b'{"a":1}')
    text = signed_text(timestamp, "POST", "/v1/orders?validate_only=true", b'{"a":1}')
    assert hmac_fits("sécret", text, signature)
    assert not hmac_fits("secret", text, signature)


def test_equal_requests_in_one_millisecond_have_different_signatures() -> None:
    signer = Signer(Credentials("1001", "key", "secret"))
    signed = [signer.sign("DELETE", "/v1/orders") for _ in range(200)]
    assert len(set(signed)) == 200
    assert sorted(signed, key=lambda pair: int(pair[0])) == signed


def test_refusal_tells_code_and_status() -> None:
    refusal = RequestRefused({"status": 422, "code": "price_band", "detail": "too far"})
    assert (refusal.status, refusal.code, str(refusal)) == (422, "price_band", "422 price_band: too far")
