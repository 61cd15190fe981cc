"""What customers write that asks for no knowledge: a greeting, thanks, a goodbye, or a person to talk to.

Pure, and by word lists in seven languages. Only the customer's own words are ever looked at.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_CLAUSE_END = re.compile(r"[.?!,;:\n…¿¡]+")
_THUMBS_UP = re.compile("[👍🙏👌❤💚💙😊🙂]")
_MOST_CHARACTERS = 2_000


def _words(text: str) -> frozenset[str]:
    return frozenset(text.casefold().split())


@dataclass(frozen=True, slots=True)
class _Courtesy:
    """The polite words of one language, words that may stand beside them, and what we answer."""

    hello: frozenset[str]
    thanks: frozenset[str]
    bye: frozenset[str]
    beside: frozenset[str]
    answers: tuple[str, str, str]


_COURTESIES = (
    _Courtesy(
        _words("hi hello hey hiya howdy greetings morning afternoon evening"),
        _words("thanks thank thx ty cheers ok okay great perfect"),
        _words("bye goodbye"),
        _words("good day there everyone team all you u so very much many a lot again for your the help no"),
        ("Hello! How can I help?", "You're welcome!", "Goodbye!"),
    ),
    _Courtesy(
        _words("hallo moin servus grüezi grüß tag morgen abend"),
        _words("danke dankeschön vielen"),
        _words("tschüss tschüß ciao wiedersehen"),
        _words("guten gute gott dank schön sehr ihnen dir für die ihre hilfe auf ok okay super zusammen"),
        ("Hallo! Wie kann ich helfen?", "Gern geschehen!", "Auf Wiedersehen!"),
    ),
    _Courtesy(
        _words("hola buenas buenos saludos"),
        _words("gracias"),
        _words("adiós adios chao"),
        _words("días dias tardes noches qué que tal muchas mil por su tu la ayuda ok vale"),
        ("¡Hola! ¿En qué puedo ayudar?", "¡De nada!", "¡Hasta pronto!"),
    ),
    _Courtesy(
        _words("bonjour bonsoir salut coucou"),
        _words("merci"),
        _words("revoir adieu"),
        _words("au beaucoup bien à a vous tous pour votre l'aide aide ok bonne journée"),
        ("Bonjour ! Comment puis-je vous aider ?", "Avec plaisir !", "Au revoir !"),
    ),
    _Courtesy(
        _words("ciao salve buongiorno buonasera"),
        _words("grazie"),
        _words("arrivederci"),
        _words("mille tante molte a tutti per l'aiuto ok"),
        ("Ciao! Come posso aiutare?", "Prego!", "Arrivederci!"),
    ),
    _Courtesy(
        _words("olá ola oi bom boa"),
        _words("obrigado obrigada"),
        _words("tchau adeus"),
        _words("dia tarde noite muito pela ajuda ok tudo bem"),
        ("Olá! Como posso ajudar?", "De nada!", "Até logo!"),
    ),
    _Courtesy(
        _words("hallo hoi goedemorgen goedemiddag goedenavond goedendag"),
        _words("bedankt dank dankjewel dankuwel"),
        _words("doei"),
        _words("je u wel voor de hulp ok oké allemaal"),
        ("Hallo! Waarmee kan ik helpen?", "Graag gedaan!", "Tot ziens!"),
    ),
)

_TALK = _words("""
    talk talking speak speaking chat chatting sprechen reden chatten telefonieren hablar comunicarme comunicar chatear
    parler discuter échanger parlare parlo falar conversar spreken praten
""")
_AFTER_A_LAST_VERB = _words("to with please now bitte jetzt kann wegen über alsjeblieft")
_TRANSFER = _words("""
    connect transfer forward pass put escalate verbinden verbinde weiterleiten páseme comuníqueme passez passe mettez
    passi passami passe transfira doorverbinden
""")
_ME = _words("me us this it to moi nous mich uns con mi mij")
_WANT = _words("""
    want need get give wanna like prefer there reach contact möchte moechte brauche hätte gib quiero necesito
    quisiera veux voudrais besoin voglio vorrei quero preciso wil
