"""Asking: a program names its user and gets the answer, whole or as it is written; and what visitors of a page may do.

    asked.py    what an answer looks like, as JSON and as events
    routes.py   `/api/v1/ai/ask`, `sessions`, and what is said in one
    guests.py   `/api/v1/chat`: a visitor's own conversation, and no other

Promises: the same `client_nonce` or Idempotency-Key is the same message, and the same answer; a reply never depends on
whether somebody still listens; a guest sees nothing but their conversation, and of that only what was said to them.
Does not know: how a reply comes about (`replies`).
"""
