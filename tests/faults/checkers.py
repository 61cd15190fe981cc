"""The invariants, as functions from evidence to what is wrong with it. They know no service and touch nothing.

Each violation begins with the name of its invariant. A checker that never fails proves nothing: `test_twins.py` takes
away, one after the other, what each invariant rests on, and the checker has to notice.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from datetime import timedelta

from faults.evidence import Evidence, Row

FINAL = ("answered", "handed_over")
LATE = timedelta(minutes=10)
"""A message that comes this much later than it was written, after an answer, is kept and not answered."""


def stored_once(evidence: Evidence) -> list[str]:
    """I1: what was acknowledged is one message, word for word."""
    rows = Counter(row["external_id"] for row in evidence.messages if row["sender_type"] == "user")
    lost = [f"I1 lost: {mid} was acknowledged and is not there" for mid in sorted(evidence.acked) if not rows[mid]]
    twice = [f"I1 double: {mid} is there {count} times" for mid, count in rows.items() if count > 1]
    return lost + twice


def nothing_invented(evidence: Evidence) -> list[str]:
    """I2: every message of a customer was sent by them, every message of a person was written by one."""
    wrong: list[str] = []
    for row in evidence.messages:
        mid, text = row["external_id"], row["content"]
        if row["sender_type"] == "user" and evidence.sent.get(mid) != text:
            wrong.append(f"I2 invented: {mid} {text!r} was not sent")
        if row["sender_type"] == "human" and text not in evidence.by_people.values():
            wrong.append(f"I2 invented: no person wrote {text!r}")
    return wrong


def answered_once(evidence: Evidence) -> list[str]:
    """I3: one reply for each turn; each part of it reached Facebook at most once, to its customer, word for word."""
    wrong: list[str] = []
    replies = Counter(
        (row["conversation_id"], row["answered_seq"]) for row in evidence.replies if row["outcome"] in FINAL
    )
    wrong += [f"I3 double: turn {turn} has {count} replies" for turn, count in replies.items() if count > 1]
    customers = {row["id"]: row["customer"] for row in evidence.conversations}
    known = {row["marker"]: row for row in evidence.deliveries}
    parts: Counter[tuple[int, int]] = Counter()
    for send in evidence.accepted:
        delivery = known.get(send["marker"])
        if delivery is None:
            wrong.append(f"I3 unknown: Facebook accepted {send['text']!r}, which no delivery says")
            continue
        parts[delivery["message_id"], delivery["part"]] += 1
        if send["text"] != delivery["text"]:
            wrong.append(f"I3 altered: delivery {delivery['id']} left as {send['text']!r}")
        if send["recipient"] != customers[delivery["conversation_id"]]:
            wrong.append(f"I3 misdirected: delivery {delivery['id']} went to {send['recipient']}")
    wrong += [f"I3 double: part {part} was accepted {count} times" for part, count in parts.items() if count > 1]
    calls = Counter(call["marker"] for call in evidence.calls)
    for marker, count in calls.items():
        if marker in known and count > known[marker]["attempts"]:
            wrong.append(f"I3 unclaimed: delivery {known[marker]['id']} was posted {count} times")
    return wrong


def nobody_forgotten(evidence: Evidence) -> list[str]:
    """I4: at quiet everything a customer wrote is answered, a person's, or visibly ended with a reason."""
    wrong: list[str] = []
    turns = {row["conversation_id"]: row for row in evidence.turns}
    answered: dict[int, int] = defaultdict(int)
    for row in evidence.replies:
        if row["outcome"] in FINAL:
            answered[row["conversation_id"]] = max(answered[row["conversation_id"]], row["answered_seq"])
    conversations = {row["id"]: row for row in evidence.conversations}
    for row in evidence.messages:
        conversation, turn = conversations[row["conversation_id"]], turns.get(row["conversation_id"])
        if row["sender_type"] != "user" or conversation["handler"] == "human" or conversation["lifecycle"] != "open":
            continue
        late = turn and turn["answered_at"] and row["sent_at"] < turn["answered_at"] - LATE
        if row["seq"] > answered[conversation["id"]] and not late and row["unsent_at"] is None:
            wrong.append(f"I4 forgotten: conversation {conversation['id']} seq {row['seq']} has no answer")
    for turn in evidence.turns:
        if turn["due_at"] is not None or turn["lease_until"] is not None:
            wrong.append(f"I4 stuck: turn of conversation {turn['conversation_id']} is still due or leased")
    return wrong + _unsettled(evidence)


