"""Switchboard answers a business's customers with AI, keeps every conversation, and lets people step in."""

__version__ = "0.1.0"
