"""E-mail addresses, also as people write them so that programs shall not see them: `anna (at) example dot com`.

Starts from each sign for "at" and looks a bounded way to both sides: a million letters without one cost nothing.
"""

import re
from collections.abc import Iterator

from switchboard.privacy.pseudonyms import EMAIL
from switchboard.privacy.spans import Span

_LONGEST_LOCAL = 64  # RFC 5321, 4.5.3.1
# Letters of scripts that are written without spaces are the sentence around an address, not the address.
_LETTER = r"[^\W_\u0e00-\u0eff\u1100-\u11ff\u3040-\u30ff\u3100-\u318f\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]"
_LOCAL = re.compile(rf"(?:{_LETTER}|[_.+%'!#$&*~^-]){{1,{_LONGEST_LOCAL}}}\Z")
_LABEL = rf"{_LETTER}(?:(?:{_LETTER}|-){{0,61}}{_LETTER})?"
_DOMAIN = re.compile(rf"(?:{_LABEL}\.){{1,8}}(?!\d){_LABEL}")
_SIGN = re.compile(r"@|%40", re.IGNORECASE)

_AT_WORDS = r"at|ät|arroba|chiocciola|arobase|arobas|ma[łl]pa|собака|собачка|snabel-?a|et işareti"
_DOT_WORDS = r"dot|punkt|punto|point|ponto|kropka|nokta|точка"
_AT = (
    rf"\s{{0,3}}[(\[{{<]\s{{0,2}}(?:{_AT_WORDS}|a|@)\s{{0,2}}[)\]}}>]\s{{0,3}}"
    rf"|\s{{1,3}}(?:{_AT_WORDS}|@)\s{{1,3}}|\s{{1,3}}@|@\s{{1,3}}"
)
_BRACKETED_DOT = rf"\s{{0,3}}[(\[{{<]\s{{0,2}}(?:{_DOT_WORDS}|\.)\s{{0,2}}[)\]}}>]\s{{0,3}}"
_DOT = rf"{_BRACKETED_DOT}|\s{{1,3}}(?:{_DOT_WORDS})\s{{1,3}}"
_HIDDEN_AT = re.compile(rf"(?:{_AT})(?=\w)|@", re.IGNORECASE)
_HIDDEN_LOCAL = re.compile(
    rf"(?:{_LETTER}|[_.+-]){{1,{_LONGEST_LOCAL}}}(?:(?:{_DOT})(?:{_LETTER}|[_+-]){{1,32}}){{0,2}}\Z", re.I
)
_HIDDEN_DOMAIN = re.compile(
    rf"{_LABEL}(?:(?:{_DOT}|\.){_LABEL}){{0,4}}(?P<last>{_DOT}|\.)(?P<top>[^\W\d_]{{2,12}})\b", re.I
)
_ANY_DOT = re.compile(_DOT, re.IGNORECASE)
_WORDS = tuple(f" {word} " for word in _DOT_WORDS.split("|"))


def may_hide(small: str) -> bool:
    """Whether a text in small letters may hold a hidden address: a quick look, which most texts end."""
    if "(" in small or "[" in small or "{" in small or "<" in small or " @" in small or "@ " in small:
        return True
    return any(word in small for word in _WORDS)


def find(text: str) -> Iterator[Span]:
    """Addresses with their sign: `anna.schmidt@example.com`, `anna%40example.com`."""
    for sign in _SIGN.finditer(text):
        domain = _DOMAIN.match(text, sign.end())
        start = _local(text, sign.start())
        if domain and start < sign.start():
            yield Span(start, domain.end(), EMAIL, same(f"{text[start : sign.start()]}@{domain[0]}"))


def find_hidden(text: str) -> Iterator[Span]:
    """Addresses whose signs are words, in brackets or between spaces."""
    end = 0
    for sign in _HIDDEN_AT.finditer(text):
        domain = _HIDDEN_DOMAIN.match(text, sign.end())
        if domain is None or not _meant(sign[0], domain):
            continue
        begun = max(end, sign.start() - 2 * _LONGEST_LOCAL)
        local = _HIDDEN_LOCAL.search(text[begun : sign.start()])
        if local:
            end = domain.end()
            written = f"{local[0]}@{text[domain.start() : end]}"
            yield Span(begun + local.start(), end, EMAIL, same(_ANY_DOT.sub(".", written)))


def same(address: str) -> str:
    """The form in which addresses are compared."""
    return address.strip().replace("%40", "@").lower()


def _local(text: str, end: int) -> int:
    """Where the part that ends before ``end`` begins; ``end`` where there is none."""
    window = text[max(0, end - _LONGEST_LOCAL) : end]
    found = _LOCAL.search(window)
    if found is None:
        return end
    return end - len(found[0].lstrip(".'-*~&#!^"))


def _meant(sign: str, domain: re.Match[str]) -> bool:
    """Whether it is an address: `at` between spaces is a word of many sentences; only a hidden dot makes it a sign."""
    if sign.strip() == "@" or any(bracket in sign for bracket in "([{<"):
        return True
    return domain["last"] != "." or _ANY_DOT.search(domain[0]) is not None
