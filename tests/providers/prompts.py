"""Prompts as the replies make them, small."""

from collections.abc import Sequence

from switchboard.providers import HAND_OVER, Passage, Prompt, Said, Tool


def ask(
    question: str, *texts: str, score: float = 0.9, model: str = "gpt-5.4-mini", tools: Sequence[Tool] = (HAND_OVER,)
) -> Prompt:
    """``question`` as the customer's only message, and these texts as the passages found for it."""
    passages = tuple(Passage(at, 1, "Handbook", text, score) for at, text in enumerate(texts, 1))
    return Prompt(model, "You answer for Acme.", (Said("user", question),), passages, tuple(tools))
