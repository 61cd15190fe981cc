"""A stand-in for Supabase Storage: buckets and objects over the REST wire that the official client speaks.

A missing bucket or object is answered with HTTP 400 and the status that is meant in the body, as the service does.
"""

import json
import socket
from typing import Any, Self

from aiohttp import web

KEY = "sb_secret_storage_key_for_the_tests_only"


class StorageStand:
    """`async with StorageStand() as storage: ... storage.url`; ``buckets``: name -> whether it is public."""

    def __init__(self) -> None:
        self.url = ""
        self.buckets: dict[str, bool] = {}
        self.objects: dict[str, tuple[str, bytes]] = {}
        self.broken = False
        self.signed: dict[str, int] = {}
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        application = web.Application(client_max_size=60_000_000)
        application.router.add_post("/storage/v1/bucket", self._make_bucket)
        application.router.add_delete("/storage/v1/object/{bucket}", self._remove)
        application.router.add_post("/storage/v1/object/sign/{bucket}/{key:.+}", self._sign)
        application.router.add_get("/storage/v1/object/sign/{bucket}/{key:.+}", self._signed)
        application.router.add_route("*", "/storage/v1/object/{bucket}/{key:.+}", self._object)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        await web.SockSite(self._runner, listener).start()
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _make_bucket(self, request: web.Request) -> web.Response:
        if refused := self._refusal(request):
            return refused
        told = await request.json()
        if told["id"] in self.buckets:
            return _error(409, "Duplicate", "The resource already exists")
        self.buckets[told["id"]] = bool(told["public"])
        return web.json_response({"name": told["id"]})

    async def _object(self, request: web.Request) -> web.Response:
        bucket, key = request.match_info["bucket"], request.match_info["key"]
        if refused := self._refusal(request):
            return refused
        if bucket not in self.buckets:
            return _error(404, "Bucket not found", "Bucket not found")
        path = f"{bucket}/{key}"
        if request.method == "GET":
            if path not in self.objects:
                return _error(404, "not_found", "Object not found")
            content_type, content = self.objects[path]
            return web.Response(body=content, content_type=content_type)
        if path in self.objects and request.headers.get("x-upsert") != "true":
            return _error(409, "Duplicate", "The resource already exists")
        if request.content_type.startswith("multipart/"):  # as the official client sends it
            self.objects[path] = await _form(request)
        else:
            self.objects[path] = (request.content_type, await request.read())
        return web.json_response({"Key": path, "Id": "00000000-0000-4000-8000-000000000000"})

    async def _sign(self, request: web.Request) -> web.Response:
        if refused := self._refusal(request):
            return refused
        path = f"{request.match_info['bucket']}/{request.match_info['key']}"
        if path not in self.objects:
            return _error(404, "not_found", "Object not found")
        self.signed[path] = int((await request.json())["expiresIn"])
        return web.json_response({"signedURL": f"/object/sign/{path}?token=signed"})

    async def _signed(self, request: web.Request) -> web.Response:
        path = f"{request.match_info['bucket']}/{request.match_info['key']}"
        if request.query["token"] != "signed" or path not in self.signed:
            return _error(400, "InvalidJWT", "jwt malformed")
        headers = {"Content-Disposition": f'attachment; filename="{request.query["download"]}"'}
        return web.Response(body=self.objects[path][1], headers=headers)

    async def _remove(self, request: web.Request) -> web.Response:
        if refused := self._refusal(request):
            return refused
        removed: list[dict[str, Any]] = []
        for key in (await request.json())["prefixes"]:
            if self.objects.pop(f"{request.match_info['bucket']}/{key}", None):
                removed.append({"name": key})
        return web.json_response(removed)

    def _refusal(self, request: web.Request) -> web.Response | None:
        if self.broken:
            return web.Response(status=503, text="upstream is away")
        if request.headers.get("apikey") != KEY:
            return _error(403, "Unauthorized", "Invalid Compact JWS")
        return None


async def _form(request: web.Request) -> tuple[str, bytes]:
    files = [value for value in (await request.post()).values() if isinstance(value, web.FileField)]
    return files[0].content_type, files[0].file.read()


def _error(meant: int, error: str, message: str) -> web.Response:
    body = json.dumps({"statusCode": str(meant), "error": error, "message": message})
    return web.Response(status=400, body=body.encode(), content_type="application/json")
