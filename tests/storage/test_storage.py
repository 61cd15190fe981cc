"""One contract for both places where files may be; the bucket's wire is that of Supabase's own client."""

import asyncio
import contextlib
import resource
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import httpx
import pytest
from storage3 import AsyncStorageClient

from stands.storage import KEY, StorageStand
from switchboard.errors import NoSpace, NotFound, Unavailable
from switchboard.storage import Storage, whole
from switchboard.storage.folder import Folder
from switchboard.storage.supabase import SupabaseStorage

CONTENT = bytes(range(256)) * 4000


@pytest.fixture
async def stand() -> AsyncIterator[StorageStand]:
    async with StorageStand() as opened:
        yield opened


@pytest.fixture(params=["folder", "supabase"])
async def storage(request: pytest.FixtureRequest, tmp_path: Path, stand: StorageStand) -> AsyncIterator[Storage]:
    async with aiohttp.ClientSession() as http:
        yield Folder(tmp_path / "files") if request.param == "folder" else SupabaseStorage(http, stand.url, KEY, "desk")


async def test_what_is_put_is_read(storage: Storage) -> None:
    await storage.put("attachments/1/2", CONTENT, "image/png")
    pieces = [piece async for piece in storage.read("attachments/1/2")]
    assert b"".join(pieces) == CONTENT
    assert len(pieces) > 1, "a large file comes in pieces"


async def test_a_second_one_takes_its_place(storage: Storage) -> None:
    await storage.put("a", b"first", "text/plain")
    await storage.put("a", b"second", "text/plain")
    assert await whole(storage, "a") == b"second"


async def test_what_is_not_there_is_not_found(storage: Storage) -> None:
    with pytest.raises(NotFound):
        await whole(storage, "attachments/1/2")
    await storage.put("attachments/1/2", b"x", "text/plain")
    for _ in range(2):
        await storage.delete("attachments/1/2")
    with pytest.raises(NotFound):
        await whole(storage, "attachments/1/2")


async def test_many_at_once_end_whole(storage: Storage) -> None:
    await asyncio.gather(*(storage.put("same", bytes([n]) * 100_000, "text/plain") for n in range(8)))
    assert len(set(await whole(storage, "same"))) == 1


async def test_an_open_file_is_kept_from_its_beginning(storage: Storage, tmp_path: Path) -> None:
    with (tmp_path / "draft").open("w+b") as file:
        file.write(CONTENT)
        await storage.put_file("exports/1/1/1", file, "text/html")
        file.seek(5)
        await storage.put_file("exports/1/1/1", file, "text/html")
        assert await whole(storage, "exports/1/1/1") == CONTENT
        assert not file.closed


async def test_a_full_disk_is_told_and_keeps_nothing(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "files")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(NoSpace):
            await folder.put("a/b", CONTENT, "text/plain")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list((tmp_path / "files" / "a").iterdir()) == []


async def test_a_link_saves_one_file_under_its_name(storage: Storage, stand: StorageStand) -> None:
    await storage.put("exports/1/1/1", CONTENT, "text/html")
    link = await storage.link("exports/1/1/1", "conversations.html", 60)
    if isinstance(storage, Folder):
        assert link is None
        return
    assert link is not None
    assert stand.signed == {"desk/exports/1/1/1": 60}
    async with httpx.AsyncClient() as client:
        answer = await client.get(link)
    assert answer.content == CONTENT
    assert answer.headers["content-disposition"] == 'attachment; filename="conversations.html"'
    with pytest.raises(NotFound):
        await storage.link("exports/1/1/2", "x", 60)


@pytest.mark.parametrize("key", ["../x", "a/../b", "/etc/x", "a//b", "", "a/", ".x", "a/.x", "A", "a\0b", "a\\b", "ü"])
def test_a_key_cannot_leave_the_folder(tmp_path: Path, key: str) -> None:
    with pytest.raises(ValueError, match="key"):
        asyncio.run(Folder(tmp_path / "files").put(key, b"x", "text/plain"))
    assert list(tmp_path.iterdir()) == []


async def test_a_folder_that_cannot_be_written_is_away() -> None:
    with pytest.raises(Unavailable):
        await Folder(Path("/dev/null/files")).put("a", b"x", "text/plain")


async def test_the_bucket_is_made_once_and_private(stand: StorageStand) -> None:
    async with aiohttp.ClientSession() as http:
        storage = SupabaseStorage(http, stand.url, KEY, "desk")
        await asyncio.gather(*(storage.put(f"a{n}", b"x", "text/plain") for n in range(4)))
        assert stand.buckets == {"desk": False}
        assert len(stand.objects) == 4


async def test_storage_that_is_away_is_away(stand: StorageStand) -> None:
    async with aiohttp.ClientSession() as http:
        for storage in (
            SupabaseStorage(http, stand.url, "wrong", "desk"),
            SupabaseStorage(http, "http://127.0.0.1:9", KEY, "d"),
        ):
            for asking in (storage.put("a", b"x", "text/plain"), whole(storage, "a"), storage.delete("a")):
                with pytest.raises(Unavailable):
                    await asking
        stand.broken = True
        with pytest.raises(Unavailable):
            await SupabaseStorage(http, stand.url, KEY, "desk").put("a", b"x", "text/plain")


async def test_the_official_client_finds_what_we_put(stand: StorageStand) -> None:
    headers = {"apikey": KEY, "Authorization": f"Bearer {KEY}"}
    async with aiohttp.ClientSession() as http, contextlib.AsyncExitStack() as stack:
        ours = SupabaseStorage(http, stand.url, KEY, "desk")
        await ours.put("attachments/1/2", CONTENT, "image/png")
        session = await stack.enter_async_context(httpx.AsyncClient())
        theirs = AsyncStorageClient(f"{stand.url}/storage/v1/", headers, http_client=session).from_("desk")
        assert await theirs.download("attachments/1/2") == CONTENT
        await theirs.upload("attachments/1/3", b"theirs", {"content-type": "text/plain"})
        assert await whole(ours, "attachments/1/3") == b"theirs"
        await theirs.remove(["attachments/1/2"])
        with pytest.raises(NotFound):
            await whole(ours, "attachments/1/2")
