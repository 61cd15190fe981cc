"""What a process of the service is told, and the few things that are shorter here than they would be by default."""

from stands.app import APP_SECRET, JWT_SECRET, PAGE, VERIFY_TOKEN
from stands.pooler import database_environment

APP_ID = "47110815"
TURN_LEASE_SECONDS = 1.0
QUIET_SECONDS = 0.05
"""The workspaces' own quiet time, after which a burst counts as over."""


def environment(dsn: str, graph: str, model: str, data: str, **more: str) -> dict[str, str]:
    """What a process of the service is told. ``data``: the folder that all processes of a machine share."""
    return {
        **database_environment(dsn),
        "DATA_DIR": data,
        "JWT_SECRET": JWT_SECRET,
        "LOG_FORMAT": "json",
        "SHUTDOWN_SECONDS": "3",
        "REPLY_CONCURRENCY": "6",
        "WORKSPACE_CONCURRENCY": "64",
        "TURN_LEASE_SECONDS": str(TURN_LEASE_SECONDS),
        "TURN_POLL_SECONDS": "0.05",
        "FACEBOOK_APP_SECRET": APP_SECRET,
        "FACEBOOK_VERIFY_TOKEN": VERIFY_TOKEN,
        "FACEBOOK_PAGE_ID": PAGE,
        "FACEBOOK_PAGE_ACCESS_TOKEN": "a-page-token-for-the-tests-only",
        "FACEBOOK_APP_ID": APP_ID,
        "FACEBOOK_GRAPH_URL": graph,
        "OPENAI_API_KEY": "a-key-for-the-tests",
        "OPENAI_BASE_URL": model,
        "DEFAULT_MODEL": "openai:gpt-5.4-mini",
        **dict.fromkeys(("RATE_LIMIT_CALLER", "RATE_LIMIT_WORKSPACE", "RATE_LIMIT_CUSTOMER"), "0"),
        **more,
    }
