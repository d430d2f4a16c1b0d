"""SES version 2: SendEmail, raw and simple, with errors in the service's form; its events go out over SNS."""

from __future__ import annotations

import base64
import email
import email.policy
import email.utils
import json
import secrets
import uuid
from typing import Any, ClassVar

from aiohttp import web

from fakes import sigv4
from fakes.base import HttpFake
from fakes.faults import Plan
from fakes.records import Message
from fakes.ses_events import STEPS, event
from fakes.sns import Topic
from fakes.webhooks import Occurrence, Post

ERRORS: dict[str, tuple[int, str]] = {
    "AccountSuspendedException": (400, "The account is suspended"),
    "BadRequestException": (400, "The request is not valid"),
    "LimitExceededException": (400, "Daily message quota exceeded"),
    "MailFromDomainNotVerifiedException": (400, "The MAIL FROM domain is not verified"),
    "MessageRejected": (400, "Email address is not verified."),
    "NotFoundException": (404, "The resource does not exist"),
    "SendingPausedException": (400, "Email sending is disabled for this account"),
    "TooManyRequestsException": (429, "Maximum sending rate exceeded."),
    "ThrottlingException": (400, "Rate exceeded"),
    "UnrecognizedClientException": (403, "The security token included in the request is invalid."),
    "InvalidSignatureException": (403, "The request signature we calculated does not match the one you provided."),
    "AccessDeniedException": (403, "Not authorized to perform ses:SendEmail"),
    "InternalFailure": (500, "The request processing has failed"),
    "ServiceUnavailable": (503, "The request has failed due to a temporary failure of the server."),
}
BY_STATUS = {
    400: "BadRequestException",
    401: "UnrecognizedClientException",
    403: "AccessDeniedException",
    404: "NotFoundException",
    429: "TooManyRequestsException",
    500: "InternalFailure",
    503: "ServiceUnavailable",
}


class SesError(Exception):
    """An error that the API answers with."""

    def __init__(self, name: str, text: str = "") -> None:
        super().__init__(name)
        self.name = name
        self.text = text


