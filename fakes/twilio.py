"""Twilio's Messages API: forms in, JSON out, status callbacks and inbound texts signed with HMAC-SHA1."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlencode, urlsplit

from aiohttp import BasicAuth, web

from fakes import segments
from fakes.base import HttpFake
from fakes.records import Message
from fakes.webhooks import Occurrence, Post

ERRORS: dict[int, tuple[int, str]] = {
    20003: (401, "Authenticate"),
    20006: (403, "Access Denied"),
    20404: (404, "The requested resource was not found"),
    20429: (429, "Too Many Requests"),
    20500: (500, "Internal Server Error"),
    20503: (503, "Service Unavailable"),
    21211: (400, "Invalid 'To' Phone Number"),
    21212: (400, "Invalid From Number (caller ID)"),
    21408: (400, "Permission to send an SMS has not been enabled for the region indicated by the 'To' number"),
    21602: (400, "Message body is required."),
    21603: (400, "A 'From' phone number is required."),
    21604: (400, "A 'To' phone number is required."),
    21606: (400, "The 'From' phone number is not a valid, message-capable Twilio phone number for this destination."),
    21610: (400, "Attempt to send to unsubscribed recipient"),
    21611: (429, "This 'From' number has exceeded the maximum number of queued messages"),
    21612: (400, "Message cannot be sent with the current combination of 'To' and 'From' parameters."),
    21614: (400, "'To' number is not a valid mobile number"),
    21617: (400, "The concatenated message body exceeds the 1600 character limit"),
    30001: (429, "Queue overflow"),
}
BY_STATUS = {401: 20003, 403: 20006, 404: 20404, 429: 20429, 500: 20500, 503: 20503}
FAILURES = {"soft_bounced": 30003, "bounced": 30005, "refused": 30007}
"""ErrorCode of a callback: unreachable, unknown destination, filtered."""
STATUSES = {
    "sent": "sent",
    "delivered": "delivered",
    "soft_bounced": "undelivered",
    "bounced": "undelivered",
    "refused": "failed",
    "unsubscribed": "STOP",
}
STOP_WORDS = frozenset({"STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT"})
START_WORDS = frozenset({"START", "UNSTOP", "YES"})


def sign(token: str, url: str, parameters: Mapping[str, str]) -> str:
    """X-Twilio-Signature of a form post."""
    text = url + "".join(name + parameters[name] for name in sorted(parameters))
    return base64.b64encode(hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()).decode()


class Twilio(HttpFake):
    """The fake. A number that texted STOP is refused with 21610 until it texts START."""

    name = "twilio"
    step_names: ClassVar[dict[str, str]] = STATUSES

    def __init__(
        self,
        *,
        account_sid: str = "AC" + "0" * 32,
        auth_token: str = "fake-auth-token",  # noqa: S107 -- the default of a stand-in, printed by its command
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.account_sid = account_sid
        self.auth_token = auth_token
        self.stopped: set[tuple[str, str]] = set()

    def reset(self) -> None:
        """As just started."""
        super().reset()
        self.stopped.clear()

    def inject(self, what: dict[str, Any]) -> None:
        """`{"event": "inbound", "from", "to", "body"}`: a text comes in. Else a step of a message."""
        if what.get("event") != "inbound":
            super().inject(what)
            return
        self._courier.put([self._inbound(str(what.get("from")), str(what.get("to")), str(what.get("body", "STOP")))])

    def routes(self) -> list[web.RouteDef]:
        """Create, fetch and list messages."""
        base = "/2010-04-01/Accounts/{account}/Messages"
        return [
            web.post(base + ".json", self._create),
            web.get(base + ".json", self._list),
            web.get(base + "/{sid}.json", self._fetch),
        ]

    def status_error(self, status: int, value: str) -> web.Response:
        """A bare status, said in Twilio's form."""
        return error_response(BY_STATUS.get(status, 20500 if status >= 500 else status), status=status)

    def named_error(self, name: str) -> web.Response:
        """An error by its code."""
        return error_response(int(name) if name.isdigit() else 20500)

    async def _create(self, request: web.Request) -> web.StreamResponse:
        refused = self._authorize(request)
        if refused is not None:
            return refused
        form = {name: str(value) for name, value in (await request.post()).items()}
        to, sender, body = (
            form.get("To", ""),
            form.get("From") or form.get("MessagingServiceSid", ""),
            form.get("Body", ""),
        )
        plan = await self.receive(request, [to])
        failed = await self.fail(request, plan, taken=False)
        code = refusal(to, sender, body)
        if failed is None and code is None and (to, sender) in self.stopped:
            code = 21610
        if failed is None and to in plan.recipients:
            code = 21211
        if failed is not None or code is not None:
            return failed or error_response(code or 20500)
        # It echoes nothing but the address of its callbacks: what stands in its query is what a sender goes by.
        metadata = dict(parse_qsl(urlsplit(form.get("StatusCallback", "")).query))
        message = Message("SM" + secrets.token_hex(16), to, sender, "", self.records.clock(), form, metadata)
        await self.take(message, plan)
        failed = await self.fail(request, plan, taken=True)
        return failed or web.json_response(self.described(message, "queued"), status=201)

    async def _fetch(self, request: web.Request) -> web.Response:
        message = self.records.message(request.match_info["sid"])
        refused = self._authorize(request)
        if refused is not None or message is None:
            return refused or error_response(20404)
        return web.json_response(self.described(message))

    async def _list(self, request: web.Request) -> web.Response:
        refused = self._authorize(request)
        if refused is not None:
            return refused
        wanted_to, wanted_from = request.query.get("To"), request.query.get("From")
        found = [
            self.described(message)
            for message in reversed(self.records.messages)
            if wanted_to in {None, message.address} and wanted_from in {None, message.sender}
        ]
        size = int(request.query.get("PageSize", 50))
        page = {"messages": found[:size], "page": 0, "page_size": size, "uri": request.path, "next_page_uri": None}
        return web.json_response(
            page | {"first_page_uri": request.path, "previous_page_uri": None, "start": 0, "end": 0}
        )

    def _authorize(self, request: web.Request) -> web.Response | None:
        try:
            given = BasicAuth.decode(request.headers.get("Authorization", ""))
        except ValueError:
            return error_response(20003)
        good = (given.login, given.password) == (self.account_sid, self.auth_token)
        return None if good and request.match_info["account"] == self.account_sid else error_response(20003)

    def described(self, message: Message, status: str = "") -> dict[str, Any]:
        """A message as the API shows it."""
        when = format_datetime(datetime.fromtimestamp(message.time, UTC))
        body = message.content.get("Body", "")
        code = FAILURES.get(message.state)
        path = f"/2010-04-01/Accounts/{self.account_sid}/Messages/{message.id}"
        return {
            "account_sid": self.account_sid,
            "api_version": "2010-04-01",
            "body": body,
            "date_created": when,
            "date_sent": None if status else when,
            "date_updated": when,
            "direction": "outbound-api",
            "error_code": None if status else code,
            "error_message": None,
            "from": message.sender,
            "messaging_service_sid": message.content.get("MessagingServiceSid"),
            "num_media": "0",
            "num_segments": str(segments.count(body)[0]),
            "price": None if status else "-0.04000",
            "price_unit": "USD",
            "sid": message.id,
            "status": status or STATUSES.get(message.state, "queued").replace("STOP", "delivered"),
            "subresource_uris": {"media": f"{path}/Media.json"},
            "to": message.address,
            "uri": f"{path}.json",
        }

    def target(self, message: Message) -> str:
        """A message may name its own StatusCallback."""
        return str(message.content.get("StatusCallback") or self.webhook_url)

    def occurrence(self, message: Message, step: str) -> Occurrence:
        """A status callback; unsubscribing is a text that says STOP."""
        if step == "unsubscribed":
            return self._inbound(message.address, message.sender, "STOP")
        parameters: dict[str, object] = {
            "AccountSid": self.account_sid,
            "ApiVersion": "2010-04-01",
            "From": message.sender,
            "MessageSid": message.id,
            "MessageStatus": STATUSES[step],
            "SmsSid": message.id,
            "SmsStatus": STATUSES[step],
            "To": message.address,
        }
        if step in FAILURES:
            parameters["ErrorCode"] = str(FAILURES[step])
        return Occurrence(STATUSES[step], message.id, parameters, self.target(message))

    def _inbound(self, number: str, to: str, body: str) -> Occurrence:
        word, sid = body.strip().upper(), "SM" + secrets.token_hex(16)
        opt_out = "STOP" if word in STOP_WORDS else "START" if word in START_WORDS else ""
        if opt_out == "STOP":
            self.stopped.add((number, to))
        elif opt_out == "START":
            self.stopped.discard((number, to))
        parameters: dict[str, object] = {
            "AccountSid": self.account_sid,
            "ApiVersion": "2010-04-01",
            "Body": body,
            "From": number,
            "MessageSid": sid,
            "NumMedia": "0",
            "NumSegments": str(segments.count(body)[0]),
            "SmsMessageSid": sid,
            "SmsSid": sid,
            "SmsStatus": "received",
            "To": to,
        }
        if opt_out:
            parameters["OptOutType"] = opt_out
        return Occurrence("received", sid, parameters)

    def pack(self, occurrences: list[Occurrence]) -> list[Post]:
        """A form for each."""
        posts = []
        for occurrence in occurrences:
            url = occurrence.url or self.webhook_url
            if url:
                parameters = {name: str(value) for name, value in occurrence.body.items()}
                headers = {
                    "Content-Type": "application/x-www-form-urlencoded; charset=UTF-8",
                    "User-Agent": "TwilioProxy/1.1",
                    "X-Twilio-Signature": sign(self.auth_token, url, parameters),
                }
                data = urlencode(parameters).encode()
                posts.append(Post(url, data, headers, [occurrence.kind], [occurrence.message_id]))
        return posts


def refusal(to: str, sender: str, body: str) -> int | None:
    """The code of what the API would not take."""
    if not to:
        return 21604
    if not sender:
        return 21603
    if not body:
        return 21602
    if len(body) > 1600:
        return 21617
    if not (to.startswith("+") and to[1:].isdigit() and 7 <= len(to) - 1 <= 15):
        return 21211
    return None


def error_response(code: int, status: int | None = None) -> web.Response:
    """The API's form of an error."""
    known, words = ERRORS.get(code, (400, "The request was refused"))
    status = status or known
    body = {"code": code, "message": words, "more_info": f"https://www.twilio.com/docs/errors/{code}", "status": status}
    return web.json_response(body, status=status)


serve = Twilio.serve
