"""Workspaces: the first one and what it knows at the start.

Promises: starting twice makes one workspace. Does not know: conversations.
"""
