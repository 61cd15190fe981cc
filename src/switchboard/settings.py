"""Every setting, typed, with one sentence each. Nothing else reads the environment.

Values come from the environment, then from `.env` in the working folder. An empty value counts as not set.
"""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from switchboard.errors import Misconfigured


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
    docs: bool = Field(True, description="Whether /docs and /openapi.json are served.")
    max_body_bytes: int = Field(5_000_000, gt=0, description="Largest request body that is read, in bytes.")
    shutdown_seconds: float = Field(
        10, ge=0, description="How long a stopping process may finish what runs, in seconds."
    )

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
    inbox_days: int = Field(30, ge=2, description="Days for which raw webhook payloads are kept.")
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

    # Model providers
    openai_api_key: SecretStr | None = Field(None, description="Key for OpenAI or a compatible server.")
    openai_base_url: str | None = Field(None, description="Address of an OpenAI-compatible server, up to and with /v1.")
    default_model: str | None = Field(
        None,
        description="Model for replies, as provider:model; empty means openai:gpt-5.4-mini when OPENAI_API_KEY is set,"
        " else extractive:quote, which needs no key.",
    )
    provider_first_token_seconds: float = Field(8, gt=0, description="How long a model may take to begin its answer.")
    provider_total_seconds: float = Field(60, gt=0, description="How long a model may take for a whole answer.")

    @field_validator("default_model")
    @classmethod
    def _provider_and_model(cls, value: str | None) -> str | None:
        provider, colon, name = (value or "extractive:quote").partition(":")
        if not (colon and name):
            raise ValueError(f"{value!r} is not of the form provider:model, such as openai:gpt-5.4-mini")
        if provider not in {"extractive", "openai"}:
            raise ValueError(f"{provider!r} is no provider: use extractive or openai")
        return value

    @model_validator(mode="after")
    def _whole_groups(self) -> Self:
        self._needs_all("supabase_url", "supabase_service_role_key", "supabase_anon_key")
        self._needs_all(
            "facebook_page_id", "facebook_page_access_token", "facebook_app_secret", "facebook_verify_token"
        )
        if self.model.startswith("openai:") and not (self.openai_api_key or self.openai_base_url):
            raise ValueError(
                "OPENAI_API_KEY (or OPENAI_BASE_URL for a server without keys) must be set for an openai: model"
            )
        if self.jwt_secret and len(self.jwt_secret.get_secret_value().encode()) < 32:
            raise ValueError("JWT_SECRET is shorter than 32 bytes: make one with `openssl rand -hex 32`")
        return self

    def _needs_all(self, *names: str) -> None:
        missing = [name.upper() for name in names if getattr(self, name) is None]
        if missing and len(missing) < len(names):
            present = ", ".join(name.upper() for name in names if name.upper() not in missing)
            raise ValueError(f"{' and '.join(missing)} must be set as well, because {present} is")

    @property
    def model(self) -> str:
        """The model for replies where a workspace names none, as provider:model."""
        return self.default_model or ("openai:gpt-5.4-mini" if self.openai_api_key else "extractive:quote")

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
