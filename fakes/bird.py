"""Bird's SMS API, version 1: bearer keys, idempotent sends, webhooks signed by Standard Webhooks."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

from aiohttp import web

from fakes import segments
from fakes.base import UNANSWERED, HttpFake
from fakes.records import Message
from fakes.webhooks import Occurrence, Post

ERRORS: dict[str, tuple[int, str, str]] = {
    "InvalidRequest": (400, "bad_request_error", "E01002"),
    "Unauthorized": (401, "auth_error", "E09001"),
    "InsufficientBalance": (402, "billing_error", "E09002"),
    "Forbidden": (403, "permission_error", "E09004"),
    "UserAgentRequired": (403, "permission_error", "E09003"),
    "NotFound": (404, "not_found_error", "E09005"),
    "RequestInProgress": (409, "conflict_error", "E01004"),
    "IdempotencyKeyReuse": (409, "conflict_error", "E01005"),
    "ValidationError": (422, "validation_error", "E01001"),
    "SMSInvalidRecipient": (422, "validation_error", "E09006"),
    "SMSSenderNotConfigured": (422, "validation_error", "E09007"),
    "SenderCategoryNotPermitted": (422, "validation_error", "E09008"),
    "SMSUnsupportedFeature": (422, "validation_error", "E09009"),
    "RateLimited": (429, "rate_limit_error", "E09010"),
    "InternalError": (500, "internal_error", "E09011"),
    "ServiceUnavailable": (503, "service_unavailable_error", "E09012"),
}
"""Name, status, type and code. The codes E09xxx are made up here, as are some of the names: go by the type."""
BY_STATUS = {status: name for name, (status, _, _) in reversed(ERRORS.items())}
STEPS = {
    "accepted": "sms.accepted",
    "sent": "sms.sent",
    "delivered": "sms.delivered",
    "soft_bounced": "sms.undelivered",
    "bounced": "sms.failed",
    "refused": "sms.rejected",
    "expired": "sms.expired",
    "unsubscribed": "sms.received",
}
FAILURES = {
    "soft_bounced": ("unreachable", "The handset is off"),
    "bounced": ("invalid_destination", "The number is not assigned"),
    "refused": ("content_rejected", "The carrier rejected the content"),
    "expired": ("unreachable", "Not delivered in time"),
}
CATEGORIES = frozenset({"transactional", "marketing", "authentication", "service"})
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
WORKSPACE = "ws_" + "0" * 26


@dataclass(slots=True)
class Kept:
    """The answer kept for an idempotency key; None while the first call is under way."""

    digest: bytes
    status: int = 0
    body: bytes | None = None


def sign(secret: str, message_id: str, timestamp: str, body: bytes) -> str:
    """The `webhook-signature` of Standard Webhooks."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.new(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


