"""The words before a number: they say what it is where its form does not."""

import re
from typing import Final

from switchboard.privacy.folding import fold

REACH: Final = 28
"""Characters that are looked at."""
IN_WORD: Final = r"0-9A-Za-z_\u00c0-\u024f"
"""Of a class: what a number that stands beside it is part of. Scripts without spaces are not among it."""
PHONE: Final = "phone"
ORDER: Final = "order"
PERSON: Final = "person"

# Words, and with a dash the beginnings of words, as `folding.fold` leaves them.
_SPACED = {
    PERSON: """
        steuer- bsn sofinummer burgerservice- nif contribuinte nhs aadhaar aadhar pesel pesel- personnummer pnr cpf cnpj
        steuerid idnr identifikation- steueridentifikation- kimlik- tckn rijksregister- securite dni nie nir
        codice fiscale henkilo- fodsel- fodselsnummer identity identitat- personal- obywatel- инн снилс आधार
        """,
    PHONE: """
        tel telef- telep- phone- cellphone smartphone fon call- mobil- movil- cell- cel handy- ruf- anruf-
        whats- sms text ring dial- zadzwon- komork- dzwon- cep ara arayin arayabil- ligue- ligar- liga llam-
        appel- joindre joign- chiam- telemovel contact- fax signal viber тел телефон- звон- позвон-
        """,
    ORDER: """
        order- invoice- track- ticket- ref- booking- reserv- article- item- sku serial- parcel- shipment- case
        quote- code- bestell- auftrag- rechnung- sendung- artikel- kunden- vorgang- buchung- paket- pedido-
        factura- seguimiento fatura- encomenda- rastre- commande- facture- suivi colis ordine- fattura-
        spedizion- tracciam- zamowien- faktur- przesyl- paczk- siparis- takip- kargo- заказ- счет- трек-
        накладн-
        """,
}
_UNSPACED = {
    PERSON: "身份证 身份證 마이넘버 주민등록 الهويه",
    PHONE: "电话 電話 手机 手機 携帯 联系 聯絡 致电 打给 전화 휴대 هاتف جوال رقمي اتصل موبايل",
    ORDER: "订单 訂單 单号 运单 快递 编号 注文 追跡 伝票 주문 송장 طلب فاتوره شحنه تتبع",
}
_WORDS = {word: kind for kind, words in _SPACED.items() for word in words.split() if word[-1] != "-"}
_BEGINNINGS = {word[:-1]: kind for kind, words in _SPACED.items() for word in words.split() if word[-1] == "-"}
_INSIDE = {fold(word): kind for kind, words in _UNSPACED.items() for word in words.split()}
_LENGTHS = tuple(sorted({len(beginning) for beginning in _BEGINNINGS}))
_WORD = re.compile(r"[^\W\d_\u1100-\u11ff\u2e80-\uffff]+")
_NUMBER = re.compile(r"[#№][\s:]*\Z")


def before(text: str, place: int) -> str:
    """The end of what stands before ``place``, from the same line."""
    return text[max(0, place - REACH) : place].rpartition("\n")[2]


def told(text: str, place: int) -> str | None:
    """What the words before say a number at ``place`` is: `PHONE`, `ORDER`, `PERSON`; the nearest counts."""
    window = fold(before(text, place))
    if not window.isascii() and (found := max((window.rfind(word), kind) for word, kind in _INSIDE.items()))[0] >= 0:
        return found[1]
    for word in reversed(_WORD.findall(window)):
        if kind := _kind(word):
            return kind
    return ORDER if _NUMBER.search(window) else None


def _kind(word: str) -> str | None:
    if kind := _WORDS.get(word):
        return kind
    for length in _LENGTHS:
        if kind := _BEGINNINGS.get(word[:length]):
            return kind
    return None
