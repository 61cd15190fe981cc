"""Business hours: what may be written, what it means, and that Python and Postgres mean the same."""

import asyncio
import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from switchboard.workspaces.hours import WEEKDAYS, BusinessHours

BERLIN = "Europe/Berlin"


def hours(time_zone: str = BERLIN, holidays: dict[str, list[str]] | None = None, **days: list[str]) -> BusinessHours:
    return BusinessHours.model_validate({"time_zone": time_zone, "holidays": holidays or {}, **days})


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


OFFICE = hours(
    friday=["09:00-12:00", "13:00-18:00"],
    saturday=["20:00-02:00"],
    monday=["09:00-18:00"],
    holidays={"2026-11-23": [], "2026-11-24": ["10:00-11:00"]},
)
# 2026-11-20 is a Friday; Berlin is an hour before UTC.
MEANT = [
    ("2026-11-20T07:59:59", "2026-11-16T17:00"),
    ("2026-11-20T08:00:00", None),
    ("2026-11-20T10:59:59", None),
    ("2026-11-20T11:00:00", "2026-11-20T11:00"),  # lunch
    ("2026-11-20T12:00:00", None),
    ("2026-11-20T17:00:00", "2026-11-20T17:00"),
    ("2026-11-21T18:59:59", "2026-11-20T17:00"),
    ("2026-11-21T19:00:00", None),
    ("2026-11-21T23:30:00", None),  # Sunday there
    ("2026-11-22T00:59:59", None),
    ("2026-11-22T01:00:00", "2026-11-22T01:00"),
    ("2026-11-23T10:00:00", "2026-11-22T01:00"),  # a holiday
    ("2026-11-24T09:30:00", None),  # a Tuesday that is open for once
    ("2026-11-26T09:30:00", "2026-11-24T10:00"),
]


@pytest.mark.parametrize(("at", "since"), MEANT)
def test_what_they_mean(at: str, since: str | None) -> None:
    assert OFFICE.closed_since(utc(at)) == (utc(since) if since else None)


# The clocks of Berlin go forward on 2026-03-29 at 02:00 and back on 2026-10-25 at 03:00, both at 01:00 UTC.
CHANGES = [
    ("the day of the change has 23 hours", ["00:00-24:00"], "2026-03-29", "2026-03-28T23:00", "2026-03-29T22:00"),
    ("and 25", ["00:00-24:00"], "2026-10-25", "2026-10-24T22:00", "2026-10-25T23:00"),
    ("a night over the skipped hour", ["00:00-06:00"], "2026-03-29", "2026-03-28T23:00", "2026-03-29T04:00"),
    ("a night over the repeated hour", ["00:00-06:00"], "2026-10-25", "2026-10-24T22:00", "2026-10-25T05:00"),
    ("it begins in the skipped hour", ["02:30-05:00"], "2026-03-29", "2026-03-29T01:30", "2026-03-29T03:00"),
    ("it ends in the repeated hour", ["00:00-02:30"], "2026-10-25", "2026-10-24T22:00", "2026-10-25T01:30"),
]


@pytest.mark.parametrize(("what", "spans", "day", "opens", "closes"), CHANGES)
def test_clocks_that_change(what: str, spans: list[str], day: str, opens: str, closes: str) -> None:
    only = hours(holidays={day: spans}, **{WEEKDAYS[(date.fromisoformat(day).weekday() + 3) % 7]: ["09:00-10:00"]})
    second = timedelta(seconds=1)
    assert only.closed_since(utc(opens) - second) is not None, what
    assert only.closed_since(utc(opens)) is None
    assert only.closed_since(utc(closes) - second) is None
    assert only.closed_since(utc(closes)) == utc(closes)


def test_when_it_opens_next() -> None:
    assert OFFICE.opens_after(utc("2026-11-20T11:30:00")) == utc("2026-11-20T12:00")
    assert OFFICE.opens_after(utc("2026-11-22T12:00:00")) == utc("2026-11-24T09:00"), "the Monday is a holiday"
    away = hours(
        monday=["09:00-10:00"], holidays={(date(2026, 1, 5) + timedelta(weeks=n)).isoformat(): [] for n in range(99)}
    )
    assert away.opens_after(utc("2026-02-01T00:00:00")) is None
    assert away.closed_since(utc("2027-06-01T00:00:00")) == utc("1970-01-01T00:00")


def test_what_is_kept_reads_the_same() -> None:
    assert BusinessHours.of_kept(json.loads(json.dumps(OFFICE.kept()))) == OFFICE
    assert OFFICE.kept()["weekly"]["6"] == [(1200, 1560)]


