"""A provider that does what it is told, with no wire at all: for what is wrapped around one."""

import asyncio
from collections.abc import AsyncGenerator

from switchboard.errors import ProviderError
from switchboard.providers import Capabilities, Chunk, Done, Prompt, Text, Usage

Step = str | ProviderError | asyncio.Event


class Scripted:
    """Each call does the next of ``scripts``: says a text, waits for an event, raises; the last one again and again."""

    def __init__(self, name: str, *scripts: list[Step]) -> None:
        self.name = name
        self.scripts = list(scripts)
        self.calls: list[str] = []
        self.ended = 0

    def capabilities(self, model: str) -> Capabilities:
        return Capabilities(tools=True, temperature=True)

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Chunk, None]:
        self.calls.append(prompt.model)
        script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
        try:
            for step in script:
                if isinstance(step, str):
                    yield Text(step)
                elif isinstance(step, asyncio.Event):
                    await step.wait()
                else:
                    raise step
            yield Done(Usage(11, 7), "stop", f"{prompt.model}-dated")
        finally:
            self.ended += 1

    async def close(self) -> None:
        pass
