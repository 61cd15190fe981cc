"""Files in a private bucket of Supabase Storage, over its REST API, https://supabase.com/docs/guides/storage.

The bucket is made by the first file that finds it missing.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, BinaryIO

import aiohttp
import orjson
from yarl import URL

from switchboard.errors import NotFound, Unavailable

PIECE = 256 * 1024
_TIMEOUT = aiohttp.ClientTimeout(total=60, connect=5)
_LONG = aiohttp.ClientTimeout(total=None, connect=5, sock_read=60)
"""For files as large as they come, and readers as slow: a minute in which nothing comes is too long."""


class SupabaseStorage:
    """A `Storage`; ``http`` stays the caller's."""

    def __init__(self, http: aiohttp.ClientSession, url: str, service_key: str, bucket: str) -> None:
        self._http = http
        self._url = URL(url) / "storage" / "v1"
        self._headers = {"apikey": service_key, "Authorization": f"Bearer {service_key}"}
        self._bucket = bucket

    async def put(self, key: str, content: bytes, content_type: str) -> None:
        """Keeps a file, and makes the bucket if it is missing."""
        await self._put(key, content, {"Content-Type": content_type})

    async def put_file(self, key: str, file: BinaryIO, content_type: str) -> None:
        """Keeps what is in an open file."""
        size = await asyncio.to_thread(file.seek, 0, 2)
        await self._put(key, file, {"Content-Type": content_type, "Content-Length": str(size)})

    async def link(self, key: str, name: str, seconds: int) -> str | None:
        """A signed URL. Source: https://supabase.com/docs/guides/storage/serving/downloads."""
        address = self._url.joinpath("object", "sign", self._bucket, *key.split("/"))
        async with self._ask("POST", address, json={"expiresIn": seconds}) as answer:
            if answer.status != 200:
                raise await _failure(answer)
            told: str = (await answer.json())["signedURL"]
        return str(URL(f"{self._url}{told}", encoded=True).update_query(download=name))

    async def read(self, key: str) -> AsyncIterator[bytes]:
        """The file in pieces."""
        try:
            async with self._http.get(self._object(key), headers=self._headers, timeout=_LONG) as answer:
                if answer.status != 200:
                    raise await _failure(answer)
                async for piece in answer.content.iter_chunked(PIECE):
                    yield piece
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _away(error) from None

    async def delete(self, key: str) -> None:
        """Removes a file."""
        address = self._url / "object" / self._bucket
        async with self._ask("DELETE", address, json={"prefixes": [key]}) as answer:
            if answer.status >= 400 and not isinstance(error := await _failure(answer), NotFound):
                raise error

    async def _put(self, key: str, content: bytes | BinaryIO, headers: dict[str, str]) -> None:
        if not await self._upload(key, content, headers):
            await self._make_bucket()
            if not await self._upload(key, content, headers):
                raise Unavailable(f"Supabase Storage has no bucket {self._bucket!r} and makes none.")

    async def _upload(self, key: str, content: bytes | BinaryIO, headers: dict[str, str]) -> bool:
        """Whether it was kept; not if there is no bucket."""
        # In pieces of our own: aiohttp closes a file that it is given, and a second try may need it.
        data = content if isinstance(content, bytes) else _pieces(content)
        headers = {**headers, "x-upsert": "true"}
        async with self._ask("POST", self._object(key), data=data, headers=headers, timeout=_LONG) as answer:
            if answer.status < 300:
                return True
            error = await _failure(answer)
            if isinstance(error, NotFound):
                return False
            raise error

    async def _make_bucket(self) -> None:
        bucket = {"id": self._bucket, "name": self._bucket, "public": False}
        async with self._ask("POST", self._url / "bucket", json=bucket) as answer:
            # Another process may have been faster: the upload that follows tells.
            await answer.read()

    def _ask(self, method: str, address: URL, **request: Any) -> "_Asking":
        headers = {**self._headers, **request.pop("headers", {})}
        timeout = request.pop("timeout", _TIMEOUT)
        return _Asking(self._http.request(method, address, headers=headers, timeout=timeout, **request))

    def _object(self, key: str) -> URL:
        return self._url.joinpath("object", self._bucket, *key.split("/"))


async def _pieces(file: BinaryIO) -> AsyncIterator[bytes]:
    await asyncio.to_thread(file.seek, 0)
    while piece := await asyncio.to_thread(file.read, PIECE):
        yield piece


class _Asking:
    """A request whose failures on the way are `Unavailable`."""

    def __init__(self, request: Any) -> None:
        self._request = request

    async def __aenter__(self) -> aiohttp.ClientResponse:
        try:
            answer: aiohttp.ClientResponse = await self._request.__aenter__()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _away(error) from None
        return answer

    async def __aexit__(self, *error: Any) -> None:
        await self._request.__aexit__(*error)


async def _failure(answer: aiohttp.ClientResponse) -> NotFound | Unavailable:
    """What an error means; Storage answers 400 and puts the status it means into the body."""
    try:
        content = orjson.loads(await answer.read())
    except orjson.JSONDecodeError:
        content = None
    meant = str(content.get("statusCode")) if isinstance(content, dict) else ""  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
    if answer.status == 404 or meant == "404":
        return NotFound("The file is not there any more.")
    return Unavailable(f"Supabase Storage refuses (HTTP {answer.status}): check its key and the bucket.")


def _away(error: Exception) -> Unavailable:
    return Unavailable(f"Supabase Storage cannot be reached ({type(error).__name__}).")
