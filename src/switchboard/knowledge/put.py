"""Storing a document so that its passages can be found and quoted."""

import re

from switchboard.database import Database

LONGEST_CHUNK = 1200
"""Characters of a passage: short enough to quote, long enough to make sense alone."""
_PARAGRAPHS = re.compile(r"\n\s*\n")
_SENTENCES = re.compile(r"(?<=[.!?…])\s+")


async def put_document(database: Database, workspace_id: int, title: str, text: str) -> int:
    """Stores a document; the same title again replaces it. Returns its id. Raises `NotFound` without the workspace."""
    stored = await database.call("put_document", workspace_id=workspace_id, title=title, content=text, chunks=cut(text))
    return int(stored["id"])


def cut(text: str) -> list[str]:
    """The paragraphs of a text; one that is too long is cut between sentences, a sentence that is too long anywhere."""
    chunks: list[str] = []
    for paragraph in filter(None, (part.strip() for part in _PARAGRAPHS.split(text))):
        current = ""
        for sentence in _SENTENCES.split(paragraph):
            if current and len(current) + 1 + len(sentence) > LONGEST_CHUNK:
                chunks.append(current)
                current = ""
            current = f"{current} {sentence}".strip()
            while len(current) > LONGEST_CHUNK:
                chunks.append(current[:LONGEST_CHUNK])
                current = current[LONGEST_CHUNK:]
        if current:
            chunks.append(current)
    return chunks
