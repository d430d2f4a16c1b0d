"""The dispatcher's settings."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from morpheus_kit.config import PUBLIC_URL, LongSecret, Settings, split_list
from morpheus_kit.prices import PricesFile
from services.dispatcher.providers.smtp_url import parse_smtp_url

Policy = Literal["resend", "give_up"]
EmailMethod = Literal["mandrill", "ses", "smtp"]
SmsProvider = Literal["twilio", "bird"]
EMAIL_ROUTE: tuple[EmailMethod, ...] = ("ses", "mandrill", "smtp")
_HOST_ONLY = r"^https?://[^/?#@\s]+/?$"


class Config(Settings):
    """Environment of `services.dispatcher`; times in seconds."""

    service: ClassVar[str] = "services.dispatcher"

    dispatcher_addr: str = Field(
        "127.0.0.1:50053",
        description="Address to serve on, `host:port`; for pause, resume and cancel.",
    )
    renderer_addr: str = Field("127.0.0.1:50052", description="Address of the renderer.")
    redis_url: str = Field("redis://127.0.0.1:6379/0", description="The queue: `redis://`, `rediss://` or `unix://`.")
    redis_replicas: int = Field(
        0, ge=0, le=10, description="Replicas that must confirm a durable write; 0 for a Redis without replicas."
    )
    partitions: int = Field(1, ge=1, le=999, description="Partitions of the queue; the same number in every service.")
    address_secret: LongSecret = Field(
        description="Hashes suppressed addresses and signs unsubscribe links; 16 characters or more, the same as the "
        "tracker's. Keep it secret and never change it: suppressed addresses would be written to again, and no "
        "link that was sent would work any more."
    )
    senders: int = Field(
        4,
        ge=1,
        le=64,
        description="Slices of each method handled at once. More when a provider is slow, not when the CPU is busy.",
    )
    slice: int = Field(
        100, ge=1, le=500, description="Most messages taken at once. Larger: less work a message, slower to stop."
    )
    outcomes_limit: int = Field(
        5_000,
        ge=1,
        description="Entries of unrecorded outcomes (each a batch, about 20 KB) above which nothing is sent.",
    )
    lease: float = Field(
        30.0, gt=0, description="Seconds without a sign of life after which another sender takes a message over."
    )
    grace: float = Field(25.0, gt=0, description="Seconds to finish what is in flight when asked to stop.")
    render_timeout: float = Field(5.0, gt=0, description="Seconds that the renderer may take for one message.")
    provider_timeout: float = Field(
        15.0, gt=0, description="Seconds to wait for a provider's answer; after it the message is uncertain."
    )
    retry_delays: Annotated[tuple[Annotated[float, Field(ge=0)], ...], BeforeValidator(split_list)] = Field(
        (5, 10, 60, 600, 1800, 3600, 43200),
        description="Longest wait in seconds before each retry (a random part of it is waited), then failed.",
    )
    uncertain_after: float = Field(900.0, gt=0, description="Seconds to wait for a receipt of an uncertain message.")
    uncertain_email: Policy = Field("resend", description="Then, for email: `resend` (once) or `give_up`.")
    uncertain_sms: Policy = Field("give_up", description="The same for SMS.")
    test_time_scale: float = Field(
        0.001, gt=0, le=1, description="With method `test` all waits are multiplied by this."
    )
    outbox: str = Field("", description="Folder where method `test` writes each message; empty: nowhere.")
    email_route: Annotated[tuple[EmailMethod, ...], BeforeValidator(split_list)] = Field(
        (),
        description="Providers of method `email`, the first that works is taken; empty: those of `ses,mandrill,smtp` "
        "that are configured. The same in intake and dispatcher.",
    )
    mandrill_url: str = Field(
        "https://mandrillapp.com", pattern=_HOST_ONLY, description="Mandrill's API, scheme and host only."
    )
    mandrill_key: str = Field("", description="API key of method `mandrill`; empty: the method is not there.")
    mandrill_connections: int = Field(50, ge=1, le=500, description="Calls to Mandrill at the same time.")
    mandrill_rate: float = Field(
        0, ge=0, description="Messages a second to Mandrill, over all dispatchers; 0: no limit of ours."
    )
    ses_configuration_set: str = Field(
        "",
        description="Configuration set of method `ses`, whose events are the receipts; empty: the method is not there. "
        "Region and credentials come from `AWS_REGION` and wherever the AWS library looks.",
    )
    ses_endpoint_url: str = Field(
        "", pattern=f"^$|{_HOST_ONLY}", description="Where SESv2 is, scheme and host only; empty: by the region."
    )
    ses_connections: int = Field(50, ge=1, le=500, description="Calls to SES at the same time.")
    ses_rate: float = Field(
        0,
        ge=0,
        description="Messages a second that SES lets this account send, over all dispatchers; 0: no limit of ours.",
    )
    sms_route: Annotated[tuple[SmsProvider, ...], BeforeValidator(split_list)] = Field(
        (),
        description="Providers of method `sms`, the first that works is taken; empty: those of `twilio,bird` that are "
        "configured.",
    )
    twilio_url: str = Field(
        "https://api.twilio.com", pattern=_HOST_ONLY, description="Twilio's API, scheme and host only."
    )
    twilio_account_sid: str = Field("", description="Account of provider `twilio`; empty: the provider is not there.")
    twilio_auth_token: str = Field("", description="Its auth token.")
    twilio_connections: int = Field(20, ge=1, le=500, description="Calls to Twilio at the same time.")
    twilio_rate: float = Field(
        0.0,
        ge=0,
        description="Most messages a second to Twilio, over all dispatchers; 0: as fast as it takes them.",
    )
    bird_url: str = Field(
        "", pattern=f"^$|{_HOST_ONLY}", description="Bird's API, scheme and host only; empty: that of the key's region."
    )
    bird_key: str = Field("", description="API key of provider `bird`; empty: the provider is not there.")
    bird_connections: int = Field(20, ge=1, le=500, description="Calls to Bird at the same time.")
    bird_rate: float = Field(
        0.0,
        ge=0,
        description="Most messages a second to Bird, over all dispatchers; 0: as fast as it takes them.",
    )
    sms_downgrade: bool = Field(
        False,
        description="Make typeset quotes, dashes and spaces of an SMS plain where that alone makes it GSM-7. The same "
        "in dispatcher and renderer.",
    )
    prices_file: PricesFile | None = Field(
        None,
        description="TOML file of prices, per method, of SMS per country; absent: round figures that are shipped "
        "(`morpheus_kit/prices.toml`).",
    )
    public_url: str = Field(
        "",
        pattern=PUBLIC_URL,
        description="URL of the gateway from outside: of unsubscribe links (mail programs want https), and where "
        "providers tell what became of SMS.",
    )
    smtp_url: str = Field(
        "",
        description="Relay of method `smtp`: `smtp://user:pass@host:587?starttls=1`, `smtps://…`; empty: none.",
    )
    smtp_return_path: str = Field(
        "", description="Envelope sender of method `smtp`, where bounces go; empty: the group's from_address."
    )
    smtp_connections: int = Field(
        8, ge=1, le=200, description="Open connections to the relay, each with one message at a time."
    )
    smtp_rate: float = Field(
        0, ge=0, description="Messages a second to the relay, over all dispatchers; 0: no limit of ours."
    )

    @model_validator(mode="after")
    def _twilio_has_both(self) -> Self:
        if bool(self.twilio_account_sid) != bool(self.twilio_auth_token):
            raise ValueError("MORPHEUS_TWILIO_ACCOUNT_SID and MORPHEUS_TWILIO_AUTH_TOKEN go together")
        return self

    @field_validator("smtp_url")
    @classmethod
    def _smtp_url_is_valid(cls, value: str) -> str:
        if value:
            parse_smtp_url(value)
        return value
