"""What the customers of a storm write. Drawn by a seed: the same seed draws the same words in the same order."""

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Webhook:
    """Messages of one customer in one body: (mid, text) each. ``copies`` of it are posted at the same time."""

    customer: str
    messages: tuple[tuple[str, str], ...]
    pause: float = 0.0
    copies: int = 1

    @property
    def mids(self) -> list[str]:
        """The ids of its messages."""
        return [mid for mid, _ in self.messages]


@dataclass(frozen=True, slots=True)
class Plan:
    """What every customer writes, in their order."""

    webhooks: dict[str, list[Webhook]]

    @classmethod
    def draw(cls, seed: int, *, prefix: str, messages: int, pause: float = 0.3) -> "Plan":
        """About one customer for every four messages; ``pause`` seconds at most between two webhooks of one."""
        dice = random.Random(seed)
        webhooks: dict[str, list[Webhook]] = {f"{prefix}{number}": [] for number in range(max(1, messages // 4))}
        customers = list(webhooks)
        number = 0
        while number < messages:
            customer = dice.choice(customers)
            size = min(dice.choice((1, 1, 1, 1, 2, 3)), messages - number)
            said = tuple((f"{prefix}mid.{n}", f"{customer} asks {n}") for n in range(number, number + size))
            waits = dice.choice((0.0, dice.random() * pause))
            webhooks[customer].append(Webhook(customer, said, waits, dice.choice((1,) * 9 + (2,))))
            number += size
        return cls({customer: own for customer, own in webhooks.items() if own})

    @property
    def mids(self) -> dict[str, str]:
        """The text of every message by its id."""
        return {mid: text for own in self.webhooks.values() for one in own for mid, text in one.messages}

    @property
    def orders(self) -> list[list[str]]:
        """The ids of each customer's messages in the order they were sent."""
        return [[mid for one in own for mid in one.mids] for own in self.webhooks.values()]
