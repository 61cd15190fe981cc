"""Files in a private bucket of Supabase Storage, over its REST API, https://supabase.com/docs/guides/storage.

The bucket is made by the first file that finds it missing.
"""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import orjson
from yarl import URL

from switchboard.errors import NotFound, Unavailable

PIECE = 256 * 1024
_TIMEOUT = aiohttp.ClientTimeout(total=60, connect=5)


class SupabaseStorage:
    """A `Storage`; ``http`` stays the caller's."""

    def __init__(self, http: aiohttp.ClientSession, url: str, service_key: str, bucket: str) -> None:
        self._http = http
        self._url = URL(url) / "storage" / "v1"
        self._headers = {"apikey": service_key, "Authorization": f"Bearer {service_key}"}
        self._bucket = bucket

    async def put(self, key: str, content: bytes, content_type: str) -> None:
        """Keeps a file, and makes the bucket if it is missing."""
        if not await self._upload(key, content, content_type):
            await self._make_bucket()
            if not await self._upload(key, content, content_type):
                raise Unavailable(f"Supabase Storage has no bucket {self._bucket!r} and makes none.")

    async def read(self, key: str) -> AsyncIterator[bytes]:
        """The file in pieces."""
        try:
            async with self._http.get(self._object(key), headers=self._headers, timeout=_TIMEOUT) as answer:
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

    async def _upload(self, key: str, content: bytes, content_type: str) -> bool:
        """Whether it was kept; not if there is no bucket."""
        headers = {"Content-Type": content_type, "x-upsert": "true"}
        async with self._ask("POST", self._object(key), data=content, headers=headers) as answer:
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
        return _Asking(self._http.request(method, address, headers=headers, timeout=_TIMEOUT, **request))

    def _object(self, key: str) -> URL:
        return self._url.joinpath("object", self._bucket, *key.split("/"))


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
