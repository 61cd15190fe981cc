"""One document, read in a process that ends with it: `python -m switchboard.knowledge.readers KIND` < bytes > JSON.

Prints ``{"sections": [[path, text, whole], …]}`` or ``{"unreadable": "why"}``. Ends with another status for whatever
else happens: see `switchboard.knowledge.apart`, which starts it, for what that means.
"""

import json
import resource
import sys
from typing import cast

from switchboard.knowledge.readers import Kind, Unreadable, read

MOST_MEMORY = 1_000_000_000
"""Bytes of address space; a file that needs more to be read was made to."""
MOST_CPU_SECONDS = 20


def main() -> None:
    """Reads standard input to its end and says what is in it."""
    for limit, most in (
        (resource.RLIMIT_CPU, MOST_CPU_SECONDS),
        (resource.RLIMIT_AS, MOST_MEMORY),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (most, most))
    answer: dict[str, object]
    try:
        sections = read(cast(Kind, sys.argv[1]), sys.stdin.buffer.read())
        answer = {"sections": [[section.path, section.text, section.whole] for section in sections]}
    except Unreadable as error:
        answer = {"unreadable": str(error)}
    except (MemoryError, RecursionError):
        answer = {"unreadable": "It takes too much memory to read this document: split it, or save it anew."}
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main()
