"""Short words for tests of the reply path: a customer writes, a worker claims, a person steps in."""

import itertools
from dataclasses import dataclass, field
from typing import Any

from switchboard.database import Compare, Database

ANNA = {"subject": "anna", "admin": False, "roles": {"1": "support"}}
BEN = {"subject": "ben", "admin": False, "roles": {"1": "support"}}
PAGE = "1001"


@dataclass
class Desk:
    """A workspace with one Messenger page, driven through the database's functions alone."""

    database: Database
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    async def open(self, *, quiet_seconds: float = 0) -> None:
        """The first workspace; no quiet time unless a test is about it."""
        await self.database.call("ensure_workspace", name="Café", agent_name="the assistant", system_prompt="Be kind.")
        await self.database.call("connect_channel", workspace_id=1, platform="messenger", account=PAGE)
        await self.database.update("workspaces", {"quiet_seconds": quiet_seconds}, where={"id": 1})

    async def second_workspace(self, page: str) -> int:
        """Another tenant with a page of its own."""
        made = await self.database.insert("workspaces", [{"name": f"Shop {page}", "quiet_seconds": 0}])
        await self.database.call("connect_channel", workspace_id=made[0]["id"], platform="messenger", account=page)
        return int(made[0]["id"])

    async def hears(self, *texts: str, customer: str = "u1", page: str = PAGE) -> Any:
        """The customer writes; each text is a message of its own in one webhook."""
        return await self.receives(
            *({"kind": "message", "text": text, "external_id": f"m{next(self._numbers)}"} for text in texts),
            customer=customer,
            page=page,
        )

    async def receives(self, *events: dict[str, Any], customer: str = "u1", page: str = PAGE) -> Any:
        """Any events, as the channel would parse them."""
        common = {"platform": "messenger", "account": page, "customer": customer, "text": "", "data": {}}
        part = {"platform": "messenger", "account": page, "body": None, "events": [common | event for event in events]}
        await self.database.call("accept_webhook", platform="messenger", text="{}", body=None)
        kept = await self.database.call("unsorted_webhooks", most_bytes=1000)
        return await self.database.call("sort_inbox", read=[{"id": one["id"], "parts": [part]} for one in kept])

    async def claims(self, *, most: int = 10, lease: float = 30, per_workspace: int = 8) -> list[dict[str, Any]]:
        """A worker takes what is due."""
        found: list[dict[str, Any]] = await self.database.call(
            "claim_turns", max_turns=most, lease_seconds=lease, per_workspace=per_workspace
        )
        return found

    async def finishes(
        self, turn: dict[str, Any], text: str = "Hello!", *, parts: list[str] | None = None, hand_over: bool = False
    ) -> Any:
        """The worker's reply is ready."""
        return await self.database.call(
            "finish_turn",
            workspace_id=turn["workspace_id"],
            conversation_id=turn["conversation_id"],
            lease_no=turn["lease_no"],
            epoch=turn["epoch"],
            seq_in=turn["seq_in"],
            reply={
                "text": text,
                "provider": "extractive",
                "model": "quote",
                "confidence": 0.9,
                "input_tokens": 10,
                "output_tokens": 5,
                "cost": "0.002",
            },
            parts=[text] if parts is None else parts,
            hand_over=hand_over,
        )

    async def answers(self, text: str = "Hello!", **options: Any) -> dict[str, Any]:
        """Claims the one turn that is due and finishes it."""
        (turn,) = await self.claims()
        done: dict[str, Any] = await self.finishes(turn, text, **options)
        return done | turn

    async def sends(self, *, lease: float = 60) -> list[dict[str, Any]]:
        """A worker claims what is to be sent."""
        found: list[dict[str, Any]] = await self.database.call(
            "claim_deliveries", max_deliveries=10, lease_seconds=lease
        )
        return found

    async def delivered(self, delivery: dict[str, Any], mid: str) -> None:
        """The channel said yes."""
        await self.database.call("mark_delivered", workspace_id=1, delivery_id=delivery["id"], external_id=mid)

    async def undelivered(self, delivery: dict[str, Any], state: str, retry: float | None = None) -> None:
        """The channel did not say yes."""
        await self.database.call(
            "mark_undelivered",
            workspace_id=1,
            delivery_id=delivery["id"],
            attempt=delivery["attempts"],
            state=state,
            reason="because",
            retry_seconds=retry,
        )

    async def renews(self, turn: dict[str, Any]) -> str:
        """What the heartbeat is told about a turn."""
        lease = {name: turn[name] for name in ("workspace_id", "conversation_id", "lease_no", "epoch", "seq_in")}
        (state,) = await self.database.call("renew_turns", held=[lease], lease_seconds=30.0)
        return str(state["state"])

    async def bots(self) -> list[dict[str, Any]]:
        """The AI's messages, oldest first."""
        return await self.database.select("messages", where={"sender_type": "bot"}, order=["id"])

    async def outcomes(self) -> list[str]:
        """What became of each reply that was made, oldest first."""
        return [str(row["outcome"]) for row in await self.database.select("replies", order=["id"])]

    async def events(self) -> list[str]:
        """The types of all events of conversations, oldest first."""
        rows = await self.database.select("events", where={"conversation_id": Compare("!=", None)}, order=["id"])
        return [str(row["type"]) for row in rows]
