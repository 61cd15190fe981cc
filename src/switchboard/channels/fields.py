"""One JSON object of a webhook, read field by field: what comes out has the right type and can be stored."""

from datetime import UTC, datetime, timedelta
from typing import Any

from switchboard.channels.document import Cleaner, is_list, is_object

MAX_IDENTIFIER = 500
"""Characters of an id; a `mid` has about 100."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_MOMENT = 253_402_300_799_999  # the year 9999 in milliseconds, the last that a datetime holds
_SECONDS_BELOW = 100_000_000_000  # in milliseconds this is 1973


class Broken(Exception):
    """An event that is not as its platform describes it, or that we do not handle; the text says why."""


class Fields:
    """The fields of one object. ``name`` is how reasons call it."""

    __slots__ = ("_cleaner", "_name", "_object")

    def __init__(self, value: Any, name: str, cleaner: Cleaner) -> None:
        """Raises `Broken` if ``value`` is no object."""
        if not is_object(value):
            raise Broken(f"{name or 'the event'} is no object")
        self._object = value
        self._name = name
        self._cleaner = cleaner

    def has(self, key: str) -> bool:
        """Whether the field is there and not null."""
        return self._object.get(key) is not None

    def has_only(self, keys: frozenset[str]) -> bool:
        """Whether no field is there but these."""
        return self._object.keys() <= keys

    def text(self, key: str) -> str:
        """A text; empty if there is none."""
        value = self._object.get(key)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise Broken(f"{self._called(key)} is no text")
        return self._cleaner.text(value)

    def identifier(self, key: str) -> str:
        """An id that must be there, as text; Meta writes some of them as numbers."""
        value = self._object.get(key)
        if value is None:
            raise Broken(f"{self._called(key)} is missing")
        return self._identifier(value, key)

    def optional_identifier(self, key: str) -> str | None:
        """An id, if there is one."""
        return self.identifier(key) if self.has(key) else None

    def identifiers(self, key: str) -> list[str]:
        """A list of ids; empty if there is none."""
        return [self._identifier(value, f"{key}[]") for value in self._list(key)]

    def flag(self, key: str) -> bool:
        """A yes or no; no if it is missing."""
        value = self._object.get(key)
        if value is None or isinstance(value, bool):
            return bool(value)
        raise Broken(f"{self._called(key)} is neither true nor false")

    def count(self, key: str) -> int | None:
        """A whole number from 0 on; also as text, as some of Meta's pages show it."""
        value = self._object.get(key)
        if value is None:
            return None
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 18:
            return int(value)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value
        raise Broken(f"{self._called(key)} is no whole number")

    def moment(self, key: str) -> datetime | None:
        """A time in milliseconds, or seconds as Telegram has it, since 1970, as UTC.

        The postbacks page and the dashboard's test button send seconds in a text instead ("1527459824"),
        https://developers.facebook.com/docs/messenger-platform/reference/webhook-events/messaging_postbacks.
        """
        number = self.count(key)
        if number is None:
            return None
        if number < _SECONDS_BELOW:
            number *= 1000
        if not 0 < number <= _LAST_MOMENT:
            raise Broken(f"{self._called(key)} is no time")
        return _EPOCH + timedelta(milliseconds=number)

    def child(self, key: str) -> "Fields | None":
        """An object inside, if there is one."""
        value = self._object.get(key)
        return None if value is None else Fields(value, self._called(key), self._cleaner)

    def children(self, key: str) -> list["Fields"]:
        """A list of objects; empty if there is none."""
        return [Fields(value, f"{self._called(key)}[]", self._cleaner) for value in self._list(key)]

    def kept(self, *, without: frozenset[str] = frozenset()) -> dict[str, Any]:
        """The object as it is, cleaned, for what we pass on without reading it."""
        return self._cleaner.value({key: value for key, value in self._object.items() if key not in without})

    def names(self) -> list[str]:
        """The names of the fields, cleaned."""
        return [self._cleaner.text(key) for key in self._object]

    def _list(self, key: str) -> list[Any]:
        value = self._object.get(key)
        if value is None:
            return []
        if not is_list(value):
            raise Broken(f"{self._called(key)} is no list")
        return value

    def _identifier(self, value: Any, key: str) -> str:
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if not isinstance(value, str) or not value:
            raise Broken(f"{self._called(key)} is no id")
        if len(value) > MAX_IDENTIFIER:
            raise Broken(f"{self._called(key)} has more than {MAX_IDENTIFIER} characters")
        return self._cleaner.text(value)

    def _called(self, key: str) -> str:
        return f"{self._name}.{key}" if self._name else key
