"""Which sentences of some passages answer a question: chosen by shared words, quoted as they stand.

Pure. What a passage says is only ever compared and quoted, never understood or followed.
"""

import math
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from switchboard.providers import Passage

MOST_SENTENCES = 3
MOST_PASSAGES = 2
_NEARLY = 0.6
"""The share of the best sentence's weight that another needs to be quoted beside it."""
_LENT = 0.8
"""What a word counts that stands in the question or heading above a sentence, and not in the sentence."""

_LINE = re.compile(r"[^\s][^\n]*")
_WRAPPED = 60
"""Characters from which a line without an end mark is taken to run on in the next."""
_MARK = re.compile(r"(?:[.!?…]+[\"')\]»”’]*(?=\s)|[。！？]+)(\s*)")
_ITEM = re.compile(r"(?:[-*•–+]|\d{1,2}[.)])\s")
_ABBREVIATION = re.compile(
    r"(?:\b\w|\be\.g|\bi\.e|\bz\.\s?b|\bd\.h|\bu\.a|\b(?:dr|mr|mrs|ms|st|nr|no|bzw|ca|inkl|zzgl|approx|sra?))\.$",
    re.IGNORECASE,
)
_ASKS = re.compile(r"(?:q|f|p|d|v|question|frage|pregunta|pergunta|domanda|vraag)\s*:", re.IGNORECASE)
_ANSWERS = re.compile(r"(?:a|r|answer|antwort|respuesta|resposta|réponse|risposta|antwoord)\s*:\s*", re.IGNORECASE)
_WORD = re.compile(r"[^\W_]+")


def _fold(text: str) -> list[str]:
    plain = unicodedata.normalize("NFKD", text.casefold())
    return _WORD.findall("".join(letter for letter in plain if not unicodedata.combining(letter)))


_STOPWORDS = frozenset(
    _fold("""
    a an and any are at be been by can could did do does for from had has have how i if in is it its me much many my of
    on or our please so some that the their them there they this to us was we were what when where which who why will
    with would you your
    aber als am auf aus bei bin bis das dass dem den der die du ein eine einen einer es für gibt hat habe ich ihr im
    ist kann kein man mein mich mir mit nach nicht noch oder sich sie sind um und uns von vor wann warum was wenn wer
    werden wie wir wird wo zu zum zur
    al como con cual cuando cuanto de del donde el en es esta hay la las lo los me mi no para por puedo que se si su un
    una au aux avec c ce ces combien comment d dans des du elle est et il j je l le les mon n nous ou pas peut pour puis
    quand quel quelle qui s sur une vous vos votre
    che chi come cosa dei della di dove gli ho il io mio nel non per posso quando quanto sono um uma o os as e eu como
    qual onde meu het een van is op te dat ik je wat waar hoe kan
    """)
)


@dataclass(frozen=True, slots=True)
class _Sentence:
    start: int
    end: int
    words: frozenset[str]
    above: frozenset[str]
    """The words of the question or heading that it stands under."""


def quote(question: str, passages: Sequence[Passage]) -> list[str]:
    """One to three sentences of the best passages, best passage first and each passage in its own order.

    The pieces joined are the answer: each begins with the space or line break that sets it off from the one before.
    Between sentences that stand together it is the passage's own. Empty only if the passages hold no text.
    """
    best = sorted(passages, key=lambda passage: -passage.score)[:MOST_PASSAGES]
    sentences = [(passage, sentence) for passage in best for sentence in _read(passage.text)]
    weights = _weigh(_keywords(question), [sentence for _, sentence in sentences])
    weights = [weight * passage.score for weight, (passage, _) in zip(weights, sentences, strict=True)]
    ranked = sorted(range(len(sentences)), key=lambda at: (-weights[at], at))[:MOST_SENTENCES]
    return list(_pieces([sentences[at] for at in sorted(ranked) if weights[at] >= _NEARLY * weights[ranked[0]]]))


def share(question: str, text: str) -> float:
    """The share of the question's meaningful words that ``text`` holds, 0 to 1: the score of a `Passage`."""
    asked, words = _keywords(question), _keywords(text)
    return sum(_holds(words, word) for word in asked) / len(asked) if asked else 0.0


def _pieces(chosen: Sequence[tuple[Passage, _Sentence]]) -> Iterator[str]:
    seen: set[str] = set()
    last: tuple[Passage, _Sentence] | None = None
    for passage, sentence in chosen:
        text = passage.text[sentence.start : sentence.end]
        if text in seen:
            continue
        seen.add(text)
        if last is None:
            gap = ""
        elif last[0] is not passage:
            gap = "\n\n"
        else:
            between = passage.text[last[1].end : sentence.start]
            gap = between if not between.strip() else "\n" if "\n" in between else " "
        yield gap + text
        last = passage, sentence


