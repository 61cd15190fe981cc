"""Workspaces' own keys for model providers: encrypted before they are kept, never shown again.

AES-256-GCM under a key derived from `ENCRYPTION_SECRET`. Workspace and provider are bound in as associated data, so
that a row copied to another workspace does not open there. Nothing here logs, and no error holds a key.
"""

import base64
import secrets
from binascii import Error as NotBase64
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import SecretStr

from switchboard.errors import Invalid, ProviderMisconfigured

_VERSION: Final = "v1:"
_NONCE_BYTES: Final = 12


class ProviderKeys:
    """Seals and opens keys. ``secret``: one or more secrets with commas between; the first seals, all of them open."""

    def __init__(self, secret: SecretStr | None) -> None:
        words = secret.get_secret_value().split(",") if secret else []
        self._ciphers = tuple(AESGCM(_derived(word.strip())) for word in words)

    def seal(self, workspace_id: int, provider: str, key: str) -> str:
        """The key, encrypted, as text. Raises `Invalid` when the installation has no secret to encrypt with."""
        if not self._ciphers:
            message = "This installation keeps no keys of workspaces: its operator has to set ENCRYPTION_SECRET."
            raise Invalid(message, errors=[{"field": f"provider_keys.{provider}", "message": message}])
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = self._ciphers[0].encrypt(nonce, key.encode(), _bound(workspace_id, provider))
        return _VERSION + base64.b64encode(nonce + sealed).decode()

    def open(self, workspace_id: int, provider: str, sealed: str) -> str:
        """The key again. Raises `ProviderMisconfigured` when no secret of ours opens it."""
        try:
            raw = base64.b64decode(sealed.removeprefix(_VERSION), validate=True)
        except NotBase64:
            raw = b""
        for cipher in self._ciphers:
            try:
                opened = cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], _bound(workspace_id, provider))
            except (InvalidTag, ValueError):
                continue
            return opened.decode()
        raise ProviderMisconfigured(
            f"The workspace's own key for {provider} cannot be opened (ENCRYPTION_SECRET has changed): set it again."
        )


def _derived(secret: str) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=b"switchboard provider keys").derive(secret.encode())


def _bound(workspace_id: int, provider: str) -> bytes:
    return f"{workspace_id}:{provider}".encode()
