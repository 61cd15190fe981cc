"""IP addresses of both versions; versions of programs look like the older one, times like the newer."""

import re
from collections.abc import Iterator
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from switchboard.privacy.patterns.context import IN_WORD, before
from switchboard.privacy.spans import Span

_FOUR = re.compile(rf"\d(?<![{IN_WORD}.-].)\d{{0,2}}(?:\.\d{{1,3}}){{3}}(?![{IN_WORD}-]|\.\d)")
_SIX = re.compile(
    rf"(?<![{IN_WORD}:.])(?=[0-9a-f]{{0,4}}:)[0-9a-f:]{{3,39}}(?:(?<=:)\d{{1,3}}(?:\.\d{{1,3}}){{3}})?(?![{IN_WORD}:])",
    re.IGNORECASE,
)
_VERSION = re.compile(
    r"(?:\bv|ver|vers(?:ion|i[oó]n|[aã]o|ione)|wersj[aę]|s[uü]r[uü]m|version|firmware|release|build|wersja|sürüm|版本|バージョン|الإصدار)[\s.:]*$",
    re.I,
)


def find(text: str) -> Iterator[Span]:
    """Version 4; not `1.2.3.4`, four single digits that are a version more often than an address."""
    for four in _FOUR.finditer(text):
        if max(map(len, four[0].split("."))) > 1 and not _VERSION.search(before(text, four.start())):
            try:
                yield Span(*four.span(), "ip", str(IPv4Address(four[0])))
            except AddressValueError:
                continue


def find_six(text: str) -> Iterator[Span]:
    """Version 6, short forms as well, from three groups on."""
    for six in _SIX.finditer(text):
        if len(re.findall("[0-9a-f]+", six[0], re.IGNORECASE)) < 3 and not six[0].lower().startswith(
            ("fe80", "2", "fd")
        ):
            continue
        try:
            yield Span(*six.span(), "ip", IPv6Address(six[0]).compressed)
        except AddressValueError:
            continue


def same(address: str) -> str:
    """The form in which addresses are compared; what is none stays as it is."""
    for kind in (IPv4Address, IPv6Address):
        try:
            return kind(address.strip()).compressed
        except AddressValueError:
            continue
    return address.strip().lower()
