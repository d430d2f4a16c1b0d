"""The SES fake as botocore sees it, and its SNS posts as their published rules for verifying see them."""

from __future__ import annotations

import base64
import functools
import json
from asyncio import to_thread
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import botocore.session
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from fakes.ses import Ses
from tests.integration.fakes.receiver import Received, Receiver

MAIL = b"From: Sender <from@example.com>\r\nTo: a@example.com\r\nSubject: Hello\r\nX-Ref: r1\r\n\r\nHi\r\n"
ONCE = Config(retries={"total_max_attempts": 1}, read_timeout=0.4, connect_timeout=1)


@pytest.fixture
async def fake(receiver: Receiver) -> AsyncIterator[Ses]:
    """One that knows a configuration set and an access key."""
    sets = frozenset({"set"})
    async with Ses.serve(
        webhook_url=receiver.url, configuration_sets=sets, access_key="AKID", secret_key="secret"
    ) as fake:
        yield fake


@functools.cache
def session() -> Any:
    """One for all tests: it keeps the description of the service, which is slow to read."""
    return botocore.session.get_session()


async def send(fake: Ses, *addresses: str, key: str = "AKID", secret: str = "secret", **more: Any) -> Any:
    """SendEmail with raw content."""
    client = session().create_client(
        "sesv2",
        region_name="us-east-1",
        endpoint_url=fake.url,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        config=ONCE,
    )
    request = {"Content": {"Raw": {"Data": MAIL}}, "Destination": {"ToAddresses": list(addresses)}, **more}
    return await to_thread(lambda: client.send_email(**request))


async def verified(fake: Ses, webhook: Received) -> dict[str, Any]:
    """The envelope; its signature fits the certificate that it names."""
    envelope: dict[str, Any] = json.loads(webhook.body)
    names = {
        "Notification": ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"],
        "SubscriptionConfirmation": ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"],
    }[envelope["Type"]]
    text = "".join(f"{name}\n{envelope[name]}\n" for name in names)
    async with aiohttp.ClientSession() as client:
        certificate = x509.load_pem_x509_certificate(await (await client.get(envelope["SigningCertURL"])).read())
    key = certificate.public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    digest = {"1": hashes.SHA1(), "2": hashes.SHA256()}[envelope["SignatureVersion"]]
    key.verify(base64.b64decode(envelope["Signature"]), text.encode(), padding.PKCS1v15(), digest)
    assert webhook.headers["x-amz-sns-message-type"] == envelope["Type"]
    return envelope


@pytest.mark.parametrize("version", [1, 2])
async def test_mail_is_taken_and_told_of_under_a_signature(receiver: Receiver, version: int) -> None:
    async with Ses.serve(webhook_url=receiver.url, signature_version=version) as fake:
        tags = [{"Name": "ref", "Value": "r1"}]
        answer = await send(fake, "a@example.com", ConfigurationSetName="set", EmailTags=tags)
        [taken] = fake.messages
        assert (taken.id, taken.address, taken.sender) == (answer["MessageId"], "a@example.com", "from@example.com")
        assert (taken.subject, taken.metadata, taken.content["raw"]) == ("Hello", {"ref": "r1"}, MAIL.decode())
        await fake.settled()
        told = [json.loads((await verified(fake, webhook))["Message"]) for webhook in receiver.received]
    assert [event["eventType"] for event in told] == ["Send", "Delivery"]
    mail = told[0]["mail"]
    assert (mail["messageId"], mail["destination"]) == (answer["MessageId"], ["a@example.com"])
    assert (mail["tags"]["ref"], mail["tags"]["ses:configuration-set"]) == (["r1"], ["set"])
    assert {"name": "X-Ref", "value": "r1"} in mail["headers"]