""")
_PERSON = _words("""
    human humans person agent operator representative rep mensch menschen mitarbeiter mitarbeiterin mitarbeitern berater
    persona humano humana agente operador operadora asesor humain personne conseiller opérateur umano operatore pessoa
    atendente mens persoon medewerker
""")
_SOMEBODY = _PERSON | _words("""
    people someone somebody anyone anybody advisor adviser manager supervisor staff employee colleague team support
    service jemand jemanden jemandem ansprechpartner kundendienst kundenservice alguien representante quelqu'un qualcuno
    alguém iemand
""")
_ARTICLES = _words("""
    a an the some any your real live actual human customer support service please just only now ok okay yes
    ein eine einen einem einer echt echte echten echter echtem richtigen bitte una un uno verdadera real por favor
    une vrai vraie d'un d'une vero vera um uma een echte alsjeblieft
""")
_FOLLOWING = (
    _TALK
    | _TRANSFER
    | _words("""
    please now today here instead asap about regarding to for at from in on and because i who that you directly again
    being bitte jetzt direkt heute von aus zu kann por favor ahora de del aquí s'il svp maintenant per adesso
    agora nu graag van
""")
)
_NEGATIONS = _words("""
    don't dont not never without nicht kein keine keinen keinem keiner ohne no sin sans pas senza non sem não niet geen
    zonder
""")
_BETWEEN = _WANT | _TALK | _ARTICLES | _words("will to have with be really mit zu con avec à com met te")


def courtesy(question: str) -> str | None:
    """A friendly line, in the question's language, when ``question`` is nothing but a greeting, thanks or a goodbye."""
    words = set(_split(question))
    if not words and _THUMBS_UP.search(question):
        return _COURTESIES[0].answers[1]
    for language in _COURTESIES:
        polite = language.hello | language.thanks | language.bye
        if words & polite and words <= polite | language.beside:
            hello, thanks, bye = language.answers
            return thanks if words & language.thanks else bye if not words & language.hello else hello
    return None


def asks_for_person(question: str) -> bool:
    """Whether ``question`` asks for a person: whole words, in a phrase that asks, and not one that declines."""
    return any(_asks(_split(clause)) for clause in _CLAUSE_END.split(_plain(question)))


def _asks(words: Sequence[str]) -> bool:
    if set(words) & _PERSON and set(words) <= _ARTICLES | _PERSON:
        return True
    for place, word in enumerate(words):
        ends = place + 1 == len(words) or words[place + 1] in _FOLLOWING
        if _bare(word) not in _SOMEBODY or not ends or _declined(words, place):
            continue
        near = range(max(0, place - 6), min(len(words), place + 6))
        if any(_asks_for(words, verb, place) and not _declined(words, verb) for verb in near):
            return True
    return False


def _asks_for(words: Sequence[str], verb: int, person: int) -> bool:
    """Whether the word at ``verb`` asks for the person at ``person``; "do your staff speak German" does not."""
    word = words[verb]
    following = words[verb + 1] if verb + 1 < len(words) else None
    if word in _TALK:
        return verb < person or following is None or following in _AFTER_A_LAST_VERB
    if word in _TRANSFER:
        return following in _ME or (verb > person and following is None)
    return word in _WANT and 0 < person - verb <= 5 and _bare(words[person]) in _PERSON


def _declined(words: Sequence[str], at: int) -> bool:
    """Whether a negation stands before ``at``, with nothing but small words in between."""
    before = at - 1
    while before >= 0 and words[before] in _BETWEEN:
        before -= 1
    return before >= 0 and words[before] in _NEGATIONS


def _split(text: str) -> list[str]:
    return _WORD.findall(_plain(text))


def _plain(text: str) -> str:
    return text[:_MOST_CHARACTERS].casefold().replace("’", "'")


def _bare(word: str) -> str:
    # French and Italian join the article: l'agent, all'operatore.
    return word if word in _SOMEBODY else word.rpartition("'")[2]