class Bird(HttpFake):
    """The fake. `key`: the one it knows, "" is any; `want_idempotency`: refuse a send without a key."""

    name = "bird"
    step_names: ClassVar[dict[str, str]] = STEPS

    def __init__(
        self,
        *,
        key: str = "",
        webhook_secret: str = "whsec_ZmFrZS13ZWJob29rLXNlY3JldC1mb3ItYmlyZA==",  # noqa: S107 -- as in the README
        want_idempotency: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.key = key
        self.webhook_secret = webhook_secret
        self.want_idempotency = want_idempotency
        self._kept: dict[str, Kept] = {}

    def reset(self) -> None:
        """As just started."""
        super().reset()
        self._kept.clear()

    def inject(self, what: dict[str, Any]) -> None:
        """`{"event": "inbound", "from", "to", "body"}`: a text comes in. Else a step of a message."""
        if what.get("event") != "inbound":
            super().inject(what)
            return
        self._courier.put([self._inbound(str(what.get("from")), str(what.get("to")), str(what.get("body", "STOP")))])

    def routes(self) -> list[web.RouteDef]:
        """Send, read and list messages."""
        return [
            web.post("/v1/sms/messages", self._send),
            web.get("/v1/sms/messages", self._list),
            web.get("/v1/sms/messages/{id}", self._get),
        ]

    def status_error(self, status: int, value: str) -> web.Response:
        """A bare status, said in Bird's form."""
        return error_response(
            BY_STATUS.get(status, "InternalError" if status >= 500 else "InvalidRequest"), status=status
        )

    def named_error(self, name: str) -> web.Response:
        """One of `ERRORS`; how it is written does not matter."""
        return error_response({known.lower(): known for known in ERRORS}.get(name.lower(), "InvalidRequest"))

    def _authorize(self, request: web.Request) -> web.Response | None:
        if not request.headers.get("User-Agent"):
            return error_response("UserAgentRequired", "A User-Agent header is required")
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or not key or (self.key and key != self.key):
            return error_response("Unauthorized", "The API key is missing, malformed or revoked")
        return None

    async def _send(self, request: web.Request) -> web.StreamResponse:
        refused = self._authorize(request)
        if refused is not None:
            return refused
        raw, key = await request.read(), request.headers.get("Idempotency-Key", "")
        if len(key) > 255 or (not key and self.want_idempotency):
            return error_response("InvalidRequest", "An Idempotency-Key of 1 to 255 characters is wanted")
        digest = hashlib.sha256(raw).digest()
        kept = self._kept.get(key) if key else None
        if kept is not None:
            return replay(kept, digest)
        if key:
            self._kept[key] = Kept(digest)
        answer: web.StreamResponse | None = None
        try:
            answer = await self._accept(request, raw, key)
        finally:
            # A failure of the service is not kept: the next call with this key begins anew. What the
            # service has taken is kept, also when the caller never heard of it.
            if key and self._kept.get(key) is not None and self._kept[key].body is None:
                if isinstance(answer, web.Response) and is_final(answer):
                    self._kept[key] = Kept(digest, answer.status, bytes(answer.body or b""))  # type: ignore[arg-type]  # bytes here
                else:
                    del self._kept[key]
        return answer

    async def _accept(self, request: web.Request, raw: bytes, key: str) -> web.StreamResponse:
        try:
            body = json.loads(raw)
        except ValueError:
            return error_response("InvalidRequest", "The body is not valid JSON")
        wrong = problem(body)
        if wrong is not None:
            return error_response("ValidationError", wrong[1], param=wrong[0])
        plan = await self.receive(request, [body["to"]])
        failed = await self.fail(request, plan, taken=False)
        rejected = plan.recipients.get(body["to"])
        if failed is None and rejected is not None and rejected.name == "invalid":
            failed = error_response("SMSInvalidRecipient", "The number cannot be reached", param="to")
        if failed is not None:
            return failed
        identity = "sms_" + "".join(secrets.choice(ALPHABET) for _ in range(26))
        metadata = {str(name): str(value) for name, value in (body.get("metadata") or {}).items()}
        message = Message(identity, body["to"], body["from"], "", self.records.clock(), body, metadata)
        described = self.described(message, "accepted")
        if rejected is not None and rejected.name == "rejected":
            described |= rejection(rejected.value, message.time)
        answer = web.json_response(described, status=202)
        if key:
            self._kept[key] = Kept(hashlib.sha256(raw).digest(), 202, bytes(answer.body or b""))  # type: ignore[arg-type]  # bytes here
        if "last_error" not in described:
            await self.take(message, plan)
        return await self.fail(request, plan, taken=True) or answer

    async def _get(self, request: web.Request) -> web.Response:
        refused = self._authorize(request)
        message = self.records.message(request.match_info["id"])
        if refused is not None or message is None:
            return refused or error_response("NotFound", "No message has this id")
        return web.json_response(self.described(message))

    async def _list(self, request: web.Request) -> web.Response:
        refused = self._authorize(request)
        if refused is not None:
            return refused
        found = [
            self.described(message)
            for message in reversed(self.records.messages)
            if request.query.get("to") in {None, message.address}
        ]
        return web.json_response({"data": found[: int(request.query.get("limit", 20))], "next_cursor": None})

    def described(self, message: Message, status: str = "") -> dict[str, Any]:
        """A message as the API shows it."""
        content, state = message.content, STEPS.get(message.state, "sms.sent").removeprefix("sms.")
        count, encoding = segments.count(content["text"])
        return {
            "id": message.id,
            "direction": "outbound",
            "status": status or state.replace("received", "delivered"),
            "to": message.address,
            "from": message.sender,
            "text": "**REDACTED**" if content.get("category") == "authentication" else content["text"],
            "category": content.get("category"),
            **NO_TEMPLATE,
            "segments": {"count": count, "encoding": encoding, "characters": len(content["text"])},
            "cost": None if status else cost(count),
            "tags": content.get("tags"),
            "metadata": content.get("metadata"),
            "created_at": stamp(message.time),
        }

    def occurrence(self, message: Message, step: str) -> Occurrence:
        """An event with its data; unsubscribing is a text that says STOP."""
        if step == "unsubscribed":
            return self._inbound(message.address, message.sender, "STOP")
        data = {
            "sms_id": message.id,
            "workspace_id": WORKSPACE,
            "to": message.address,
            "from": message.sender,
            "tags": message.content.get("tags"),
            "metadata": message.content.get("metadata"),
            **NO_TEMPLATE,
        }
        now, (count, encoding) = stamp(self.records.clock()), segments.count(message.content["text"])
        if step == "accepted":
            data["segments"] = {"count": count, "encoding": encoding, "characters": len(message.content["text"])}
        elif step in {"sent", "delivered"}:
            data["cost"] = cost(count)
        if step in FAILURES:
            code, words = FAILURES[step]
            data["error"] = {
                "code": code,
                "description": words,
                "carrier_error_code": None,
                "occurred_at": now,
                "permanent": None,
            }
        return Occurrence(STEPS[step], message.id, {"type": STEPS[step], "timestamp": now, "data": data})

    def _inbound(self, number: str, to: str, body: str) -> Occurrence:
        identity = "sms_" + "".join(secrets.choice(ALPHABET) for _ in range(26))
        count, encoding = segments.count(body)
        data = {
            "sms_id": identity,
            "workspace_id": WORKSPACE,
            "to": to,
            "from": number,
            "tags": None,
            "metadata": None,
            **NO_TEMPLATE,
            "text": body,
            "segments": {"count": count, "encoding": encoding, "characters": len(body)},
        }
        event: dict[str, object] = {"type": "sms.received", "timestamp": stamp(self.records.clock()), "data": data}
        return Occurrence("sms.received", identity, event)

    def pack(self, occurrences: list[Occurrence]) -> list[Post]:
        """A post for each; repeated ones have the same id, as Standard Webhooks wants it."""
        posts = []
        for occurrence in occurrences if self.webhook_url else []:
            data = json.dumps(occurrence.body).encode()
            identity = "msg_" + hashlib.sha256(data).hexdigest()[:27]
            timestamp = str(int(self.records.clock()))
            headers = {
                "Content-Type": "application/json",
                "User-Agent": "Bird-Webhooks/1.0",
                "webhook-id": identity,
                "webhook-timestamp": timestamp,
                "webhook-signature": sign(self.webhook_secret, identity, timestamp, data),
            }
            posts.append(Post(self.webhook_url, data, headers, [occurrence.kind], [occurrence.message_id]))
        return posts


NO_TEMPLATE = dict.fromkeys(
    ("requested_language", "resolved_language", "template_id", "template_version_id", "template_content_hash")
)


def problem(body: Any) -> tuple[str, str] | None:
    """Field and words of what the API would not take."""
    if not isinstance(body, dict):
        return "", "The body is no object"
    for name in ("to", "from", "text"):
        if not isinstance(body.get(name), str) or not body[name]:
            return name, f"{name} is required"
    if body.get("category") not in CATEGORIES:
        return "category", f"category is one of {', '.join(sorted(CATEGORIES))}"
    if not (body["to"].startswith("+") and body["to"][1:].isdigit() and 7 <= len(body["to"]) - 1 <= 15):
        return "to", "to is a number in E.164 format"
    return None


def is_final(answer: web.Response) -> bool:
    """An answer that is kept for its key."""
    return answer.reason != UNANSWERED and answer.status < 500 and answer.status != 429


def replay(kept: Kept, digest: bytes) -> web.Response:
    """The answer to a key that has been used."""
    if kept.digest != digest:
        return error_response("IdempotencyKeyReuse", "This key was used for another request")
    if kept.body is None:
        return error_response("RequestInProgress", "The first request with this key is under way")
    headers = {"Idempotency-Replay": "true"}
    return web.Response(status=kept.status, body=kept.body, content_type="application/json", headers=headers)


def rejection(code: str, seconds: float) -> dict[str, Any]:
    """What a message says that Bird has rejected while taking it, as by `rejected.recipient_opted_out`."""
    error = {
        "code": code or "content_rejected",
        "description": "Refused before it was submitted",
        "carrier_error_code": None,
        "occurred_at": stamp(seconds),
        "permanent": None,
    }
    return {"status": "rejected", "last_error": error}


def cost(count: int) -> dict[str, Any]:
    """What so many parts cost here."""
    amount = f"{0.04 * count:.5f}"
    return {"amount": amount, "currency_code": "EUR", "transaction_amount": amount, "passthrough_amount": None}


def stamp(seconds: float) -> str:
    """A time as Bird writes it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def error_response(name: str, text: str = "", *, status: int | None = None, param: str = "") -> web.Response:
    """The API's form of an error."""
    known, kind, code = ERRORS[name]
    request_id = "req_" + secrets.token_hex(13)
    error: dict[str, Any] = {
        "type": kind,
        "code": code,
        "name": name,
        "message": text or name,
        "doc_url": f"https://docs.bird.com/errors/{code}",
        "request_id": request_id,
    }
    if param:
        error |= {"param": param, "details": [{"param": param, "message": text}]}
    return web.json_response({"error": error}, status=status or known, headers={"X-Request-Id": request_id})


serve = Bird.serve
