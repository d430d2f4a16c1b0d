"""Every answer of SES that we know."""

from __future__ import annotations

import pytest

from services.dispatcher.providers.ses_verdicts import verdict_of
from services.dispatcher.verdicts import Answer


@pytest.mark.parametrize(
    ("name", "status", "answer"),
    [
        ("MessageRejected", 400, Answer.REFUSED),
        ("BadRequestException", 400, Answer.REFUSED),
        ("ValidationException", 400, Answer.REFUSED),
        ("TooManyRequestsException", 429, Answer.THROTTLED),
        ("ThrottlingException", 400, Answer.THROTTLED),
        ("Throttling", 400, Answer.THROTTLED),
        ("LimitExceededException", 400, Answer.THROTTLED),
        ("AccountSuspendedException", 400, Answer.PAUSED),
        ("SendingPausedException", 400, Answer.PAUSED),
        ("AccessDeniedException", 403, Answer.PAUSED),
        ("ExpiredTokenException", 403, Answer.PAUSED),
        ("InvalidSignatureException", 403, Answer.PAUSED),
        ("SignatureDoesNotMatch", 403, Answer.PAUSED),
        ("UnrecognizedClientException", 403, Answer.PAUSED),
        ("MailFromDomainNotVerifiedException", 400, Answer.CONFIGURATION),
        ("NotFoundException", 404, Answer.CONFIGURATION),
        ("InternalFailure", 500, Answer.RETRY),
        ("ServiceUnavailable", 503, Answer.RETRY),
        ("SomethingNew", 400, Answer.REFUSED),
        ("SomethingNew", 500, Answer.RETRY),
        ("403", 403, Answer.PAUSED),
        ("InternalFailure", 502, Answer.UNCLEAR),
        ("", 504, Answer.UNCLEAR),
    ],
)
def test_errors_by_name_then_by_status(name: str, status: int, answer: Answer) -> None:
    verdict = verdict_of(name, "its words", status)
    assert (verdict.answer, verdict.text) == (answer, f"ses: {name}: its words")


def test_an_identity_that_is_not_verified_is_configuration() -> None:
    words = "Email address is not verified. The following identities failed the check in region EU-WEST-1: a@b.example"
    assert verdict_of("MessageRejected", words, 400).answer is Answer.CONFIGURATION