@pytest.mark.parametrize(
    ("wrong", "field", "words"),
    [
        ({"time_zone": "Europe/Berlln"}, "time_zone", "Europe/Berlin"),
        ({"time_zone": "FOO+3"}, "time_zone", "no such time zone"),
        ({"monday": ["9-17"]}, "monday", "09:00-17:30"),
        ({"monday": ["24:00-25:00"]}, "monday", "09:00-17:30"),
        ({"monday": ["09:60-10:00"]}, "monday", "09:00-17:30"),
        ({"monday": ["09:00-09:00"]}, "monday", "no length"),
        ({"monday": ["09:00-12:00", "11:59-13:00"]}, "monday", "overlap"),
        ({"monday": ["20:00-02:00", "21:00-22:00"]}, "monday", "overlap"),
        ({"sunday": ["20:00-10:00"], "monday": ["09:00-18:00"]}, "", "sunday reaches into the first one of monday"),
        ({"monday": []}, "", "never be open"),
        ({"monday": ["09:00-10:00"], "holidays": {"2026-02-30": []}}, "holidays", "date"),
        ({"monday": ["09:00-10:00"], "holidays": {"2026-02-03": ["x"]}}, "holidays", "09:00-17:30"),
        ({"monday": ["09:00-10:00"], "mondey": []}, "mondey", ""),
        ({"monday": "09:00-10:00"}, "monday", "list"),
    ],
)
def test_impossible_hours_are_refused_with_words(wrong: dict[str, Any], field: str, words: str) -> None:
    with pytest.raises(ValidationError) as refused:
        BusinessHours.model_validate({"time_zone": BERLIN, **wrong})
    found = refused.value.errors()
    assert any(field in str(error["loc"]) and words in error["msg"] for error in found), found


def test_spans_that_touch_are_none_that_overlap() -> None:
    whole = hours(sunday=["20:00-09:00"], monday=["09:00-12:00", "12:00-24:00"], tuesday=["00:00-24:00"])
    assert whole.closed_since(utc("2026-11-23T08:00:00")) is None


clock = st.integers(0, 1439)
zones = st.sampled_from(
    [BERLIN, "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "Asia/Kathmandu", "UTC"]
)


@st.composite
def days(draw: st.DrawFn) -> list[str]:
    edges = sorted(draw(st.lists(clock, max_size=4, unique=True)))
    pairs = zip(edges[::2], edges[1::2], strict=False)
    return [f"{a // 60:02}:{a % 60:02}-{b // 60:02}:{b % 60:02}" for a, b in pairs]


@st.composite
def weeks(draw: st.DrawFn) -> BusinessHours:
    """Any hours, also with a last span past midnight; about the days on which clocks change."""
    week = {day: draw(days()) for day in draw(st.sets(st.sampled_from(WEEKDAYS)))}
    week["sunday"] = draw(st.sampled_from([["23:00-01:30"], ["01:30-03:30"], ["02:15-02:45"], ["00:00-24:00"]]))
    week["monday"] = [span for span in week.get("monday", []) if span >= "02:00"]
    holidays = {
        day.isoformat(): draw(days())
        for day in draw(st.lists(st.dates(date(2026, 3, 1), date(2026, 4, 9)), max_size=3))
    }
    return hours(draw(zones), holidays, **week)


moments = st.one_of(
    st.integers(0, 365 * 1440).map(lambda minutes: utc("2026-01-01T00:00") + timedelta(minutes=minutes)),
    *(
        st.integers(-40 * 60, 40 * 60).map(lambda minutes, around=around: utc(around) + timedelta(minutes=minutes))
        for around in ("2026-03-08T07:00", "2026-03-29T01:00", "2026-10-25T01:00", "2026-11-01T06:00")
    ),
)


async def test_postgres_means_the_same(database_url: str) -> None:
    """Some hundred weeks and moments, drawn by hypothesis, asked of both."""
    asked: list[tuple[BusinessHours, datetime]] = []

    @settings(max_examples=400, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(weeks(), moments)
    def draw(week: BusinessHours, moment: datetime) -> None:
        asked.append((week, moment))

    await asyncio.to_thread(draw)
    connection = await asyncpg.connect(database_url)
    try:
        wrong = []
        for week, moment in asked:
            said = await connection.fetchval(
                "select closed_since($1::text::jsonb, $2)", json.dumps(week.kept()), moment
            )
            if said != week.closed_since(moment):
                wrong.append((week, moment, said, week.closed_since(moment)))
    finally:
        await connection.close()
    assert wrong == []
    open_then = sum(week.closed_since(moment) is None for week, moment in asked)
    assert 20 < open_then < len(asked) - 20, "both answers came up"
