"""SES over a bare server, and against moto's SESv2, which reads the request as AWS's own model says."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from urllib.request import urlopen

import pytest

from services.dispatcher.providers.base import Outgoing, Provider
from services.dispatcher.providers.ses import SesProvider
from services.dispatcher.verdicts import Answer
from tests.integration.providers.server import Script, serve
from tests.integration.providers.suite import HttpProviderSuite

PAYLOAD = b"From: hello@acme.example\r\nTo: p1@example.org\r\nSubject: x\r\n\r\nbody\r\n"


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")


def outgoing(number: int) -> Outgoing:
    return Outgoing(f"id{number}", 1, f"ref{number}", 0, f"p{number}@example.org", "hello@acme.example", PAYLOAD)


def ses(url: str, timeout: float = 5.0) -> SesProvider:
    return SesProvider(
        region="eu-west-1", endpoint_url=url, configuration_set="receipts", connections=10, timeout=timeout
    )


class TestSes(HttpProviderSuite):
    """The shared behaviour."""

    accepted = (200, b'{"MessageId":"abc"}')
    external_id = "abc"

    def make(self, url: str, timeout: float) -> Provider:
        return ses(url, timeout)

    def outgoing(self, number: int) -> Outgoing:
        return outgoing(number)


@asynccontextmanager
async def started(url: str) -> AsyncIterator[SesProvider]:
    provider = ses(url)
    await provider.start()
    yield provider
    await provider.stop()


async def test_a_call_has_the_raw_email_the_reference_and_the_configuration_set() -> None:
    script = Script(*TestSes.accepted)
    async with serve(script) as url, started(url) as provider:
        await provider.send([outgoing(7)])
    ((path, body),) = script.requests
    found = json.loads(body)
    assert path == "/v2/email/outbound-emails"
    assert b64decode(found.pop("Content")["Raw"]["Data"]) == PAYLOAD
    assert found == {
        "FromEmailAddress": "hello@acme.example",
        "Destination": {"ToAddresses": ["p7@example.org"]},
        "EmailTags": [{"Name": "reference", "Value": "ref7"}],
        "ConfigurationSetName": "receipts",
    }


@pytest.mark.parametrize(
    ("status", "name", "answer"),
    [
        (429, "TooManyRequestsException", Answer.THROTTLED),
        (400, "LimitExceededException", Answer.THROTTLED),
        (400, "AccountSuspendedException", Answer.PAUSED),
        (404, "NotFoundException", Answer.CONFIGURATION),
        (400, "MessageRejected", Answer.REFUSED),
        (403, "UnrecognizedClientException", Answer.PAUSED),
        (500, "InternalFailure", Answer.RETRY),
    ],
)
async def test_no_error_of_its_own_is_answered_by_a_second_call(status: int, name: str, answer: Answer) -> None:
    script = Script(status, b'{"message":"its words"}', {"x-amzn-ErrorType": name})
    async with serve(script) as url, started(url) as provider:
        (verdict,) = await provider.send([outgoing(0)])
    assert (verdict.answer, verdict.text) == (answer, f"ses: {name}: its words")
    assert script.calls == 1


async def test_without_credentials_the_provider_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    script = Script(*TestSes.accepted)
    async with serve(script) as url, started(url) as provider:
        (verdict,) = await provider.send([outgoing(0)])
    assert verdict.answer is Answer.PAUSED
    assert script.calls == 0


@pytest.fixture
def moto_url() -> Iterator[str]:
    """An empty moto."""
    from moto.server import ThreadedMotoServer  # noqa: PLC0415  it is slow to import

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


async def test_moto_takes_it_from_a_verified_identity_only(moto_url: str) -> None:
    async with started(moto_url) as provider:
        (unknown,) = await provider.send([outgoing(0)])
        await provider._client.create_email_identity(EmailIdentity="acme.example")
        (known,) = await provider.send([outgoing(1)])
    # moto says it in words of its own; those of SES are in the table test.
    assert (unknown.answer, unknown.text[:21]) == (Answer.REFUSED, "ses: MessageRejected:")
    assert known.answer is Answer.ACCEPTED
    assert known.external_id
    with await asyncio.to_thread(urlopen, f"{moto_url}/moto-api/data.json") as reply:
        data = json.load(reply)
    sent = data["ses"]["RawMessage"]
    assert [set(each["destinations"]) for each in sent] == [{"p1@example.org"}]
    assert sent[0]["raw_data"].encode() == PAYLOAD
