"""Mandrill (Mailchimp Transactional): messages, sub-accounts, and webhooks signed with HMAC-SHA1."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar
from urllib.parse import urlencode

from aiohttp import web

from fakes.base import HttpFake
from fakes.faults import Fault, Plan
from fakes.mandrill_search import matches
from fakes.records import Message
from fakes.webhooks import Occurrence, Post

Answer = Any
Method = Callable[[web.Request, dict[str, Any]], Awaitable[web.StreamResponse]]

ERRORS: dict[str, tuple[int, str]] = {
    "GeneralError": (-99, "An unknown error occurred"),
    "Invalid_Key": (-1, "Invalid API key"),
    "ValidationError": (-2, "You must specify a value"),
    "PaymentRequired": (10, "The requested feature requires payment."),
    "Unknown_Message": (11, "No message exists with this id"),
    "Unknown_Subaccount": (12, "No subaccount exists with this id"),
    "Unknown_Template": (5, "No such template"),
    "Too_Many_Requests": (-4, "Too many requests"),
    "ServiceUnavailable": (-3, "The service is temporarily unavailable"),
}
"""Name, code and words of the API's errors; all but Invalid_Key (401) come with HTTP 500."""


BY_STATUS = {401: "Invalid_Key", 402: "PaymentRequired", 429: "Too_Many_Requests", 503: "ServiceUnavailable"}


def sign(key: str, url: str, parameters: dict[str, str]) -> str:
    """X-Mandrill-Signature of a webhook."""
    text = url + "".join(name + parameters[name] for name in sorted(parameters))
    return base64.b64encode(hmac.new(key.encode(), text.encode(), hashlib.sha1).digest()).decode()


class ApiError(Exception):
    """An error that the API answers with."""

    def __init__(self, name: str, text: str = "") -> None:
        super().__init__(name)
        self.name = name
        self.text = text


