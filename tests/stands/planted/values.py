"""Values to plant, valid by rules of their own where these have check digits, and what looks like them and is not."""

import random
import string
import uuid
from collections.abc import Callable
from importlib import import_module
from typing import Any

import phonenumbers

_IBANS = {
    "DE": "18n",
    "FR": "23n",
    "GB": "4a14n",
    "ES": "20n",
    "IT": "1a22n",
    "NL": "4a10n",
    "PL": "24n",
    "TR": "5n1z16n",
}
_CARDS = ((("4",), 16), (("51", "52", "53", "54", "55"), 16), (("34", "37"), 15), (("6011",), 16), (("3530",), 16))
_DATES = (
    "{d:02}.{m:02}.{y}",
    "{y}-{m:02}-{d:02}",
    "{d}/{m}/{y}",
    "{y}.{m:02}.{d:02}",
    "{y}{m:02}{d:02}",
    "{d:02}-{m:02}-{y}",
)
_ARABIC = str.maketrans(string.digits, "٠١٢٣٤٥٦٧٨٩")
_FULL_WIDTH = str.maketrans(string.digits, "０１２３４５６７８９")


def digits(dice: random.Random, count: int) -> str:
    """So many, the first of them no 0."""
    return str(dice.randint(10 ** (count - 1), 10**count - 1))


def email(dice: random.Random) -> str:
    """Usual ones, and one in four hidden from programs."""
    user = dice.choice(("anna", "b.kowalski", "j_smith+shop", "info.mueller92", "x", "o'neil", "müller"))
    host, top = (
        dice.choice(("example", "mail-box", "firma.co", "köln-shop")),
        dice.choice(("com", "org", "de", "com.br", "io")),
    )
    form = dice.randrange(8)
    if form == 0 and user.isascii():
        return f"{user.split('+')[0]} (at) {host} dot {top.split('.')[0]}"
    if form == 1 and user.isascii():
        return f"{user.split('+')[0]}[at]{host}[dot]{top.split('.')[0]}"
    return (
        f"{user}{dice.randint(1, 999)}@{host}.{top}".upper()
        if form == 2
        else f"{user}{dice.randint(1, 999)}@{host}.{top}"
    )


def phone(dice: random.Random, region: str) -> tuple[str, bool]:
    """A mobile's number as people write it, and whether it stands without its country."""
    example = phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.MOBILE)
    while True:
        tail = digits(dice, 6)
        number = phonenumbers.parse(f"+{example.country_code}{str(example.national_number)[:-6]}{tail}")
        if phonenumbers.is_valid_number_for_region(number, region):
            break
    form = dice.choice(("international", "E164", "national", "dots", "dashes", "zeros"))
    if form == "E164":
        return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164), False
    if form == "zeros":
        return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164).replace("+", "00"), False
    written = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
    if form == "international":
        return written, False
    if form == "dots":
        return written.replace(" ", ".").replace("-", "."), False
    national = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.NATIONAL)
    return (national.replace(" ", "-") if form == "dashes" and "(" not in national else national), True


def card(dice: random.Random) -> str:
    """Plain, in fours, with dashes; Arabic and full-width digits now and then."""
    prefixes, length = dice.choice(_CARDS)
    prefix = dice.choice(prefixes)
    body = prefix + "".join(dice.choices(string.digits, k=length - len(prefix) - 1))
    number = body + check_digit(body)
    if length == 16:
        sign = dice.choice(("", " ", "-"))
        number = sign.join(number[at : at + 4] for at in range(0, 16, 4))
    return number.translate(dice.choice(({}, {}, {}, _ARABIC, _FULL_WIDTH)))


def check_digit(body: str) -> str:
    """After Luhn."""
    total = sum(sum(divmod(int(each) * (2 - place % 2), 10)) for place, each in enumerate(reversed(body)))
    return str(-total % 10)


def iban(dice: random.Random) -> str:
    """Of eight countries; together, in fours, or in small letters."""
    country = dice.choice(list(_IBANS))
    account, count = "", ""
    for sign in _IBANS[country]:
        if sign.isdigit():
            count += sign
            continue
        signs = {"n": string.digits, "a": string.ascii_uppercase, "z": "0"}[sign]
        account, count = account + "".join(dice.choices(signs, k=int(count))), ""
    number = int("".join(str(int(each, 36)) for each in f"{account}{country}00"))
    together = f"{country}{98 - number % 97:02}{account}"
    spaced = " ".join(together[at : at + 4] for at in range(0, len(together), 4))
    return dice.choice((together, spaced, spaced, together.lower()))


def ip(dice: random.Random) -> str:
    """Of both versions."""
    if dice.random() < 0.3:
        return f"2001:db8:{dice.randrange(4096):x}::{dice.randrange(65536):x}"
    return f"{dice.randint(11, 223)}.{dice.randint(0, 255)}.{dice.randint(0, 255)}.{dice.randint(1, 254)}"


def handle(dice: random.Random) -> str:
    """With its sign or as an address."""
    name = dice.choice(("anna_k", "björk", "the.real.tom", "x_marek_x", "lucia92"))
    name = f"{name}{dice.randint(1, 99)}".replace("ö", "o")
    return dice.choice(
        (f"@{name}", f"t.me/{name}", f"https://instagram.com/{name}", f"https://www.facebook.com/{name}")
    )


def national(dice: random.Random, kind: str) -> str:
    """One that is valid, as its country writes it."""
    country, _, name = kind.partition("_") if not kind.startswith("in__") else ("in_", "", kind[4:])
    check: Callable[[str], bool] = import_module(f"stdnum.{country}.{name}").is_valid
    for _ in range(2_000_000):
        written = _FORMS[kind](dice)
        if check(written):
            return written
    raise RuntimeError(f"no {kind} was found")


