"""Summaries of conversations: what was said, in short, for prompts of long ones and for people who take over.

    make.py      claimed under a lease → written → kept
    write.py     by the model of SUMMARY_MODEL, booked in the ledger whatever becomes of it
    extract.py   without any model: the conversation's own sentences
    routes.py    `/api/summaries`

Promises: no reply and no request waits for one; what a customer has taken back stands in none.
The rules are SQL: `65_summaries.sql`. Does not know: how prompts are built.
"""
