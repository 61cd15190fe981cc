"""Conversations and messages as clients see them: reading, searching, and what people do with them.

Promises: whatever is not the caller's is not there (404); every change of hands raises the epoch, which fences
AI replies.
The rules are SQL: `20_conversations.sql`, `25_handling.sql`, `27_status.sql`.
Does not know: how replies are made or delivered.
"""
