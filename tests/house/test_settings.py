"""One place for settings: declared in `settings.py` with a sentence each, and shown in `.env.example`."""

import ast
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from dotenv import dotenv_values
from pydantic import SecretStr

from switchboard.errors import Misconfigured
from switchboard.settings import Settings, load

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "switchboard"
EXAMPLE = ROOT / ".env.example"
HEAD = """\
# Every setting of Switchboard with its default. Nothing has to be set. To change something, copy this file to `.env`
# and take the `#` off the line. The environment wins over `.env`; an empty value counts as not set.
"""


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No `.env`, and no variable of the machine that these tests run on."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        for written in (name, name.upper()):
            monkeypatch.delenv(written, raising=False)


def sections() -> Iterator[tuple[str, list[str]]]:
    """The headings in the class and the names of the settings below each, in the order of the source."""
    source = (SOURCE / "settings.py").read_text()
    body = source.partition("class Settings(BaseSettings):")[2].partition("@field_validator")[0]
    for part in re.split(r"^    # ", body, flags=re.MULTILINE)[1:]:
        heading, _, rest = part.partition("\n")
        yield heading, re.findall(r"^    (\w+): ", rest, re.MULTILINE)


def example() -> str:
    """What `.env.example` has to be."""
    text = HEAD
    for heading, names in sections():
        text += f"\n\n# ── {heading} ──\n"
        for name in names:
            default = Settings.model_fields[name].default
            written = "" if default is None else str(default).lower() if isinstance(default, bool) else default
            sentence = textwrap.fill(
                Settings.model_fields[name].description or "",
                width=120,
                initial_indent="# ",
                subsequent_indent="# ",
                break_on_hyphens=False,
            )
            text += f"\n{sentence}\n#{name.upper()}={written}\n"
    return text


def test_the_example_file_says_what_the_settings_say():
    assert EXAMPLE.read_text() == example()


def test_no_setting_is_left_out():
    assert [name for _, names in sections() for name in names] == list(Settings.model_fields)


def test_the_example_with_every_line_taken_in_changes_nothing(tmp_path: Path):
    taken_in = re.sub(r"^#([A-Z_]+=)", r"\1", EXAMPLE.read_text(), flags=re.MULTILINE)
    (tmp_path / ".env").write_text(taken_in)

    assert len(dotenv_values(tmp_path / ".env")) == len(Settings.model_fields)
    assert load() == load(**{name: field.default for name, field in Settings.model_fields.items()})


@pytest.mark.parametrize("name", Settings.model_fields)
def test_each_setting_has_one_sentence(name: str):
    sentence = Settings.model_fields[name].description
    assert sentence
    assert re.fullmatch(r"[A-Z/][^\n]*[^.\s]\.", sentence)
    assert not re.search(r"\. [A-Z]", sentence), "one sentence, not two"


@pytest.mark.parametrize("name", Settings.model_fields)
def test_what_is_secret_is_kept_secret_and_has_no_default(name: str):
    field = Settings.model_fields[name]
    secret = SecretStr in getattr(field.annotation, "__args__", (field.annotation,))
    assert secret or not re.search(r"(?:_secret|_token|_key|_password|^database_url|^broker_url)$", name)
    assert field.default is None or not secret


