"""Secrets at rest: AES-256-GCM under keys derived from KEY_SECRET, bound to what they belong to.

An HMAC secret cannot be hashed, because the server computes with it; so the database holds it
encrypted, and the key to it stays outside. A box moved to another row does not open.
"""

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from app.errors import OrderwireError, StartupError

KEY_BYTES = 32
NONCE_BYTES = 12
SECRET_BYTES_MIN = 32


class BoxDamaged(OrderwireError):
    """A stored secret does not open: another KEY_SECRET, another row's box, or damage."""


def derived_key(secret: str, purpose: bytes, *, name: str) -> bytes:
    """Return a key for one purpose from a configured secret. Raises StartupError naming a short one."""
    material = secret.encode()
    if len(material) < SECRET_BYTES_MIN:
        raise StartupError(f"{name}: expected {SECRET_BYTES_MIN} bytes or more, was {len(material)}")
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=purpose).derive(material)


class SecretBox:
    """Encrypts short secrets; `bound_to` must be the same at both ends."""

    def __init__(self, key_secret: str) -> None:
        """Raises StartupError when the secret is too short."""
        self._cipher = AESGCM(derived_key(key_secret, b"orderwire api key secrets", name="KEY_SECRET"))

    def seal(self, secret: str, *, bound_to: str) -> bytes:
        """Return nonce and ciphertext."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, secret.encode(), bound_to.encode())

    def open(self, box: bytes, *, bound_to: str) -> str:
        """Return the secret. Raises BoxDamaged."""
        try:
            return self._cipher.decrypt(box[:NONCE_BYTES], box[NONCE_BYTES:], bound_to.encode()).decode()
        except (InvalidTag, ValueError) as error:
            raise BoxDamaged(f"the secret of {bound_to} does not open under this KEY_SECRET") from error
