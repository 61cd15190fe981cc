"""The service as processes: started in every way we offer, stopped, killed, and run as several."""

import asyncio
import json
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import httpx
import pytest

from stands import plays
from stands.app import bearer
from stands.clusters import Cluster, free_port, majors
from stands.llm import LlmStand
from stands.service import SWITCHBOARD, Service, Terminal
from switchboard.database.migrations import migrate

ROOT = Path(__file__).parents[2]


def ask(service: Service, question: str, **headers: str) -> httpx.Response:
    """A program asks; its conversation is a new one."""
    with httpx.Client(base_url=service.address, headers=bearer(service.token), timeout=70) as client:
        conversation = client.post("/api/conversations", json={}).json()["id"]
        said = {"conversation": conversation, "content": question}
        return client.post("/api/messages", json=said, headers=headers)


def run(service: Service, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """A command beside the service, in the same folder."""
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(service.folder)}
    return subprocess.run(
        [SWITCHBOARD, *arguments],
        cwd=service.folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    "command",
    [
        (sys.executable, ROOT / "api.py"),
        (
            Path(sysconfig.get_path("scripts")) / "uvicorn",
            "api:app",
            "--app-dir",
            str(ROOT),
            "--port",
            "{port}",
        ),
    ],
    ids=["python api.py", "uvicorn api:app"],
)
def test_api_py_starts_the_service(command: tuple[str | Path, ...], tmp_path: Path) -> None:

    port = free_port()
    words = [str(word).format(port=port) for word in command]
    tmp_path.chmod(0o755)
    terminal = Terminal(words, tmp_path, PORT=str(port))
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                assert httpx.get(f"http://127.0.0.1:{port}/health/ready").status_code == 200
                break
            except httpx.TransportError:
                assert terminal.running, terminal.log
                assert time.monotonic() < deadline
                time.sleep(0.1)
    finally:
        assert terminal.stop() in (0, -15)


def test_a_token_is_printed_alone_before_and_while_the_service_runs(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    service = Service(tmp_path)
    before = run(service, "token", "--role", "admin")
    assert (before.returncode, before.stderr) == (0, "")
    with service:
        beside = run(service, "token", "--role", "viewer")
        assert (beside.returncode, beside.stderr) == (0, "")
        for printed, may_write in ((before.stdout, True), (beside.stdout, False)):
            (token,) = printed.splitlines()
            headers = bearer(token)
            assert httpx.get(f"{service.address}/admin/stats", headers=headers).status_code == 200
            opened = httpx.post(f"{service.address}/api/conversations", json={}, headers=headers)
            assert opened.status_code == (201 if may_write else 403)
    assert not list(tmp_path.glob("**/postmaster.pid")), "the last one out stops the database"


def test_what_a_person_can_mend_is_one_line(tmp_path: Path) -> None:
    service = Service(tmp_path)
    environment = {"PATH": "/usr/bin:/bin", "SUPABASE_URL": "http://localhost:1"}
    done = subprocess.run(
        [SWITCHBOARD, "serve"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "SUPABASE_SERVICE_ROLE_KEY" in done.stderr
    assert run(service, "nonsense").returncode == 2


def test_the_doctor_finds_a_fresh_installation_sound(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with Service(tmp_path) as service:
        done = run(service, "doctor", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert {line["state"] for line in json.loads(done.stdout)["checks"]} == {"ok"}


def test_workers_answer_for_a_service_that_does_not(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with Service(tmp_path, REPLY_CONCURRENCY="0") as service:
        assert ask(service, "Do you have oat milk?", prefer="respond-async").status_code == 202
        worker = Terminal([SWITCHBOARD, "work"], tmp_path)
        try:
            answer = ask(service, "Do you have oat milk?")
            assert (answer.status_code, "milk" in answer.json()["reply"]["content"]) == (201, True)
        finally:
            assert worker.stop() == 0


async def test_a_killed_service_answers_after_its_next_start(tmp_path: Path) -> None:
    async with LlmStand() as llm:
        settings = {
            "OPENAI_BASE_URL": llm.openai_url,
            "DEFAULT_MODEL": "openai:m",
            "TURN_LEASE_SECONDS": "1",
        }
        llm.play(plays.hang(), plays.say("Back again."))
        service = Service(tmp_path, **settings)

        await asyncio.to_thread(service.start)
        try:
            sent = await asyncio.to_thread(ask, service, "Hello?", prefer="respond-async")
            await llm.wait_for(1)
            await asyncio.to_thread(service.kill)
            await asyncio.to_thread(service.start)
            await llm.wait_for(2)
            conversation = sent.json()["conversation_id"]
            async with httpx.AsyncClient(base_url=service.address, headers=bearer(service.token)) as client:
                async with asyncio.timeout(15):
                    while True:
                        found = (await client.get(f"/api/conversations/{conversation}/messages")).json()["messages"]
                        if len(found) == 2:
                            break
                        await asyncio.sleep(0.05)
            assert found[1]["content"] == "Back again."
        finally:
            await asyncio.to_thread(service.close)


async def test_a_service_stops_in_time_although_a_model_hangs(tmp_path: Path) -> None:

    async with LlmStand() as llm:
        llm.play(plays.hang())
        service = Service(tmp_path, OPENAI_BASE_URL=llm.openai_url, DEFAULT_MODEL="openai:m")
        await asyncio.to_thread(service.start)
        try:
            asking = asyncio.create_task(asyncio.to_thread(ask, service, "Hello?", prefer="respond-async"))
            await llm.wait_for(1)
            await asking
            begun = time.monotonic()
            assert await asyncio.to_thread(service.stop) in (0, -15)
            assert time.monotonic() - begun < 10
        finally:
            await asyncio.to_thread(service.close)


@pytest.mark.parametrize("hangs", ["from the start of the reply", "while it stops"])
async def test_a_service_stops_in_time_although_model_and_database_hang(hangs: str, tmp_path: Path) -> None:
    cluster = Cluster(majors()[18])
    cluster.start()
    try:
        await migrate(cluster.dsn())
        async with LlmStand() as llm:
            llm.play(plays.hang())
            service = Service(
                tmp_path, OPENAI_BASE_URL=llm.openai_url, DEFAULT_MODEL="openai:m", DATABASE_URL=cluster.dsn()
            )
            await asyncio.to_thread(service.start)
            service.token = run(service, "token", "--role", "admin").stdout.strip()
            try:
                await asyncio.to_thread(ask, service, "Hello?", prefer="respond-async")
                await llm.wait_for(1)
                if hangs == "from the start of the reply":
                    cluster.freeze()
                    await asyncio.sleep(1)
                begun = time.monotonic()
                stopping = asyncio.create_task(asyncio.to_thread(service.stop))
                cluster.freeze()
                assert await stopping in (0, -15)
                assert time.monotonic() - begun < 10
            finally:
                cluster.thaw()
                await asyncio.to_thread(service.close)
    finally:
        cluster.destroy()
