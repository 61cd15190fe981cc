"""Conversations as files: streamed as they are read, never stored.

    asked.py          what may be asked for: filters, options, format
    read.py           the source: pages of conversations, up to a watermark
    conversation.py   what a source gives and formats are given
    hide.py           the same with nobody to be recognised
    manifest.py       what a file says of itself: filters, counts, hash
    formats/          conversations in, bytes out; knows no SQL
    build.py          joins these: a file being written, and its entry in the audit trail
    preview.py        the first rows of one, and how large it would be
    verify.py         a file read again: whole, and as it was written
    send.py           a file as the answer to a request that may go away
    routes.py         `/crm/ai-conversations/` and `/api/exports/verify`

Promises: every message that was there when an export began is in it once, whatever is written meanwhile; memory does
not grow with the number of rows; no transaction is open while a reader is slow; without a manifest a file is not
complete. The same question with the same watermark (and the same pseudonym key) gives the same bytes. Does not know:
how anything is hidden (`privacy`), or who may ask (`84_exports.sql`).
"""
