"""Typed configuration from the environment: prefix `MORPHEUS_`, any `…_FILE` twin reads a file.

Each service subclasses `Settings` in its own `config.py` and documents each field with its unit
and how to size it; `docs/configuration.md` is made from those. A `MORPHEUS_` name that no service
knows stops the start: a typo must never be silently ignored.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError

PREFIX = "MORPHEUS_"
PUBLIC_URL = r"^$|^https?://[!-;=?-~]+$"
"""Pattern of a public URL that goes into mails; it may have a path."""

# Every name that some service knows; a test holds it against the union of all `config.py`.
KNOWN_NAMES: frozenset[str] = frozenset(
    {
        "ADDRESS_SECRET",
        "BIRD_CONNECTIONS",
        "BIRD_KEY",
        "BIRD_RATE",
        "BIRD_URL",
        "BIRD_WEBHOOK_SECRET",
        "DEFAULT_LOCALE",
        "DEFAULT_TIME_ZONE",
        "DISPATCHER_ADDR",
        "EMAIL_ROUTE",
        "GRACE",
        "HOME",
        "HOST",
        "INTAKE_ADDR",
        "KEYS_FILE",
        "LEASE",
        "LOG_LEVEL",
        "MANDRILL_CONNECTIONS",
        "MANDRILL_KEY",
        "MANDRILL_RATE",
        "MANDRILL_URL",
        "MANDRILL_WEBHOOK_KEYS",
        "MAX_BODY",
        "MAX_MESSAGE",
        "METHODS",
        "OUTBOX",
        "OUTCOMES_LIMIT",
        "PARTITIONS",
        "PDF_BYTES",
        "PDF_CACHE",
        "PDF_PAGES",
        "PORT",
        "PRICES_FILE",
        "PROVIDER_TIMEOUT",
        "PUBLIC_URL",
        "RECORDS_AUTHORITY",
        "RECORDS_REPLICAS",
        "RECORDS_SHARDS",
        "RECORDS_URL",
        "REDIS_REPLICAS",
        "REDIS_URL",
        "RENDERER_ADDR",
        "RENDER_BACKLOG",
        "RENDER_MEMORY",
        "RENDER_RECYCLE",
        "RENDER_TIMEOUT",
        "RENDER_WORKERS",
        "RETENTION",
        "RETENTION_COMPANIES",
        "RETRY_DELAYS",
        "S3_BUCKETS",
        "S3_ENDPOINT_URL",
        "SENDERS",
        "SES_CONFIGURATION_SET",
        "SES_CONNECTIONS",
        "SES_ENDPOINT_URL",
        "SES_RATE",
        "SES_TOPIC_ARNS",
        "SLICE",
        "SMS_DOWNGRADE",
        "SMS_ROUTE",
        "SMTP_CONNECTIONS",
        "SMTP_RATE",
        "SMTP_RETURN_PATH",
        "SMTP_URL",
        "SNS_CERT_HOSTS",
        "TEMPLATES_URL",
        "TEMPLATE_CACHE",
        "TEMPLATE_CACHE_BYTES",
        "TEMPLATE_TTL",
        "TEST_TIME_SCALE",
        "TOKEN_SECRET",
        "TRACKER_ADDR",
        "TWILIO_ACCOUNT_SID",
        "TWILIO_AUTH_TOKEN",
        "TWILIO_CONNECTIONS",
        "TWILIO_RATE",
        "TWILIO_URL",
        "TWILIO_WEBHOOK_KEYS",
        "UNCERTAIN_AFTER",
        "UNCERTAIN_EMAIL",
        "UNCERTAIN_SMS",
        "WATCHERS",
    }
)


class ConfigError(Exception):
    """The environment is not a valid configuration; the message says what to change."""


class Settings(BaseModel):
    """What every service reads."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    log_level: str = Field("info", pattern="^(debug|info|warning|error)$", description="Least level that is logged.")

    service: ClassVar[str] = ""

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Reads the environment. ConfigError when it cannot be used."""
        values = _values(os.environ if environ is None else environ)
        wanted: dict[str, Any] = {}
        for name, text in values.items():
            if name.lower() in cls.model_fields:
                wanted[name.lower()] = text
        try:
            return cls(**wanted)
        except ValidationError as exc:
            lines = [
                f"{PREFIX}{'.'.join(str(part) for part in error['loc']).upper()}: {error['msg']}"
                for error in exc.errors()
            ]
            raise ConfigError("\n".join(lines)) from exc


def _values(environ: Mapping[str, str]) -> dict[str, str]:
    """Names without prefix, `_FILE` twins read. ConfigError on a name that nobody knows."""
    values: dict[str, str] = {}
    for full_name, text in environ.items():
        if not full_name.startswith(PREFIX):
            continue
        name = full_name.removeprefix(PREFIX)
        if name in KNOWN_NAMES:
            values[name] = text
        elif name.endswith("_FILE") and (target := name.removesuffix("_FILE")) in KNOWN_NAMES:
            try:
                values[target] = Path(text).read_text().strip()
            except OSError as exc:
                msg = f"{full_name}: {exc.strerror}: {text}"
                raise ConfigError(msg) from exc
        else:
            msg = f"{full_name}: no service knows this name; see docs/configuration.md"
            raise ConfigError(msg)
    return values


def require_long(value: SecretStr) -> SecretStr:
    """For secrets that sign or hash (a pydantic `AfterValidator`)."""
    if len(value.get_secret_value()) < 16:
        raise ValueError("must have 16 characters or more")
    return value


LongSecret = Annotated[SecretStr, AfterValidator(require_long)]


def split_list(value: object) -> object:
    """`a,b` as a list, for list fields (a pydantic `BeforeValidator`)."""
    if isinstance(value, str):
        return [item.strip() for item in value.split(",") if item.strip()]
    return value
