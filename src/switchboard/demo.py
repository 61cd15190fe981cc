"""Facebook's side, played on this machine: takes what the service sends and shows it."""

import asyncio
import itertools
from collections.abc import Callable

from aiohttp import web


async def play(port: int, show: Callable[[str], object]) -> None:
    """Answers like the Graph API on ``port`` and shows each message, until stopped."""
    numbers = itertools.count(1)

    async def take(request: web.Request) -> web.Response:
        sent = await request.json()
        recipient = sent["recipient"]["id"]
        if "message" not in sent:
            return web.json_response({"recipient_id": recipient})
        show(f"to {recipient}: {sent['message']['text']}")
        return web.json_response({"recipient_id": recipient, "message_id": f"m_demo_{next(numbers)}"})

    app = web.Application()
    app.router.add_post("/{page}/messages", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    show(f"Playing Facebook on http://localhost:{port}: set FACEBOOK_GRAPH_URL to it. Stop with Ctrl-C.")
    try:
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()
