"""The service as people start it: a process of its own that knows only what a test tells it."""

import ctypes
import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

SWITCHBOARD = Path(sysconfig.get_path("scripts")) / "switchboard"
STOP_SECONDS = 12.0
"""How long a stopped service may take: its own 10 seconds for what runs, and a little."""
_PR_SET_PDEATHSIG = 1


class Terminal:
    """One program as in a terminal of its own: what it prints is kept and can be waited for.

    Its environment is ``env`` and what no program does without; nothing is inherited from the tests' own.
    """

    def __init__(self, command: Sequence[str | Path], folder: Path, **env: str) -> None:
        self.lines: list[str] = []
        self._command = [str(word) for word in command]
        self._log: list[str] = []
        self._printed = threading.Condition()
        self._ended = False
        self._process = subprocess.Popen(
            self._command,
            cwd=folder,
            env={"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8", **env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=_dying_with_its_parent(),
        )
        self._readers = [threading.Thread(target=read, daemon=True) for read in (self._read_log, self._read)]
        for reader in self._readers:
            reader.start()

    @property
    def log(self) -> str:
        """What it wrote to standard error so far."""
        return "".join(self._log)

    def say(self, text: str) -> None:
        """Types ``text``."""
        assert self._process.stdin is not None
        self._process.stdin.write(text)
        self._process.stdin.flush()

    def wait_for(self, pattern: str, *, seconds: float = 30) -> re.Match[str]:
        """The first line that matches the regular expression, printed already or to come.

        Raises `TimeoutError`, or `RuntimeError` if the program ends without it.
        """
        found: re.Match[str] | None = None

        def printed() -> bool:
            nonlocal found
            found = next(filter(None, (re.search(pattern, line) for line in self.lines)), None)
            return found is not None or self._ended

        with self._printed:
            in_time = self._printed.wait_for(printed, seconds)
        if found is None:
            told = f"{' '.join(self._command)} did not print {pattern!r}: {self.lines}\n{self.log[-3000:]}"
            raise RuntimeError(told) if in_time else TimeoutError(told)
        return found

    def stop(self) -> int:
        """Asks it to end, as Ctrl-C in a terminal or `docker stop` do. Returns its code; it must obey in time."""
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._gone(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            log = self.log
            self.kill()
            raise AssertionError(f"still runs {STOP_SECONDS:.0f} s after SIGTERM:\n{log[-3000:]}") from None

    def kill(self) -> None:
        """Ends it at once, as a crash would."""
        self._process.kill()
        self._gone(STOP_SECONDS)

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def _gone(self, seconds: float) -> int:
        code = self._process.wait(seconds)
        for reader in self._readers:
            reader.join()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()
        return code

    def _read_log(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._log.append(line)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._printed:
                self.lines.append(line.rstrip("\n"))
                self._printed.notify_all()
        self._readers[0].join()
        with self._printed:
            self._ended = True
            self._printed.notify_all()


class Service:
    """`switchboard serve` on a free port: `with Service() as service: ... service.address`.

    Its working folder is a new one, which goes when it is left, or ``folder``, which stays. The database is the
    embedded one in `data` below it unless ``env`` says otherwise; ``command`` is what starts it.
    """

    def __init__(
        self, folder: Path | None = None, *, command: Sequence[str | Path] = (SWITCHBOARD, "serve"), **env: str
    ) -> None:
        self.folder = folder or Path(tempfile.mkdtemp(prefix="switchboard-service-"))
        self.address = ""
        self.token = ""
        """An admin's; empty where the service prints none, which it does with the embedded database only."""
        self._keeps_folder = folder is not None
        self._command = command
        self._env = {"PORT": "0", **env}
        self._terminal: Terminal | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Returns when it has printed its address. Raises `RuntimeError` with its log when it ends before."""
        # An account without rights, which Postgres runs as where root may not make namespaces, has to get through.
        self.folder.chmod(0o755)
        self._terminal = Terminal(self._command, self.folder, **self._env)
        try:
            self.address = self._terminal.wait_for(r"^Switchboard runs on (http\S+)")[1]
            if "DATABASE_URL" not in self._env and "SUPABASE_URL" not in self._env:
                self.token = self._terminal.wait_for("^Admin token: (.+)")[1]
        except (RuntimeError, TimeoutError):
            self.kill()
            self.close()
            raise

    @property
    def terminal(self) -> Terminal:
        """Where it runs."""
        assert self._terminal is not None, "not started"
        return self._terminal

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.address.rpartition(":")[2])

    @property
    def lines(self) -> list[str]:
        """What it printed; its log is ``terminal.log``."""
        return self.terminal.lines

    def stop(self) -> int:
        """Stops it and its database, and returns its code. Raises `AssertionError` when that takes over 12 s."""
        code = self.terminal.stop()
        self._await_postgres()
        return code

    def kill(self) -> None:
        """Kills it; the embedded database notices and stops."""
        self.terminal.kill()
        self._await_postgres()

    def close(self) -> None:
        """Stops it if it runs, and removes its folder."""
        try:
            if self._terminal is not None and self._terminal.running:
                self.stop()
        finally:
            if not self._keeps_folder:
                shutil.rmtree(self.folder, ignore_errors=True)

    def _await_postgres(self) -> None:
        keeper = self.folder / "data" / "postgres" / "keeper.lock"
        if keeper.exists():
            with keeper.open() as lock:
                _lock(lock.fileno())


def _lock(file: int) -> None:
    """Returns when whoever holds the lock is gone."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.005)
        else:
            return
    raise TimeoutError("the embedded Postgres does not stop")


def _dying_with_its_parent() -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)

    def ask() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

    return ask
