"""Numbers that states give to people, of twenty kinds in eighteen countries, each with its check digits.

`python-stdnum` knows the arithmetic. Left to say here is how likely a number of another sort passes: one check digit
lets through one number in ten, so bare digits count only where their form, or a word before them, says what they are.
"""

import re
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module

from switchboard.privacy.patterns.context import IN_WORD, ORDER, PERSON, told
from switchboard.privacy.spans import Span

_DIGITS = re.compile(r"\d+")
_BEFORE_DIGITS = {7: (1, 2), 2: (6, 7, 8)}
"""How many characters before so many digits a form may begin: a foreigner's number in Spain, a codice fiscale."""
_FORMS = re.compile(
    rf"(?<![{IN_WORD}.-])(?:"
    r"(?P<es_dni>\d{8}(?:-?[A-Z]|[ ](?-i:[A-Z])))"
    r"|(?P<es_nie>[XYZ][ -]?\d{7}[ -]?[A-Z])"
    r"|(?P<it_codicefiscale>[A-Z]{6}[ ]?[\dLMNP-V]{2}[A-Z][\dLMNP-V]{2}[ ]?[A-Z][\dLMNP-V]{3}[A-Z])"
    r"|(?P<it_codicefiscale_>[A-Z]{3} [A-Z]{3} [\dLMNP-V]{2}[A-Z][\dLMNP-V]{2} [A-Z][\dLMNP-V]{3}[A-Z])"
    r"|(?P<fi_hetu>\d{6}[-+A-FU-Y]\d{3}[0-9A-Y])"
    r"|(?P<fr_nir>[12378] ?\d\d ?\d\d ?(?:\d\d|2[AB]) ?\d{3} ?\d{3} ?\d\d)"
    r"|(?P<br_cpf>\d{3}\.\d{3}\.\d{3}-\d\d)"
    r"|(?P<br_cnpj>\d\d\.\d{3}\.\d{3}/\d{4}-\d\d)"
    r"|(?P<be_nn>\d\d\.\d\d\.\d\d-\d{3}\.\d\d)"
    r"|(?P<se_personnummer>(?:19|20)?\d{6}[-+]\d{4})"
    r"|(?P<kr_rrn>\d{6}-[1-8]\d{6})"
    r"|(?P<ch_ssn>756\.\d{4}\.\d{4}\.\d\d)"
    r"|(?P<cn_ric>[1-9]\d{5}(?:18|19|20)\d{9}[\dX])"
    r"|(?<!\d[ ])(?P<de_idnr>\d\d \d{3} \d{3} \d{3}(?! \d))"
    r"|(?<!\d[ -])(?P<in__aadhaar>[2-9]\d{3}[ -]\d{4}[ -]\d{4}(?![ -]\d))"
    r"|(?<!\d[ ])(?P<gb_nhs>\d{3} \d{3} \d{4}(?! \d))"
    rf")(?![{IN_WORD}]|-\d)",
    re.IGNORECASE,
)
_ALSO = {"fi_hetu": ("se_personnummer",)}
"""Forms that another state's numbers have as well."""
_DOUBTFUL = frozenset(("in__aadhaar", "gb_nhs", "de_idnr", "es_dni"))
"""Forms that other numbers have as well: not after a word that says what else it is."""
_BARE: dict[int, tuple[tuple[str, ...], tuple[str, ...]]] = {
    9: ((), ("nl_bsn", "pt_nif")),
    10: ((), ("gb_nhs", "se_personnummer")),
    11: (("tr_tckimlik", "br_cpf", "be_nn", "pl_pesel"), ("de_idnr", "no_fodselsnummer")),
    12: ((), ("in__aadhaar", "se_personnummer")),
    13: ((), ("kr_rrn", "ch_ssn")),
    14: ((), ("br_cnpj",)),
}
"""By the number of digits: those that are hard to hit by chance, and those that need a word before them."""


def find(text: str) -> Iterator[Span]:
    """Numbers in the form that their state gives them: with letters, or spaced and dotted as on the card."""
    for form in _forms(text):
        kind = str(form.lastgroup).rstrip("_")
        if any(is_valid(each, form[0]) for each in (kind, *_ALSO.get(kind, ()))) and not (
            kind in _DOUBTFUL and told(text, form.start()) == ORDER
        ):
            yield Span(*form.span(), "national_id", same(form[0]))


def _forms(text: str) -> Iterator[re.Match[str]]:
    """What has one of the forms; looked for where digits are, since to look at each letter takes four times as long."""
    for digits in _DIGITS.finditer(text):
        start = digits.start()
        for back in (0, *_BEFORE_DIGITS.get(digits.end() - start, ())):
            if start >= back and (form := _FORMS.match(text, start - back)):
                yield form
                break


def is_bare(digits: str, words: str | None) -> bool:
    """Whether bare digits are one, after ``words`` that say what they are (`context.told`)."""
    hard, easy = _BARE.get(len(digits), ((), ()))
    kinds = (*hard, *easy) if words == PERSON else () if words == ORDER else hard
    return any(is_valid(kind, digits) for kind in kinds)


def is_valid(kind: str, number: str) -> bool:
    """Whether a number has the check digits of ``kind``: a country and a module of stdnum, such as `pl_pesel`."""
    return _check(kind)(number)


def same(number: str) -> str:
    """The form in which numbers are compared."""
    return re.sub(r"[\W_]", "", number).upper()


@cache
def _check(kind: str) -> Callable[[str], bool]:
    country, _, name = kind.partition("_") if not kind.startswith("in__") else ("in_", "", kind[4:])
    module = import_module(f"stdnum.{country}.{name}")
    check: Callable[[str], bool] = module.is_valid
    return check
