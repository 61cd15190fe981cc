"""Payment cards: a network's prefix and length (ISO/IEC 7812-1), and the check digit after Luhn."""

import re

_NETWORKS = re.compile(
    r"4\d{15}(?:\d{3})?"  # Visa; its thirteen digits are of the last century, and an article number has as many
    r"|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}"  # Mastercard
    r"|3[47]\d{13}"  # American Express
    r"|3(?:0[0-5]|[689]\d)\d{11}"  # Diners Club
    r"|6(?:011|4[4-9]\d|5\d\d)\d{12}|35(?:2[89]|[3-8]\d)\d{12}|62\d{14}(?:\d{3})?"  # Discover, JCB, UnionPay
    r"|(?:50|5[6-8]|63|67)\d{14}|220[0-4]\d{12}|9792\d{12}"  # Maestro, Mir, Troy
)
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
GROUPS = ((4, 4, 4, 4), (4, 6, 5), (4, 6, 4), (4, 4, 4, 4, 3))
"""How the digits stand on cards."""


def is_card(digits: str) -> bool:
    """Whether so many ASCII digits are the number of a card."""
    return 14 <= len(digits) <= 19 and _NETWORKS.fullmatch(digits) is not None and _adds_up(digits)


def _adds_up(digits: str) -> bool:
    doubled = sum(_DOUBLED[int(digit)] for digit in digits[-2::-2])
    return (doubled + sum(map(int, digits[::-2]))) % 10 == 0