def _day(dice: random.Random) -> tuple[int, int, int]:
    return dice.randint(40, 99), dice.randint(1, 12), dice.randint(1, 28)


def _pesel(dice: random.Random) -> str:
    return "{:02}{:02}{:02}".format(*_day(dice)) + "".join(dice.choices(string.digits, k=5))


def _nir(dice: random.Random) -> str:
    from stdnum.fr import nir

    born = f"{dice.randint(1, 2)}{dice.randint(40, 99)}{dice.randint(1, 12):02}"
    body = f"{born}{dice.randint(10, 95)}{digits(dice, 3)}{digits(dice, 3)}"
    return body + nir.calc_check_digits(body)


def _ric(dice: random.Random) -> str:
    from stdnum.cn import ric

    body = "11010519" + "{:02}{:02}{:02}".format(*_day(dice)) + digits(dice, 3)
    return body + ric.calc_check_digit(body + "0")


def _codice(dice: random.Random) -> str:
    from stdnum.it import codicefiscale

    letters = "".join(dice.choices("BCDFGLMNPRST", k=6))
    body = f"{letters}{dice.randint(40, 99)}{dice.choice('ABCDEHLMPRST')}{dice.randint(10, 28)}H501"
    return body[:15] + codicefiscale.calc_check_digit(body[:15])


def _nn(dice: random.Random) -> str:
    year, month, day = _day(dice)
    body = f"{year:02}{month:02}{day:02}{dice.randint(1, 997):03}"
    check = 97 - int(body) % 97
    return f"{body[:2]}.{body[2:4]}.{body[4:6]}-{body[6:9]}.{check:02}"


def _cnpj(dice: random.Random) -> str:
    from stdnum.br import cnpj

    body = f"{digits(dice, 8)}0001"
    return cnpj.format(body + cnpj.calc_check_digits(body))


def _cpf(dice: random.Random) -> str:
    body = digits(dice, 9)
    from stdnum.br import cpf

    module: Any = cpf
    whole = body + module._calc_check_digits(body)
    return dice.choice((whole, cpf.format(whole)))


def _grouped(count: int, *groups: int) -> Callable[[random.Random], str]:
    def made(dice: random.Random) -> str:
        plain, at, parts = digits(dice, count), 0, list[str]()
        for group in groups:
            parts.append(plain[at : at + group])
            at += group
        return " ".join(parts)

    return made


_FORMS: dict[str, Callable[[random.Random], str]] = {
    "gb_nhs": _grouped(10, 3, 3, 4),
    "in__aadhaar": _grouped(12, 4, 4, 4),
    "de_idnr": _grouped(11, 2, 3, 3, 3),
    "nl_bsn": _grouped(9, 9),
    "pt_nif": lambda dice: f"2{digits(dice, 8)}",
    "fr_nir": _nir,
    "be_nn": _nn,
    "es_dni": lambda dice: f"{digits(dice, 8)}{dice.choice(string.ascii_uppercase)}",
    "es_nie": lambda dice: f"{dice.choice('XYZ')}{digits(dice, 7)}{dice.choice(string.ascii_uppercase)}",
    "it_codicefiscale": _codice,
    "br_cpf": _cpf,
    "br_cnpj": _cnpj,
    "pl_pesel": _pesel,
    "tr_tckimlik": _grouped(11, 11),
    "cn_ric": _ric,
}


def innocent(dice: random.Random) -> dict[str, str]:
    """What looks like something private, by the name of its place in a sentence."""
    day = {"y": dice.randint(2015, 2031), "m": dice.randint(1, 12), "d": dice.randint(1, 28)}
    orders = (
        *(digits(dice, count) for count in (6, 8, 10, 12)),
        f"A-{digits(dice, 7)}",
        f"{digits(dice, 4)}-{digits(dice, 4)}",
        f"#{digits(dice, 9)}",
        f"{digits(dice, 3)}-{digits(dice, 7)}-{digits(dice, 7)}",
    )
    trackings = (
        f"00{digits(dice, 18)}",
        f"1Z{digits(dice, 3)}AA1{digits(dice, 10)}",
        f"RB{digits(dice, 9)}DE",
        digits(dice, 12),
    )
    thousands = f"{dice.randint(1, 999)}{dice.choice('., ')}{dice.randint(100, 999)}{dice.choice((',00', '.99', ''))}"
    cents = f"{dice.randint(10, 9999)}{dice.choice('.,')}{dice.randint(10, 99)}"
    release = f"{dice.randint(0, 20)}.{dice.randint(0, 40)}.{dice.randint(0, 999)}"
    latitude, longitude = dice.uniform(-80, 80), dice.uniform(-170, 170)
    return {
        "order": dice.choice(orders),
        "tracking": dice.choice(trackings),
        "date": dice.choice(_DATES).format(**day),
        "time": dice.choice(("9:30", "17.45", "08:00", "10:30:45", "9.00-17.30", "2024-03-01T10:30:00Z")),
        "price": f"{dice.choice(('€ ', '$', '', '£'))}{thousands}{dice.choice((' EUR', '', ' zł'))}",
        "amount": f"{cents} {dice.choice(('EUR', 'USD', 'TL', '€'))}",
        "version": f"{release}{dice.choice(('', '.4', '-beta', '.1205'))}",
        "product": dice.choice(
            ("iPhone 15", "GX-2200", "B07XJ8C8F5", "model 3310/12", "ISO 9001", "SKU-48151623", "4K UHD 55", "RTX4090")
        ),
        "uuid": str(uuid.UUID(int=dice.getrandbits(128))),
        "coordinates": f"{latitude:.{dice.randint(2, 6)}f}, {longitude:.{dice.randint(2, 6)}f}",
        "number": str(dice.randint(2, 99_999)),
    }
