"""Which pages in browsers may talk to us."""

from urllib.parse import urlsplit


def allows(origin: str | None, *, host: str | None, origins: tuple[str, ...]) -> bool:
    """Whether a page from ``origin`` (the header; None: no browser's page) may open a WebSocket here.

    ``host``: the Host header, whose own pages always may. ``origins``: `CORS_ORIGINS`, where `*` is everybody.
    Browsers ask nobody before they open a WebSocket, so what CORS does for requests has to be done here.
    """
    if origin is None or "*" in origins or origin in origins:
        return True
    return host is not None and urlsplit(origin).netloc == host