@pytest.mark.parametrize(
    ("token", "name", "status"),
    [
        ("429", "TooManyRequestsException", 429),
        ("500", "InternalFailure", 500),
        ("503", "ServiceUnavailable", 503),
        ("rejected", "MessageRejected", 400),
        ("error.MessageRejected", "MessageRejected", 400),
        ("error.mailfromdomainnotverified", "MailFromDomainNotVerifiedException", 400),
        ("error.AccountSuspendedException", "AccountSuspendedException", 400),
        ("error.sendingpaused", "SendingPausedException", 400),
        ("error.NotFound", "NotFoundException", 404),
        ("error.BadRequest", "BadRequestException", 400),
        ("error.Throttling", "ThrottlingException", 400),
    ],
)
async def test_fault_is_an_error_that_botocore_knows(fake: Ses, token: str, name: str, status: int) -> None:
    with pytest.raises(ClientError) as error:
        await send(fake, f"fault+{token}@example.com")
    assert error.value.response["Error"]["Code"] == name
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert (len(fake.calls), fake.messages) == (1, [])


@pytest.mark.parametrize(("token", "taken"), [("reset", 0), ("reset-taken", 1), ("hang", 0), ("hang-taken", 1)])
async def test_answer_is_lost(fake: Ses, token: str, taken: int) -> None:
    with pytest.raises((HTTPClientError, OSError)):
        await send(fake, f"fault+{token}@example.com")
    assert (len(fake.messages), len(fake.calls)) == (taken, 1)


async def test_credentials_and_configuration_set_are_checked(fake: Ses) -> None:
    with pytest.raises(ClientError, match="InvalidSignatureException"):
        await send(fake, "a@example.com", secret="other")
    with pytest.raises(ClientError, match="UnrecognizedClientException"):
        await send(fake, "a@example.com", key="OTHER")
    with pytest.raises(ClientError, match="Configuration set <none> does not exist"):
        await send(fake, "a@example.com", ConfigurationSetName="none")
    assert (await send(fake, "a@example.com", ConfigurationSetName="set"))["MessageId"]


async def test_outcomes_come_as_the_events_of_the_provider(fake: Ses, receiver: Receiver) -> None:
    for outcome, kinds in {
        "bounced": [("Send", None), ("Bounce", "Permanent")],
        "soft-bounced": [("Send", None), ("Bounce", "Transient")],
        "clicked": [("Send", None), ("Delivery", None), ("Open", None), ("Click", None)],
        "complained": [("Send", None), ("Delivery", None), ("Complaint", None)],
        "unsubscribed": [("Send", None), ("Delivery", None), ("Subscription", None)],
        "deferred": [("Send", None), ("DeliveryDelay", None), ("Delivery", None)],
        "refused": [("Send", None), ("Reject", None)],
        "silent": [],
    }.items():
        receiver.received.clear()
        await send(fake, f"fault+{outcome}@example.com")
        await fake.settled()
        told = [json.loads((await verified(fake, webhook))["Message"]) for webhook in receiver.received]
        found = [(event["eventType"], event.get("bounce", {}).get("bounceType")) for event in told]
        assert found == kinds, outcome


async def test_nothing_is_told_until_the_subscription_is_confirmed(fake: Ses, receiver: Receiver) -> None:
    async with aiohttp.ClientSession() as client:
        await client.post(f"{fake.url}/_fake/events", json={"event": "subscribe"})
        await fake.settled()
        [asked] = receiver.received
        envelope = await verified(fake, asked)
        await send(fake, "a@example.com")
        await fake.settled()
        assert len(receiver.received) == 1
        assert (await client.get(envelope["SubscribeURL"].replace("Token=", "Token=x"))).status == 400
        answer = await client.get(envelope["SubscribeURL"])
        assert "<SubscriptionArn>" in await answer.text()
    await send(fake, "fault+sent-only@example.com")
    await fake.settled()
    assert len(receiver.received) == 2


async def test_one_call_to_several_recipients_has_one_id(fake: Ses, receiver: Receiver) -> None:
    answer = await send(fake, "a@example.com", "B <b@example.com>")
    await fake.settled()
    assert [message.address for message in fake.messages] == ["a@example.com", "b@example.com"]
    told = [json.loads((await verified(fake, webhook))["Message"]) for webhook in receiver.received]
    assert {event["mail"]["messageId"] for event in told} == {answer["MessageId"]}
