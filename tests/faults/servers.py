"""Facebook and a model provider as processes of their own, so that nothing that dies or stops takes their memory along.

`python servers.py graph|llm FOLDER SEED` prints two addresses: the one for the service and the one for its control
(`GET /state`, `POST /script`). Every call is in a file of FOLDER, on disk before it is answered; what Facebook
accepted, and under which id, is in another. What a model answers is drawn from SEED.
"""

import asyncio
import json
import logging
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from stands import graph as facebook
from stands import plays
from stands.app import APP_SECRET
from stands.graph import Call, GraphStand, echo_of, sign, webhook
from stands.llm import LlmStand

PLAYS = 3_000
"""How many answers are drawn in advance; the stand's own default comes after them."""
ECHO_AGAIN_SECONDS = 0.2
APP_ID = 47110815


class Facebook:
    """The Graph API, with echoes of what it accepted."""

    def __init__(self, folder: Path) -> None:
        self.stand = GraphStand(log=folder / "graph.jsonl", on_send=self._accepted)
        self._file = folder / "accepted.jsonl"
        self._hooks: list[str] = []
        self._echo = "after"
        self._tasks: set[asyncio.Task[None]] = set()
        self._http: aiohttp.ClientSession | None = None

    async def script(self, wanted: dict[str, Any]) -> None:
        """{hooks: addresses, echo: after|before|never, answers: [[name, {arguments}], …], release, forget}."""
        self._hooks = wanted.get("hooks", self._hooks)
        self._echo = wanted.get("echo", self._echo)
        self.stand.script(*(getattr(facebook, name)(**more) for name, more in wanted.get("answers", [])))
        if wanted.get("forget"):
            self.stand.forget()
        if wanted.get("release"):
            self.stand.release()

    def state(self) -> dict[str, Any]:
        """How many calls with a message came, and how many echoes are still on their way."""
        stand = self.stand
        return {"calls": len(stand.calls), "hanging": stand.hanging, "pending": len(self._tasks)}

    async def close(self) -> None:
        """Closes what it sends with."""
        if self._http is not None:
            await self._http.close()

    async def _accepted(self, call: Call, identifier: str) -> None:
        told = call.json["message"]
        line = {
            "number": call.number,
            "identifier": identifier,
            "marker": told.get("metadata"),
            "recipient": call.recipient,
            "text": told["text"],
            "t": time.monotonic(),
        }
        with self._file.open("a") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())
        if self._echo == "never" or not self._hooks:
            return
        task = asyncio.create_task(self._tell(webhook(call.page, echo_of(call, identifier, app_id=APP_ID))))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if self._echo == "before":
            await task

    async def _tell(self, body: bytes) -> None:
        """Delivers the echo, again and again until it is taken."""
        self._http = self._http or aiohttp.ClientSession()
        for attempt in range(10_000):
            hook = self._hooks[attempt % len(self._hooks)]
            try:
                patience = aiohttp.ClientTimeout(total=2)
                async with self._http.post(hook, data=body, headers=sign(body, APP_SECRET), timeout=patience) as answer:
                    if answer.status == 200:
                        return
            except (aiohttp.ClientError, TimeoutError):
                pass  # as Meta does: later again
            await asyncio.sleep(ECHO_AGAIN_SECONDS)


class Model:
    """The model provider."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.stand = LlmStand(log=folder / "llm.jsonl")
        self._draw(seed)

    async def script(self, wanted: dict[str, Any]) -> None:
        """{seed: draws all answers anew, plays: [[name, [pieces], {arguments}], …]: what the very next calls get}."""
        if "seed" in wanted:
            self._draw(wanted["seed"])
        chosen = [getattr(plays, name)(*pieces, **more) for name, pieces, more in wanted.get("plays", [])]
        self.stand._plays.extendleft(reversed(chosen))  # pyright: ignore[reportPrivateUsage] - before what was drawn

    def _draw(self, seed: int) -> None:
        dice = random.Random(seed)
        self.stand._plays.clear()  # pyright: ignore[reportPrivateUsage] - what an earlier storm has left
        self.stand.play(*(_draw(dice, number) for number in range(PLAYS)))

    def state(self) -> dict[str, Any]:
        """How many calls came."""
        return {"calls": len(self.stand.calls), "pending": 0}


def _draw(dice: random.Random, number: int) -> plays.Play:
    chance = dice.random()
    delay = dice.choice((0.0, 0.005, 0.02))
    if chance < 0.04:
        return plays.call_tool("hand_over", '{"reason": ', f'"asked for number {number}"}}', delay=delay)
    if chance < 0.10:
        return plays.say(*(f"This is sentence {place} of answer {number}. " * 6 for place in range(14)))
    return plays.say(f"Answer {number}: ", "we are open ", "from nine to five.", delay=delay)


async def _serve(what: Facebook | Model, url: str) -> None:
    async def state(_: web.Request) -> web.Response:
        return web.json_response(what.state())

    async def script(request: web.Request) -> web.Response:
        await what.script(await request.json())
        return web.json_response({})

    control = web.Application()
    control.router.add_get("/state", state)
    control.router.add_post("/script", script)
    runner = web.AppRunner(control, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    sys.stdout.write(f"{url} http://127.0.0.1:{runner.addresses[0][1]}\n")
    sys.stdout.flush()
    await ended.wait()
    await runner.cleanup()


async def _main(role: str, folder: Path, seed: int) -> None:
    if role == "graph":
        graph = Facebook(folder)
        async with graph.stand:
            await _serve(graph, graph.stand.url)
            await graph.close()
    else:
        model = Model(folder, seed)
        async with model.stand:
            await _serve(model, model.stand.openai_url)


if __name__ == "__main__":
    logging.getLogger("aiohttp").setLevel(logging.CRITICAL)  # clients that die are what this is about
    asyncio.run(_main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))
