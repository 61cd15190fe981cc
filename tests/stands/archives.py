"""Exports that are kept, as a person asks for them and a worker makes them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from switchboard.archives.make import Making
from switchboard.database import Database
from switchboard.storage import Storage, whole


@dataclass
class Shelf:
    """A person's exports, through the functions of the database alone."""

    database: Database
    sql: asyncpg.Connection
    files: Storage
    folder: Path
    workspace: int
    assistant: int

    def caller(self, subject: str = "olga", role: str = "owner") -> dict[str, Any]:
        return {"subject": subject, "admin": False, "roles": {str(self.workspace): role}}

    def making(self, **options: Any) -> Making:
        """A worker."""
        return Making(self.database, self.files, self.folder / "drafts", **({"page_bytes": 20_000_000} | options))

    async def asks(self, *, by: dict[str, Any] | None = None, **asked: Any) -> dict[str, Any]:
        """A person wants one; the job as they see it."""
        asked = {"format": "html", "days": 365, "anonymize": False, "include_open": False} | asked
        options = {"anonymize": asked.pop("anonymize"), "include_ip_addresses": False, "include_metadata": True}
        made = await self.database.call(
            "request_export_job",
            **{"caller": by or self.caller(), "assistant_id": self.assistant, "options": options} | asked,
        )
        job: dict[str, Any] = made["job"]
        return job

    async def sees(self, job: dict[str, Any]) -> dict[str, Any]:
        """The job as it is now."""
        found: dict[str, Any] = await self.database.call("get_export_job", caller=self.caller(), job_id=job["id"])
        return found

    async def takes(self, job: dict[str, Any]) -> bytes:
        """The file."""
        file = await self.database.call(
            "take_export_job", caller=self.caller(), job_id=job["id"], deed="export.downloaded"
        )
        return await whole(self.files, file["key"])

    async def makes(self, **asked: Any) -> bytes:
        """One that is asked for and made: its file."""
        job = await self.asks(**asked)
        await self.making().work()
        seen = await self.sees(job)
        assert seen["state"] == "ready", seen
        return await self.takes(job)

    async def audit(self) -> list[tuple[str, str]]:
        """Who did what with exports."""
        rows = await self.sql.fetch(
            "select actor, action from audit where workspace_id = $1 and action like 'export.%' order by id",
            self.workspace,
        )
        return [(row["actor"], row["action"]) for row in rows]

    async def row(self, job: dict[str, Any]) -> dict[str, Any]:
        """The row itself."""
        found = await self.sql.fetchrow("select to_jsonb(j) from export_jobs j where id = $1", job["id"])
        assert found is not None
        told: dict[str, Any] = json.loads(found[0])
        return told

    def kept(self) -> list[Path]:
        """The files in the folder."""
        return sorted(path for path in (self.folder / "files").rglob("*") if path.is_file())
