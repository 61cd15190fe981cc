"""The HTTP client that SDKs are given: its patience, its connections, and a cap on what may come in.

Imported only when a provider that needs it is first opened. No answer of a server can make the process grow: a body is
read up to `MOST_BYTES`, a line of it (SDKs keep one whole line in memory) up to `MOST_LINE_BYTES`, and compressed
answers are refused, because a small one can unfold to any size.
"""

from collections.abc import AsyncIterator
from typing import Any, cast

import httpx2

from switchboard.errors import ProviderBusy

MOST_BYTES = 32_000_000
"""Of one answer as it comes over the wire. A streamed token is about 300 bytes of JSON there."""
MOST_LINE_BYTES = 1_000_000
MOST_ERROR_BYTES = 100_000
"""Of an answer with an error status, which is read as a whole; what comes after is left out."""
CONNECT_SECONDS = 5.0


def open_client(*, patience: float, door: bool = False) -> "CappedClient":
    """A client that waits ``patience`` seconds for each next piece of an answer and follows no redirects.

    A redirect would send the customer's words, and on the same host the key, to an address nobody configured.
    ``door``: as a `DoorClient`.
    """
    return (DoorClient if door else CappedClient)(
        timeout=httpx2.Timeout(patience, connect=min(CONNECT_SECONDS, patience)),
        limits=httpx2.Limits(max_connections=1000, max_keepalive_connections=100, keepalive_expiry=30),
        headers={"accept-encoding": "identity"},
        follow_redirects=False,
    )


class CappedClient(httpx2.AsyncClient):
    """An ordinary client whose answers end with `ProviderBusy` once they are larger than anything sensible."""

    async def send(self, request: httpx2.Request, *, stream: bool = False, **options: Any) -> httpx2.Response:
        """As `httpx2.AsyncClient.send`. Raises `ProviderBusy` for a compressed or an endless answer."""
        response = await super().send(request, stream=True, **options)
        try:
            if response.headers.get("content-encoding", "identity") != "identity":
                raise ProviderBusy("The provider sent a compressed answer, though it was asked not to.", fault="broken")
            stream_of_bytes = cast(httpx2.AsyncByteStream, response.stream)
            response.stream = _Short(stream_of_bytes) if response.is_error else _Capped(stream_of_bytes)
            if not stream:
                await response.aread()
        except BaseException:
            await response.aclose()
            raise
        return response


class Answered(Exception):
    """An answer that was kept from the SDK."""

    def __init__(self, response: httpx2.Response) -> None:
        self.response = response
        super().__init__("answered")


class DoorClient(CappedClient):
    """A client for an SDK that gives no access to its answers: raises a good one as `Answered`, through the SDK."""

    async def send(self, request: httpx2.Request, *, stream: bool = False, **options: Any) -> httpx2.Response:
        """As `CappedClient.send` for an answer with an error status; raises `Answered` for all others."""
        response = await super().send(request, stream=True, **options)
        if response.is_success:
            raise Answered(response)
        if not stream:
            await response.aread()
        return response


class _Capped(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        total = line = 0
        async for piece in self._stream:
            end_of_line = piece.rfind(b"\n")
            line = len(piece) - end_of_line - 1 + (line if end_of_line < 0 else 0)
            total += len(piece)
            if total > MOST_BYTES or line > MOST_LINE_BYTES:
                raise ProviderBusy("The provider sent more than an answer can be.", fault="broken")
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()


class _Short(_Capped):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        total = 0
        async for piece in self._stream:
            yield piece
            total += len(piece)
            if total > MOST_ERROR_BYTES:
                return
