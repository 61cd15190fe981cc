"""A chat page in Streamlit: a small client of Switchboard's HTTP API, to run or to start your own from.

    export SWITCHBOARD_TOKEN=$(.venv/bin/switchboard token --role support)
    .venv/bin/streamlit run examples/streamlit_chat.py

`make setup-dev` installs Streamlit. SWITCHBOARD_URL is http://localhost:8000 unless set. Both may stand in
`.streamlit/secrets.toml` instead. The token stays on Streamlit's server; the browser never sees it.
"""

import os
import uuid
from typing import Any

import httpx
import streamlit as st

POLL_SECONDS = 2
REPLY_SECONDS = 70
"""Switchboard waits up to 60 for a reply before it answers without one."""
PEOPLE = {"user": "user", "bot": "assistant", "human": "🧑"}
"""What is drawn beside a message, by who sent it."""


def setting(name: str, default: str = "") -> str:
    """The value from the environment or Streamlit's secrets."""
    try:
        return os.environ.get(name) or str(st.secrets.get(name, default))
    except FileNotFoundError:
        return default


def call(method: str, path: str, **request: Any) -> Any:
    """What Switchboard answers; if it refuses or is away, the page says so and ends here."""
    url = setting("SWITCHBOARD_URL", "http://localhost:8000")
    headers = {"Authorization": f"Bearer {setting('SWITCHBOARD_TOKEN')}"}
    try:
        response = httpx.request(method, f"{url}/api/{path}", headers=headers, timeout=REPLY_SECONDS, **request)
    except httpx.TransportError:
        st.error(f"Switchboard does not answer at {url}. Does it run?")
        st.stop()
    if response.is_error:
        st.error(response.json().get("detail", response.reason_phrase))
        st.stop()
    return response.json()


def draw(message: dict[str, Any]) -> None:
    """One message, under it who or what wrote it and how sure it was."""
    with st.chat_message(PEOPLE[message["sender_type"]]):
        # Prices are no formulas.
        st.markdown(message["content"].replace("$", r"\$"))
        if message["sender_type"] == "human":
            st.caption("written by a person")
        elif message["confidence_score"] is not None:
            st.caption(f"{message['provider']}:{message['model']}, confidence {message['confidence_score']:.0%}")


@st.fragment(run_every=POLL_SECONDS)
def thread(conversation: int) -> None:
    """The conversation so far; looks every few seconds for what a person may have written."""
    messages: list[dict[str, Any]] = st.session_state.messages
    last = messages[-1]["seq"] if messages else 0
    messages += call("GET", f"conversations/{conversation}/messages", params={"after_seq": last})["messages"]
    for message in messages:
        if message["sender_type"] in PEOPLE:
            draw(message)
    if call("GET", f"conversations/{conversation}")["handler"] == "human":
        st.info("A person has taken over. What they write appears here.")


st.title("Chat")
if "conversation" not in st.session_state:
    user = f"visitor-{uuid.uuid4().hex[:8]}"
    opened = call("POST", "conversations", json={"platform": "streamlit", "user_id": user})
    st.session_state.update(conversation=opened["id"], messages=[])
thread(st.session_state.conversation)
if said := st.chat_input("Your message"):
    draw({"sender_type": "user", "content": said, "confidence_score": None})
    with st.spinner("…"):
        call("POST", "messages", json={"conversation": st.session_state.conversation, "content": said})
    st.rerun()
