"""Signed requests: the text that is signed, its window in time, and the two ways to sign it.

Pure functions, the same for REST and the WebSocket's `auth`. Keys, scopes and replay are
other modules' business.
"""

import base64
import binascii
import hashlib
import hmac
import re

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from app.errors import ApiError

RECV_WINDOW_MS_DEFAULT = 5_000
RECV_WINDOW_MS_MAX = 60_000
FUTURE_SKEW_MS_MAX = 1_000
PUBLIC_KEY_BYTES = 32
ED25519_SIGNATURE_BYTES = 64
_TIMESTAMP = re.compile(r"[1-9][0-9]{0,15}", re.ASCII)
_WINDOW = re.compile(r"[1-9][0-9]{0,4}", re.ASCII)
_HEX_DIGEST = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)


def signed_text(timestamp: str, method: str, target: str, body: bytes) -> bytes:
    """Return `timestamp + METHOD + path?query + body`; the target is the request target as it was sent."""
    # Latin-1 gives the bytes of the request line back unchanged, whatever they were.
    return timestamp.encode("latin-1") + method.upper().encode("ascii") + target.encode("latin-1") + body


def check_window(timestamp: str, recv_window: str | None, *, now_ms: int) -> None:
    """Refuse a request that is too old or too far in the future.

    Raises ApiError `invalid_request` for a malformed number, else `timestamp_out_of_window`.
    """
    if _TIMESTAMP.fullmatch(timestamp) is None:
        raise ApiError("invalid_request", "Expected the timestamp in Unix milliseconds.", field="timestamp")
    window_ms = RECV_WINDOW_MS_DEFAULT
    if recv_window is not None:
        if _WINDOW.fullmatch(recv_window) is None or int(recv_window) > RECV_WINDOW_MS_MAX:
            raise ApiError(
                "invalid_request", f"Expected a window of 1 to {RECV_WINDOW_MS_MAX} ms.", field="recv_window"
            )
        window_ms = int(recv_window)
    age_ms = now_ms - int(timestamp)
    if age_ms > window_ms:
        raise ApiError(
            "timestamp_out_of_window",
            "The request is older than its window.",
            limit=str(window_ms),
            actual=str(age_ms),
        )
    if age_ms < -FUTURE_SKEW_MS_MAX:
        raise ApiError(
            "timestamp_out_of_window",
            "The request's timestamp lies in the future; compare your clock with /v1/time.",
            limit=str(FUTURE_SKEW_MS_MAX),
            actual=str(-age_ms),
        )


def hmac_signature(secret: str, text: bytes) -> str:
    """Return the hex HMAC-SHA256 of a text; the secret's UTF-8 text is the key."""
    return hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()


def hmac_fits(secret: str, text: bytes, signature: str) -> bool:
    """Return whether a hex signature is the secret's, in constant time."""
    if _HEX_DIGEST.fullmatch(signature) is None:
        return False
    return hmac.compare_digest(hmac_signature(secret, text), signature.lower())


def ed25519_fits(public_key: bytes, text: bytes, signature: str) -> bool:
    """Return whether a base64 signature was made with the private half of a public key."""
    raw = _strict_base64(signature, ED25519_SIGNATURE_BYTES)
    if raw is None:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(raw, text)
    except InvalidSignature:
        return False
    return True


def parse_public_key(text: str) -> bytes:
    """Return the 32 bytes of a base64 Ed25519 public key. Raises ApiError `invalid_request`."""
    raw = _strict_base64(text, PUBLIC_KEY_BYTES)
    if raw is None:
        raise ApiError("invalid_request", "Expected 32 bytes in base64.", field="public_key")
    return raw


def canonical_signature(signature: str) -> str:
    """Return one spelling for all spellings of a verified signature, so that none of them counts as new."""
    return signature.lower() if _HEX_DIGEST.fullmatch(signature) else signature


def _strict_base64(text: str, size: int) -> bytes | None:
    """Decode canonical base64 of exactly `size` bytes: one text per value."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if len(raw) == size and base64.b64encode(raw).decode() == text else None
