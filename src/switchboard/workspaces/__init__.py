"""Workspaces: the first one, and how each wants to be answered for: model, hours, texts, prompts, own keys.

    first.py          the first workspace of an installation
    config.py         the routes of config and default handler
    prompts.py        the versions of the prompts
    config_shapes.py  what they take and answer
    hours.py          business hours, pure
    provider_keys.py  workspaces' own provider keys, encrypted

Promises: starting twice makes one workspace; a change of a prompt is a new version and the old ones stay; a key that
came in never goes out again. The rules are SQL: `12_ai_config.sql`. Does not know: conversations.
"""