class Mandrill(HttpFake):
    """The fake; `key`: the API key, "" is any; `search_lag_s`: a message is found so much later than it is taken."""

    name = "mandrill"
    batch = 100
    step_names: ClassVar[dict[str, str]] = {
        "sent": "send",
        "deferred": "deferral",
        "delivered": "delivered",
        "soft_bounced": "soft_bounce",
        "bounced": "hard_bounce",
        "refused": "reject",
        "opened": "open",
        "clicked": "click",
        "complained": "spam",
        "unsubscribed": "unsub",
    }

    def __init__(
        self, *, key: str = "", webhook_key: str = "fake-webhook-key", search_lag_s: float = 0.0, **options: Any
    ) -> None:
        super().__init__(**options)
        self.key = key
        self.webhook_key = webhook_key
        self.search_lag_s = search_lag_s
        self.subaccounts: dict[str, dict[str, Any]] = {}
        self._methods: dict[str, Method] = {
            "users/ping": self._ping,
            "users/ping2": self._ping2,
            "messages/send": self._send,
            "messages/info": self._info,
            "messages/search": self._search,
            "subaccounts/add": self._add_subaccount,
            "subaccounts/info": self._subaccount_info,
            "subaccounts/list": self._list_subaccounts,
            "subaccounts/delete": self._delete_subaccount,
        }

    def reset(self) -> None:
        """As just started."""
        super().reset()
        self.subaccounts.clear()

    def routes(self) -> list[web.RouteDef]:
        """Every version and both spellings of a method, as the service takes them."""
        return [web.post("/api/{version}/{group}/{method}", self._call)]

    def status_error(self, status: int, value: str) -> web.Response:
        """A bare status, said in Mandrill's form."""
        name = BY_STATUS.get(status, "GeneralError")
        return error_response(name, f"HTTP {status}", status)

    def named_error(self, name: str) -> web.Response:
        """One of `ERRORS`, or any other name with code -99; how it is written does not matter."""
        known = {known.lower(): known for known in ERRORS}.get(name.lower(), name or "GeneralError")
        return error_response(known)

    async def _call(self, request: web.Request) -> web.StreamResponse:
        method = f"{request.match_info['group']}/{request.match_info['method'].removesuffix('.json')}"
        handler = self._methods.get(method)
        if handler is None:
            return error_response("GeneralError", f"Unknown method {method!r}", 404)
        try:
            body = json.loads(await request.read())
            if not isinstance(body, dict):
                raise ApiError("ValidationError", "The body must be a JSON object")
            if not body.get("key") or (self.key and body["key"] != self.key):
                raise ApiError("Invalid_Key")
            return await handler(request, body)
        except ValueError:
            return error_response("ValidationError", "You must specify a valid JSON body")
        except ApiError as error:
            return error_response(error.name, error.text)

    async def _ping(self, request: web.Request, body: dict[str, Any]) -> web.Response:
        return web.json_response("PONG!")

    async def _ping2(self, request: web.Request, body: dict[str, Any]) -> web.Response:
        return web.json_response({"PING": "PONG!"})

    async def _send(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        message, recipients = checked(body.get("message"))
        plan = await self.receive(request, [recipient["email"] for recipient in recipients])
        failed = await self.fail(request, plan, taken=False)
        if failed is not None:
            return failed
        subaccount = message.get("subaccount")
        if subaccount and subaccount not in self.subaccounts:
            raise ApiError("Unknown_Subaccount", f"No subaccount exists with the id '{subaccount}'")
        results = [await self._accept(message, recipient["email"], plan) for recipient in recipients]
        return await self.fail(request, plan, taken=True) or web.json_response(results)

    async def _accept(self, message: dict[str, Any], address: str, plan: Plan) -> dict[str, Any]:
        message_id = secrets.token_hex(16)
        fault = plan.recipients.get(address)
        if fault is not None and fault.name != "queued":
            return refused_recipient(message_id, address, fault)
        metadata = {str(name): str(value) for name, value in (message.get("metadata") or {}).items()}
        for entry in message.get("recipient_metadata") or []:
            if str(entry.get("rcpt", "")).lower() == address.lower():
                metadata |= {str(name): str(value) for name, value in (entry.get("values") or {}).items()}
        taken = Message(
            message_id,
            address,
            str(message.get("from_email", "")),
            str(message.get("subject", "")),
            self.records.clock(),
            message,
            metadata,
        )
        await self.take(taken, plan)
        result = {"email": address, "status": "sent", "_id": message_id, "reject_reason": None, "queued_reason": None}
        if fault is not None:
            result |= {"status": "queued", "queued_reason": fault.value or "hourly-quota"}
        return result

    async def _info(self, request: web.Request, body: dict[str, Any]) -> web.Response:
        message = self.records.message(str(body.get("id", "")))
        if message is None:
            raise ApiError("Unknown_Message", f"No message exists with the id '{body.get('id')}'")
        return web.json_response(described(message))

    async def _search(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        query, limit = str(body.get("query") or "*"), int(body.get("limit") or 100)
        plan = await self.receive(request, [])
        failed = await self.fail(request, plan, taken=False)
        newest = self.records.clock() - self.search_lag_s
        found = [
            described(message)
            for message in self.records.messages
            if message.time <= newest and matches(message, query)
        ]
        return failed or web.json_response(found[::-1][:limit])

    async def _add_subaccount(self, request: web.Request, body: dict[str, Any]) -> web.Response:
        identity = str(body.get("id") or "")
        if not identity:
            raise ApiError("ValidationError", "You must specify a id value")
        if identity in self.subaccounts:
            raise ApiError("ValidationError", f"A subaccount with id {identity} already exists")
        self.subaccounts[identity] = {
            "id": identity,
            "name": body.get("name") or identity,
            "notes": body.get("notes") or "",
            "custom_quota": body.get("custom_quota"),
            "status": "active",
            "reputation": 0,
            "created_at": "2026-01-01 00:00:00",
            "first_sent_at": None,
            "hourly_quota": 0,
            "sent_hourly": 0,
            "sent_weekly": 0,
            "sent_monthly": 0,
            "sent_total": 0,
        }
        return web.json_response(self.subaccounts[identity])

    async def _subaccount_info(self, request: web.Request, body: dict[str, Any]) -> web.Response:
        return web.json_response(self._subaccount(body))

    async def _list_subaccounts(self, request: web.Request, body: dict[str, Any]) -> web.Response:
        prefix = str(body.get("q") or "")
        return web.json_response([item for item in self.subaccounts.values() if item["id"].startswith(prefix)])

    async def _delete_subaccount(self, request: web.Request, body: dict[str, Any]) -> web.Response:
        found = self._subaccount(body)
        del self.subaccounts[found["id"]]
        return web.json_response(found)

    def _subaccount(self, body: dict[str, Any]) -> dict[str, Any]:
        found = self.subaccounts.get(str(body.get("id") or ""))
        if found is None:
            raise ApiError("Unknown_Subaccount", f"No subaccount exists with the id '{body.get('id')}'")
        return found

    def occurrence(self, message: Message, step: str) -> Occurrence:
        """An event as it stands in a webhook's list."""
        kind = self.step_names[step]
        event: dict[str, Any] = {
            "event": kind,
            "_id": message.id,
            "ts": int(self.records.clock()),
            "msg": described(message) | {"state": STATES.get(step, "sent")},
        }
        if kind == "hard_bounce":
            event["msg"] |= {"bounce_description": "bad_mailbox", "bgtools_code": 10, "diag": "smtp;550 5.1.1 Unknown"}
        elif kind == "soft_bounce":
            event["msg"] |= {"bounce_description": "mailbox_full", "bgtools_code": 22, "diag": "smtp;452 4.2.2 Full"}
        elif kind == "reject":
            event["msg"] |= {"reject": {"reason": "hard-bounce", "last_event_at": None}}
        elif kind in {"open", "click"}:
            event |= {"ip": "192.0.2.1", "user_agent": "Fake/1.0", "location": None, "user_agent_parsed": None}
        if kind == "click":
            event["url"] = "https://example.com/"
        return Occurrence(kind, message.id, event)

    def pack(self, occurrences: list[Occurrence]) -> list[Post]:
        """One form with all events."""
        if not self.webhook_url or not occurrences:
            return []
        parameters = {"mandrill_events": json.dumps([occurrence.body for occurrence in occurrences])}
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "User-Agent": "Mandrill-Webhook/1.0",
            "X-Mandrill-Signature": sign(self.webhook_key, self.webhook_url, parameters),
        }
        kinds = [occurrence.kind for occurrence in occurrences]
        ids = [occurrence.message_id for occurrence in occurrences]
        return [Post(self.webhook_url, urlencode(parameters).encode(), headers, kinds, ids)]


STATES = {
    "deferred": "deferred",
    "bounced": "bounced",
    "soft_bounced": "soft-bounced",
    "refused": "rejected",
    "complained": "spam",
    "unsubscribed": "unsub",
}


def checked(message: Any) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """A message and who it is for; raises ApiError for what the API would not take."""
    if not isinstance(message, dict):
        raise ApiError("ValidationError", 'Validation error: {"message":"Please enter an array"}')
    recipients = message.get("to")
    if not isinstance(recipients, list) or not recipients:
        raise ApiError("ValidationError", 'Validation error: {"message":{"to":"Please enter an array"}}')
    for recipient in recipients:
        if not isinstance(recipient, dict) or not isinstance(recipient.get("email"), str):
            raise ApiError("ValidationError", 'Validation error: {"message":{"to":[{"email":"Missing value"}]}}')
    if not message.get("from_email"):
        raise ApiError("ValidationError", 'Validation error: {"message":{"from_email":"An email address is needed"}}')
    return message, recipients


def refused_recipient(message_id: str, address: str, fault: Fault) -> dict[str, Any]:
    """`rejected.<reason>` or `invalid`, for one recipient of a call."""
    reason = fault.value or "hard-bounce" if fault.name == "rejected" else None
    return {
        "email": address,
        "status": fault.name,
        "_id": message_id,
        "reject_reason": reason,
        "queued_reason": None,
    }


def described(message: Message) -> dict[str, Any]:
    """A message as messages/info and webhooks tell of it."""
    opened, clicked = message.events.count("opened"), message.events.count("clicked")
    at = int(message.time)
    return {
        "ts": at,
        "_id": message.id,
        "sender": message.sender,
        "template": None,
        "subject": message.subject,
        "email": message.address,
        "tags": message.content.get("tags") or [],
        "opens": [{"ts": at}] * opened,
        "clicks": [{"ts": at, "url": "https://example.com/"}] * clicked,
        "state": STATES.get(message.state, "sent"),
        "metadata": message.metadata,
        "subaccount": message.content.get("subaccount"),
        "smtp_events": [{"ts": at, "type": "sent", "diag": "250 2.0.0 OK"}] if "delivered" in message.events else [],
        "resends": [],
    }


def error_response(name: str, text: str = "", status: int | None = None) -> web.Response:
    """The API's form of an error."""
    code, words = ERRORS.get(name, (-99, "An error occurred"))
    body = {"status": "error", "code": code, "name": name, "message": text or words}
    return web.json_response(body, status=status or (401 if name == "Invalid_Key" else 500))


serve = Mandrill.serve
