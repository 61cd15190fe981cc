"""Indexing: claimed under a lease → read → cut → stored → found, then put into numbers where a model is set for that.

What is to be done is in the rows. Whoever dies over a document loses its lease and another goes on; whoever is told of
nothing finds it by looking. A document that cannot be read is marked failed, with the reason, and nothing else is.
"""

import asyncio
import base64
from typing import Any

import structlog
from pydantic import BaseModel, ConfigDict

from switchboard.database import Database
from switchboard.errors import ProviderError
from switchboard.knowledge.apart import read_apart
from switchboard.knowledge.cut import Chunk, cut
from switchboard.knowledge.embed import embed
from switchboard.knowledge.readers import Kind, Unreadable
from switchboard.providers.embeddings import AT_ONCE, Embeddings

LEASE_SECONDS = 90.0
"""Longer than any one step; each step renews it."""
CHUNKS_AT_ONCE = 100
"""Chunks stored in one statement: some 100 kB of text, done in a tenth of a second."""
EMBED_AGAIN_SECONDS = 60.0

log = structlog.get_logger()


class Lost(Exception):
    """The lease is somebody else's, or the content has been replaced: what was begun is of no use."""


class Claimed(BaseModel):
    """A document as `claim_documents` gives it: ``unread`` says that chunks are to be made."""

    model_config = ConfigDict(frozen=True)

    workspace_id: int
    document_id: int
    lease_no: int
    version: int
    kind: Kind
    attempts: int
    unread: bool

    @property
    def lease(self) -> dict[str, int]:
        """What says to the database that we hold it."""
        return self.model_dump(include={"workspace_id", "document_id", "lease_no", "version"})


class Indexing:
    """Indexes what is due, one document after the other."""

    def __init__(
        self, database: Database, embeddings: Embeddings | None = None, *, lease_seconds: float = LEASE_SECONDS
    ) -> None:
        self._database = database
        self._embeddings = embeddings
        self._lease_seconds = lease_seconds
        self._busy = asyncio.Lock()

    async def work(self) -> None:
        """Indexes until nothing is due. Returns at once while it is at it already: that run sees to the new one too."""
        if self._busy.locked():
            return
        async with self._busy:
            while claimed := await self._claim():
                try:
                    await self._index(claimed)
                except Lost:
                    log.info("document changed hands while it was indexed", document=claimed.document_id)

    async def sweep(self) -> None:
        """Makes due again what another language or embedding model asks for."""
        model = self._embeddings.model_ref if self._embeddings else None
        await self._database.call("sweep_knowledge", embedding_model=model)

    async def _claim(self) -> Claimed | None:
        rows = await self._database.call("claim_documents", max_documents=1, lease_seconds=self._lease_seconds)
        return Claimed.model_validate(rows[0]) if rows else None

    async def _index(self, claimed: Claimed) -> None:
        if claimed.unread:
            try:
                chunks = await self._read(claimed)
            except Unreadable as error:
                log.info("document not readable", document=claimed.document_id, kind=claimed.kind)
                await self._settle(claimed, error=str(error)[:500])
                return
            await self._store(claimed, chunks)
        await self._settle(claimed, retry_seconds=await self._embed(claimed))

    async def _read(self, claimed: Claimed) -> list[Chunk]:
        source = await self._database.call(
            "read_source", workspace_id=claimed.workspace_id, document_id=claimed.document_id
        )
        if source is None:
            raise Lost
        sections = await read_apart(claimed.kind, base64.b64decode(source["body"]))
        return await asyncio.to_thread(lambda: list(cut(sections)))

    async def _store(self, claimed: Claimed, chunks: list[Chunk]) -> None:
        for first in range(0, len(chunks), CHUNKS_AT_ONCE):
            some = chunks[first : first + CHUNKS_AT_ONCE]
            await self._hold(
                await self._database.call(
                    "store_chunks",
                    **claimed.lease,
                    first=first,
                    chunks=[{"heading": chunk.heading, "content": chunk.content} for chunk in some],
                    lease_seconds=self._lease_seconds,
                )
            )
        await self._hold(
            await self._database.call("finish_document", **claimed.lease, lease_seconds=self._lease_seconds)
        )
        log.info("document indexed", document=claimed.document_id, chunks=len(chunks))

    async def _embed(self, claimed: Claimed) -> float | None:
        """Puts what lacks it into numbers; after how many seconds to try again, or None when all is done."""
        if self._embeddings is None:
            return None
        model = self._embeddings.model_ref
        where = {"workspace_id": claimed.workspace_id, "document_id": claimed.document_id}
        if not await self._database.call("has_vectors"):
            return None
        try:
            while rows := await self._database.call("chunks_to_embed", **where, model=model, max_rows=AT_ONCE):
                texts = [row["text"] for row in rows]
                made = await embed(self._database, self._embeddings, claimed.workspace_id, texts)
                vectors = [
                    {"chunk_id": row["chunk_id"], "embedding": vector}
                    for row, vector in zip(rows, made.vectors, strict=True)
                ]
                await self._hold(
                    await self._database.call(
                        "store_vectors",
                        **claimed.lease,
                        model=model,
                        vectors=vectors,
                        lease_seconds=self._lease_seconds,
                    )
                )
        except ProviderError as error:
            # Words are found without it; a document is not worse for a model that is away.
            log.warning("document not embedded", document=claimed.document_id, code=error.code)
            return error.retry_after or EMBED_AGAIN_SECONDS
        await self._database.call("finish_embedding", **where, lease_no=claimed.lease_no, model=model)
        return None

    async def _hold(self, answer: Any) -> None:
        if not answer["held"]:
            raise Lost

    async def _settle(self, claimed: Claimed, *, error: str | None = None, retry_seconds: float | None = None) -> None:
        await self._database.call("settle_document", **claimed.lease, error=error, retry_seconds=retry_seconds)
