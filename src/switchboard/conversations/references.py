"""Ids as clients write them: words to them, numbers to us."""

from switchboard.errors import NotFound

LARGEST = 2**53


def as_number(reference: str) -> int | None:
    """The id that is meant, or None for one that we never gave."""
    return int(reference) if reference.isascii() and reference.isdigit() and 0 < int(reference) <= LARGEST else None


def conversation_number(reference: str) -> int:
    """The same. Raises `NotFound` for one that we never gave: to a client it looks like any other."""
    number = as_number(reference)
    if number is None:
        raise NotFound("There is no such conversation.")
    return number
