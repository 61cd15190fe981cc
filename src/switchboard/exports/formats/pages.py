"""The templates of the HTML archive. Whatever is put into one is escaped: nothing in a conversation is markup."""

import base64
import hashlib
from datetime import datetime
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from switchboard.http.pages import templates

_STATUSES = {"active": "open", "support_active": "open, with a person"}


class Pages:
    """The templates, with the times in one zone."""

    def __init__(self, zone: str) -> None:
        self._zone = ZoneInfo(zone)
        self._environment = Environment(
            loader=FileSystemLoader(templates() / "exports"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            auto_reload=False,
        )
        self._environment.filters |= {
            "local": self.local,
            "status": _status,
            "words": _words,
        }

    def fill(self, name: str, /, **values: object) -> str:
        """The template of this name, filled in."""
        return self._environment.get_template(f"{name}.html").render(values)

    def moment(self, time: str) -> datetime:
        """An ISO 8601 time on the clock of the zone."""
        return datetime.fromisoformat(time).astimezone(self._zone)

    def local(self, time: str) -> str:
        """The same for people, to the minute."""
        return f"{self.moment(time):%Y-%m-%d %H:%M}"


def _status(status: str) -> str:
    return _STATUSES.get(status, status)


def _words(name: str) -> str:
    return name.replace("_", " ")


def policy() -> str:
    """What a browser may do with a page: show it with its own style, and run its own script. Nothing else."""
    return (
        f"default-src 'none'; style-src {_hash('page.css')}; script-src {_hash('page.js')}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(name: str) -> str:
    text = (templates() / "exports" / name).read_bytes()
    return f"'sha256-{base64.b64encode(hashlib.sha256(text).digest()).decode()}'"
