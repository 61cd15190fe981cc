"""What a workspace knows about a question: passages by words and, where there is a model for that, by meaning."""

import time
from collections.abc import Mapping
from typing import Any, Final

import structlog

from switchboard.database import Database
from switchboard.errors import ProviderError, SwitchboardError
from switchboard.knowledge.embed import embed
from switchboard.providers import Passage
from switchboard.providers.embeddings import Embeddings
from switchboard.providers.smalltalk import asks_for_person, courtesy

ENOUGH: Final = 0.5
"""The score below which the best passage answers nothing: half of the question's meaningful words."""
MOST_ASKED: Final = 4_000
"""Characters of a question that are looked up; of one that is kept, a quarter."""
REST_SECONDS: Final = 30.0
"""How long an embedding model that failed is not asked again: nobody's answer waits for it twice."""

log = structlog.get_logger()


class Knowledge:
    """Looking things up, for replies and for people who try what would be found."""

    def __init__(self, database: Database, embeddings: Embeddings | None = None) -> None:
        self._database = database
        self._embeddings = embeddings
        self._rests_until = 0.0

    async def find(
        self,
        workspace_id: int,
        question: str,
        conversation_id: int | None = None,
        *,
        documents: list[int] | None = None,
    ) -> list[Passage]:
        """The passages for a question, best first; ``conversation_id``: where it was asked.

        ``documents``: the ids of the only ones to look into, None for all.
        """
        meaning = await self._meaning(workspace_id, question, conversation_id)
        rows = await self._database.call(
            "search_knowledge",
            workspace_id=workspace_id,
            query=question[:MOST_ASKED],
            documents=documents,
            **meaning,
        )
        return [passage_of(row) for row in rows]

    async def show(
        self, caller: Mapping[str, Any], workspace_id: int, question: str, most: int
    ) -> list[dict[str, Any]]:
        """What `find` would find, with all that explains it. Raises `NotFound` for a workspace of others."""
        # Looked at before anything is paid for: by words alone it costs nothing to be refused.
        await self._database.call("ask_knowledge", caller=caller, workspace_id=workspace_id, query="", max_rows=1)
        rows: list[dict[str, Any]] = await self._database.call(
            "ask_knowledge",
            caller=caller,
            workspace_id=workspace_id,
            query=question[:MOST_ASKED],
            max_rows=most,
            **await self._meaning(workspace_id, question),
        )
        return rows

    async def note(
        self, workspace_id: int, conversation_id: int, seq: int, question: str, passages: list[Passage]
    ) -> None:
        """Keeps a question that found nothing which answers it; a failure to do so disturbs nobody."""
        best = max((passage.score for passage in passages), default=0.0)
        if best >= ENOUGH or not question.strip() or courtesy(question) or asks_for_person(question):
            return
        try:
            await self._database.call(
                "keep_question",
                workspace_id=workspace_id,
                conversation_id=conversation_id,
                seq=seq,
                question=question[: MOST_ASKED // 4],
                best=best,
            )
        except SwitchboardError as error:
            log.warning("a question without an answer not kept", code=error.code)

    async def _meaning(self, workspace_id: int, question: str, conversation_id: int | None = None) -> dict[str, Any]:
        if self._embeddings is None or not question.strip() or time.monotonic() < self._rests_until:
            return {}
        try:
            made = await embed(self._database, self._embeddings, workspace_id, [question[:MOST_ASKED]], conversation_id)
        except ProviderError as error:
            self._rests_until = time.monotonic() + REST_SECONDS
            log.warning("question not embedded, looked up by words alone", code=error.code)
            return {}
        return {"embedding": made.vectors[0], "embedding_model": self._embeddings.model_ref}


def passage_of(row: Mapping[str, Any]) -> Passage:
    """A row of `search_knowledge` as replies are made with it; its title says under which heading it stands."""
    title = f"{row['title']} › {row['heading']}" if row["heading"] else str(row["title"])
    return Passage(
        chunk_id=row["chunk_id"], document_id=row["document_id"], title=title, text=row["text"], score=row["score"]
    )
