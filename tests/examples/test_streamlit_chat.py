"""The chat page in Streamlit, run by Streamlit's own test driver against the service as people start it."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from streamlit.testing.v1 import AppTest

from stands.clusters import free_port
from stands.service import Service

PAGE = Path(__file__).parents[2] / "examples" / "streamlit_chat.py"


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """The service, with the café's knowledge."""
    with Service() as service:
        yield service


@pytest.fixture
def desk(service: Service) -> Iterator[httpx.Client]:
    """The people who answer."""
    with httpx.Client(base_url=service.address, headers={"Authorization": f"Bearer {service.token}"}) as client:
        yield client


@pytest.fixture
def page(service: Service) -> AppTest:
    """The page in a browser, freshly opened."""
    test = AppTest.from_file(str(PAGE), default_timeout=30)
    test.secrets["SWITCHBOARD_URL"] = service.address
    test.secrets["SWITCHBOARD_TOKEN"] = service.token
    return test.run()


def said(page: AppTest) -> list[tuple[str, str]]:
    """What the page shows: (who, text) of each message."""
    assert not page.exception
    return [(message.name, message.markdown[0].value) for message in page.chat_message]


def of_streamlit(desk: httpx.Client) -> list[dict[str, object]]:
    """The conversations that programs named `streamlit` hold."""
    return desk.get("/admin/conversations", params={"platform": "streamlit"}).json()["conversations"]


def test_a_question_is_answered_from_what_the_business_knows(page: AppTest, desk: httpx.Client):
    page.chat_input[0].set_value("When are you open on Saturday?").run()

    (_, question), (who, answer) = said(page)
    assert question == "When are you open on Saturday?"
    assert who == "assistant"
    assert "Saturday from 8:30 to 17:00" in answer
    assert page.caption[0].value == "extractive:quote, confidence 100%"
    listed = of_streamlit(desk)[0]
    assert listed["id"] == page.session_state["conversation"]
    assert str(listed["user_id"]).startswith("visitor-")
    assert not page.info


def test_a_person_takes_over_and_their_reply_appears(page: AppTest, desk: httpx.Client):
    conversation = page.session_state["conversation"]
    desk.post(f"/admin/conversations/{conversation}/takeover").raise_for_status()

    page.chat_input[0].set_value("Is anybody there?").run()
    assert said(page) == [("user", "Is anybody there?")]
    assert page.info[0].value.startswith("A person has taken over")

    desk.post(
        f"/admin/conversations/{conversation}/messages", json={"content": "Yes: Anna. $3 off!"}
    ).raise_for_status()
    page.run()
    assert said(page)[1:] == [("🧑", r"Yes: Anna. \$3 off!")]
    assert page.caption[0].value == "written by a person"

    desk.post(f"/admin/conversations/{conversation}/handback").raise_for_status()
    page.chat_input[0].set_value("Do you have oat milk?").run()
    assert said(page)[-1] == ("assistant", "Oat, soy and almond milk cost nothing.")
    assert not page.info


def test_who_asks_for_a_person_is_told_that_one_comes(page: AppTest, desk: httpx.Client):
    page.chat_input[0].set_value("I want to talk to a person").run()

    assert said(page)[-1] == ("assistant", "I will pass this on to a colleague, who will get back to you here.")
    assert page.info
    listed = of_streamlit(desk)[0]
    assert (listed["id"], listed["requires_human"]) == (page.session_state["conversation"], True)


def test_a_closed_conversation_says_so(page: AppTest, desk: httpx.Client):
    desk.post(f"/admin/conversations/{page.session_state['conversation']}/close").raise_for_status()

    page.chat_input[0].set_value("Hello?").run()

    assert page.error[0].value == "The conversation is closed: reopen it first."


def test_a_service_that_is_away_is_said_plainly(page: AppTest):
    nobody = f"http://127.0.0.1:{free_port()}"
    page.secrets["SWITCHBOARD_URL"] = nobody

    page.run()

    assert page.error[0].value == f"Switchboard does not answer at {nobody}. Does it run?"
    assert not page.exception
