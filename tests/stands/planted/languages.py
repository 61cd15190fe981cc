"""Sentences in eleven languages with room for what is planted, and people with their names as they are said there."""

from dataclasses import dataclass

from stands.planted.spoken import ENGLISH_LIKE, EUROPEAN, FURTHER


@dataclass(frozen=True)
class Language:
    """``anything``, ``phone``: sentences with `{}` for a value. ``named``: with `{}` for a name.

    ``innocent``: nothing private. ``names``: full name -> how it stands in sentences. ``regions``: where telephone
    numbers are from. ``states``: kinds of national numbers of stdnum, with the word that people put before each.
    """

    code: str
    anything: tuple[str, ...]
    phone: tuple[str, ...]
    named: tuple[str, ...]
    innocent: tuple[str, ...]
    names: dict[str, tuple[str, ...]]
    regions: tuple[str, ...]
    states: dict[str, str]


LANGUAGES = [Language(**each) for each in (*ENGLISH_LIKE, *EUROPEAN, *FURTHER)]
