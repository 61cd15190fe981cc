"""How much of what is planted in eleven languages is found, how much in vain, and that the count sees a fault."""

import pytest

from stands.planted import KINDS, Measured, measure, plant
from switchboard.privacy.anonymise import Anonymiser

AIMS = dict.fromkeys(KINDS, 0.99) | {"phone": 0.95, "name": 0.95}
MOST_FALSE = 0.005


@pytest.fixture(scope="module", params=[19, 20, 21])
def measured(request: pytest.FixtureRequest) -> Measured:
    return measure(plant(2_200, request.param))


@pytest.mark.parametrize("kind", KINDS)
def test_recall(measured: Measured, kind: str) -> None:
    assert measured.planted[kind] > 200
    assert measured.recall(kind) >= AIMS[kind], [each for each in measured.missed if each][:10]


def test_false_alarms(measured: Measured) -> None:
    assert measured.innocent >= 2_000
    assert measured.false_alarms < MOST_FALSE, measured.alarms[:10]


def test_the_corpus_is_the_same_every_time() -> None:
    assert plant(50) == plant(50)
    assert plant(50) != plant(50, seed=1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_detector_that_is_off_is_seen(kind: str) -> None:
    planted = plant(300)
    assert measure(planted).recall(kind) == 1

    def without(anonymiser: Anonymiser) -> Anonymiser:
        anonymiser.kinds -= {kind}
        return anonymiser

    found = measure(planted, using=without)
    assert found.recall(kind) < 0.5
    assert found.recall("email" if kind != "email" else "card") == 1


def test_false_alarms_are_seen() -> None:
    """Names that are in every sentence."""
    planted = plant(100)
    innocent = [
        type(each)(each.language, each.kind, each.text, (), ("Version Zeit", each.text))
        for each in planted
        if not each.secrets
    ]
    assert measure(innocent).false_alarms > 0.5
