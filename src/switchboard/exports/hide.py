"""The same conversations with nobody to be recognised, or as they are."""

from collections.abc import AsyncGenerator, AsyncIterable
from typing import Any

from switchboard.exports.conversation import Conversation, Message, Part
from switchboard.privacy.anonymise import Anonymiser, ConversationAnonymiser


class Hiding:
    """Replaces what names a guest, everywhere in a conversation, by pseudonyms under a key; without one nothing."""

    def __init__(self, key: bytes | None = None) -> None:
        self._anonymiser = Anonymiser(key) if key is not None else None

    async def hide(self, parts: AsyncIterable[Part]) -> AsyncGenerator[Part]:
        """The same parts, changed."""
        if self._anonymiser is None:
            async for part in parts:
                yield part
            return
        known: ConversationAnonymiser | None = None
        async for part in parts:
            if part.first or known is None:
                known = _known(self._anonymiser, part.conversation)
                _hide_guest(part.conversation, known)
            for message in part.messages:
                _hide_message(message, known)
            yield part

    def report(self) -> dict[str, Any]:
        """What was found and replaced by now, and what a second look still suspects, for the manifest."""
        return {} if self._anonymiser is None else {"anonymisation": self._anonymiser.report().told()}


def _known(anonymiser: Anonymiser, conversation: Conversation) -> ConversationAnonymiser:
    return anonymiser.for_people(
        names=[conversation.guest_name] if conversation.guest_name else [],
        emails=[conversation.guest_email] if conversation.guest_email else [],
        phones=[conversation.guest_phone] if conversation.guest_phone else [],
        external_ids=[conversation.guest_id],
    )


def _hide_guest(conversation: Conversation, known: ConversationAnonymiser) -> None:
    conversation.guest_id = known.identifier(conversation.guest_id)
    conversation.guest_name = known.name(conversation.guest_name) if conversation.guest_name else None
    conversation.guest_email = known.email(conversation.guest_email) if conversation.guest_email else None
    conversation.guest_phone = None
    conversation.ip_address = known.ip_address(conversation.ip_address) if conversation.ip_address else None
    conversation.title = known.text(conversation.title) if conversation.title else conversation.title
    conversation.summary = known.text(conversation.summary) if conversation.summary else conversation.summary
    conversation.anonymized = True


def _hide_message(message: Message, known: ConversationAnonymiser) -> None:
    message.text = known.text(message.text)
    for each in (*(message.ratings or ()), *(message.flags or ())):
        each["comment"] = known.text(each["comment"])
    if correction := message.correction:
        for name in ("question", "answer", "better_answer"):
            correction[name] = known.text(correction[name])
        for said in correction["context"]:
            said["content"] = known.text(said["content"])
