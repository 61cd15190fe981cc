"""What is counted of the conversations of an archive while they are written, and how it is drawn."""

from collections import Counter
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, Final

from switchboard.exports.conversation import Part

_BAR: Final = 8
_GAP: Final = 2
"""Widths in the chart of days; its height is 100."""


class Figures:
    """Counts. Grows with the days and channels there are, not with the messages."""

    def __init__(self) -> None:
        self._conversations = 0
        self._senders: Counter[str] = Counter()
        self._days: Counter[date] = Counter()
        self._channels: Counter[str] = Counter()
        self._ratings: Counter[int] = Counter()
        self._flags = 0

    def count(self, part: Part, days: Mapping[date, int]) -> None:
        """Counts a part; ``days``: how many of its messages were said on which."""
        self._days.update(days)
        for message in part.messages:
            self._ratings.update(rating["score"] for rating in message.ratings or ())
            self._flags += len(message.flags or ())
        if part.last:
            self._conversations += 1
            self._channels[part.conversation.channel] += 1
            self._senders.update(part.conversation.counts)

    def drawn(self) -> dict[str, Any]:
        """For `figures.html`."""
        messages, rated = sum(self._senders.values()), sum(self._ratings.values())
        score = sum(score * many for score, many in self._ratings.items())
        channels = sorted(self._channels.items(), key=lambda each: (-each[1], each[0]))
        tables = [_table("Channels", "Channel", "Conversations", channels)] if channels else []
        if rated:
            stars = [(f"{score} of 5", self._ratings[score]) for score in (5, 4, 3, 2, 1)]
            tables.append(_table("Ratings", "Rating", "Answers", stars))
        return {
            "conversations": self._conversations,
            "messages": messages,
            "length": f"{messages / self._conversations:.1f}" if self._conversations else "0",
            "senders": {name: self._senders[name] for name in ("guest", "ai", "human")},
            "rating": f"{score / rated:.1f}" if rated else None,
            "flags": self._flags,
            "days": self._drawn_days() if self._days else None,
            "tables": tables,
        }

    def _drawn_days(self) -> dict[str, Any]:
        first, last, most = min(self._days), max(self._days), max(self._days.values())
        days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
        busiest = min(day for day, many in self._days.items() if many == most)
        bars = [
            {
                "day": day,
                "many": self._days[day],
                "x": place * (_BAR + _GAP),
                "width": _BAR,
                "height": round(100 * self._days[day] / most, 1),
            }
            for place, day in enumerate(days)
        ]
        label = f"Messages a day from {first} to {last}; most on {busiest}: {most}."
        return {"width": len(days) * (_BAR + _GAP), "bars": bars, "first": first, "last": last, "label": label}


def _table(caption: str, head: str, counted: str, rows: list[tuple[str, int]]) -> dict[str, Any]:
    total = sum(many for _, many in rows)
    told = [{"name": name, "many": many, "share": round(100 * many / total, 1)} for name, many in rows]
    return {"caption": caption, "head": head, "counted": counted, "rows": told}