def _read(text: str) -> list[_Sentence]:
    """The sentences of ``text`` that can be quoted. Questions and headings only lend their words to what follows."""
    found: list[_Sentence] = []
    above: frozenset[str] = frozenset()
    under_question = False
    for start, end in _sentences(text):
        words = _keywords(text[start:end])
        asks = text[end - 1] in "?？" or bool(_ASKS.match(text, start, end))
        if asks or _is_heading(text, start, end):
            above, under_question = words, asks
            continue
        label = _ANSWERS.match(text, start, end) if under_question else None
        found.append(_Sentence(label.end() if label else start, end, words, above))
    # A passage of nothing but questions or headings is quoted whole.
    if not found and (whole := text.strip()):
        start = text.index(whole)
        found.append(_Sentence(start, start + len(whole), _keywords(whole), frozenset()))
    return found


def _sentences(text: str) -> Iterator[tuple[int, int]]:
    for start, end in _blocks(text):
        if _is_list(text, start, end):
            yield start, end
            continue
        for mark in _MARK.finditer(text, start, end):
            stop, following = mark.start(1), mark.end()
            # A small letter goes on with the sentence: "approx. two", "z. B. hier"; a number begins an item: "1. Pay".
            if text[following : following + 1].islower() or _ABBREVIATION.search(text[max(start, stop - 12) : stop]):
                continue
            if stop - start <= 3 and _ITEM.match(text, start):
                continue
            yield start, stop
            start = following
        if start < end:
            yield start, end


def _blocks(text: str) -> Iterator[tuple[int, int]]:
    """Lines, with those that only go on in the next one joined to it, and a list joined to the line above it."""
    block: tuple[int, int] | None = None
    for line in _LINE.finditer(text):
        start, end = line.start(), line.start() + len(line.group().rstrip())
        if block is not None and _goes_on(text, block, start):
            block = block[0], end
            continue
        if block is not None:
            yield block
        block = start, end
    if block is not None:
        yield block


def _goes_on(text: str, block: tuple[int, int], following: int) -> bool:
    start, end = block
    if text.count("\n", end, following) > 1 or text[start] == "#":
        return False
    if _ITEM.match(text, following):
        return text[end - 1] == ":" or _is_list(text, start, end)
    if text[end - 1] in ".!?…。！？":
        return False
    line = text[max(start, text.rfind("\n", start, end) + 1) : end]
    return text[end - 1] == ":" or text[following].islower() or len(line) >= _WRAPPED


def _is_list(text: str, start: int, end: int) -> bool:
    first, newline, _ = text[start:end].partition("\n")
    return bool(newline) and first.rstrip().endswith(":")


def _is_heading(text: str, start: int, end: int) -> bool:
    """Marked as one, or a few words alone on the first line of a paragraph that goes on."""
    line = text[start:end]
    if line.startswith("#"):
        return True
    before = text[max(0, start - 20) : start]
    first = (start < 20 and not before.strip()) or re.search(r"\n\s*\n\s*$", before)
    goes_on = re.match(r"[ \t]*\n[ \t]*\S", text[end : end + 20])
    return bool(first and goes_on and len(line.split()) <= 6 and not re.search(r"[\d.!:;…。！\n]|^\W", line))


def _weigh(asked: frozenset[str], sentences: Sequence[_Sentence]) -> list[float]:
    """What the question's words weigh in each sentence: a rare one more than one that stands everywhere."""
    own = [{word for word in asked if _holds(sentence.words, word)} for sentence in sentences]
    above = [{word for word in asked if _holds(sentence.above, word)} for sentence in sentences]
    rare = {word: 1 + math.log(max(1, len(own)) / max(1, sum(word in words for words in own))) for word in asked}
    return [
        sum(rare[word] for word in mine) + _LENT * sum(rare[word] for word in lent - mine)
        for mine, lent in zip(own, above, strict=True)
    ]


def _keywords(text: str) -> frozenset[str]:
    words = _fold(text)
    return frozenset(word for word in words if word not in _STOPWORDS) or frozenset(words)


def _holds(words: frozenset[str], asked: str) -> bool:
    return asked in words or any(_akin(word, asked) for word in words)


def _akin(one: str, other: str) -> bool:
    """Whether two words differ in their ending alone, such as open and opening, delivery and deliveries."""
    if one[:4] != other[:4]:
        return False
    shorter, longer = sorted((one, other), key=len)
    same = next((at for at, letter in enumerate(shorter) if letter != longer[at]), len(shorter))
    return same >= 4 and len(shorter) - same <= 2 and len(longer) - same <= 6
