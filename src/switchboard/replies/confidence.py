"""How sure an answer is, 0 to 1 (a hand-over is 0).

    the provider can tell (extractive)       its own figure
    otherwise                                0.3 + 0.7 × grounding, × 0.6 if the answer was cut short

*Grounding* is the score of the best passage of knowledge that was found: the share of the question's meaningful words
it holds. A model that answers without any knowledge found is at 0.3, below the default threshold of 0.5, so a person
looks at it. A model's own words about its certainty are not asked for: they do not track being right
(Xiong et al. 2024, "Can LLMs Express Their Uncertainty?", https://arxiv.org/abs/2306.13063).
"""

from collections.abc import Sequence

from switchboard.providers import Done, Passage


def confidence(done: Done, passages: Sequence[Passage]) -> float:
    """The confidence of one answer."""
    if done.confidence is not None:
        return done.confidence
    grounding = max((passage.score for passage in passages), default=0.0)
    sure = 0.3 + 0.7 * min(max(grounding, 0.0), 1.0)
    return round(sure * (0.6 if done.finish_reason == "length" else 1.0), 3)
