"""Answering: one reply for each turn of a customer, sent once, never over a person.

Promises: a turn is leased to one worker and fenced (`turns.py`); a reply is stored before it is sent; the claim to send
compares the conversation's epoch in the statement that claims; a send whose outcome is unknown is never repeated.
The rules themselves are SQL: `40_replies.sql` and `45_deliveries.sql` in `supabase/schemas/`. Does not know: webhooks,
signatures, vendors' JSON.
"""
