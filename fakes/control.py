"""The API under /_fake/ that every fake has: what it got, and what it shall do wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Protocol

from aiohttp import web

from fakes.faults import FaultBook
from fakes.records import Records

PREFIX = "/_fake/"


class Controlled(Protocol):
    """What the API works on."""

    name: ClassVar[str]
    records: Records
    faults: FaultBook
    webhook_url: str

    async def settled(self, timeout: float = 10.0) -> None:
        """Every webhook has been sent."""
        ...

    def reset(self) -> None:
        """As just started."""
        ...

    def inject(self, what: dict[str, Any]) -> None:
        """Something that happens from outside; raises ValueError when this fake knows no such thing."""
        ...


def control_routes(fake: Controlled) -> list[web.RouteDef]:
    """Routes of the API for one fake."""
    control = Control(fake)
    return [
        web.get("/_fake/", control.summary),
        web.delete("/_fake/", control.reset),
        web.get("/_fake/messages", control.messages),
        web.delete("/_fake/messages", control.reset),
        web.get("/_fake/calls", control.calls),
        web.get("/_fake/webhooks", control.webhooks),
        web.put("/_fake/webhook", control.set_webhook),
        web.get("/_fake/faults", control.orders),
        web.post("/_fake/faults", control.order),
        web.delete("/_fake/faults", control.clear_orders),
        web.post("/_fake/events", control.event),
    ]


class Control:
    """Handlers of the API."""

    def __init__(self, fake: Controlled) -> None:
        self._fake = fake

    async def summary(self, request: web.Request) -> web.Response:
        """How much there is."""
        fake = self._fake
        return web.json_response({"fake": fake.name, "webhook_url": fake.webhook_url, "counts": fake.records.counts})

    async def reset(self, request: web.Request) -> web.Response:
        """Forget all."""
        self._fake.reset()
        return web.json_response({})

    async def messages(self, request: web.Request) -> web.Response:
        """`address`, `id`, `metadata.NAME` choose; `brief=1` leaves content out; `limit` and `offset`."""
        query = request.query
        metadata = {
            name.removeprefix("metadata."): value for name, value in query.items() if name.startswith("metadata.")
        }
        found = self._fake.records.find(address=query.get("address", ""), metadata=metadata)
        wanted = [message for message in found if query.get("id", message.id) == message.id]
        brief = query.get("brief", "") not in {"", "0"}
        return page(request, wanted, lambda message: message.as_json(brief=brief))

    async def calls(self, request: web.Request) -> web.Response:
        """Every request; `address` and `status` choose."""
        address, status = request.query.get("address", "").lower(), request.query.get("status", "")
        wanted = [
            call
            for call in self._fake.records.calls
            if (not address or address in {known.lower() for known in call.addresses})
            and (not status or status == str(call.status))
        ]
        return page(request, wanted, lambda call: call.as_json())

    async def webhooks(self, request: web.Request) -> web.Response:
        """Every webhook sent; `wait` seconds at most until all are sent."""
        wait = number(request, "wait", 0.0)
        if wait:
            try:
                await self._fake.settled(wait)
            except TimeoutError:
                return refusal("webhooks are still under way", 503)
        return page(request, list(self._fake.records.deliveries), lambda delivery: delivery.as_json())

    async def set_webhook(self, request: web.Request) -> web.Response:
        """`{"url"}`: where webhooks go from now on; empty for nowhere."""
        self._fake.webhook_url = str((await body(request)).get("url", ""))
        return web.json_response({"url": self._fake.webhook_url})

    async def orders(self, request: web.Request) -> web.Response:
        """The faults ordered over the API."""
        items = [order.as_json() for order in self._fake.faults.orders]
        return web.json_response({"items": items, "total": len(items)})

    async def order(self, request: web.Request) -> web.Response:
        """`{"match", "fault", "times"?}`."""
        wanted = await body(request)
        times = wanted.get("times")
        if times is not None and (not isinstance(times, int) or times < 1):
            return refusal("times is a number of calls, at least 1")
        try:
            order = self._fake.faults.order(str(wanted.get("match", "*")), str(wanted.get("fault", "")), times)
        except ValueError as error:
            return refusal(str(error))
        return web.json_response(order.as_json(), status=201)

    async def clear_orders(self, request: web.Request) -> web.Response:
        """Everything is well again."""
        self._fake.faults.clear()
        return web.json_response({})

    async def event(self, request: web.Request) -> web.Response:
        """`{"id", "event"}`: this happens to that message now; or what else the fake can be told."""
        try:
            self._fake.inject(await body(request))
        except ValueError as error:
            return refusal(str(error))
        return web.json_response({}, status=202)


async def body(request: web.Request) -> dict[str, Any]:
    """The JSON object of a request to the API."""
    try:
        value = await request.json()
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise web.HTTPBadRequest(text='{"error": "a JSON object is wanted"}', content_type="application/json")
    return value


def number(request: web.Request, name: str, default: float) -> float:
    """A number of the query."""
    try:
        return float(request.query.get(name, default))
    except ValueError:
        raise web.HTTPBadRequest(text=f'{{"error": "{name} is a number"}}', content_type="application/json") from None


def page(request: web.Request, items: list[Any], tell: Callable[[Any], dict[str, Any]]) -> web.Response:
    """A part of a list; `total` counts the whole."""
    offset, limit = int(number(request, "offset", 0)), int(number(request, "limit", 1000))
    return web.json_response({"items": [tell(item) for item in items[offset : offset + limit]], "total": len(items)})


def refusal(text: str, status: int = 400) -> web.Response:
    """The API's own error."""
    return web.json_response({"error": text}, status=status)
