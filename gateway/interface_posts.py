"""A post, its answer and its preview as `/openapi.json` describes them.

Only descriptions, like `interface_shapes`, which has all others.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, NotRequired, TypedDict

from msgspec import Meta

Time = Annotated[datetime, Meta(tz=True)]


class PdfAttachment(TypedDict):
    name: str
    html: Annotated[str, Meta(description="Literal HTML, not a template.")]


class StoredAttachment(TypedDict):
    path: Annotated[str, Meta(description="A file of the template store.")]
    name: NotRequired[str | None]


class Recipient(TypedDict):
    address: str
    first_name: NotRequired[str | None]
    last_name: NotRequired[str | None]
    user_link: NotRequired[str | None]
    tags: NotRequired[list[str] | None]
    context: NotRequired[Annotated[dict[str, Any], Meta(description="Wins over the shared one.")]]
    pdf_attachments: NotRequired[list[PdfAttachment] | None]
    s3_attachments: NotRequired[list[StoredAttachment] | None]


class Post(TypedDict):
    group_id: Annotated[str, Meta(description="1–64 of `A-Za-z0-9._-`; names one group of its company for ever.")]
    company_code: Annotated[str, Meta(description="1–64 of `a-z0-9_-`.")]
    method: Annotated[str, Meta(description="`test`, `smtp`, `email`, …: one that is configured.")]
    inner_template: Annotated[str, Meta(description="Path of the message definition in the template store.")]
    outer_template: NotRequired[Annotated[str | None, Meta(description="Path of the email style; required for email.")]]
    subject_template: NotRequired[Annotated[str | None, Meta(description="Jinja2 source; required for email.")]]
    from_address: Annotated[
        str,
        Meta(description="`a@b` or `Name <a@b>`; for SMS a sender id (at most 11 characters) or a number."),
    ]
    recipients: Annotated[list[Recipient], Meta(description="One or more; one is at most 8 MiB.")]
    context: NotRequired[Annotated[dict[str, Any], Meta(description="Shared by all messages.")]]
    reply_to: NotRequired[str | None]
    tags: NotRequired[Annotated[list[str], Meta(description="On every message; at most 50.")]]
    headers: NotRequired[Annotated[dict[str, str], Meta(description="Extra headers of the email.")]]
    part: NotRequired[Annotated[int, Meta(description="From 0, when a group is posted in several bodies.")]]
    parts: NotRequired[Annotated[int | None, Meta(description="How many bodies will come.")]]
    priority: NotRequired[Annotated[str, Meta(description="`normal` (default) or `high`.")]]
    send_at: NotRequired[
        Annotated[Time | None, Meta(description="Not before; RFC 3339 or msgpack timestamp, at most 31 days ahead.")]
    ]
    expires_at: NotRequired[Annotated[Time | None, Meta(description="Not after; what is left is `expired`.")]]
    missing_variables: NotRequired[
        Annotated[str, Meta(description="`error` (default): the message fails and names the variable; or `empty`.")]
    ]
    on_uncertain: NotRequired[Annotated[str | None, Meta(description="`resend` or `give_up`.")]]
    stream: NotRequired[Annotated[str, Meta(description="`transactional` (default), or what people unsubscribe from.")]]
    unsubscribe: NotRequired[
        Annotated[bool | None, Meta(description="Unsubscribe headers and link; default unless `transactional`.")]
    ]
    subaccount: NotRequired[Annotated[str | None, Meta(description="Mandrill sub-account; only with `mandrill`.")]]
    country_code: NotRequired[
        Annotated[str | None, Meta(description="ISO 3166 country of numbers written without one; default `GB`.")]
    ]
    cost_limit: NotRequired[Annotated[str | None, Meta(description="Not supported yet.")]]
    track_opens: NotRequired[Annotated[bool | None, Meta(description="Not supported yet.")]]
    track_clicks: NotRequired[Annotated[bool | None, Meta(description="Not supported yet.")]]
    record: NotRequired[
        Annotated[str | None, Meta(description="`full` (default), or `no_body`: bodies and context are not kept.")]
    ]
    redact: NotRequired[
        Annotated[list[str] | None, Meta(description="Keys of contexts whose values are not kept, nor are bodies.")]
    ]


class Reason(TypedDict):
    code: Annotated[str, Meta(description="Stable.")]
    text: str
    docs: str


class Rejected(TypedDict):
    index: int
    address: str
    reason: Reason


class Links(TypedDict):
    group: str
    messages: str
    dashboard: str | None


class Accepted(TypedDict):
    group_id: str
    part: int
    total: int
    accepted: int
    duplicates: Annotated[int, Meta(description="Recipients whose address came before; all are sent.")]
    rejected: list[Rejected]
    links: Links
    replayed: Annotated[bool, Meta(description="The same bytes were accepted before; nothing was changed.")]


class Cost(TypedDict):
    amount: str
    currency: str


class PreviewError(TypedDict):
    index: int
    reason: Reason


class PreviewWarning(TypedDict):
    code: Literal["html_large", "http_link", "subject_empty", "sms_not_gsm", "errors_cut"]
    text: Annotated[str, Meta(description="About the first of them.")]
    count: Annotated[int, Meta(description="Messages that it is about.")]
    index: Annotated[int, Meta(description="Of the first recipient.")]


class PreviewAttachment(TypedDict):
    name: str
    size: Annotated[int, Meta(description="Bytes, before base64.")]


class PreviewSample(TypedDict):
    index: int
    subject: str
    html: str
    text: str
    attachments: list[PreviewAttachment]


class Preview(TypedDict):
    errors: Annotated[list[PreviewError], Meta(description="Recipients that would get nothing; the first 10,000.")]
    segments: Annotated[int, Meta(description="Of all text messages.")]
    cost: Annotated[Cost | None, Meta(description="By the price table; null where it has no price for any.")]
    warnings: Annotated[list[PreviewWarning], Meta(description="What may be read badly; one for each code.")]
    samples: Annotated[list[PreviewSample], Meta(description="The first messages that would go out, at most 5.")]
