"""The secret this installation signs its own tokens with: `JWT_SECRET`, or a file made on first use."""

import os
import re
import secrets
import stat
from pathlib import Path

from switchboard.errors import Misconfigured
from switchboard.settings import Settings

_CONTENT = re.compile(rb"[0-9a-f]{64}\n?")


def local_secret(settings: Settings) -> bytes:
    """`JWT_SECRET`, else the 64 hexadecimal digits in `DATA_DIR/token.secret`, which is made when it is missing.

    The digits are used as they are written, so the file's content can be put into `JWT_SECRET` and the same tokens
    hold. Raises `Misconfigured` when the file cannot be made or read, is damaged, or is open to other people.
    """
    if settings.jwt_secret is not None:
        return settings.jwt_secret.get_secret_value().encode()
    path = settings.data_dir / "token.secret"
    try:
        if not path.exists():
            _make(path)
        return _read(path)
    except OSError as error:
        raise Misconfigured(
            f"{path} cannot be made or read ({error.strerror}): let DATA_DIR be writable, or set JWT_SECRET"
        ) from error


def shared_secret(settings: Settings) -> bytes:
    """What links and guests' tokens are signed with: the same in every process, also where no two share a folder."""
    if settings.jwt_secret is None and settings.supabase_service_role_key is not None:
        return settings.supabase_service_role_key.get_secret_value().encode()
    return local_secret(settings)


def _make(path: Path) -> None:
    """Writes a draft and links it to its name: nobody finds half of it, and whoever is second finds the first one's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_hex(32).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            path.hardlink_to(draft)
        except FileExistsError:
            return
        _sync_folder(path.parent)
    finally:
        draft.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    # Without this a power cut may lose the name, and with it every token signed since.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(path: Path) -> bytes:
    with os.fdopen(os.open(path, os.O_RDONLY), "rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        if mode & 0o077:
            # Not repaired in silence: whoever could read it may have, and can sign any token.
            raise Misconfigured(
                f"{path} can be read by others (mode {stat.S_IMODE(mode):04o}): delete it to make a new secret, which "
                f"ends all tokens, or run `chmod 600 {path}` if nobody else has seen it"
            )
        content = file.read(128)
    if _CONTENT.fullmatch(content) is None:
        raise Misconfigured(f"{path} is damaged: delete it to make a new secret, which ends all tokens")
    return content.strip()
