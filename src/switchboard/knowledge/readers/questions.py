"""CSV of questions and answers: one section for each row, so that an answer is found by its question."""

import csv
import io
from collections.abc import Sequence

from switchboard.knowledge.readers import Section, Unreadable
from switchboard.knowledge.readers.plain import decode

MOST_ROWS = 20_000
MOST_FIELD = 100_000
"""Characters of one field."""
_QUESTION = frozenset({"question", "questions", "q", "frage", "pregunta", "pergunta", "domanda", "vraag", "prompt"})
_ANSWER = frozenset(
    {"answer", "answers", "a", "antwort", "respuesta", "resposta", "réponse", "reponse", "risposta", "antwoord"}
)
_TOPIC = frozenset({"topic", "category", "section", "thema", "kategorie", "tema", "categoría", "catégorie"})


def read_csv(body: bytes) -> list[Section]:
    """`Q: …` over `A: …` for each row; a column that is called topic, category or section becomes its heading.

    The columns are found by their names, or are the first two where the first row names none. Fields are separated by
    comma, semicolon or tab. Raises `Unreadable` with the line that is wrong.
    """
    text = decode(body)
    csv.field_size_limit(MOST_FIELD)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    sections: list[Section] = []
    columns: tuple[int, int, int | None] | None = None
    try:
        for row in reader:
            if not any(field.strip() for field in row):
                continue
            if columns is None:
                columns, is_header = _columns(row)
                if is_header:
                    continue
            sections.append(_section(row, columns, reader.line_num))
            if len(sections) > MOST_ROWS:
                raise Unreadable(f"The table has more than {MOST_ROWS:,} rows: split it.")
    except csv.Error as error:
        raise Unreadable(f"The table cannot be read at line {reader.line_num}: {error}.") from None
    return sections


def _delimiter(text: str) -> str:
    first = next((line for line in text.splitlines()[:20] if line.strip()), "")
    return max(",;\t", key=first.count)


def _columns(first: Sequence[str]) -> tuple[tuple[int, int, int | None], bool]:
    names = [field.strip().strip("\ufeff").casefold() for field in first]
    question = next((place for place, name in enumerate(names) if name in _QUESTION), None)
    answer = next((place for place, name in enumerate(names) if name in _ANSWER), None)
    topic = next((place for place, name in enumerate(names) if name in _TOPIC), None)
    if question is not None and answer is not None:
        return (question, answer, topic), True
    if len(first) < 2:
        raise Unreadable("The table has one column: name two of them question and answer.")
    return (0, 1, None), False


def _section(row: Sequence[str], columns: tuple[int, int, int | None], line: int) -> Section:
    question, answer, topic = columns
    if len(row) <= max(question, answer) or not row[question].strip() or not row[answer].strip():
        raise Unreadable(f"Line {line} of the table has no question, or no answer to it.")
    path = (row[topic],) if topic is not None and topic < len(row) else ()
    return Section(path, f"Q: {row[question].strip()}\nA: {row[answer].strip()}", whole=True)
