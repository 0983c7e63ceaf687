"""Settings of every role, from the environment (and `.env`) only.

Names that platforms inject (`DATABASE_URL`, `REDIS_URL`) and secrets are bare; everything else
starts with `ORDERWIRE_`. `.env.example` lists them all with one line of meaning each; a test
compares the two. Constructors get values, never this object.
"""

from typing import Literal, Self

from pydantic import AliasChoices, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

SECRET_CHARACTERS_MIN = 32
SAMPLE_PREFIX = "sample-"
"""What the secrets of `.env.example` start with: fine on a developer's machine, refused in production."""


def _bare(name: str) -> AliasChoices:
    return AliasChoices(name)


class Settings(BaseSettings):
    """All settings, frozen. Secrets have no default."""

    # Errors without their input: a refused secret would be printed.
    model_config = SettingsConfigDict(
        env_prefix="ORDERWIRE_", env_file=".env", extra="ignore", frozen=True, hide_input_in_errors=True
    )

    database_url: str = Field(
        validation_alias=_bare("DATABASE_URL"), description="PostgreSQL 15+, postgresql://user:password@host:port/name"
    )
    redis_url: str = Field(
        validation_alias=_bare("REDIS_URL"), description="Redis 7+ or Valkey 8+, redis://:password@host:port/0"
    )
    link_secret: SecretStr = Field(
        validation_alias=_bare("LINK_SECRET"), description="Shared by replicas and engine, 32 characters or more"
    )
    jwt_secret: SecretStr = Field(
        validation_alias=_bare("JWT_SECRET"), description="Signs access tokens, 32 characters or more"
    )
    key_secret: SecretStr = Field(
        validation_alias=_bare("KEY_SECRET"), description="Encrypts API-key secrets at rest, 32 characters or more"
    )

    environment: Literal["development", "production"] = Field(
        "development", description="production refuses sample secrets"
    )
    shard: int = Field(0, ge=0, lt=2**15, description="Shard that this process serves")
    api_host: str = Field("127.0.0.1", description="Address the API binds")
    api_port: int = Field(8000, ge=0, le=65535, description="Port the API binds; 0 takes a free one")
    engine_host: str = Field("127.0.0.1", description="Address the engine's link binds and announces")
    engine_port: int = Field(
        0, ge=0, le=65535, description="Port of the engine's link; 0 takes a free one, replicas find it by themselves"
    )
    allowed_origins: str = Field(
        "", description="Browser origins that may open the stream, comma separated; empty allows none"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is logged")
    log_format: Literal["auto", "json", "text"] = Field("auto", description="auto is text on a terminal, else json")
    checkpoint_s: float = Field(60.0, gt=0, description="Longest time in seconds between two checkpoints of the worker")
    standbys: int = Field(1, ge=0, le=9, description="Engines that should stand by; fewer are shown as degraded")
    disk_paths: str = Field(
        "",
        description="Folders on the database's volumes, comma separated; empty measures a local database's data folder",
    )
    disk_cancel_only_percent: float = Field(
        10.0, ge=0, le=100, description="Free space in percent below which only cancels are taken; 0 is off"
    )
    reopen_s: float = Field(
        10.0, ge=0, le=3600, description="How long only cancels are taken after an outage of more than 5 s; 0 is off"
    )
    projection_lag_s: float = Field(
        60.0,
        ge=0,
        le=86_400,
        description="Lag of the worker beyond which new orders are throttled; 0 is off",
    )
    throttled_orders_per_s: int = Field(
        1000, ge=1, le=1_000_000, description="Orders a second that are taken while new orders are throttled"
    )
    journal_partition: int = Field(
        10_000_000, ge=256, le=10**12, description="Commands of one journal partition; prune drops whole ones"
    )
    metrics_port: int = Field(
        0, ge=0, le=65535, description="Loopback port on which engine and worker show their metrics; 0 is off"
    )
    stream_messages_per_s: int = Field(
        500,
        ge=0,
        le=1_000_000,
        description="Client messages a second that one WebSocket session may send; 0 is no limit",
    )
    stream_sessions_per_address: int = Field(
        2000,
        ge=0,
        le=1_000_000,
        description="WebSocket sessions of a replica that one address may have open; 0 is no limit",
    )
    requests_per_s: int = Field(
        1000,
        ge=0,
        le=1_000_000,
        description="REST requests a second that one key, login or address may send; 0 is no limit",
    )
    logins_per_minute: int = Field(
        60, ge=0, le=1_000_000, description="Logins and registrations a minute from one address; 0 is no limit"
    )
    database_pool: int = Field(5, ge=1, le=100, description="Database connections of a replica")

    @field_validator("link_secret", "jwt_secret", "key_secret")
    @classmethod
    def _long_enough(cls, value: SecretStr) -> SecretStr:
        if len(value.get_secret_value()) < SECRET_CHARACTERS_MIN:
            raise ValueError(f"expected {SECRET_CHARACTERS_MIN} characters or more")
        return value

    @model_validator(mode="after")
    def _no_sample_in_production(self) -> Self:
        secrets = {"LINK_SECRET": self.link_secret, "JWT_SECRET": self.jwt_secret, "KEY_SECRET": self.key_secret}
        for name, secret in secrets.items():
            if self.environment == "production" and secret.get_secret_value().startswith(SAMPLE_PREFIX):
                raise ValueError(f"{name}: expected a secret of your own in production, was the sample")
        return self
