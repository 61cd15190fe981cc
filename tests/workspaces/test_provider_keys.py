"""Workspaces' own keys: sealed for one workspace and provider, opened with any of the secrets, and with no other."""

import pytest
from pydantic import SecretStr

from switchboard.errors import Invalid, Misconfigured, ProviderMisconfigured
from switchboard.settings import load
from switchboard.workspaces.provider_keys import ProviderKeys

OLD, NEW = "an-old-secret-of-thirty-two-bytes", "a-new-secret-of-thirty-two-bytes!"
KEY = "sk-ZebraOwnKeyCanary"


def keys(*secrets: str) -> ProviderKeys:
    return ProviderKeys(SecretStr(", ".join(secrets)))


def test_it_opens_where_it_was_sealed_and_nowhere_else() -> None:
    sealed = keys(OLD).seal(1, "openai", KEY)
    assert KEY not in sealed
    assert keys(OLD).open(1, "openai", sealed) == KEY
    assert keys(OLD).seal(1, "openai", KEY) != sealed
    for other in ((2, "openai"), (1, "gemini")):
        with pytest.raises(ProviderMisconfigured):
            keys(OLD).open(*other, sealed)


def test_a_new_secret_seals_and_the_old_one_still_opens() -> None:
    sealed = keys(OLD).seal(1, "openai", KEY)
    assert keys(NEW, OLD).open(1, "openai", sealed) == KEY
    again = keys(NEW, OLD).seal(1, "openai", KEY)
    assert keys(NEW).open(1, "openai", again) == KEY
    with pytest.raises(ProviderMisconfigured) as refused:
        keys(NEW).open(1, "openai", sealed)
    assert KEY not in refused.value.message


@pytest.mark.parametrize("damaged", ["", "v1:", "v1:!", "v1:AAAA", "nonsense", "v1:" + "A" * 200])
def test_what_is_damaged_does_not_open(damaged: str) -> None:
    with pytest.raises(ProviderMisconfigured):
        keys(OLD).open(1, "openai", damaged)


def test_without_a_secret_no_key_is_taken() -> None:
    with pytest.raises(Invalid, match="ENCRYPTION_SECRET"):
        ProviderKeys(None).seal(1, "openai", KEY)
    with pytest.raises(ProviderMisconfigured):
        ProviderKeys(None).open(1, "openai", keys(OLD).seal(1, "openai", KEY))


def test_a_short_secret_is_refused_at_the_start() -> None:
    with pytest.raises(Misconfigured, match="ENCRYPTION_SECRET"):
        load(encryption_secret=SecretStr(f"{NEW},short"))
