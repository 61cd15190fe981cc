"""Answers kept for a short while; callers who want the same one at the same time share one question."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from switchboard.clock import Clock

Value = TypeVar("Value")


class Remembered(Generic[Value]):
    """At most ``most`` answers of ``look_up``, the ones unused for longest leave first.

    ``keep`` says how long an answer may be used, counted from the moment the question was asked, so that an answer is
    never older than that. Errors are not kept: everybody who waits gets them, and the next one asks again.
    """

    def __init__(
        self,
        look_up: Callable[[str], Awaitable[Value]],
        *,
        keep: Callable[[Value], timedelta],
        clock: Clock,
        most: int = 10_000,
    ) -> None:
        self._look_up = look_up
        self._keep = keep
        self._clock = clock
        self._most = most
        self._answers: OrderedDict[str, tuple[datetime, Value]] = OrderedDict()
        self._questions: dict[str, asyncio.Task[Value]] = {}

    async def get(self, name: str) -> Value:
        """The answer for ``name``, kept or looked up. Raises what the look-up raises."""
        if name in self._answers:
            asked_at, value = self._answers[name]
            # A clock that was set back must not make an old answer young.
            if timedelta(0) <= self._clock() - asked_at < self._keep(value):
                self._answers.move_to_end(name)
                return value
            del self._answers[name]
        question = self._questions.get(name)
        if question is None:
            question = self._questions[name] = asyncio.create_task(self._ask(name))
        # One caller who hangs up must not take the answer from the others.
        return await asyncio.shield(question)

    async def close(self) -> None:
        """Gives up the questions still open."""
        questions = list(self._questions.values())
        for question in questions:
            question.cancel()
        await asyncio.gather(*questions, return_exceptions=True)

    async def _ask(self, name: str) -> Value:
        asked_at = self._clock()
        try:
            value = await self._look_up(name)
        finally:
            del self._questions[name]
        if self._keep(value) > timedelta(0):
            self._answers[name] = asked_at, value
            if len(self._answers) > self._most:
                self._answers.popitem(last=False)
        return value