def test_secrets_are_not_printed():
    secret = "a-secret-that-must-not-be-seen-anywhere"
    named = {name: secret for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)}
    named |= {"openai_servers": "acme=http://localhost/v1", "openai_server_keys": f"acme={secret}"}
    settings = load(**named, facebook_page_id="1", supabase_url="http://localhost", instagram_account_id="1")
    assert secret not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"SUPABASE_URL": "https://example.test"}, ["SUPABASE_SERVICE_ROLE_KEY", "SUPABASE_ANON_KEY"]),
        ({"FACEBOOK_PAGE_ID": "1", "FACEBOOK_APP_SECRET": "hush"}, ["FACEBOOK_VERIFY_TOKEN"]),
        ({"FILE_STORAGE": "supabase"}, ["SUPABASE_URL"]),
        ({"TELEGRAM_BOT_TOKEN": "1:hush"}, ["TELEGRAM_SECRET_TOKEN"]),
        ({"INSTAGRAM_ACCOUNT_ID": "1"}, ["INSTAGRAM_ACCESS_TOKEN"]),
        (
            {"INSTAGRAM_ACCOUNT_ID": "1", "INSTAGRAM_ACCESS_TOKEN": "hush"},
            ["INSTAGRAM_APP_SECRET", "FACEBOOK_APP_SECRET"],
        ),
        (
            {"INSTAGRAM_ACCOUNT_ID": "1", "INSTAGRAM_ACCESS_TOKEN": "hush", "INSTAGRAM_APP_SECRET": "hush"},
            ["INSTAGRAM_VERIFY_TOKEN", "FACEBOOK_VERIFY_TOKEN"],
        ),
        ({"DEFAULT_MODEL": "openai:gpt-5.4-mini"}, ["OPENAI_API_KEY"]),
        ({"DEFAULT_MODEL": "quote"}, ["DEFAULT_MODEL"]),
        ({"DEFAULT_MODEL": "acme:m"}, ["DEFAULT_MODEL", "gemini, openai, anthropic, mistral or extractive"]),
        ({"FALLBACK_MODELS": "extractive:quote mistral:m"}, ["FALLBACK_MODELS", "MISTRAL_API_KEY"]),
        ({"FALLBACK_MODELS": "extractive"}, ["FALLBACK_MODELS", "provider:model"]),
        ({"OPENAI_SERVERS": "http://localhost/v1"}, ["OPENAI_SERVERS", "name=value"]),
        ({"OPENAI_SERVERS": "openai=http://localhost/v1"}, ["OPENAI_SERVERS", "is a provider already"]),
        ({"OPENAI_SERVER_KEYS": "acme=hush"}, ["OPENAI_SERVERS", "acme"]),
        ({"OPENAI_SERVER_KEYS": "hush"}, ["OPENAI_SERVER_KEYS", "name=value"]),
        ({"PORT": "hush"}, ["PORT"]),
        ({"JWT_SECRET": "hush"}, ["JWT_SECRET", "openssl rand -hex 32"]),
    ],
)
def test_what_is_wrong_is_named_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], named: list[str]
):
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(Misconfigured) as wrong:
        load()
    assert all(name in wrong.value.message for name in named)
    assert "hush" not in wrong.value.message


@pytest.mark.parametrize(
    ("keys", "model"),
    [
        ("gemini openai anthropic mistral", "gemini:gemini-3.8-flash"),
        ("openai anthropic mistral", "openai:gpt-5.4-mini"),
        ("anthropic mistral", "anthropic:claude-haiku-5-5"),
        ("mistral", "mistral:mistral-small-latest"),
        ("", "extractive:quote"),
    ],
)
def test_the_first_key_decides_about_the_model_that_nobody_names(keys: str, model: str):
    with_keys = {f"{name}_api_key": "k" for name in keys.split()}
    assert load(**with_keys).model == model
    assert load(**with_keys, default_model="extractive:quote").model == "extractive:quote"


def reads_of_the_environment(source: str) -> Iterator[str]:
    """Every way to the environment that a module could take."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Attribute(attr="environ" | "environb" | "getenv" | "getenvb" | "expandvars"):
                yield ast.unparse(node)
            case ast.ImportFrom(module="os" | "posix", names=names):
                yield from (alias.name for alias in names if alias.name in {"environ", "environb", "getenv", "getenvb"})
            case ast.ImportFrom(module=str(module)) if module.split(".")[0] in {"dotenv", "pydantic_settings"}:
                yield module
            case ast.Import(names=names):
                yield from (alias.name for alias in names if alias.name in {"dotenv", "pydantic_settings"})
            case ast.keyword(arg="envvar"):
                yield ast.unparse(node)
            case _:
                pass


@pytest.mark.parametrize("file", sorted(SOURCE.rglob("*.py")), ids=lambda file: file.relative_to(SOURCE).as_posix())
def test_only_the_settings_read_the_environment(file: Path):
    found = list(reads_of_the_environment(file.read_text()))
    assert bool(found) == (file == SOURCE / "settings.py"), found


@pytest.mark.parametrize(
    "source",
    [
        "os.environ['A']",
        "import os as o; o.getenv('A')",
        "from os import environ",
        "from dotenv import load_dotenv",
        "import pydantic_settings",
        "typer.Option(envvar='A')",
        "os.path.expandvars('$A')",
    ],
)
def test_every_way_to_the_environment_is_found(source: str):
    assert list(reads_of_the_environment(source))
