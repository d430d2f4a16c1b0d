"""The tracker's settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Self
from urllib.parse import unquote, urlsplit

from pydantic import BeforeValidator, Field, SecretStr, field_validator, model_validator

from morpheus_kit.config import LongSecret, Settings, split_list
from morpheus_kit.retention import COMMON_TEXT, COMPANIES_TEXT, DAY_S, Common, Companies, Retention
from morpheus_kit.signing import decode_secret
from services.tracker.webhooks.hosts import hosts_of

Secrets = Annotated[tuple[SecretStr, ...], BeforeValidator(split_list)]

_STORES = (
    "must be sqlite:///<path of the file> or https://<user>:<password>@<host>:<port>, "
    "in user and password %XX for what a URL reserves (%2F for a slash)"
)


class Config(Settings):
    """Environment of `services.tracker`."""

    service: ClassVar[str] = "services.tracker"

    tracker_addr: str = Field("127.0.0.1:50054", description="Address to serve on, `host:port`.")
    redis_url: str = Field("redis://127.0.0.1:6379/0", description="The queue: `redis://`, `rediss://` or `unix://`.")
    redis_replicas: int = Field(
        0, ge=0, le=10, description="Replicas that must confirm a durable write; 0 for a Redis without replicas."
    )
    partitions: int = Field(1, ge=1, le=999, description="Partitions of the queue; the same number in every service.")
    records_url: str = Field(
        "sqlite:///.morpheus/records.db",
        repr=False,
        description="Where records are kept. `sqlite:///<path>`: one file, about 2 KB a message and twice that free "
        "while it grows; only one process may have it open. `https://user:password@host:9200`: Elasticsearch 9 "
        "(`docs/elasticsearch.md`), any number of processes.",
    )
    records_authority: str = Field(
        "", description="PEM file of the authority that signed Elasticsearch's certificate; empty: those of the system."
    )
    records_shards: int = Field(
        1, ge=1, le=64, description="Primary shards of a month's index: one for each 30 GB that a month will have."
    )
    records_replicas: int = Field(
        1, ge=0, le=5, description="Copies of each shard on other nodes; 0 only where records may be lost with a node."
    )
    address_secret: LongSecret = Field(
        description="Hashes suppressed addresses and signs unsubscribe links; 16 characters or more, the same as the "
        "dispatcher's. Keep it secret and never change it: suppressed addresses would be written to again, and no "
        "link that was sent would work any more."
    )
    retention: Common = Field(365 * DAY_S, description=COMMON_TEXT)
    retention_companies: Companies = Field((), description=COMPANIES_TEXT)
    outbox: str = Field(
        "", description="Folder into which the dispatcher writes messages of method `test`, to erase persons there too."
    )
    token_secret: LongSecret = Field(
        description="Signs page tokens; 16 characters or more, the same in every process, kept secret."
    )
    public_url: str = Field(
        "", description="URL of the gateway from outside, as providers call it: their signatures are over it."
    )
    mandrill_webhook_keys: Secrets = Field(
        (), description="Keys of Mandrill's webhooks; any of them counts. Empty: `/webhooks/mandrill` is 404."
    )
    ses_topic_arns: Annotated[tuple[str, ...], BeforeValidator(split_list)] = Field(
        (),
        description="ARNs of the SNS topics that SES publishes to; posts of others are refused. Empty: `/webhooks/ses` "
        "is 404.",
    )
    sns_cert_hosts: Annotated[tuple[str, ...], BeforeValidator(split_list)] = Field(
        (),
        description="Where SNS's certificates and confirmations may be, `host` or `host:port`, by https (http only on "
        "this machine); empty: `sns.<region>.amazonaws.com` of the topics.",
    )
    twilio_auth_token: SecretStr = Field(
        SecretStr(""),
        description="Twilio's auth token, with which it signs; empty, or no public URL: `/webhooks/twilio` is 404.",
    )
    twilio_webhook_keys: Secrets = Field(
        (), description="Shared keys with which Twilio signs instead, where an account has them; any of them counts."
    )
    bird_webhook_secret: Secrets = Field(
        (),
        description="Secrets of Bird's webhook, `whsec_…`; two while it is changed. Empty: `/webhooks/bird` is 404.",
    )
    watchers: int = Field(
        1_000,
        ge=1,
        le=100_000,
        description="Watchers of groups (`GET /v1/groups/{group_id}/events`, `WatchGroup`) that one tracker serves at "
        "once; more are refused with 429. All watchers of a group cost one question each half second.",
    )
    grace: float = Field(25.0, gt=0, description="Seconds to finish what is being recorded when asked to stop.")

    @model_validator(mode="after")
    def _authority_has_what_it_signed(self) -> Self:
        if self.records_authority and not self.records_url.startswith("https:"):
            raise ValueError("MORPHEUS_RECORDS_AUTHORITY needs an https:// address as MORPHEUS_RECORDS_URL")
        return self

    @property
    def kept(self) -> Retention:
        """How long records are kept."""
        return Retention(self.retention, dict(self.retention_companies))

    @model_validator(mode="after")
    def _signed_url_is_known(self) -> Self:
        if self.mandrill_webhook_keys and not self.public_url:
            raise ValueError("MORPHEUS_MANDRILL_WEBHOOK_KEYS needs MORPHEUS_PUBLIC_URL: its signatures are over it")
        return self

    @field_validator("ses_topic_arns")
    @classmethod
    def _topics_are_arns(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        hosts_of(value)
        return value

    @field_validator("bird_webhook_secret")
    @classmethod
    def _secrets_can_be_decoded(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for secret in value:
            decode_secret(secret.get_secret_value())
        return value

    @field_validator("records_url")
    @classmethod
    def _records_url_names_a_store(cls, value: str) -> str:
        try:
            parts = urlsplit(value)
            port = parts.port
        except ValueError:  # its words hold a part of the password
            raise ValueError(_STORES) from None
        if parts.scheme not in {"http", "https"}:
            records_path(value)
        elif not parts.hostname or port == 0 or parts.path.strip("/") or parts.query or parts.fragment:
            raise ValueError(_STORES)
        return value


def records_path(url: str) -> Path:
    """The file of `sqlite:///relative` or `sqlite:////absolute`."""
    parts = urlsplit(url)
    path = unquote(parts.path).removeprefix("/")
    if parts.scheme != "sqlite" or parts.netloc or not path:
        raise ValueError(_STORES)
    return Path(path)
