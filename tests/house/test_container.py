"""The image: read as Docker reads it, put together from the same files, and its commands run, all without Docker."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from stands.service import Service
from switchboard.settings import Settings

ROOT = Path(__file__).parents[2]
MAIN = "import sys; from switchboard.cli import main; sys.exit(main())"
PYTHON = Path(sys.executable)


@dataclass(frozen=True)
class Instruction:
    """One instruction of the Dockerfile, in the stage that began with the FROM of that number."""

    stage: int
    name: str
    rest: str


def instructions() -> list[Instruction]:
    """The Dockerfile, its lines joined and its comments left out."""
    source = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    found: list[Instruction] = []
    stage = -1
    for line in filter(None, map(str.strip, source.splitlines())):
        name, rest = line.split(maxsplit=1)
        stage += name == "FROM"
        found.append(Instruction(stage, name, re.sub(r"\s+", " ", rest)))
    return found


WRITTEN = instructions()
LAST = max(each.stage for each in WRITTEN)


def last(name: str) -> list[str]:
    """What the image that runs says under ``name``."""
    return [each.rest for each in WRITTEN if each.stage == LAST and each.name == name]


def environment() -> dict[str, str]:
    """The variables of the image that runs."""
    return dict(pair.split("=", 1) for line in last("ENV") for pair in shlex.split(line))


def copied() -> Iterator[tuple[str, str]]:
    """What comes from the checkout, and where in `/app` it goes."""
    for each in WRITTEN:
        if each.name == "COPY" and "--from=" not in each.rest:
            *sources, target = each.rest.split()
            for source in sources:
                yield source, target + Path(source).name if target.endswith("/") else target


def test_the_images_it_is_made_from_have_plain_names_and_a_version():
    made_from = [each.rest.split(" AS ")[0] for each in WRITTEN if each.name == "FROM"]
    assert set(made_from) == {"python:3.11-slim"}


def test_what_is_installed_is_locked_by_hash():
    installs = [part for each in WRITTEN if each.name == "RUN" for part in each.rest.split("&&") if " install " in part]
    packages = [part for part in installs if "pip" in part]
    assert len(packages) == 2
    assert all("--require-hashes" in part and re.search(r"-r requirements/\w+\.txt", part) for part in packages)


def test_it_runs_as_somebody_without_rights_and_with_a_name():
    assert last("USER") == ["10001"]
    assert "useradd --system --uid 10001" in last("RUN")[0]
    names = [each.name for each in WRITTEN if each.stage == LAST]
    assert "RUN" not in names[names.index("USER") :]


def test_its_variables_are_settings_and_none_is_a_secret():
    given = {name.lower() for name in environment()} - {"path", "pythonunbuffered"}
    assert given == {"host", "data_dir"}
    assert given <= set(Settings.model_fields)
    assert not [each for each in WRITTEN if each.name == "ARG"]


def test_its_parts_fit_together():
    assert environment()["HOST"] == "0.0.0.0"
    assert last("VOLUME") == [environment()["DATA_DIR"]]
    assert f"-m 0700 {environment()['DATA_DIR']}" in last("RUN")[0]
    assert last("EXPOSE") == [str(Settings.model_fields["port"].default)]
    assert last("WORKDIR") == ["/app"]
    assert environment()["PATH"].startswith("/app/.venv/bin:")


def test_it_starts_with_the_service_itself_and_no_shell_in_between():
    assert json.loads(last("CMD")[0]) == ["switchboard", "serve"]
    assert not last("ENTRYPOINT")
    assert health_check()[:2] == ["python", "-c"]


def test_only_what_is_copied_is_sent_to_docker():
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    assert {line.removeprefix("!") for line in lines if line.startswith("!")} == {source for source, _ in copied()}


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`/app` as the image has it, but for the environment with the packages."""
    app = tmp_path_factory.mktemp("image") / "app"
    for source, target in copied():
        place = app / target
        place.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, place, ignore=shutil.ignore_patterns("__pycache__"))
        elif target == ".":
            shutil.copy(ROOT / source, app)
        else:
            shutil.copy(ROOT / source, place)
    return app


def test_what_is_in_it_is_enough_to_run_and_its_health_check_tells(image: Path):
    source = str(image / "src")
    where = [PYTHON, "-c", "import switchboard; print(switchboard.__file__)"]
    assert subprocess.check_output(where, env={"PYTHONPATH": source}, text=True).startswith(source)

    with Service(command=(PYTHON, "-c", MAIN, "serve"), PYTHONPATH=source, HOST="0.0.0.0") as service:
        check = [PYTHON, *health_check()[1:]]
        assert subprocess.run(check, env={"PORT": str(service.port)}, capture_output=True).returncode == 0
        service.stop()
        assert subprocess.run(check, env={"PORT": str(service.port)}, capture_output=True).returncode != 0


def test_link_makes_the_copied_source_importable(image: Path, tmp_path: Path):
    subprocess.run([PYTHON, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([python, image / "requirements" / "link.py"], check=True)

    found = subprocess.check_output([python, "-c", "import switchboard; print(switchboard.__file__)"], text=True)
    assert found.startswith(str(image / "src"))
    assert (python.parent / "switchboard").read_text().startswith(f"#!{python}\n")


def health_check() -> list[str]:
    """The command that Docker runs to see whether the container is well."""
    _, _, command = last("HEALTHCHECK")[0].partition("CMD ")
    return json.loads(command)
