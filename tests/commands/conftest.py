from stands.served import sql

__all__ = ["sql"]