def _unsettled(evidence: Evidence) -> list[str]:
    wrong: list[str] = []
    for row in evidence.deliveries:
        if row["state"] in ("ready", "sending"):
            wrong.append(f"I4 stuck: delivery {row['id']} is still {row['state']}")
        elif row["state"] != "sent" and not row["reason"]:
            wrong.append(f"I4 silent: delivery {row['id']} is {row['state']} for no reason")
    for row in evidence.messages:
        if row["delivery_state"] in ("pending", "sending"):
            wrong.append(f"I4 stuck: message {row['id']} is still {row['delivery_state']}")
        if row["delivery_state"] in ("unknown", "failed") and not (row["requires_human"] or row["human_replied"]):
            wrong.append(f"I4 silent: message {row['id']} is {row['delivery_state']} and nobody is told")
    return wrong


def in_order(evidence: Evidence) -> list[str]:
    """I5: one order in each conversation, never changed, and the sender's where they wrote one after the other."""
    wrong: list[str] = []
    seqs: dict[int, list[int]] = defaultdict(list)
    for row in evidence.messages:
        seqs[row["conversation_id"]].append(row["seq"])
    last = {row["id"]: row["last_seq"] for row in evidence.conversations}
    for conversation, numbers in seqs.items():
        if sorted(numbers) != list(range(1, last[conversation] + 1)):
            wrong.append(f"I5 gaps: conversation {conversation} has {sorted(numbers)}, last {last[conversation]}")
    now = {row["id"]: row["seq"] for row in evidence.messages}
    wrong += [
        f"I5 moved: message {message} was {seq} and is {now.get(message)}"
        for message, seq in evidence.published.items()
        if now.get(message) != seq
    ]
    place = {row["external_id"]: (row["conversation_id"], row["seq"]) for row in evidence.messages}
    for order in evidence.orders:
        stored = [place[mid] for mid in order if mid in place]
        if stored != sorted(stored):
            wrong.append(f"I5 reordered: {order} is stored as {stored}")
    return wrong


def parts_in_order(evidence: Evidence) -> list[str]:
    """I5, the other direction: what Facebook accepted for a customer came in the order of the deliveries.

    Except what was unknown for a time: who is frozen between claim and send for longer than the claim sends late.
    """
    unknown = {row["message_id"] for row in evidence.events if row["type"] == "delivery.unknown"}
    known = {row["marker"]: row for row in evidence.deliveries if row["message_id"] not in unknown}
    sent: dict[int, list[int]] = defaultdict(list)
    for send in sorted(evidence.accepted, key=lambda line: line["t"]):
        if send["marker"] in known:
            sent[known[send["marker"]]["conversation_id"]].append(known[send["marker"]]["id"])
    return [f"I5 reordered: conversation {c} was sent {ids}" for c, ids in sent.items() if ids != sorted(ids)]


def silent_after_takeover(evidence: Evidence) -> list[str]:
    """I6: no claim to send something of the AI commits after a change of hands that came after it was written."""
    raised: dict[int, list[Row]] = defaultdict(list)
    for row in evidence.witness:
        if row["kind"] == "raise":
            raised[row["conversation_id"]].append(row)
    return [
        f"I6 talked over: delivery {claim['delivery_id']} of epoch {claim['epoch']} was claimed after {change['epoch']}"
        for claim in evidence.witness
        if claim["kind"] == "claim" and claim["epoch"] is not None
        for change in raised[claim["conversation_id"]]
        if change["epoch"] > claim["epoch"] and change["committed_at"] < claim["committed_at"]
    ]


def back_to_baseline(before: Row, after: Row, *, memory: float = 1.25, slack: int = 40_000_000) -> list[str]:
    """I12: what there is of each thing, and {process: bytes} of memory, is as it was before the storm.

    ``ended``: how often a loop of the service failed. It begins anew, and others do its work: nothing else would tell.
    """
    wrong = [
        f"I12 left behind: {after[name]} {name}, at first {before[name]}"
        for name in ("leases", "sending", "in_transaction", "connections", "files", "ended")
        if after[name] > before[name]
    ]
    wrong += [
        f"I12 grown: {process} from {was} to {after['memory'][process]} bytes"
        for process, was in before["memory"].items()
        if process in after["memory"] and after["memory"][process] > was * memory + slack
    ]
    return wrong


CHECKERS: Sequence[Callable[[Evidence], list[str]]] = (
    stored_once,
    nothing_invented,
    answered_once,
    nobody_forgotten,
    in_order,
    parts_in_order,
    silent_after_takeover,
)


def check(evidence: Evidence) -> list[str]:
    """Everything that is wrong, over all invariants."""
    return [violation for checker in CHECKERS for violation in checker(evidence)]
