"""Letters without what people leave out: `MÜLLER`, `Müller` and `Mu\\u0308ller` are `muller`, `Łukasz` is `lukasz`.

Pure. Case, accents, vowel points and width go; letters of other scripts and what makes them other letters stay.
"""

import unicodedata
from functools import cache

_LETTERS = {
    "ø": "o", "ł": "l", "đ": "d", "ħ": "h", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th", "ð": "d", "ŋ": "n", "ə": "e",
    "ـ": "", "ى": "ي", "ة": "ه", "ک": "ك", "ی": "ي", "ё": "е", "ґ": "г", "’": "'", "ʼ": "'", "`": "'", "´": "'",
}  # fmt: skip


class _Folded(dict[int, str]):
    """Filled with each character that comes: what it is folded to, perhaps nothing, perhaps several letters."""

    def __missing__(self, code: int) -> str:
        folded = ""
        for letter in unicodedata.normalize("NFKD", chr(code)).casefold():
            kept = unicodedata.combining(letter) == 0 and unicodedata.category(letter) != "Cf"
            folded += _LETTERS.get(letter, letter) if kept else ""
        self[code] = folded
        return folded


def fold(text: str) -> str:
    """The text in folded letters; its length may differ."""
    return text.lower() if text.isascii() else text.translate(_table())


def fold_with_places(text: str) -> tuple[str, list[int] | None]:
    """The folded text, and for each of its characters the place of the one it comes from; None where none has moved."""
    if text.isascii():
        return text.lower(), None
    table = _table()
    folded: list[str] = []
    places: list[int] = []
    for place, character in enumerate(text):
        letters = table[ord(character)]
        folded.append(letters)
        places.extend([place] * len(letters))
    return "".join(folded), places


@cache
def _table() -> _Folded:
    return _Folded()
