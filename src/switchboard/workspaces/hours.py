"""Business hours: how people write them, how they are kept, and what they mean. Pure.

Written: times of the clock on the wall, several spans a day, past midnight where the end is before the beginning. Kept:
minutes since midnight, a span past midnight going beyond 1440, by ISO weekday and by date; what a date says goes before
its weekday. A span belongs to the day it begins on.

Whether it is open *now* is asked of the database, `closed_since` in `12_ai_config.sql`, never of this file: see
`docs/decisions/0008-open-or-closed.md`. The same rules stand here for what has no transaction to be right in: when it
opens next, and whether a conversation may be answered while the database is away. A property test holds the two
together.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from itertools import pairwise
from typing import Annotated, Any, Self
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MOST_DAYS = 400
"""How far is looked for the last or next opening: more than a year of holidays."""
_DAY = 24 * 60
_SPAN = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-(?:([01]\d|2[0-3]):([0-5]\d)|24:00)")

Span = tuple[int, int]
"""Beginning and end in minutes since midnight, the end not included."""


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _known(zone: str) -> str:
    if zone not in _zones():
        raise ValueError("There is no such time zone: use a name such as Europe/Berlin (IANA time zone database)")
    return zone


def _span(text: str) -> Span:
    """Raises `ValueError`, in words for whoever wrote it."""
    found = _SPAN.fullmatch(text)
    if found is None:
        raise ValueError("A span looks like 09:00-17:30, 22:00-02:00 past midnight, or 00:00-24:00 for the whole day")
    begins = int(found[1]) * 60 + int(found[2])
    ends = _DAY if found[3] is None else int(found[3]) * 60 + int(found[4])
    if ends == begins:
        raise ValueError("This span has no length: write 00:00-24:00 for the whole day")
    return begins, ends if ends > begins else ends + _DAY


def _written(span: Span) -> str:
    begins, ends = span
    ends = ends if ends <= _DAY else ends - _DAY
    return f"{begins // 60:02}:{begins % 60:02}-{ends // 60:02}:{ends % 60:02}"


def _in_order(texts: list[str]) -> list[str]:
    spans = sorted(_span(text) for text in texts)
    if any(later[0] < earlier[1] for earlier, later in pairwise(spans)):
        raise ValueError("Two spans of this day overlap")
    return [_written(span) for span in spans]


Spans = Annotated[list[str], Field(max_length=12), AfterValidator(_in_order)]
"""The spans of one day, such as `["09:00-12:00", "13:00-18:00"]`; none when it is closed."""


class BusinessHours(BaseModel):
    """When the business is open; a weekday left out is closed. Raises like pydantic, naming the day and the span."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "example": {
                "time_zone": "Europe/Berlin",
                "monday": ["09:00-12:00", "13:00-18:00"],
                "saturday": ["20:00-02:00"],
                "holidays": {"2026-12-24": ["09:00-12:00"], "2026-12-25": []},
            }
        },
    )

    time_zone: Annotated[str, Field(max_length=64), AfterValidator(_known)]
    monday: Spans = []
    tuesday: Spans = []
    wednesday: Spans = []
    thursday: Spans = []
    friday: Spans = []
    saturday: Spans = []
    sunday: Spans = []
    holidays: Annotated[dict[date, Spans], Field(max_length=400)] = Field(
        default={}, description="Dates that differ from their weekday; an empty list is closed all day."
    )

    @model_validator(mode="after")
    def _possible(self) -> Self:
        week = [_spans(getattr(self, day)) for day in WEEKDAYS]
        if not any(week):
            raise ValueError("It would never be open: name a span, or switch auto_response_enabled off")
        for number, spans in enumerate(week):
            following = week[(number + 1) % 7]
            if spans and following and spans[-1][1] - _DAY > following[0][0]:
                name, then = WEEKDAYS[number], WEEKDAYS[(number + 1) % 7]
                raise ValueError(f"The last span of {name} reaches into the first one of {then}")
        return self

    def kept(self) -> dict[str, Any]:
        """As the database keeps them: `{"time_zone", "weekly": {"1": [[540, 720]]}, "holidays": {"2026-12-25": []}}`"""
        return {
            "time_zone": self.time_zone,
            "weekly": {str(number): _spans(getattr(self, day)) for number, day in enumerate(WEEKDAYS, 1)},
            "holidays": {day.isoformat(): _spans(texts) for day, texts in sorted(self.holidays.items())},
        }

    @classmethod
    def of_kept(cls, kept: Mapping[str, Any]) -> "BusinessHours":
        """The same again from what `kept` gave."""
        days = {day: _texts(kept["weekly"].get(str(number), [])) for number, day in enumerate(WEEKDAYS, 1)}
        holidays = {day: _texts(spans) for day, spans in kept["holidays"].items()}
        return cls.model_validate({"time_zone": kept["time_zone"], "holidays": holidays, **days})

    def closed_since(self, at: datetime) -> datetime | None:
        """When the closed period that ``at`` is in began; None while open, 1970 if longer ago than is looked."""
        latest: datetime | None = None
        enough = MOST_DAYS
        back = 0
        while back <= enough:
            for opens, closes in self._of_day(self._day(at) - timedelta(days=back)):
                if opens <= at < closes:
                    return None
                if opens < closes <= at:
                    latest = closes if latest is None else max(latest, closes)
            if latest is not None:
                # A span of the day before may reach into this one and further.
                enough = min(enough, back + 1)
            back += 1
        return latest or datetime(1970, 1, 1, tzinfo=UTC)

    def opens_after(self, at: datetime) -> datetime | None:
        """When it opens next, to be read by people; None if that is further off than is looked."""
        for ahead in range(-1, MOST_DAYS):
            moments = self._of_day(self._day(at) + timedelta(days=ahead))
            later = [opens for opens, closes in moments if at < opens < closes]
            if later:
                return min(later)
        return None

    def _day(self, at: datetime) -> date:
        return at.astimezone(ZoneInfo(self.time_zone)).date()

    def _of_day(self, day: date) -> Iterator[tuple[datetime, datetime]]:
        texts = self.holidays.get(day)
        for begins, ends in _spans(getattr(self, WEEKDAYS[day.weekday()]) if texts is None else texts):
            yield self._moment(day, begins), self._moment(day, ends)

    def _moment(self, day: date, minutes: int) -> datetime:
        """Of the two readings of an hour that the clocks skip or repeat, the later one: Postgres reads it so too."""
        wall = datetime.combine(day, time(), ZoneInfo(self.time_zone)) + timedelta(minutes=minutes)
        return max(wall.replace(fold=fold).astimezone(UTC) for fold in (0, 1))


def _spans(texts: list[str]) -> list[Span]:
    return [_span(text) for text in texts]


def _texts(spans: list[list[int]]) -> list[str]:
    return [_written((begins, ends)) for begins, ends in spans]
