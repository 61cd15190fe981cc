"""Pseudonyms: what stands for a value in whatever is made with one key, and for nothing where the key is another.

Pure. HMAC-SHA256 of the kind and the value (RFC 2104), shortened to `DIGITS` hexadecimal digits: of a million
customers, the chance that any two share one is 0.2 %. Without the key nobody can try out who stands behind one.
"""

import hmac
import re
from typing import Final

DIGITS: Final = 12
LEAST_KEY: Final = 16
"""Bytes of a key; fewer could be tried out."""
SHIELD: Final = "\ue000"
"""Stands for one pseudonym while a text is looked through: nothing matches across it, and nothing matches it."""

NAME: Final = "name"
EMAIL: Final = "email"
IDENTIFIER: Final = "identifier"
KINDS: Final = (NAME, EMAIL, IDENTIFIER, "phone", "card", "iban", "ip", "url", "handle", "national_id")
"""All kinds of values that are replaced."""

_TAIL = rf"(?=[0-9]*[a-f])[0-9a-f]{{{DIGITS}}}"  # with a letter, so that a telephone number never passes for one
PSEUDONYM: Final = re.compile(
    rf"Guest_{_TAIL}|guest_{_TAIL}(?:@example\.com)?|\[(?:{'|'.join(KINDS[3:])})_{_TAIL}\]|{SHIELD}"
)
"""A pseudonym, whoever made it; the shield itself counts as one, so that a text that holds it comes out unchanged."""


class Pseudonyms:
    """The pseudonyms of one key. Raises `ValueError` for a key of fewer than `LEAST_KEY` bytes."""

    def __init__(self, key: bytes) -> None:
        if len(key) < LEAST_KEY:
            raise ValueError(f"a key needs at least {LEAST_KEY} bytes")
        self._key = key

    def of(self, kind: str, value: str) -> str:
        """What stands for ``value``, which is compared letter by letter: whoever calls has brought it into one form."""
        digits = self._digits(f"{kind}\0{value}".encode("utf-8", "surrogatepass"))
        if kind == NAME:
            return f"Guest_{digits}"
        if kind == EMAIL:
            return f"guest_{digits}@example.com"
        return f"guest_{digits}" if kind == IDENTIFIER else f"[{kind}_{digits}]"

    def _digits(self, message: bytes) -> str:
        digest = hmac.digest(self._key, message, "sha256").hex()
        digits = digest[:DIGITS]
        # One in 280 has no letter. It gets one, since a run of digits alone might be anything.
        return digits if not digits.isdigit() else "abcdef"[int(digits[0]) % 6] + digits[1:]


def shield(text: str) -> tuple[str, list[str]]:
    """The text with each pseudonym as one `SHIELD`, and the pseudonyms in their order."""
    if "uest_" not in text and "[" not in text and SHIELD not in text:
        return text, []
    pseudonyms: list[str] = PSEUDONYM.findall(text)
    return (PSEUDONYM.sub(SHIELD, text), pseudonyms) if pseudonyms else (text, [])


def unshield(text: str, pseudonyms: list[str]) -> str:
    """What `shield` was given. Raises `ValueError` where there are not as many shields as pseudonyms."""
    if not pseudonyms:
        return text
    parts = text.split(SHIELD)
    if len(parts) != len(pseudonyms) + 1:
        raise ValueError(f"{len(parts) - 1} shields for {len(pseudonyms)} pseudonyms")
    return "".join(part for pair in zip(parts, [*pseudonyms, ""], strict=True) for part in pair)
