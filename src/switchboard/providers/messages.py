"""What we make of an answer in Anthropic's wire, "messages".

Source: https://docs.claude.com/en/docs/build-with-claude/streaming. A message is a row of numbered blocks, of text or
of one tool call each; the reason why it stopped comes before the last event, `message_stop`.
"""

from switchboard.providers import Chunk, Prompt, Usage
from switchboard.providers.events import Event, inner, number, text
from switchboard.providers.failures import Server, broken_off
from switchboard.providers.spoken import Call, Finish, Spoken

_FINISH: dict[str, Finish] = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "filter",
    "tool_use": "tool",
}


class Answer:
    """Gathers the events of one stream."""

    def __init__(self, prompt: Prompt, server: Server) -> None:
        self._server = server
        self._spoken = Spoken(prompt, server.name)
        self._calls: dict[int, Call] = {}
        self._told: Event = {}
        self._ended = False

    def take(self, event: Event) -> str:
        """The text in ``event``. Raises `ProviderBusy` for an error, and when the answer grows beyond all measure."""
        match event.get("type"):
            case "content_block_delta":
                return self._take_delta(event)
            case "content_block_start":
                self._take_start(event)
            case "message_start":
                self._spoken.model = text(inner(event, "message").get("model"))
                self._told |= inner(inner(event, "message"), "usage")
            case "message_delta":
                self._take_stop(event)
            case "message_stop":
                self._ended = True
            case "error":
                raise broken_off(event, self._server)
            case _:
                pass  # New kinds of events may come at any time, says the source.
        return ""

    def end(self) -> list[Chunk]:
        """What follows the text. Raises `ProviderBusy` or `ProviderRefused` when it was no whole answer."""
        self._spoken.calls = list(self._calls.values())
        self._spoken.usage = _usage(self._told)
        return self._spoken.end(whole=self._ended and self._spoken.finish is not None, marker="message_stop")

    def _take_start(self, event: Event) -> None:
        block = inner(event, "content_block")
        if block.get("type") == "tool_use":
            self._calls[number(event, "index")] = Call(text(block.get("id")), text(block.get("name")))

    def _take_delta(self, event: Event) -> str:
        delta = inner(event, "delta")
        call = self._calls.get(number(event, "index"))
        if call is not None:
            arguments = text(delta.get("partial_json"))
            self._spoken.count(arguments)
            call.arguments.append(arguments)
            return ""
        return self._spoken.say(text(delta.get("text")))

    def _take_stop(self, event: Event) -> None:
        delta = inner(event, "delta")
        if reason := text(delta.get("stop_reason")):
            self._spoken.finish = _FINISH.get(reason, "stop")
        self._spoken.refusal = text(inner(delta, "stop_details").get("explanation"))
        # Totals, and those that did not change may be left out.
        self._told |= {name: value for name, value in inner(event, "usage").items() if value is not None}


def _usage(told: Event) -> Usage | None:
    """Its input tokens are without those from or for the cache; ours are with both."""
    cached = number(told, "cache_read_input_tokens")
    usage = Usage(
        number(told, "input_tokens") + cached + number(told, "cache_creation_input_tokens"),
        number(told, "output_tokens"),
        cached,
        number(inner(told, "output_tokens_details"), "thinking_tokens"),
    )
    return usage if usage.input_tokens or usage.output_tokens else None
