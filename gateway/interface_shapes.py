"""Bodies and answers as `/openapi.json` describes them, in the order of the documentation.

Only descriptions: what is decoded is `codec`'s, what is answered `shapes`'s; a test holds the three to the same keys.
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


class Progress(TypedDict):
    waiting: int
    sending: int
    uncertain: int
    ended: int


class Operation(TypedDict):
    type: str
    key_id: str
    time: Time


class Group(TypedDict):
    group_id: str
    company_code: str
    method: str
    stream: str
    tags: list[str]
    control: Literal["running", "paused", "cancelled", "finished"]
    reason: Reason | None
    total: int
    progress: Progress
    counts: Annotated[dict[str, int], Meta(description="Messages in each state.")]
    percent: Annotated[float, Meta(description="0–100.")]
    rate: Annotated[float, Meta(description="Messages ended a second over the last minute.")]
    eta: Time | None
    accepted_at: Time
    finished_at: Time | None
    as_of: Time
    operations: list[Operation]
    inner_template: str
    outer_template: str | None
    subject_template: str | None
    template_versions: dict[str, str]
    context: dict[str, Any]
    from_address: str
    reply_to: str | None
    headers: dict[str, str]
    priority: str
    send_at: Time | None
    expires_at: Time | None
    missing_variables: str
    on_uncertain: str | None
    record: Literal["full", "no_body"]
    redact: list[str]
    unsubscribe: bool
    parts: int | None
    parts_in: int


class Groups(TypedDict):
    items: list[Group]
    next_page_token: Annotated[str, Meta(description="Empty at the end.")]


class Cost(TypedDict):
    amount: str
    currency: str


class Message(TypedDict):
    id: str
    group_id: str
    company_code: str
    method: str
    provider: str | None
    stream: str
    state: str
    reason: Reason | None
    address: str
    first_name: str
    last_name: str
    user_link: str
    subject: str
    tags: list[str]
    external_id: str | None
    cost: Cost | None
    segments: int | None
    attempts: int
    bounce_type: str | None
    accepted_at: Time
    sent_at: Time | None
    delivered_at: Time | None
    opened_at: Time | None
    clicked_at: Time | None
    bounced_at: Time | None
    complained_at: Time | None
    unsubscribed_at: Time | None
    resend_of: str | None
    next_try_at: Time | None


class Messages(TypedDict):
    items: list[Message]
    next_page_token: Annotated[str, Meta(description="Empty at the end.")]


class Attachment(TypedDict):
    name: str
    size: int
    sha256: str


class Event(TypedDict):
    id: str
    type: str
    time: Time
    detail: dict[str, Any]


class MessageDetail(Message):
    text: str
    html: str
    context: dict[str, Any]
    attachments: list[Attachment]
    events: list[Event]


class Rates(TypedDict):
    delivered: Annotated[float | None, Meta(description="Of those sent; null where none is known to be.")]
    bounced: Annotated[float | None, Meta(description="Of those sent.")]
    opened: Annotated[float | None, Meta(description="Of those delivered.")]
    clicked: Annotated[float | None, Meta(description="Of those delivered.")]
    complained: Annotated[float | None, Meta(description="Of those delivered.")]
    unsubscribed: Annotated[float | None, Meta(description="Of those delivered.")]


class Statistics(TypedDict):
    bucket: Annotated[Time, Meta(description="Its beginning, UTC.")]
    method: NotRequired[Annotated[str, Meta(description="Where grouped by it.")]]
    tag: NotRequired[Annotated[str, Meta(description="Where grouped by it; a message counts for each of its tags.")]]
    total: int
    counts: Annotated[dict[str, int], Meta(description="Messages in each state.")]
    rates: Rates


class StatisticsList(TypedDict):
    items: list[Statistics]


class CostSum(TypedDict):
    key: Annotated[str, Meta(description="Company, method, tag or day (`YYYY-MM-DD`).")]
    messages: Annotated[int, Meta(description="Those whose cost is known, of this currency.")]
    cost: Cost


class CostSums(TypedDict):
    items: list[CostSum]


class FeedEvent(TypedDict):
    cursor: str
    message_id: str
    group_id: str
    company_code: str
    type: str
    state: Annotated[str, Meta(description="Of the message, after it.")]
    time: Time
    reason: Reason | None


class Feed(TypedDict):
    items: list[FeedEvent]
    next: Annotated[str, Meta(description="`after` of the next request.")]


class Controlled(TypedDict):
    control: str
    stopped: Annotated[int, Meta(description="Messages that waited at that instant; 0 when nothing changed.")]


class Resent(TypedDict):
    id: Annotated[str, Meta(description="Of the new message.")]
    group_id: Annotated[str, Meta(description="Of the new group.")]


class Retry(TypedDict):
    states: NotRequired[Annotated[list[str], Meta(description="Default: `failed`.")]]
    reasons: NotRequired[Annotated[list[str], Meta(description="Default: any.")]]


class Retried(TypedDict):
    group_id: Annotated[str, Meta(description="Of the new group.")]
    total: Annotated[int, Meta(description="Messages in it.")]


class Provider(TypedDict):
    name: Annotated[str, Meta(description="As in the `provider` of a message.")]
    state: Literal["running", "paused", "open"]
    reason: Annotated[Reason | None, Meta(description="What holds it back; null while it runs.")]
    rate: Annotated[float, Meta(description="Messages a second that it took in the last minute.")]


class Providers(TypedDict):
    items: list[Provider]
    next_page_token: Annotated[str, Meta(description="Always empty: there is one page.")]


class NewSuppression(TypedDict):
    address: Annotated[str, Meta(description="An email address, or a number with its country.")]
    stream: NotRequired[Annotated[str | None, Meta(description="Only this one; default every stream.")]]
    reason: NotRequired[
        Annotated[str | None, Meta(description="`bounce`, `complaint`, `unsubscribe`, or any text; default `manual`.")]
    ]


class Suppression(TypedDict):
    address: Annotated[str | None, Meta(description="Null once the person was erased.")]
    stream: Annotated[str | None, Meta(description="Null: every stream.")]
    reason: str
    time: Time


class Suppressions(TypedDict):
    items: list[Suppression]
    next_page_token: Annotated[str, Meta(description="Empty at the end.")]


class Removed(TypedDict):
    removed: Annotated[int, Meta(description="Suppressions that there were.")]


class NewErasure(TypedDict):
    address: Annotated[str, Meta(description="An email address or a number, as it was written to.")]


class Erased(TypedDict):
    erased: Annotated[
        dict[str, int],
        Meta(
            description="How many things of each store: `records`, `outbox`, `queue`, `later`, `dead_letters`, "
            "`suppressions`."
        ),
    ]


class Alive(TypedDict):
    status: str


class Ready(TypedDict):
    status: str
    services: dict[str, str]


class Violation(TypedDict):
    path: str
    reason: str


class Problem(TypedDict):
    type: str
    title: str
    status: int
    detail: str
    code: Annotated[str, Meta(description="Stable.")]
    request_id: str
    errors: NotRequired[list[Violation]]
