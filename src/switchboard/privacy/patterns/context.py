"""The words before a number: they say what it is where its form does not."""

import re
from typing import Final

REACH: Final = 28
"""Characters that are looked at."""
IN_WORD: Final = r"0-9A-Za-z_\u00c0-\u024f"
"""Of a class: what a number that stands beside it is part of. Scripts without spaces are not among it."""
PHONE: Final = "phone"
ORDER: Final = "order"
PERSON: Final = "person"
_WORDS = re.compile(
    r"(?P<person>\bbsn|sofi-?num|burgerservice|\bnif\b|contribuinte|\bnhs|aadh?aar|आधार|\bpesel|personnummer|\bpnr\b|\bcpf|\bcnpj"
    r"|steuer-?id|\bidnr|identifikationsnummer|kimlik|\bt\.?c\.|rijksregister|registre national|national (?:id|number)"
    r"|identity|personal (?:id|number)|f[øo]dselsnummer|\bnir\b|s[eé]curit[eé] sociale|codice fiscale|\bdni|\bnie\b|henkil[öo]tunnus"
    r"|身份证|身份證|마이넘버|주민등록|الهوية|\bинн|\bснилс)"
    r"|(?P<phone>\bt[eé]l(?:\b|e[fp])|phone|\bfon\b|\bcall|\bmobil|\bm[oó]vil|\bcell|\bcel\b|\bhandy|\bruf|whats|\bsms\b|\btext me|\breach me"
    r"|\bring me|\bdial|\bzadzw|\bkom[oó]rk|\bdzwo|\bcep\b|\bara(?:y|\b)|\bligu|\bliga|\bllam|appel|\bjoin|\bchiam|telem[oó]vel"
    r"|\bfax|\bsignal\b|\bviber|numer(?:o|u)? (?:to|telefon|di|cell)|num[eé]ro (?:est|:)|n[uú]mero (?:es|é|de tel)"
    r"|my number|meine nummer|电话|電話|手机|手機|携帯|联系|聯絡|致电|打给|전화|휴대|هاتف|جوال|رقمي|اتصل|موبايل|\bтел|звон|позвон)"
    r"|(?P<order>order|invoice|track|ticket|\bref|booking|reserv|article|\bitem|\bsku|serial|parcel|shipment|\bcase\b|quote|\bcode"
    r"|bestell|auftrag|rechnung|sendung|artikel|kundennummer|vorgang|buchung|pedido|factura|seguimiento|fatura|encomenda|rastre"
    r"|commande|facture|suivi|colis|ordine|fattura|spedizione|tracciam|zam[oó]wieni|faktur|przesy[łl]|paczk|sipari|takip|kargo"
    r"|订单|訂單|单号|运单|快递|编号|注文|追跡|伝票|주문|송장|طلب|فاتورة|شحنة|تتبع|الطلب|заказ|сч[её]т|трек|накладн"
    r"|\bn[r°º]\.?[\s:]*$|\bno\.[\s:]*$|[#№]\s*$)",
    re.IGNORECASE,
)


def before(text: str, place: int) -> str:
    """The end of what stands before ``place``, from the same line."""
    return text[max(0, place - REACH) : place].rpartition("\n")[2]


def told(text: str, place: int) -> str | None:
    """What the words before ``place`` say of the number that begins there: `PHONE`, `ORDER`, `PERSON`; the nearest counts."""
    found = None
    for word in _WORDS.finditer(before(text, place)):
        found = word.lastgroup
    return found
