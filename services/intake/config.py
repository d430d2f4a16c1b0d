"""Intake's settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator

from morpheus_kit.blobs.addresses import check_buckets, known_buckets
from morpheus_kit.config import PUBLIC_URL, Settings, split_list
from morpheus_kit.prices import PricesFile
from morpheus_kit.retention import COMMON_TEXT, COMPANIES_TEXT, DAY_S, Common, Companies, Retention

Method = Literal["mandrill", "ses", "smtp", "email", "sms", "test"]
EmailMethod = Literal["mandrill", "ses", "smtp"]
EMAIL_ROUTE: tuple[EmailMethod, ...] = ("ses", "mandrill", "smtp")


class Config(Settings):
    """Environment of `services.intake`; times in seconds."""

    service: ClassVar[str] = "services.intake"

    home: Path = Field(Path(".morpheus"), description="Folder of keys, templates, records and outbox of a local stack.")
    intake_addr: str = Field("127.0.0.1:50051", description="Address to serve on, `host:port`.")
    keys_file: Path | None = Field(
        None, description="TOML file of API keys, read again when it changes; absent: `keys.toml` in the home."
    )
    redis_url: str = Field("redis://127.0.0.1:6379/0", description="The queue: `redis://`, `rediss://` or `unix://`.")
    redis_replicas: int = Field(
        0, ge=0, le=10, description="Replicas that must confirm a durable write; 0 for a Redis without replicas."
    )
    partitions: int = Field(1, ge=1, le=999, description="Partitions of the queue; the same number in every service.")
    methods: Annotated[tuple[Method, ...], BeforeValidator(split_list)] = Field(
        ..., description="Methods that groups may name, e.g. `test,smtp,email`: those that the dispatcher can send by."
    )
    email_route: Annotated[tuple[EmailMethod, ...], BeforeValidator(split_list)] = Field(
        (),
        description="Providers of method `email`, the first that works is taken; empty: those of `ses,mandrill,smtp` "
        "that are configured. The same in intake and dispatcher.",
        validate_default=True,
    )
    templates_url: str = Field(
        "", description="The renderer's template store; only for the name of its bucket, when it is in S3."
    )
    s3_buckets: Annotated[tuple[str, ...], BeforeValidator(split_list), AfterValidator(check_buckets)] = Field(
        (),
        description="Further buckets that paths `s3://bucket/key` may name, as `a,b`; the one of templates_url always "
        "may. The same in intake and renderer.",
    )
    public_url: str = Field(
        "",
        pattern=PUBLIC_URL,
        description="URL of the gateway from outside, for unsubscribe links; empty: groups that need them are refused.",
    )
    retention: Common = Field(365 * DAY_S, description=COMMON_TEXT)
    retention_companies: Companies = Field((), description=COMPANIES_TEXT)
    renderer_addr: str = Field("127.0.0.1:50052", description="Address of the renderer, for previews.")
    prices_file: PricesFile | None = Field(
        None,
        description="TOML file of prices, for the cost of a preview; absent: round figures that are shipped. The same "
        "in intake and dispatcher.",
    )
    grace: float = Field(25.0, gt=0, description="Seconds to finish uploads under way when asked to stop.")

    @property
    def kept(self) -> Retention:
        """How long records are kept."""
        return Retention(self.retention, dict(self.retention_companies))

    @property
    def keys_path(self) -> Path:
        """Where the key file is."""
        return self.keys_file or self.home / "keys.toml"

    @property
    def buckets(self) -> frozenset[str]:
        """What `s3://` paths may name."""
        return known_buckets(self.templates_url, self.s3_buckets)

    @field_validator("templates_url")
    @classmethod
    def _bucket_has_a_name(cls, value: str) -> str:
        known_buckets(value, ())
        return value

    @field_validator("email_route")
    @classmethod
    def _route_is_complete(cls, value: tuple[EmailMethod, ...], info: ValidationInfo) -> tuple[EmailMethod, ...]:
        return value or tuple(each for each in EMAIL_ROUTE if each in info.data.get("methods", ()))
