"""npm's `@copilotkit/aimock`: the vendors' wires as a stranger reads them, beside our own stand."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

STANDS = Path(__file__).parent
PACKAGE = STANDS.parent / "node_modules" / "@copilotkit" / "aimock"
NODE = Path(sys.executable).with_name("node")


def missing() -> str | None:
    """Why it cannot be started here."""
    return None if PACKAGE.exists() and NODE.exists() else "aimock is not installed: run `make setup-dev`"


class Aimock:
    """Answers by what the user says last: ``{"asked": …, "response": …}`` and the like, see its guide to fixtures."""

    def __init__(self, *fixtures: dict[str, Any]) -> None:
        self._fixtures = json.dumps(fixtures)

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [NODE, STANDS / "aimock.mjs", self._fixtures], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        assert self.url.startswith("http://"), "aimock did not start"
        return self

    def __exit__(self, *_: object) -> None:
        # It ends by itself when nobody is there any more.
        self._process.communicate(timeout=10)

    def url_of(self, vendor: str) -> str:
        """For the vendor's base URL."""
        return f"{self.url}/v1" if vendor in {"openai", "compatible"} else self.url
