"""Messages with something planted in them, and messages with what only looks so: what anonymising is measured with.

`plant(count)` gives the same every time. `measure(planted, key)` says what was found and what was found in vain.
"""

import random
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from stands.planted import values
from stands.planted.languages import LANGUAGES, Language
from switchboard.privacy.anonymise import Anonymiser

KINDS = ("email", "phone", "card", "iban", "ip", "url", "handle", "national_id", "name")


@dataclass(frozen=True)
class Planted:
    """A message; ``secrets``: what of it must not stand in what comes out, nothing for an innocent one."""

    language: str
    kind: str
    text: str
    secrets: tuple[str, ...]
    names: tuple[str, ...]


@dataclass
class Measured:
    """Counts by kind. ``missed`` and ``alarms`` are texts with what became of them."""

    planted: Counter[str] = field(default_factory=Counter[str])
    found: Counter[str] = field(default_factory=Counter[str])
    innocent: int = 0
    missed: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    alarms: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    def recall(self, kind: str) -> float:
        """The share of what was planted that is gone, from 0 to 1."""
        return self.found[kind] / self.planted[kind]

    @property
    def false_alarms(self) -> float:
        """The share of innocent messages that did not stay as they were."""
        return len(self.alarms) / self.innocent


def plant(count: int = 2_200, seed: int = 19) -> list[Planted]:
    """So many messages with something in them, of all kinds and languages in turn, and as many innocent ones."""
    dice = random.Random(seed)
    made: list[Planted] = []
    for number in range(count):
        language = LANGUAGES[number % len(LANGUAGES)]
        kind = KINDS[number // len(LANGUAGES) % len(KINDS)]
        made += [_guilty(dice, language, kind), _innocent(dice, language)]
    return made


def measure(
    planted: Iterable[Planted], key: bytes = bytes(32), using: Callable[[Anonymiser], Anonymiser] = lambda each: each
) -> Measured:
    """What an anonymiser finds of it; each message is a conversation with two people."""
    anonymiser = using(Anonymiser(key))
    measured = Measured()
    for each in planted:
        left = anonymiser.for_people(names=each.names).text(each.text)
        if not each.secrets:
            measured.innocent += 1
            if left != each.text:
                measured.alarms.append((each.text, left))
            continue
        measured.planted[each.kind] += 1
        if any(secret in left for secret in each.secrets):
            measured.missed.append((each.text, left))
        else:
            measured.found[each.kind] += 1
    return measured


def _guilty(dice: random.Random, language: Language, kind: str) -> Planted:
    names = tuple(dice.sample(list(language.names), 2))
    if kind == "name":
        name = dice.choice(names)
        said = dice.choice(language.names[name])
        secret = re.split(r"['’](?=\w{1,3}$)", said)[0].removeprefix("و").removeprefix("ل")
        return Planted(language.code, kind, dice.choice(language.named).format(said), (secret,), names)
    if kind == "phone":
        return _telephone(dice, language, names)
    if kind == "national_id":
        state = dice.choice(list(language.states or {"be_nn": "ID"}))
        label = language.states.get(state, "ID")
        value = values.national(dice, state)
        return Planted(language.code, kind, dice.choice(language.anything).format(f"{label} {value}"), (value,), names)
    if kind == "url":
        secret = f"{dice.choice(('anna', 'tok'))}{values.digits(dice, 5)}"
        url = dice.choice(
            (
                f"https://shop.example/a/b?user={secret}",
                f"https://{secret}:pw9@shop.example/x",
                f"www.shop.example/?a=1&q={secret}",
            )
        )
        return Planted(language.code, kind, dice.choice(language.anything).format(f" {url} "), (secret,), names)
    value = {"email": values.email, "card": values.card, "iban": values.iban, "ip": values.ip, "handle": values.handle}[
        kind
    ](dice)
    secret = value.rpartition("/")[2]
    return Planted(language.code, kind, dice.choice(language.anything).format(value), (secret,), names)


def _telephone(dice: random.Random, language: Language, names: tuple[str, ...]) -> Planted:
    value, bare = values.phone(dice, dice.choice(language.regions))
    # The last sentence of each language says nothing of telephones.
    sentence = dice.choice(language.phone[:3] if bare and dice.random() < 0.5 else language.phone)
    return Planted(language.code, "phone", sentence.format(value), (value[-6:],), names)


def _innocent(dice: random.Random, language: Language) -> Planted:
    text = dice.choice(language.innocent)
    while "{" in text:
        place = re.search(r"\{(\w+)\}", text)
        assert place
        text = text.replace(place[0], values.innocent(dice)[place[1]], 1)
    return Planted(language.code, "innocent", text, (), tuple(dice.sample(list(language.names), 2)))
