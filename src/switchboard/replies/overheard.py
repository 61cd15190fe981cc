"""Who waits for a reply hears it while this process writes it.

A hint only: what a reply is, the database says. If another process writes it, nothing is heard here, and whoever waits
finds the reply when it is stored. Nobody who listens is waited for, and nothing is kept for anybody.
"""

import asyncio
from collections import OrderedDict, deque
from dataclasses import dataclass
from types import TracebackType
from typing import Self

ENDED = 1000
"""Turns whose end is remembered, for those who begin to listen just after it."""


@dataclass(frozen=True, slots=True)
class Piece:
    """What was written next."""

    text: str


@dataclass(frozen=True, slots=True)
class Void:
    """What was heard so far will not be the reply: ``reason`` as in `replies.outcome`, or ``lost``."""

    reason: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The turn is done, and what became of it is in the database."""


Heard = Piece | Void | Ended
KEPT = frozenset({"answered", "handed_over"})
"""Outcomes of turns whose reply is what was heard."""


class Overheard:
    """The drafts that this process writes, and who listens to them."""

    def __init__(self) -> None:
        self._ears: dict[int, set[Ear]] = {}
        self._voices: dict[int, Voice] = {}
        self._ended: OrderedDict[int, int] = OrderedDict()

    def begin(self, conversation_id: int, seq_in: int, preface: str = "") -> "Voice":
        """The draft that answers everything up to ``seq_in``; ``preface`` is put before whatever it says."""
        voice = self._voices[conversation_id] = Voice(self, conversation_id, seq_in, preface)
        for ear in self._ears.get(conversation_id, ()):
            ear.attach(voice)
        return voice

    def listen(self, conversation_id: int, seq: int) -> "Ear":
        """For the reply to the message ``seq``: what has been said of it already comes first. To be entered."""
        ear = Ear(self, conversation_id, seq)
        self._ears.setdefault(conversation_id, set()).add(ear)
        if voice := self._voices.get(conversation_id):
            ear.attach(voice)
        elif self._ended.get(conversation_id, 0) >= seq:
            ear.hear(Ended())
        return ear

    def leave(self, ear: "Ear") -> None:
        """Tells it nothing more."""
        ears = self._ears.get(ear.conversation_id, set())
        ears.discard(ear)
        if not ears:
            self._ears.pop(ear.conversation_id, None)

    def tell(self, voice: "Voice", heard: Heard) -> bool:
        """Everybody who listens to this draft; whether anybody does."""
        ears = [ear for ear in self._ears.get(voice.conversation_id, ()) if ear.voice is voice]
        for ear in ears:
            ear.hear(heard)
        return bool(ears)

    def end(self, voice: "Voice") -> None:
        """The draft is over."""
        if self._voices.get(voice.conversation_id) is voice:
            del self._voices[voice.conversation_id]
        self._ended[voice.conversation_id] = voice.seq_in
        self._ended.move_to_end(voice.conversation_id)
        if len(self._ended) > ENDED:
            self._ended.popitem(last=False)


class Voice:
    """One draft, as it is said aloud: without the white space around it, for so it will be stored."""

    __slots__ = ("_held", "_overheard", "_preface", "conversation_id", "heard", "seq_in", "text")

    def __init__(self, overheard: Overheard, conversation_id: int, seq_in: int, preface: str) -> None:
        self._overheard = overheard
        self._preface = preface
        self._held: str = ""
        self.conversation_id = conversation_id
        self.seq_in = seq_in
        self.text: str = ""
        self.heard: bool = False
        """Whether somebody has read some of it: then no other model may begin it anew."""

    def say(self, text: str) -> None:
        """The model has written ``text``. White space waits for what comes behind it."""
        held = self._held + text
        visible = held.rstrip() if self.text else held.strip()
        if not visible:
            self._held = held if self.text else ""
            return
        self._held = held[len(held.rstrip()) :]
        piece = visible if self.text else self._preface + visible
        self.text += piece
        self.heard |= self._overheard.tell(self, Piece(piece))

    def begin_again(self) -> None:
        """Another model writes it from scratch."""
        if self.heard:
            self._overheard.tell(self, Void("failed"))
        self.text, self._held, self.heard = "", "", False

    def end(self, outcome: str) -> None:
        """The turn is done: ``outcome`` says whether what was said holds."""
        if self.heard and outcome not in KEPT:
            self._overheard.tell(self, Void(outcome))
        self._overheard.tell(self, Ended())
        self._overheard.end(self)


class Ear:
    """Somebody who waits for the reply to one message."""

    __slots__ = ("_event", "_heard", "_overheard", "_seq", "conversation_id", "voice")

    def __init__(self, overheard: Overheard, conversation_id: int, seq: int) -> None:
        self._overheard = overheard
        self._seq = seq
        self._heard: deque[Heard] = deque()
        self._event = asyncio.Event()
        self.conversation_id = conversation_id
        self.voice: Voice | None = None

    @property
    def listening(self) -> bool:
        """Whether the reply is being written here, now."""
        return self.voice is not None

    def attach(self, voice: Voice) -> None:
        """To this draft, unless it answers only what was said before."""
        if voice.seq_in < self._seq:
            return
        if self.voice is not None and self.voice.heard:
            self.hear(Void("lost"))
        self.voice = voice
        if voice.text:
            voice.heard = True
            self.hear(Piece(voice.text))

    def hear(self, heard: Heard) -> None:
        """Puts it where `next` finds it."""
        if isinstance(heard, Ended):
            self.voice = None
        self._heard.append(heard)
        self._event.set()

    async def next(self, seconds: float) -> Heard | None:
        """The next thing that is heard, or None after ``seconds`` of silence."""
        if not self._heard:
            self._event.clear()
            try:
                async with asyncio.timeout(seconds):
                    await self._event.wait()
            except TimeoutError:
                return None
        return self._heard.popleft() if self._heard else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._overheard.leave(self)
