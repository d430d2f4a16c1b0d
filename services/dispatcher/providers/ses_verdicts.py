"""What SES's answers mean: its own error names first, as data."""

from __future__ import annotations

from services.dispatcher.providers.http_verdicts import answer_of
from services.dispatcher.verdicts import Answer, Verdict

ERRORS: dict[str, Answer] = {
    "MessageRejected": Answer.REFUSED,
    "BadRequest": Answer.REFUSED,
    "Validation": Answer.REFUSED,
    "InvalidParameterValue": Answer.REFUSED,
    "TooManyRequests": Answer.THROTTLED,
    "Throttling": Answer.THROTTLED,
    "LimitExceeded": Answer.THROTTLED,
    "AccountSuspended": Answer.PAUSED,
    "SendingPaused": Answer.PAUSED,
    "AccessDenied": Answer.PAUSED,
    "ExpiredToken": Answer.PAUSED,
    "IncompleteSignature": Answer.PAUSED,
    "InvalidClientTokenId": Answer.PAUSED,
    "InvalidSignature": Answer.PAUSED,
    "MissingAuthenticationToken": Answer.PAUSED,
    "OptInRequired": Answer.PAUSED,
    "RequestExpired": Answer.PAUSED,
    "SignatureDoesNotMatch": Answer.PAUSED,
    "UnrecognizedClient": Answer.PAUSED,
    "MailFromDomainNotVerified": Answer.CONFIGURATION,
    "NotFound": Answer.CONFIGURATION,
    "InternalFailure": Answer.RETRY,
    "InternalServerError": Answer.RETRY,
    "ServiceUnavailable": Answer.RETRY,
    "RequestTimeout": Answer.RETRY,
}
"""By name without `Exception` at its end: the service and its front door spell the same ones in both ways."""

_NOT_VERIFIED = "not verified"


def verdict_of(name: str, words: str, status: int) -> Verdict:
    """An error of `SendEmail`."""
    text = f"ses: {name}: {words}"
    if status in {502, 504}:
        # A proxy speaks for a server that may have the message, whatever its page says.
        return Verdict(Answer.UNCLEAR, text)
    answer = ERRORS.get(name.removesuffix("Exception"))
    if answer is Answer.REFUSED and _NOT_VERIFIED in words.lower():
        # The one case that has no name of its own: the group's sender is not an identity of the account.
        answer = Answer.CONFIGURATION
    return Verdict(answer or answer_of(status), text)
