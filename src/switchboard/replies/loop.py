"""Whether a machine is at the other end that answers at once, whatever it gets: two of them would go on for ever."""

from switchboard.replies.turn import Line, Turn

MOST_ANSWERS = 8
"""In a row that were each answered at once."""
AT_ONCE_SECONDS = 5.0
"""Between our answer and the next message: nobody reads and writes that fast so often."""


def is_loop(turn: Turn) -> bool:
    """Whether the last `MOST_ANSWERS` of ours were each followed at once by a message, without a person in between.

    Where a program asks for its user we do not look: it may well be a machine, and wants to be answered.
    """
    if turn.account.startswith("workspace:"):
        return False
    quick, following = 0, None
    for line in reversed(turn.transcript):
        if line.sender_type == "user":
            following = line
        elif line.sender_type != "bot" or following is None or _pause(line, following) > AT_ONCE_SECONDS:
            break
        else:
            quick, following = quick + 1, None
    return quick >= MOST_ANSWERS


def _pause(line: Line, following: Line) -> float:
    return (following.sent_at - line.sent_at).total_seconds()
