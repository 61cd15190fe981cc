"""What a webhook reports: `entry[]`, and in each `messaging[]`, `standby[]` and `changes[]`.

Nothing signed is left out: what is not understood is an `Inbound` of kind ``unknown`` with its own payload in ``raw``
and the reason in ``data["reason"]``, and costs its neighbours nothing.
"""

from collections.abc import Callable
from typing import Any

from switchboard.channels import Inbound
from switchboard.channels.document import Cleaner, Document, decode, is_list, is_object, load
from switchboard.channels.fields import Broken, Fields
from switchboard.channels.messenger.envelope import Source, unknown
from switchboard.channels.messenger.events import read_change, read_event, read_standby

_PLATFORMS = {"page": "messenger", "instagram": "instagram"}
_READERS: dict[str, Callable[[Any, Source], Inbound]] = {
    "messaging": read_event,
    "standby": read_standby,
    "changes": read_change,
}


def parse(body: bytes) -> list[Inbound]:
    """One `Inbound` for each thing reported, in the body's order."""
    document = load(body)
    if document is None or not is_object(document.value):
        return [_unreadable(body)]
    source = _body_source(document, document.value.get("object"))
    entries = document.value.get("entry")
    if not is_list(entries):
        return [unknown(document.value, source, "entry is no list")]
    found: list[Inbound] = []
    for entry in entries:
        found += _entry(entry, source)
    return found


def _entry(entry: Any, body: Source) -> list[Inbound]:
    if not is_object(entry):
        return [unknown(entry, body, "the entry is no object")]
    source = _entry_source(entry, body)
    found: list[Inbound] = []
    for key, read in _READERS.items():
        items = entry.get(key)
        if is_list(items):
            found += [read(item, source) for item in items]
        elif items is not None:
            found.append(unknown({key: items}, source, f"{key} is no list"))
    return found or [unknown(entry, source, "the entry holds no event")]


def _body_source(document: Document, name: Any) -> Source:
    platform = _PLATFORMS.get(name, "unknown") if isinstance(name, str) else "unknown"
    fault = "object is neither page nor instagram" if platform == "unknown" else ""
    return Source(platform, account="", fault=fault, tidy=document.tidy, repaired=document.repaired)


def _entry_source(entry: dict[str, Any], body: Source) -> Source:
    """The entry's account is its own id: Meta's pages disagree on how else to tell whose event it is."""
    cleaner = Cleaner(tidy=body.tidy, changed=body.repaired)
    try:
        account, fault = Fields(entry, "entry", cleaner).identifier("id"), body.fault
    except Broken as broken:
        account, fault = "", str(broken)
    return Source(body.platform, account=account, fault=fault, tidy=body.tidy, repaired=cleaner.changed)


def _unreadable(body: bytes) -> Inbound:
    text = decode(body)
    data: dict[str, Any] = {"reason": "the body is no JSON object"}
    if text.encode() != body:
        data["sanitised"] = True
    return Inbound("unknown", "unknown", "", "", None, data=data, raw={"body": text})
