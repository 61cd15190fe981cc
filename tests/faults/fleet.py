"""The service as several processes on one database, each of which can be started, stopped, killed and frozen."""

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from stands.clusters import free_port
from stands.service import SWITCHBOARD

GAVE_UP = "background work"
"""How the service begins to say in its log that one of its loops failed in a way nobody foresaw."""
_PR_SET_PDEATHSIG = 1
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass
class Member:
    """One process: ``command`` in a folder of its own, its log in ``log``. Its port stays the same when it restarts."""

    name: str
    command: Sequence[str | Path]
    folder: Path
    env: dict[str, str]
    port: int = field(default_factory=free_port)
    _process: "subprocess.Popen[bytes] | None" = field(init=False, default=None)
    _log_before: int = field(init=False, default=0)

    @property
    def serves(self) -> bool:
        """Whether it listens; else it only works."""
        return "serve" in self.command

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        """What it wrote, over all its starts."""
        return self.folder / f"{self.name}.log"

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None, "not started"
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended; a frozen one runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def frozen(self) -> bool:
        """Whether it is stopped by SIGSTOP."""
        with suppress(OSError):
            return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
        return False

    @property
    def maimed(self) -> bool:
        """Whether one of its loops has failed since it was started."""
        with self.log.open() as log:
            log.seek(self._log_before)
            return GAVE_UP in log.read()

    @property
    def memory(self) -> int:
        """Its resident set in bytes."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * _PAGE

    @property
    def reserved(self) -> int:
        """Its address space in bytes."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[0]) * _PAGE

    def start(self, **env: str) -> None:
        """Starts it, with what ``env`` adds for this time only."""
        data = self.folder / self.name
        data.mkdir(exist_ok=True)
        told = {"PATH": os.environ["PATH"], "HOME": str(data), "LANG": "C.UTF-8", "PORT": str(self.port)}
        with self.log.open("ab") as log:
            self._log_before = log.tell()
            self._process = subprocess.Popen(
                [str(word) for word in self.command],
                cwd=data,
                env={**told, **self.env, **env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=dying_with_its_parent(),
            )

    def signal(self, number: signal.Signals) -> None:
        """Sends it a signal, if it is there."""
        if self.running:
            os.kill(self.pid, number)

    async def ready(self, seconds: float = 30) -> None:
        """Returns when it says that it is ready, or is frozen; a worker says so by its first line in the log."""
        deadline = time.monotonic() + seconds
        while not self.serves and self.log.stat().st_size == self._log_before:
            assert self.running, f"{self.name} has ended"
            assert time.monotonic() < deadline, f"{self.name} is not ready"
            await asyncio.sleep(0.03)
        async with httpx.AsyncClient(timeout=3, verify=False) as client:
            while self.serves and not self.frozen:
                with suppress(httpx.TransportError):
                    if (await client.get(f"{self.address}/health/ready")).status_code == 200:
                        return
                assert self.running, f"{self.name} has ended: {self.log.read_text()[-2000:]}"
                assert time.monotonic() < deadline, f"{self.name} is not ready: {self.log.read_text()[-2000:]}"
                await asyncio.sleep(0.03)

    async def gone(self, seconds: float = 15) -> int:
        """Waits for its end; its code. Raises `TimeoutError`."""
        assert self._process is not None
        async with asyncio.timeout(seconds):
            while (code := self._process.poll()) is None:
                await asyncio.sleep(0.01)
        return code

    async def kill(self) -> None:
        """Ends it at once."""
        self.signal(signal.SIGKILL)
        if self._process is not None:
            await self.gone()


@dataclass
class Fleet:
    """All members by name."""

    members: dict[str, Member]

    @classmethod
    def of(cls, folder: Path, env: dict[str, str], *, serving: Sequence[str], working: Sequence[str]) -> "Fleet":
        """So many that serve and answer, and so many that answer alone."""
        commands = dict.fromkeys(serving, "serve") | dict.fromkeys(working, "work")
        return cls({name: Member(name, (SWITCHBOARD, verb), folder, env) for name, verb in commands.items()})

    def __getitem__(self, name: str) -> Member:
        return self.members[name]

    @property
    def addresses(self) -> list[str]:
        """Where webhooks may go."""
        return [member.address for member in self.members.values() if member.serves]

    async def start(self) -> None:
        """Starts all that do not run, wakes the frozen, and returns when all are ready."""
        for member in self.members.values():
            if not member.running:
                member.start()
            elif member.frozen:
                member.signal(signal.SIGCONT)
        for member in self.members.values():
            await member.ready()

    async def kill(self) -> None:
        """Ends all of them."""
        for member in self.members.values():
            await member.kill()

    def said(self, words: str) -> int:
        """How often these words are in their logs."""
        return sum(member.log.read_text().count(words) for member in self.members.values())

    def memory(self) -> dict[str, int]:
        """The resident set of each in bytes."""
        return {name: member.memory for name, member in self.members.items() if member.running}


def dying_with_its_parent() -> Callable[[], None] | None:
    """What a new process does first, so that it ends when the one that started it does."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)

    def ask() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    return ask
