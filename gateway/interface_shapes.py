"""Bodies and answers as `/openapi.json` describes them, in the order of the documentation.

Only descriptions: what is decoded is `codec`'s, what is answered `shapes`'s; a test holds the three to the same keys.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired, TypedDict

from msgspec import Meta

from gateway.interface_posts import Cost, Reason, Time


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
