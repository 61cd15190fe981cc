"""Every setting, typed, with one sentence each. Nothing else reads the environment.

Values come from the environment, then from `.env` in the working folder. An empty value counts as not set.
"""

import re
from pathlib import Path
from typing import Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from switchboard.errors import Misconfigured

USUAL_MODELS = {
    "gemini": "gemini-3.8-flash",
    "openai": "gpt-5.4-mini",
    "anthropic": "claude-haiku-5-5",
    "mistral": "mistral-small-latest",
    "extractive": "quote",
}
"""The providers and the model of each that is used where none is named, the first with a key before the others."""


class Settings(BaseSettings):
    """The settings of one process. Raises `Misconfigured`, naming the variable, through `load`."""

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", env_ignore_empty=True, extra="ignore", frozen=True
    )

    # Service
    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 for all.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on.")
    public_url: str | None = Field(None, description="Address under which people and channels reach the service.")
    data_dir: Path = Field(
        Path("data"), description="Folder for the embedded database, the token secret and the spool."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severity that is logged."
    )
    log_format: Literal["auto", "json", "text"] = Field(
        "auto", description="How log lines look; auto is text on a terminal and JSON elsewhere."
    )
    cors_origins: str | None = Field(
        None, description="Origins, with commas between, whose pages may call by HTTP and WebSocket; * is all of them."
    )
    docs: bool = Field(True, description="Whether /docs and /openapi.json are served.")
    max_body_bytes: int = Field(5_000_000, gt=0, description="Largest request body that is read, in bytes.")
    export_verify_max_megabytes: int = Field(
        1024, ge=1, description="Largest exported file that is read again to see whether it is whole."
    )
    export_html_megabytes: int = Field(
        20, ge=1, le=1000, description="Size from which an HTML archive becomes a zip of pages, each about as large."
    )
    rate_limit_caller: int = Field(6000, ge=0, description="Requests a minute for one caller; 0 is no limit.")
    rate_limit_customer: int = Field(
        60, ge=0, description="Messages and conversations a minute for one customer of a program; 0 is no limit."
    )
    rate_limit_workspace: int = Field(
        30_000, ge=0, description="Requests a minute for all tokens of one workspace together; 0 is no limit."
    )
    web_chat: bool = Field(True, description="Whether visitors of web pages may begin a chat, which needs no token.")
    chat_origins: str | None = Field(
        None, description="Origins, with commas between, whose pages may show the chat in a frame; * is all of them."
    )
    rate_limit_chat_address: int = Field(
        30, ge=0, description="Chats a minute that visitors from one address may begin; 0 is no limit."
    )
    rate_limit_chat_workspace: int = Field(
        600, ge=0, description="Chats a minute that visitors may begin with one workspace; 0 is no limit."
    )
    shutdown_seconds: float = Field(
        10, ge=0, description="How long a stopping process may finish what runs, in seconds."
    )

    # Live feed
    stream_seconds: float = Field(
        900, gt=0, description="How long a live stream lasts before its reader has to come back, in seconds."
    )
    streams_per_caller: int = Field(20, ge=0, description="Live streams one caller may have open; 0 is no limit.")
    streams: int = Field(10_000, ge=1, description="Live streams one process holds open.")

    # Database
    database_url: SecretStr | None = Field(
        None,
        description="Any Postgres from 15 on, reached directly; empty with no SUPABASE_URL means the embedded one.",
    )
    database_pooler: bool | None = Field(
        None, description="Whether DATABASE_URL leads to a pooler in transaction mode; empty means yes on port 6543."
    )
    database_pool_size: int = Field(16, ge=2, le=500, description="Connections for everything but incoming webhooks.")
    database_ingest_pool_size: int = Field(4, ge=1, le=500, description="Connections kept for incoming webhooks alone.")
    database_timeout_seconds: float = Field(3, gt=0, description="Deadline for one statement, connecting included.")
    supabase_url: str | None = Field(None, description="Address of the Supabase project.")
    supabase_service_role_key: SecretStr | None = Field(None, description="Supabase's secret (service role) key.")
    supabase_anon_key: SecretStr | None = Field(None, description="Supabase's publishable (anon) key.")

    # Sign-in
    supabase_jwt_secret: SecretStr | None = Field(
        None, description="Legacy HS256 secret of the Supabase project; empty means its JWKS is used."
    )
    jwt_secret: SecretStr | None = Field(
        None, description="Secret for Switchboard's own tokens; empty means one is made in DATA_DIR on first start."
    )

    # Work
    broker_url: SecretStr | None = Field(
        None, description="Bus for background work: redis://, nats:// or amqp://; empty means in this process."
    )
    reply_concurrency: int = Field(
        16,
        ge=0,
        le=1000,
        description="Replies this process makes at the same time; 0 leaves them to `switchboard work`.",
    )
    workspace_concurrency: int = Field(
        8, ge=1, description="Replies at the same time for one workspace, over all processes."
    )
    turn_lease_seconds: float = Field(
        30, gt=0, description="How long a claimed turn stays claimed without a sign of life."
    )
    turn_poll_seconds: float | None = Field(
        None, gt=0, description="How often a process looks for work it was not told of; empty means 0.2, or 1 by REST."
    )
    spool_max_megabytes: int = Field(
        1024, ge=1, description="How large the local file may grow that keeps webhooks while the database is away."
    )
    idle_days: int = Field(
        7, ge=0, description="Days after which a conversation in which nobody waits is resolved; 0 is never."
    )
    archive_days: int = Field(
        90, ge=0, description="Days after which a resolved conversation without anything new is archived; 0 is never."
    )
    upkeep_time_zone: str = Field(
        "UTC", description="Time zone of the hours at which daily work is done, such as Europe/Berlin."
    )
    event_days: int = Field(30, ge=1, description="Days for which events are kept, and live feeds can go on.")
    inbox_days: int = Field(30, ge=2, description="Days for which raw webhook payloads are kept.")
    file_storage: Literal["auto", "folder", "supabase"] = Field(
        "auto",
        description="Where files are kept; auto is Supabase Storage with SUPABASE_URL, else a folder in DATA_DIR.",
    )
    file_bucket: str = Field(
        "switchboard", description="Private bucket of Supabase Storage for files; made if missing."
    )
    attachment_hosts: str = Field(
        "fbcdn.net fbsbx.com cdninstagram.com",
        description="Hosts from which customers' files are copied, those below them included, with spaces between; an"
        " entry such as `http://mirror.internal:8080` is trusted as it is.",
    )
    attachment_max_megabytes: int = Field(25, ge=1, le=200, description="Largest file of a customer that is copied.")
    fail: str | None = Field(
        None, description="Failpoints for tests, such as `before_send_claim:kill9@3`; leave empty."
    )

    # Facebook Messenger and Instagram
    facebook_app_secret: SecretStr | None = Field(None, description="App secret that signs webhooks.")
    facebook_verify_token: SecretStr | None = Field(
        None, description="Word of your choice that Meta repeats when it verifies the webhook."
    )
    facebook_page_id: str | None = Field(None, description="Id of the page that the first workspace answers for.")
    facebook_page_access_token: SecretStr | None = Field(None, description="Token that lets us send as the page.")
    facebook_app_id: str | None = Field(
        None, description="Id of the app; tells our own echoes from a person's answers."
    )
    facebook_graph_url: str = Field("https://graph.facebook.com/v23.0", description="Graph API, with its version.")
    instagram_app_secret: SecretStr | None = Field(
        None, description="App secret that signs Instagram webhooks, if it differs."
    )
    instagram_account_id: str | None = Field(
        None, description="Id of the Instagram account the first workspace answers for."
    )
    instagram_access_token: SecretStr | None = Field(
        None,
        description="Token that lets us send as the Instagram account: its own, or that of the page it belongs to.",
    )
    instagram_verify_token: SecretStr | None = Field(
        None, description="Word that Meta repeats when it verifies the Instagram webhook, if it differs."
    )
    instagram_graph_url: str | None = Field(
        None,
        description="Graph API for Instagram, with its version; empty means https://graph.instagram.com/v23.0 for a"
        " token of Instagram login, and FACEBOOK_GRAPH_URL for a page's.",
    )

    # Telegram
    telegram_bot_token: SecretStr | None = Field(None, description="Token of the bot, as BotFather gives it.")
    telegram_secret_token: SecretStr | None = Field(
        None, description="Word of your choice that Telegram repeats with every update; letters, digits, _ and - only."
    )
    telegram_api_url: str = Field(
        "https://api.telegram.org", description="Bot API, or a server of yours that speaks it."
    )

    # Model providers
    gemini_api_key: SecretStr | None = Field(None, description="Key for Google's Gemini.")
    gemini_base_url: str | None = Field(None, description="Address of a gateway to Gemini, without its version.")
    openai_api_key: SecretStr | None = Field(None, description="Key for OpenAI or a compatible server.")
    openai_base_url: str | None = Field(None, description="Address of an OpenAI-compatible server, up to and with /v1.")
    anthropic_api_key: SecretStr | None = Field(None, description="Key for Anthropic's Claude.")
    anthropic_base_url: str | None = Field(None, description="Address of a gateway to Anthropic, without /v1.")
    mistral_api_key: SecretStr | None = Field(None, description="Key for Mistral.")
    mistral_base_url: str | None = Field(None, description="Address of a gateway to Mistral, without /v1.")
    openai_servers: str | None = Field(
        None,
        description="Further OpenAI-compatible servers under names of their own, with spaces between, such as"
        " `ollama=http://localhost:11434/v1 router=https://openrouter.ai/api/v1`.",
    )
    openai_server_keys: SecretStr | None = Field(
        None, description="Their keys under the same names, such as `router=sk-or-1`, for those that want one."
    )
    default_model: str | None = Field(
        None,
        description="Model for replies, as provider:model; empty means the usual one of the first key that is set of"
        " GEMINI_API_KEY, OPENAI_API_KEY, ANTHROPIC_API_KEY and MISTRAL_API_KEY, else extractive:quote, which needs"
        " no key.",
    )
    fallback_models: str | None = Field(
        None,
        description="Models that are asked in this order when the first one fails, with spaces between, such as"
        " `anthropic:claude-haiku-5-5 extractive:quote`.",
    )
    embedding_model: str | None = Field(
        None,
        description="Model that finds knowledge by its meaning, as openai:model, such as"
        " openai:text-embedding-3-small; empty means by its words alone.",
    )
    summary_model: str | None = Field(
        None,
        description="Model that sums up conversations, as provider:model, best a cheap one; empty means that they are"
        " summed up by quoting them, without a model.",
    )
    summary_idle_hours: int = Field(
        24, ge=0, description="Hours without a message after which a conversation is summed up; 0 is never."
    )
    provider_first_token_seconds: float = Field(8, gt=0, description="How long a model may take to begin its answer.")
    provider_gap_seconds: float = Field(8, gt=0, description="How long a model may pause within its answer.")
    provider_total_seconds: float = Field(60, gt=0, description="How long an answer may take, all attempts together.")
    encryption_secret: SecretStr | None = Field(
        None,
        description="Secret that encrypts workspaces' own provider keys, of 32 bytes or more; after a comma older ones"
        " that still decrypt.",
    )

    @field_validator("openai_servers", "openai_server_keys")
    @classmethod
    def _names_and_values(cls, value: Any) -> Any:
        for pair in _words(value.get_secret_value() if isinstance(value, SecretStr) else value):
            name, equals, told = pair.partition("=")
            if not (equals and told and name.isascii() and name.isidentifier() and name.islower()):
                raise ValueError("must be name=value pairs with spaces between, the names in small letters")
            if name in USUAL_MODELS:
                raise ValueError(f"{name!r} is a provider already: choose another name")
        return value

    @field_validator("chat_origins")
    @classmethod
    def _are_origins(cls, value: str | None) -> str | None:
        for origin in _origins(value):
            if not (
                origin == "*" or re.fullmatch(r"https?://(\*\.)?[\w-]+(\.[\w-]+)*(:(\d{1,5}|\*))?", origin, re.ASCII)
            ):
                raise ValueError(
                    f"{origin!r} is no origin: write it as https://shop.example, without a path, or * for all"
                )
        return value

    @field_validator("upkeep_time_zone")
    @classmethod
    def _is_a_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ValueError, OSError):
            raise ValueError(f"{value!r} is no time zone: use one such as Europe/Berlin") from None
        return value

    @field_validator("embedding_model")
    @classmethod
    def _embeds(cls, value: str | None) -> str | None:
        provider, _, name = (value or "openai:none").partition(":")
        if provider != "openai" or not name:
            raise ValueError(f"{value!r} is not of the form openai:model, such as openai:text-embedding-3-small")
        return value

    @model_validator(mode="after")
    def _whole_groups(self) -> Self:
        self._needs_all("supabase_url", "supabase_service_role_key", "supabase_anon_key")
        self._needs_all(
            "facebook_page_id", "facebook_page_access_token", "facebook_app_secret", "facebook_verify_token"
        )
        self._needs_all("telegram_bot_token", "telegram_secret_token")
        if self.file_storage == "supabase" and self.supabase_url is None:
            raise ValueError("SUPABASE_URL must be set, because FILE_STORAGE is supabase")
        self._needs_all("instagram_account_id", "instagram_access_token")
        if self.instagram_account_id is not None:
            self._needs_one("instagram_account_id", "instagram_app_secret", "facebook_app_secret")
            self._needs_one("instagram_account_id", "instagram_verify_token", "facebook_verify_token")
        if unknown := self.openai_keys.keys() - self.openai_addresses.keys():
            raise ValueError(f"OPENAI_SERVERS must name {' and '.join(sorted(unknown))}, as OPENAI_SERVER_KEYS does")
        for setting, names in (
            ("DEFAULT_MODEL", [self.model]),
            ("FALLBACK_MODELS", self.fallbacks),
            ("SUMMARY_MODEL", [self.summary_model] if self.summary_model else []),
        ):
            for name in names:
                self._needs_provider(setting, name)
        if self.embedding_model and not (self.openai_api_key or self.openai_base_url):
            raise ValueError("OPENAI_API_KEY (or OPENAI_BASE_URL) must be set as well, because EMBEDDING_MODEL is")
        if self.jwt_secret and len(self.jwt_secret.get_secret_value().encode()) < 32:
            raise ValueError("JWT_SECRET is shorter than 32 bytes: make one with `openssl rand -hex 32`")
        secrets = self.encryption_secret.get_secret_value().split(",") if self.encryption_secret else []
        if any(len(secret.strip().encode()) < 32 for secret in secrets):
            raise ValueError("ENCRYPTION_SECRET is shorter than 32 bytes: make one with `openssl rand -hex 32`")
        return self

    def _needs_all(self, *names: str) -> None:
        missing = [name.upper() for name in names if getattr(self, name) is None]
        if missing and len(missing) < len(names):
            present = ", ".join(name.upper() for name in names if name.upper() not in missing)
            raise ValueError(f"{' and '.join(missing)} must be set as well, because {present} is")

    def _needs_one(self, because: str, *names: str) -> None:
        if all(getattr(self, name) is None for name in names):
            raise ValueError(f"{' or '.join(name.upper() for name in names)} must be set, because {because.upper()} is")

    def _needs_provider(self, setting: str, name: str) -> None:
        provider, _, model = name.partition(":")
        if not model:
            raise ValueError(f"{setting}: {name!r} is not of the form provider:model, such as openai:gpt-5.4-mini")
        if provider in self.openai_addresses:
            return
        if provider not in USUAL_MODELS:
            known = [*USUAL_MODELS, *self.openai_addresses]
            raise ValueError(f"{setting}: {provider!r} is no provider: use {', '.join(known[:-1])} or {known[-1]}")
        if provider != "extractive" and not self.is_configured(provider):
            needed = f"{provider.upper()}_API_KEY (or {provider.upper()}_BASE_URL for a server without keys)"
            raise ValueError(f"{needed} must be set for {setting}={name}")

    def is_configured(self, provider: str) -> bool:
        """Whether a vendor's provider has a key, or an address that may do without."""
        return bool(getattr(self, f"{provider}_api_key") or getattr(self, f"{provider}_base_url"))

    @property
    def model(self) -> str:
        """The model for replies where a workspace names none, as provider:model."""
        with_key = (name for name in USUAL_MODELS if getattr(self, f"{name}_api_key", None))
        return self.default_model or (name := next(with_key, "extractive")) + ":" + USUAL_MODELS[name]

    @property
    def fallbacks(self) -> list[str]:
        """The models to ask when another one fails, as provider:model."""
        return _words(self.fallback_models)

    @property
    def openai_addresses(self) -> dict[str, str]:
        """The further OpenAI-compatible servers by name."""
        return _pairs(self.openai_servers)

    @property
    def openai_keys(self) -> dict[str, str]:
        """Their keys by name; not printed by anything."""
        return _pairs(self.openai_server_keys.get_secret_value() if self.openai_server_keys else None)

    @property
    def origins(self) -> tuple[str, ...]:
        """The origins in `CORS_ORIGINS`, as browsers write them."""
        return _origins(self.cors_origins)

    @property
    def framing_origins(self) -> tuple[str, ...]:
        """The origins in `CHAT_ORIGINS`, the same way."""
        return _origins(self.chat_origins)

    @property
    def poll_seconds(self) -> float:
        """How often to look for work nobody told us of: over REST every look is a request that somebody counts."""
        return self.turn_poll_seconds or (1.0 if self.transport == "postgrest" else 0.2)

    @property
    def behind_pooler(self) -> bool:
        """Whether statements must not rely on anything a session keeps."""
        if self.database_pooler is not None:
            return self.database_pooler
        return self.database_url is not None and ":6543" in self.database_url.get_secret_value()

    @property
    def transport(self) -> Literal["embedded", "postgres", "postgrest"]:
        """How the database is reached."""
        if self.database_url is not None:
            return "postgres"
        return "postgrest" if self.supabase_url else "embedded"


def _origins(value: str | None) -> tuple[str, ...]:
    """``value`` at its commas."""
    return tuple(origin.strip().rstrip("/") for origin in (value or "").split(",") if origin.strip())


def _words(value: str | None) -> list[str]:
    """``value`` at its spaces and commas."""
    return (value or "").replace(",", " ").split()


def _pairs(value: str | None) -> dict[str, str]:
    return {name: told for name, _, told in (pair.partition("=") for pair in _words(value))}


def load(**overrides: Any) -> Settings:
    """The settings of this process. Raises `Misconfigured` with the names of the variables that are wrong."""
    try:
        return Settings(**overrides)
    except ValidationError as error:
        problems = [
            f"{'/'.join(str(part) for part in issue['loc']).upper()}: {issue['msg']}" if issue["loc"] else issue["msg"]
            for issue in error.errors(include_input=False, include_url=False)
        ]
        raise Misconfigured("; ".join(problems).replace("Value error, ", "")) from None
