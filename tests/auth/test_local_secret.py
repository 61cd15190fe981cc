"""The secret in DATA_DIR: made once, whoever comes first, and readable by nobody else."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from switchboard.auth import local_secret
from switchboard.errors import Misconfigured
from switchboard.settings import Settings


def secret_in(folder: Path) -> bytes:
    return local_secret(Settings(_env_file=None, data_dir=folder))


RACE = """
import os, sys
from pathlib import Path
from switchboard.auth import local_secret
from switchboard.settings import Settings

settings = Settings(_env_file=None, data_dir=Path(sys.argv[1]))
start, starter = os.pipe()
racers = []
for _ in range(8):
    racers.append(os.fork())
    if racers[-1] == 0:
        os.close(starter)
        os.read(start, 1)
        os.write(1, local_secret(settings) + b"\\n")
        os._exit(0)
os.close(starter)
sys.exit(max(os.waitpid(racer, 0)[1] for racer in racers) > 0)
"""


def test_jwt_secret_comes_first(tmp_path):
    chosen = "chosen by whoever runs this, 32 bytes long"
    assert local_secret(Settings(_env_file=None, data_dir=tmp_path, jwt_secret=chosen)) == chosen.encode()
    assert list(tmp_path.iterdir()) == []


def test_it_is_made_once_and_kept(tmp_path):
    folder = tmp_path / "new" / "data"
    made = secret_in(folder)
    assert len(bytes.fromhex(made.decode())) == 32
    assert secret_in(folder) == made
    assert secret_in(tmp_path / "other") != made
    [file] = folder.iterdir()
    assert file.name == "token.secret"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_loose_umask_does_not_loosen_it(tmp_path):
    before = os.umask(0)
    try:
        secret_in(tmp_path)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "token.secret").stat().st_mode) == 0o600


def test_processes_that_race_get_the_same(tmp_path):
    answer = subprocess.run([sys.executable, "-c", RACE, tmp_path], capture_output=True, text=True, check=True)
    secrets = answer.stdout.split()
    assert len(secrets) == 8
    assert set(secrets) == {secret_in(tmp_path).decode()}
    assert [file.name for file in tmp_path.iterdir()] == ["token.secret"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_file_others_can_read_is_refused_with_what_to_do(tmp_path, mode):
    made = secret_in(tmp_path)
    (tmp_path / "token.secret").chmod(mode)
    with pytest.raises(Misconfigured, match="chmod 600") as refused:
        secret_in(tmp_path)
    assert made.decode() not in str(refused.value)
    (tmp_path / "token.secret").chmod(0o600)
    assert secret_in(tmp_path) == made


@pytest.mark.parametrize(
    "content",
    ["", "cut off", "z" * 64, "a" * 64 + "\n\n", "a" * 65],
    ids=["empty", "short", "not hexadecimal", "more lines", "long"],
)
def test_a_damaged_file_is_refused(tmp_path, content):
    file = tmp_path / "token.secret"
    file.touch(0o600)
    file.write_text(content)
    with pytest.raises(Misconfigured, match=r"damaged: delete it") as refused:
        secret_in(tmp_path)
    assert content not in str(refused.value) or not content


def test_a_folder_that_cannot_be_used_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(Misconfigured, match="set JWT_SECRET"):
        secret_in(tmp_path / "file")
