"""Whether a channel still allows a message, and under which tag.

Messenger: automated messages until 24 hours after the customer's last one; people until 7 days, then tagged
`HUMAN_AGENT`, which automated messages must never carry
(https://developers.facebook.com/docs/messenger-platform/policy).
"""

from datetime import datetime
from typing import Literal

from switchboard.channels import Window
from switchboard.errors import WindowClosed


def tag_for(
    window: Window, *, automated: bool, last_customer_at: datetime | None, now: datetime
) -> Literal["HUMAN_AGENT"] | None:
    """The tag to send with. Raises `WindowClosed` when nothing may be sent any more."""
    if window.automated is None:
        return None
    age = (now - last_customer_at).total_seconds() if last_customer_at else float("inf")
    if age <= window.automated:
        return None
    if automated:
        raise WindowClosed("The customer wrote too long ago for an automated answer: a person has to reply.")
    if window.people is not None and age > window.people:
        raise WindowClosed(
            "The customer wrote too long ago: the channel takes no more messages until they write again."
        )
    return "HUMAN_AGENT"
