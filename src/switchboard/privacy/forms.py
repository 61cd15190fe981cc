"""The forms in which somebody's name may stand in a text: its parts, their endings, and whether one is enough."""

import re
import unicodedata
from dataclasses import dataclass
from enum import IntEnum

from switchboard.privacy.common_words import MONTHS, PARTICLES, WORDS
from switchboard.privacy.endings import stems
from switchboard.privacy.folding import fold

_BETWEEN = re.compile(r"[\s,.·・/()\"“”„«»_|‐‑–-]+")
_HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff々]+")
_HANGUL = re.compile(r"[\uac00-\ud7a3]+")
_KANA = re.compile(r"[\u3040-\u30ffー]+")
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]+")
_HONORIFICS = (
    "先生",
    "女士",
    "小姐",
    "老师",
    "老師",
    "经理",
    "太太",
    "さん",
    "様",
    "さま",
    "氏",
    "くん",
    "ちゃん",
    "총",
    "总",
)
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ø": "oe", "å": "aa"})
_LONG_ENOUGH = 6
"""Letters of a part in which `ue` may be somebody's way to write `ü`."""


class Alone(IntEnum):
    """When a part names somebody without the others."""

    NEVER = 0
    INSIDE = 1
    """With a capital, where no sentence begins: it is a word as well."""
    CAPITAL = 2
    """With a capital, or where nobody writes any."""
    ALWAYS = 3


@dataclass(frozen=True, slots=True)
class Form:
    """``stem``, folded, and the ``endings`` it may have; without endings anything may stand around it (no spaces)."""

    stem: str
    endings: frozenset[str] | None
    part: int
    alone: Alone
    plain: str


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody's forms; ``value`` is the name as names are compared, ``parts`` are its words, folded."""

    value: str
    parts: tuple[str, ...]
    forms: tuple[Form, ...]


def same(name: str) -> str:
    """The form in which names are compared: NFC, without case, with single spaces."""
    return " ".join(unicodedata.normalize("NFC", name).casefold().split())


def person(name: str) -> Person:
    """Somebody of this name; without forms where it holds no letters."""
    written = [part for part in _BETWEEN.split(unicodedata.normalize("NFC", name)) if any(map(str.isalpha, part))]
    forms: list[Form] = []
    for place, part in enumerate(written):
        forms += _unspaced(part, place, single=len(written) == 1) or _spaced(part, place)
    forms += _joined([fold(part) for part in written])
    return Person(same(name), tuple(map(fold, written)), tuple(forms))


def _unspaced(part: str, place: int, *, single: bool) -> list[Form]:
    """Of scripts that put no spaces around names; none for others."""
    found: list[str] = []
    if _HAN.fullmatch(part):
        found = [part] if len(part) > 1 else []
        if single or len(part) == 1:
            found += [part[0] + honorific for honorific in _HONORIFICS]
        if single and len(part) > 2:
            found.append(part[1:])
    elif _HANGUL.fullmatch(part):
        found = [part] if len(part) > 1 else []
        if single and len(part) == 3:
            found.append(part[1:])
    elif _KANA.fullmatch(part) or _UNSPACED.fullmatch(part):
        found = [part] if len(part) > 2 else []
    else:
        return []
    none = Form(fold(part), None, place, Alone.NEVER, fold(part))
    return [Form(fold(each), None, place, Alone.ALWAYS, fold(each)) for each in found] or [none]


def _spaced(part: str, place: int) -> list[Form]:
    """Of scripts that put spaces between words, with their endings and spellings."""
    folded = fold(part)
    spellings = {folded: None}
    if "'" in folded:
        spellings[folded.replace("'", "")] = None
    spellings[fold(part.lower().translate(_UMLAUTS))] = None
    if len(folded) >= _LONG_ENOUGH:
        for pair in ("ae", "oe", "ue"):
            if pair in folded:
                spellings[folded.replace(pair, pair[0])] = None
    alone = _alone(folded)
    return [
        Form(stem, endings, place, alone, spelling)
        for spelling in spellings
        for stem, endings in _stems(spelling, alone)
    ]


def _stems(spelling: str, alone: Alone) -> tuple[tuple[str, frozenset[str]], ...]:
    """A particle and a very short name have no endings; a name that is a word has only the genitive's."""
    if alone == Alone.NEVER or len(spelling) < 3:
        return ((spelling, frozenset(("",))),)
    if alone == Alone.INSIDE:
        return ((spelling, frozenset(("", "s"))),)
    return stems(spelling)


def _joined(parts: list[str]) -> list[Form]:
    """`annaschmidt`, as in names of accounts; both orders."""
    named = [part for part in parts if part not in PARTICLES and part.isascii() and part.isalpha()]
    if len(named) < 2 or min(len(named[0]), len(named[-1])) < 2:
        return []
    both = (named[0] + named[-1], named[-1] + named[0])
    return [Form(each, frozenset(("", "s")), -1, Alone.ALWAYS, each) for each in both if len(each) > 5]


def _alone(folded: str) -> Alone:
    if len(folded) < 2 or folded in PARTICLES or folded in MONTHS:
        return Alone.NEVER
    if folded in WORDS or len(folded) == 2:
        return Alone.INSIDE
    return Alone.CAPITAL if len(folded) == 3 else Alone.ALWAYS
