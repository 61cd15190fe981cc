"""The border of an SDK: what every vendor's adapter does alike to get in and to get errors out."""

import asyncio
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar
from urllib.parse import urlsplit

from switchboard.errors import ProviderBusy, ProviderError, ProviderMisconfigured
from switchboard.providers.failures import Server, from_status

Sdk = TypeVar("Sdk")
StatusAnswer = tuple[int, object, Mapping[str, str]]
"""Status, body and headers of an answer that is none of 2xx."""


@dataclass(frozen=True, slots=True)
class Account:
    """Where a vendor is reached and with which key; ``url`` has no slash at its end.

    ``key``: a word in its place where a server needs none, because SDKs insist on one.
    ``is_vendors``: whether it is the vendor's own server, whose prices are known.
    """

    url: str
    key: str
    is_vendors: bool
    server: Server


def account(
    vendor: str, api_key: str | None, base_url: str | None, *, default: str, settings: tuple[str, str]
) -> Account:
    """Checks key and address. ``settings``: the variables that hold them, for the errors' texts.

    Raises `ProviderMisconfigured` when one of them could never be sent: a header that cannot be written fails with the
    key in the error's text, so it must not come to that.
    """
    key = (api_key or "").strip()
    if not (key.isascii() and key.isprintable()):
        raise ProviderMisconfigured(f"{settings[0]} holds characters that no key has: copy it again.", fault="key")
    url = (base_url or default).rstrip("/")
    host, own = _host(url, settings[1]), _host(default, settings[1])
    is_vendors = host == own or host.endswith(f".{own}")
    return Account(url, key or "none", is_vendors, Server(vendor if is_vendors else host, *settings, key or None))


def _host(url: str, setting: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ProviderMisconfigured(f"{setting} is no address: it looks like https://host.example/v1.")
    return parts.hostname


class Opened(Generic[Sdk]):
    """An SDK's client, made once in a thread when it is first needed: importing takes a third of a second."""

    def __init__(self, make: Callable[[], Sdk]) -> None:
        self._make = make
        self._lock = asyncio.Lock()
        self.client: Sdk | None = None

    async def get(self) -> Sdk:
        """The client, the same for all."""
        async with self._lock:
            if self.client is None:
                self.client = await asyncio.to_thread(self._make)
            return self.client


@contextmanager
def translated(
    server: Server, model: str, patience: float, answered: Callable[[Exception], StatusAnswer | None]
) -> Generator[None]:
    """Turns whatever is raised inside into `ProviderBusy`, `ProviderRefused` or `ProviderMisconfigured`.

    ``answered`` finds the status in an SDK's own error. That error is left out as a cause, because its text is the
    server's, which may repeat the key.
    """
    try:
        yield
    except ProviderError:
        raise
    except Exception as error:
        if answer := answered(error):
            status, body, headers = answer
            raise from_status(status, body, headers, model=model, server=server) from None
        for one in (error, error.__cause__):
            if isinstance(one, ProviderError):
                raise one from None
            if one and (failure := _of_the_wire(one, server, patience)):
                raise failure from error
        raise ProviderBusy(
            f"{server.name} sent something that is no answer ({type(error).__name__}).", fault="broken"
        ) from error


def _of_the_wire(error: BaseException, server: Server, patience: float) -> ProviderError | None:
    import httpx2

    kind = type(error).__name__
    if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):
        return ProviderBusy(f"{server.name} cannot be reached ({kind}).", fault="unreachable", turned_away=True)
    if isinstance(error, httpx2.TimeoutException | TimeoutError):
        return ProviderBusy(f"{server.name} sent nothing for {patience:g} seconds.", fault="timeout")
    if isinstance(error, httpx2.TransportError):
        return ProviderBusy(f"{server.name} hung up ({kind}).", fault="broken")
    return None
