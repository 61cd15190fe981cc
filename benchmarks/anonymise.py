"""P19: what anonymising finds, what it finds in vain, and how much of it a processor does in a second."""

import time

from benchmarks.measure import Figures, Report, Scale, Spread, Table, interleave
from stands.planted import KINDS, Planted, measure, plant
from switchboard.privacy.anonymise import Anonymiser

COMPARED = (
    "`ConversationAnonymiser.text` in one process, in processor time. The corpus is the tests': messages in"
    " eleven languages with one value planted in each, and as many with order numbers, dates, prices, versions,"
    " tracking codes and the like. It was written together with the patterns, so what they find of it says that"
    " nothing has broken, not what share of the world's messages they would find. *Usual messages* have about 130"
    " characters, conversations of ten, two known names, an address, a number and an id; one in five holds digits,"
    " one in twenty a name, one in twenty an address and a number. *Planted* is the corpus, where every other"
    " message holds something private."
)
USUAL, PLANTED = "usual messages", "planted messages"
PLAIN = (
    "Hello, I would like to know whether the blue bicycle that I saw in your window last week is still there, and"
    " what it would cost.",
    "Guten Tag, ich wüsste gerne, ob das blaue Fahrrad aus Ihrem Schaufenster noch zu haben ist, und was es für"
    " Schüler kosten würde.",
    "Hello, my order 4711-2231 of 12.03.2024 has not arrived yet, could you please look up where it is and tell me?"
    " It was 45.99 EUR",
    "Hello, this is Anna Schmidt again, could you please tell me what happened with my last order since nobody called"
    " me back on it?",
    "Hello, please write to anna.schmidt@example.org or call me on +49 151 23456789, I would like to have it sent to"
    " my new home now.",
)
SHARES = (11, 3, 4, 1, 1)
"""Of twenty messages."""


async def run(scale: Scale) -> Report:
    """Recall once, since it is the same every time; throughput in rounds."""
    report = Report("P19", "Anonymising: recall, false alarms, messages per second", COMPARED)
    corpus = plant(scale.some(2_200, 110))
    measured = measure(corpus)
    rows = [
        [kind, str(measured.planted[kind]), f"{measured.recall(kind):.2%}"] for kind in KINDS if measured.planted[kind]
    ]
    report.tables.append(Table(["planted", "messages", "found"], rows))
    usual = [text for text, share in zip(PLAIN, SHARES, strict=True) for _ in range(share)] * scale.some(250, 5)

    async def work(side: str) -> Figures:
        return {"rate": _usual(usual) if side == USUAL else _planted(corpus)}

    rounds = await interleave({USUAL: lambda: work(USUAL), PLANTED: lambda: work(PLANTED)}, scale.rounds)
    report.tables.append(rounds.table({"rate": "messages/s of processor time"}))
    report.raw["rounds"] = rounds.sides
    worst = min(measured.recall(kind) for kind in KINDS if kind not in ("phone", "name") and measured.planted[kind])
    report.target("found, the worst kind with a fixed form", _exactly(worst * 100), 99, "%", at_least=True)
    for kind in ("phone", "name"):
        report.target(f"found, {kind}", _exactly(measured.recall(kind) * 100), 95, "%", at_least=True)
    report.target("found in vain", _exactly(measured.false_alarms * 100), 0.5, "%")
    report.target(USUAL, rounds.spread(USUAL, "rate"), 30_000, "/s", at_least=True)
    return report


def _usual(texts: list[str]) -> float:
    anonymiser = Anonymiser(bytes(32))
    began = time.process_time()
    for number, said in enumerate(texts[at : at + 10] for at in range(0, len(texts), 10)):
        conversation = anonymiser.for_people(
            names=["Anna Schmidt", "Peter Novak"],
            emails=["anna.schmidt@example.org"],
            phones=["+4915123456789"],
            external_ids=[f"7234567890{number}"],
        )
        for text in said:
            conversation.text(text)
    return len(texts) / (time.process_time() - began)


def _planted(corpus: list[Planted]) -> float:
    began = time.process_time()
    measure(corpus)
    return len(corpus) / (time.process_time() - began)


def _exactly(value: float) -> Spread:
    return Spread(value, value, value)
