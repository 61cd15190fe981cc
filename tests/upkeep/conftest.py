from stands.served import client, settings, sql

__all__ = ["client", "settings", "sql"]