class Ses(HttpFake):
    """The fake. `configuration_sets`: those that exist, None is any; `access_key`: the one it knows, "" is any;
    `secret_key`: requests are signed with it, "" does not look.
    """

    name = "ses"
    step_names: ClassVar[dict[str, str]] = STEPS

    def __init__(
        self,
        *,
        topic_arn: str = "arn:aws:sns:us-east-1:123456789012:ses-events",
        signature_version: int = 1,
        configuration_sets: frozenset[str] | None = None,
        access_key: str = "",
        secret_key: str = "",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.topic = Topic(topic_arn, version=signature_version)
        self.configuration_sets = configuration_sets
        self.access_key = access_key
        self.secret_key = secret_key

    def reset(self) -> None:
        """As just started: the subscription is confirmed."""
        super().reset()
        self.topic.token = ""

    def inject(self, what: dict[str, Any]) -> None:
        """`{"event": "subscribe"}` asks the webhook to confirm; until then nothing is told. Else a step."""
        if what.get("event") != "subscribe":
            super().inject(what)
            return
        envelope = self.topic.subscription(self.records.clock(), self.url)
        self._courier.put([Occurrence("SubscriptionConfirmation", "", dict(envelope))])

    def routes(self) -> list[web.RouteDef]:
        """SES, and the part of SNS that a subscriber sees."""
        return [
            web.post("/v2/email/outbound-emails", self._send_email),
            web.get("/v2/email/account", self._get_account),
            web.get(self.topic.certificate_path, self._certificate),
            web.get("/", self._sns_action),
        ]

    def status_error(self, status: int, value: str) -> web.Response:
        """A bare status by the error that usually has it."""
        return error_response(BY_STATUS.get(status, "InternalFailure"), status=status)

    def named_error(self, name: str) -> web.Response:
        """One of `ERRORS`, with or without "Exception" behind it; how it is written does not matter."""
        spellings = {
            spelling.lower(): known for known in ERRORS for spelling in (known, known.removesuffix("Exception"))
        }
        return error_response(spellings.get(name.lower(), name or "BadRequestException"))

    async def _send_email(self, request: web.Request) -> web.StreamResponse:
        try:
            raw = await request.read()
            self._authorize(request, raw)
            body = json.loads(raw)
            if not isinstance(body, dict):
                raise SesError("BadRequestException", "The body is no object")
            content, addresses, sender, subject = parsed(body)
            plan = await self.receive(request, addresses)
            failed = await self.fail(request, plan, taken=False)
            if failed is not None:
                return failed
            self._check_configuration_set(body)
            rejected = plan.recipients.get(addresses[0]) if addresses else None
            if rejected is not None and rejected.name != "queued":
                raise SesError("MessageRejected", rejected.value)
            message_id = await self._accept(body, content, addresses, (sender, subject), plan)
        except SesError as error:
            return error_response(error.name, error.text)
        except (KeyError, TypeError, ValueError):
            return error_response("BadRequestException", "The request body is not valid")
        failed = await self.fail(request, plan, taken=True)
        return failed or web.json_response({"MessageId": message_id}, headers=request_id())

    def _authorize(self, request: web.Request, body: bytes) -> None:
        key = sigv4.access_key(request.headers.get("Authorization", ""), "ses")
        if key is None or (self.access_key and key != self.access_key):
            raise SesError("UnrecognizedClientException")
        if self.secret_key and not sigv4.is_signed(
            self.secret_key, request.method, request.raw_path, request.headers, body
        ):
            raise SesError("InvalidSignatureException")

    def _check_configuration_set(self, body: dict[str, Any]) -> None:
        wanted = body.get("ConfigurationSetName")
        if wanted and self.configuration_sets is not None and wanted not in self.configuration_sets:
            raise SesError("NotFoundException", f"Configuration set <{wanted}> does not exist.")

    async def _accept(
        self, body: dict[str, Any], content: dict[str, Any], addresses: list[str], names: tuple[str, str], plan: Plan
    ) -> str:
        message_id = f"{secrets.token_hex(8)}-{uuid.uuid4()}-000000"
        tags = {str(tag["Name"]): str(tag["Value"]) for tag in body.get("EmailTags") or []}
        content = content | {"ConfigurationSetName": body.get("ConfigurationSetName"), "Destination": addresses}
        for index, address in enumerate(addresses):
            # One id for the call: the further recipients of a call have it with their number behind.
            own_id = message_id if index == 0 else f"{message_id}+{index}"
            await self.take(Message(own_id, address, *names, self.records.clock(), content, dict(tags)), plan)
        return message_id

    async def _get_account(self, request: web.Request) -> web.Response:
        quota = {"Max24HourSend": 50000.0, "MaxSendRate": 14.0, "SentLast24Hours": float(len(self.records.messages))}
        return web.json_response({"SendingEnabled": True, "ProductionAccessEnabled": True, "SendQuota": quota})

    async def _certificate(self, request: web.Request) -> web.Response:
        return web.Response(body=self.topic.certificate, content_type="application/x-pem-file")

    async def _sns_action(self, request: web.Request) -> web.Response:
        query = request.query
        if query.get("Action") != "ConfirmSubscription":
            return web.Response(status=400, text="unknown action")
        if not self.topic.confirm(query.get("TopicArn", ""), query.get("Token", "")):
            return web.Response(
                status=400, text="<ErrorResponse><Error><Code>InvalidParameter</Code></Error></ErrorResponse>"
            )
        text = (
            '<ConfirmSubscriptionResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><ConfirmSubscriptionResult>'
            f"<SubscriptionArn>{self.topic.arn}:{uuid.uuid4()}</SubscriptionArn>"
            "</ConfirmSubscriptionResult></ConfirmSubscriptionResponse>"
        )
        return web.Response(text=text, content_type="text/xml")

    def occurrence(self, message: Message, step: str) -> Occurrence:
        """The event, signed when it is sent."""
        return Occurrence(STEPS[step], message.id, event(message, step, self.records.clock()))

    def pack(self, occurrences: list[Occurrence]) -> list[Post]:
        """A post for each; nothing but the confirmation while the subscription waits for it."""
        posts = []
        for occurrence in occurrences:
            subscription = occurrence.kind == "SubscriptionConfirmation"
            if not self.webhook_url or (self.topic.token and not subscription):
                continue
            envelope: dict[str, Any] = occurrence.body
            if not subscription:
                envelope = dict(self.topic.notification(occurrence.body, self.records.clock(), self.url))
            headers = {
                "Content-Type": "text/plain; charset=UTF-8",
                "User-Agent": "Amazon Simple Notification Service Agent",
                "x-amz-sns-message-type": str(envelope["Type"]),
                "x-amz-sns-message-id": str(envelope["MessageId"]),
                "x-amz-sns-topic-arn": self.topic.arn,
            }
            data = json.dumps(envelope, indent=2).encode()
            posts.append(Post(self.webhook_url, data, headers, [occurrence.kind], [occurrence.message_id]))
        return posts


def parsed(body: dict[str, Any]) -> tuple[dict[str, Any], list[str], str, str]:
    """Content, recipients, sender and subject of a SendEmail."""
    content = body.get("Content")
    if not isinstance(content, dict) or len(content) != 1:
        raise SesError("BadRequestException", "Exactly one of Raw, Simple or Template is wanted")
    destination = body.get("Destination") or {}
    addresses = [
        address for name in ("ToAddresses", "CcAddresses", "BccAddresses") for address in destination.get(name) or []
    ]
    sender, headers, subject = str(body.get("FromEmailAddress") or ""), [], ""
    if "Raw" in content:
        raw = base64.b64decode(content["Raw"]["Data"], validate=True)
        message = email.message_from_bytes(raw, policy=email.policy.compat32)
        headers = [(name, str(value)) for name, value in message.items()]
        subject, sender = str(message.get("Subject", "")), sender or str(message.get("From", ""))
        addresses = addresses or [
            address for _, address in email.utils.getaddresses([str(value) for value in message.get_all("To") or []])
        ]
        content = {"raw": raw.decode("utf-8", "replace")}
    elif "Simple" in content:
        subject = str(content["Simple"]["Subject"]["Data"])
    if not sender:
        raise SesError("BadRequestException", "Missing required header 'From'.")
    if not addresses:
        raise SesError("BadRequestException", "Missing required header 'To'.")
    bare = [email.utils.parseaddr(address)[1] or address for address in addresses]
    return content | {"Headers": headers}, bare, email.utils.parseaddr(sender)[1], subject


def request_id() -> dict[str, str]:
    """The header that every answer of AWS has."""
    return {"x-amzn-RequestId": str(uuid.uuid4())}


def error_response(name: str, text: str = "", status: int | None = None) -> web.Response:
    """The service's form of an error: its name in a header, its words in the body."""
    known, words = ERRORS.get(name, (400, "An error occurred"))
    headers = request_id() | {"x-amzn-ErrorType": name}
    return web.json_response({"message": text or words}, status=status or known, headers=headers)


serve = Ses.serve
