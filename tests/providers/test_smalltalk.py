import pytest

from switchboard.providers.smalltalk import asks_for_person, courtesy


@pytest.mark.parametrize(
    "question",
    [
        "I want to speak to a human",
        "human please",
        "Human",
        "agent!",
        "can I talk to someone?",
        "Can i speak with a real person about my order",
        "let me talk to a human being",
        "connect me to an agent",
        "can you connect me to someone",
        "put me through to your support team",
        "escalate this to a manager",
        "transfer me to support please",
        "I need an operator",
        "I need an agent now",
        "I’d like a human",
        "is there a human here?",
        "people I can talk to?",
        "This is not helpful I want to talk to a human",
        "why can't I talk to a human",
        "I don't want a bot, let me talk to a person",
        "hello, real person please",
        "Ich möchte mit einem Menschen sprechen",
        "Können Sie mich mit einem Mitarbeiter verbinden?",
        "Mitarbeiter bitte",
        "kann ich mit jemandem reden",
        "Quiero hablar con una persona",
        "¿puedo hablar con alguien?",
        "agente por favor",
        "Je voudrais parler à un humain",
        "parler à quelqu’un",
        "Passez-moi l'agent",
        "vorrei parlare con un operatore",
        "quero falar com um atendente",
        "ik wil een medewerker spreken",
    ],
)
def test_asks_for_a_person(question: str):
    assert asks_for_person(question)


@pytest.mark.parametrize(
    "question",
    [
        "",
        "???",
        "hand_over",
        "When do you open?",
        "Do you hire agents?",
        "Is the agent fee refundable?",
        "how many people work there",
        "I want human hair extensions",
        "is this safe for humans to eat?",
        "What does the personal plan cost",
        "price per person",
        "My travel agent booked it",
        "I spoke to an agent yesterday and he promised a refund",
        "Do your staff speak German?",
        "Do your support agents speak Spanish?",
        "Do you pass my data to people?",
        "Will the agent at the door have change?",
        "can someone help me with my order",
        "how do I contact support?",
        "can I cancel without talking to a person?",
        "I don't want to talk to a human",
        "ich will nicht mit einem Menschen sprechen",
        "there are people I don't want to talk to",
        "Ich brauche keinen Mitarbeiter",
        "no quiero hablar con una persona",
        "Wie viele Personen passen hinein?",
        "superhuman",
    ],
)
def test_does_not_ask_for_a_person(question: str):
    assert not asks_for_person(question)


@pytest.mark.parametrize(
    ("question", "line"),
    {
        "hi": "Hello! How can I help?",
        "Hello there!!": "Hello! How can I help?",
        "good morning": "Hello! How can I help?",
        "thanks": "You're welcome!",
        "thank you so much 🙏": "You're welcome!",
        "ok thanks bye": "You're welcome!",
        "👍🏽": "You're welcome!",
        "bye": "Goodbye!",
        "Guten Tag": "Hallo! Wie kann ich helfen?",
        "GRÜSS GOTT": "Hallo! Wie kann ich helfen?",
        "Vielen Dank": "Gern geschehen!",
        "hola": "¡Hola! ¿En qué puedo ayudar?",
        "muchas gracias": "¡De nada!",
        "Bonjour": "Bonjour ! Comment puis-je vous aider ?",
        "merci beaucoup": "Avec plaisir !",
        "buongiorno": "Ciao! Come posso aiutare?",
        "olá, bom dia": "Olá! Como posso ajudar?",
        "muito obrigada": "De nada!",
        "Hoi": "Hallo! Waarmee kan ik helpen?",
        "dank je wel": "Graag gedaan!",
    }.items(),
)
def test_courtesies_are_returned(question: str, line: str):
    assert courtesy(question) == line


@pytest.mark.parametrize(
    "question",
    [
        "",
        "?",
        "🤬",
        "hi when do you open",
        "thanks but where is my order",
        "you",
        "the",
        "highlight",
        "a good day",
        "dia",
    ],
)
def test_anything_more_is_no_mere_courtesy(question: str):
    assert courtesy(question) is None


def test_a_huge_message_is_looked_at_quickly():
    assert not asks_for_person("talk " * 1_000_000)
    assert courtesy("hi " * 1_000_000) == "Hello! How can I help?"
