"""A second, stricter look at what is left: what a careful reader would stop at. It replaces nothing."""

import re
from collections.abc import Iterator, Sequence

from switchboard.privacy.folding import fold
from switchboard.privacy.patterns.numbers import DATE
from switchboard.privacy.pseudonyms import SHIELD

_DIGITS = re.compile(r"\d(?<![\w-].)(?:[ ./()-]{0,2}\d){8,}")
_WHEN = re.compile(rf"{DATE.pattern}(?: \d{{1,2}})?")
_AT = re.compile(rf"[^\s{SHIELD}]{{1,64}}@[^\s{SHIELD}]{{1,64}}|\((?:at|@)\)|\[(?:at|@)\]", re.IGNORECASE)
_CAPITAL = re.compile(r"[^\W\d_a-z][^\W\d_]{3,19}")


def suspects(text: str, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Kind and words of what looks private in a text with shields; ``names`` are the folded parts of known names."""
    for digits in _DIGITS.finditer(text):
        if not _WHEN.fullmatch(digits[0]):
            yield "digits", digits[0]
    if "@" in text or "(at" in text or "[at" in text:
        for sign in _AT.finditer(text):
            yield "at_sign", sign[0]
    if names:
        for word in _CAPITAL.findall(text):
            if _near(fold(word), names):
                yield "name", word


def _near(word: str, names: Sequence[str]) -> bool:
    """Whether a word is a name, or one letter away from one."""
    size = len(word)
    for name in names:
        if (
            -2 < len(name) - size < 2
            and size > 3
            and (name[0] == word[0] or name[-1] == word[-1])
            and _one_apart(word, name)
        ):
            return True
    return False


def _one_apart(one: str, other: str) -> bool:
    """Whether two words differ by at most one letter that is changed, missing or more, or two that are swapped."""
    if len(one) > len(other):
        one, other = other, one
    same = 0
    while same < len(one) and one[same] == other[same]:
        same += 1
    if one[same + 1 :] == other[same + 1 :] or one[same:] == other[same + 1 :]:
        return True
    swapped = one[same : same + 2][::-1] == other[same : same + 2]
    return len(one) == len(other) and swapped and one[same + 2 :] == other[same + 2 :]
