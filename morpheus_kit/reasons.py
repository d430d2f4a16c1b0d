"""The one table of stable reason codes: the same in API, dashboard, CLI and CSV."""

from __future__ import annotations

from enum import StrEnum


class ReasonCode(StrEnum):
    """Why a message did not arrive, waits, or a group or provider is paused."""

    ADDRESS_INVALID = "address_invalid"
    SUPPRESSED_BOUNCE = "suppressed_bounce"
    SUPPRESSED_COMPLAINT = "suppressed_complaint"
    SUPPRESSED_UNSUBSCRIBE = "suppressed_unsubscribe"
    SUPPRESSED_MANUAL = "suppressed_manual"
    RECIPIENT_ERASED = "recipient_erased"
    SENDER_REFUSED = "sender_refused"
    TEMPLATE_MISSING = "template_missing"
    TEMPLATE_INVALID = "template_invalid"
    TEMPLATE_CHANGED = "template_changed"
    VARIABLE_MISSING = "variable_missing"
    RENDER_FAILED = "render_failed"
    RENDER_TIMEOUT = "render_timeout"
    PDF_FAILED = "pdf_failed"
    ATTACHMENT_MISSING = "attachment_missing"
    MESSAGE_TOO_LARGE = "message_too_large"
    PROVIDER_REFUSED = "provider_refused"
    PROVIDER_UNAVAILABLE = "provider_unavailable"
    PROVIDER_THROTTLED = "provider_throttled"
    PROVIDER_CONFIGURATION = "provider_configuration"
    PROVIDER_ACCOUNT = "provider_account"
    PROVIDER_PAUSED = "provider_paused"
    PROVIDER_UNCLEAR = "provider_unclear"
    WORKER_LOST = "worker_lost"
    RETRIES_EXHAUSTED = "retries_exhausted"
    UNCERTAIN_GIVEN_UP = "uncertain_given_up"
    EXPIRED = "expired"
    GROUP_CANCELLED = "group_cancelled"
    BOUNCED = "bounced"
    COMPLAINED = "complained"
    UNSUBSCRIBED = "unsubscribed"
    DEAD_LETTER = "dead_letter"


TEXTS: dict[ReasonCode, str] = {
    ReasonCode.ADDRESS_INVALID: "The address is not a valid one.",
    ReasonCode.SUPPRESSED_BOUNCE: "The address is suppressed: an earlier message bounced for good.",
    ReasonCode.SUPPRESSED_COMPLAINT: "The address is suppressed: the recipient marked an earlier message as spam.",
    ReasonCode.SUPPRESSED_UNSUBSCRIBE: "The address is suppressed: the recipient unsubscribed.",
    ReasonCode.SUPPRESSED_MANUAL: "The address is suppressed: it was put on the list.",
    ReasonCode.RECIPIENT_ERASED: "The recipient was erased before the message was sent.",
    ReasonCode.SENDER_REFUSED: "The recipient's country does not take this sender.",
    ReasonCode.TEMPLATE_MISSING: "A template is not in the template store.",
    ReasonCode.TEMPLATE_INVALID: "A template has an error.",
    ReasonCode.TEMPLATE_CHANGED: "A template version that the group started with is gone.",
    ReasonCode.VARIABLE_MISSING: "A template uses a variable that the context does not have.",
    ReasonCode.RENDER_FAILED: "A template could not be rendered with this context.",
    ReasonCode.RENDER_TIMEOUT: "Rendering took too long.",
    ReasonCode.PDF_FAILED: "A PDF could not be made.",
    ReasonCode.ATTACHMENT_MISSING: "An attachment is not in the template store.",
    ReasonCode.MESSAGE_TOO_LARGE: "The message with its attachments is too large.",
    ReasonCode.PROVIDER_REFUSED: "The provider refused the message.",
    ReasonCode.PROVIDER_UNAVAILABLE: "The provider could not be reached; it is tried again.",
    ReasonCode.PROVIDER_THROTTLED: "The provider asked to wait; it is tried again.",
    ReasonCode.PROVIDER_CONFIGURATION: "The provider lacks what the group asks for; the group is paused until resumed.",
    ReasonCode.PROVIDER_ACCOUNT: "The provider refuses our account or its credentials; it is tried again.",
    ReasonCode.PROVIDER_PAUSED: "The provider was paused by hand.",
    ReasonCode.PROVIDER_UNCLEAR: "The provider may or may not have taken the message.",
    ReasonCode.WORKER_LOST: "A sender died while it sent; the provider may have the message.",
    ReasonCode.RETRIES_EXHAUSTED: "Every retry failed.",
    ReasonCode.UNCERTAIN_GIVEN_UP: "It stayed unclear whether the provider took the message.",
    ReasonCode.EXPIRED: "The message was not sent before its expires_at.",
    ReasonCode.GROUP_CANCELLED: "The group was cancelled.",
    ReasonCode.BOUNCED: "The recipient's server returned the message.",
    ReasonCode.COMPLAINED: "The recipient marked the message as spam.",
    ReasonCode.UNSUBSCRIBED: "The recipient unsubscribed.",
    ReasonCode.DEAD_LETTER: "The message could not be handled.",
}


def docs_link(code: str) -> str:
    """Where the code is explained: a fragment of `docs/http-api.md`."""
    return f"docs/http-api.md#{code}"
