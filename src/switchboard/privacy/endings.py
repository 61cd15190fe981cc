"""What names end in when they are inflected: `Annas`, `Anną`, `Ахмеда`, `Mehmetin`. Folded, as `folding.fold` does it.

Lists, not grammar: a name with any of these is taken for the name. Vowels at the end are part of what changes.
"""

from functools import lru_cache
from typing import Final

_GENITIVE = ("", "s", "es", "ns", "in", "'s")
_SLAVIC = """
a e i o u y ie ii om em iem owi owie ow ami ach ego iego emu iemu ej iej im ym ich ych imi ymi ia ou ovi ova ovy ka ko
"""
_TURKISH = """
nin nun in un ye ya yi yu de da te ta den dan ten tan le la yle yla ler lar nde nda e a i u
"""
_CYRILLIC = """
а у ом ем е ы и ои еи ою ею ю я ого ему ому ым их ых ов ева ию ии иеи ием ью і ові еві
"""
_VOWELS = frozenset("aeiouyаеиоуыэюяйьі")
LATIN_PLAIN: Final = frozenset(("", "s"))
"""What may end a name of three letters."""


@lru_cache(maxsize=4096)
def stems(name: str) -> tuple[tuple[str, frozenset[str]], ...]:
    """How an inflected form of a folded ``name`` of one word begins, and how it may go on from there."""
    if name[-1] > "\u0400" and name[-1] < "\u0530":
        cut = name[:-1] if name[-1] in _VOWELS else name
        return (
            ((cut, frozenset(("", *_CYRILLIC.split(), name[len(cut) :]))),)
            if len(cut) > 2
            else ((name, frozenset(("",))),)
        )
    if not ("a" <= name[0] <= "z") or len(name) < 3:
        return ((name, frozenset(("",))),)
    if len(name) == 3:
        return ((name, LATIN_PLAIN),)
    turkish, slavic = _TURKISH.split(), _SLAVIC.split()
    whole = frozenset((*_GENITIVE, *turkish, *slavic))
    found = [(name, whole)]
    if name[-1] in _VOWELS and len(name) > 3:
        found = [(name[:-1], frozenset((*slavic, *(name[-1] + ending for ending in (*_GENITIVE, *turkish)))))]
    elif name[-2:] in ("ek", "el", "er", "ec") and len(name) > 4:  # Marek, Marka
        found.append((name[:-2] + name[-1], frozenset(("a", "owi", "iem", "em", "u", "om", "ovi"))))
    return tuple(found)
