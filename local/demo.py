"""The demonstration: one signed group of 200 mails, its progress, and what to look at afterwards."""

import asyncio
import base64
import hashlib
import hmac
import json
import shutil
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from html import escape
from pathlib import Path
from string import Template
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import msgpack
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from local import keys
from local.supervisor import Supervisor

WhenReady = Callable[[], Awaitable[None]]

SAMPLES = Path(__file__).parent / "samples"
GROUP_PATH = "/v1/groups"
COMPANY = "harbour"
TOTAL = 200
INVOICE_EACH = 10
FINISH_LIMIT = 120.0
SIMULATED = ("opened", "clicked", "bounced", "soft-bounced", "complained", "refused", "throttled", "timeout-sent")
FIRST_NAMES = ("Ada", "Grace", "Zoë", "Łukasz", "Mei", "Jürgen", "Amara", "Nikos", "Sofia", "Tomás")
LAST_NAMES = ("Okafor", "Lindqvist", "Müller", "Papadakis", "Chen", "Nowak", "Silva", "Haddad", "Byrne", "Ito")
TITLES = ("The Salt Path", "Sea Room", "Moby-Dick", "The Shipping News", "Coasting", "Passage to Juneau")


def recipient(index: int, *, pdf: bool) -> dict[str, Any]:
    """One customer: every value differs, so that a mix-up would be seen."""
    first, last = FIRST_NAMES[index % 10], LAST_NAMES[index // 10 % 10]
    simulated = index < len(SIMULATED)
    address = f"{SIMULATED[index]}@simulator.example.com" if simulated else f"customer{index}@example.com"
    titles = [TITLES[(index + step) % len(TITLES)] for step in range(1 + index % 3)]
    items = [{"title": title, "price": f"{9 + (index + step) % 7}.50"} for step, title in enumerate(titles)]
    order = f"HB-{10_000 + index}"
    total = f"{sum(float(item['price']) for item in items):.2f}"
    invoice = pdf and index % INVOICE_EACH == 0
    entry: dict[str, Any] = {
        "address": address,
        "first_name": first,
        "last_name": last,
        "user_link": f"https://books.example.com/orders/{order}",
        "tags": [f"order-{order.lower()}"],
        "context": {"order": order, "items": items, "total": total, "has_invoice": invoice},
    }
    if invoice:
        rows = "\n".join(
            f'<tr><td>{escape(item["title"])}</td><td class="money">£{item["price"]}</td></tr>' for item in items
        )
        html = Template((SAMPLES / "invoice.html").read_text(encoding="utf-8")).substitute(
            order=order, name=escape(f"{first} {last}"), address=escape(address), rows=rows, total=total
        )
        entry["pdf_attachments"] = [{"name": f"invoice-{order}.pdf", "html": html}]
    return entry


def group(group_id: str, *, pdf: bool) -> dict[str, Any]:
    return {
        "group_id": group_id,
        "company_code": COMPANY,
        "method": "test",
        "outer_template": "letter.html",
        "inner_template": "order.html",
        "subject_template": "Your order {{ order }} is on its way, {{ first_name }}",
        "from_address": "Harbour Books <orders@books.example.com>",
        "context": {"clerk": "Marta", "ships_on": "Friday"},
        "tags": ["demo", "orders"],
        "recipients": [recipient(index, pdf=pdf) for index in range(TOTAL)],
    }


def sign(secret: str, path: str, body: bytes, now: float) -> dict[str, str]:
    """The headers of a signed post, from the scheme alone."""
    webhook_id, timestamp = uuid.uuid4().hex, str(int(now))
    payload = f"POST {path} {hashlib.sha256(body).hexdigest()}"
    key = base64.b64decode(secret.removeprefix("whsec_"))
    mac = hmac.digest(key, f"{webhook_id}.{timestamp}.{payload}".encode(), "sha256")
    return {
        "content-type": "application/msgpack",
        "webhook-id": webhook_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": "v1," + base64.b64encode(mac).decode(),
    }


def call(url: str, headers: Mapping[str, str], body: bytes | None = None) -> dict[str, Any]:
    """One HTTP exchange; the reply's JSON. OSError with the server's words when it refuses."""
    request = Request(url, data=body, headers=dict(headers))  # noqa: S310 the URL is our own loopback address
    try:
        with urlopen(request, timeout=30.0) as reply:  # noqa: S310  our own address
            found: dict[str, Any] = json.load(reply)
    except HTTPError as exc:
        raise OSError(f"{exc.code} {exc.read().decode(errors='replace')}") from exc
    return found


class Demo:
    """What happens on the screen once the stack is ready."""

    def __init__(self, home: Path, port: int, environ: Mapping[str, str]) -> None:
        self.failed = False
        self._home = home
        self._base = f"http://127.0.0.1:{port}"
        self._pdf = environ.get("DEMO_PDF", "1") != "0"
        self._leave = environ.get("DEMO_EXIT", "0") == "1"
        self._console = Console(highlight=False)
        self._console.print(f"Starting the services (home {home})")

    def on(self, supervisor: Supervisor) -> WhenReady:
        async def show() -> None:
            try:
                await self._show()
            except (OSError, TimeoutError) as exc:
                self.failed = True
                self._console.print(f"The demonstration failed: {exc}")
                supervisor.stop_requested.set()
            if self._leave:
                supervisor.stop_requested.set()

        return show

    async def _show(self) -> None:
        client = keys.read_client(self._home)
        if client is None:
            raise OSError(f"no client.toml in {self._home}")
        shutil.copytree(SAMPLES / "templates", self._home / "templates", dirs_exist_ok=True)
        group_id = time.strftime("demo-%Y%m%d-%H%M%S", time.gmtime())
        packed: bytes = msgpack.packb(group(group_id, pdf=self._pdf), use_bin_type=True)
        started = time.monotonic()
        headers = sign(client.secret, GROUP_PATH, packed, time.time()) | {"morpheus-key": client.key}
        reply = await asyncio.to_thread(call, self._base + GROUP_PATH, headers, packed)
        milliseconds = (time.monotonic() - started) * 1000
        self._console.print(
            f"Posted group {group_id}: {reply['accepted']} of {reply['total']} accepted in {milliseconds:.0f} ms"
        )
        final = await self._follow(group_id, client.token)
        self._summary(final, client.token, time.monotonic() - started)

    async def _follow(self, group_id: str, token: str) -> dict[str, Any]:
        url = f"{self._base}{GROUP_PATH}/{group_id}?company_code={COMPANY}"
        headers = {"authorization": f"Bearer {token}"}
        columns = (TextColumn("Sending"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self._console) as progress:
            bar = progress.add_task("sending", total=TOTAL)
            async with asyncio.timeout(FINISH_LIMIT):
                while True:
                    state = await asyncio.to_thread(call, url, headers)
                    progress.update(bar, total=state["total"], completed=state["progress"]["ended"])
                    if state["control"] == "finished":
                        return state
                    await asyncio.sleep(0.2)

    def _summary(self, state: Mapping[str, Any], token: str, seconds: float) -> None:
        counts = ", ".join(f"{count} {name}" for name, count in state["counts"].items() if count)
        mails = sorted((self._home / "outbox").glob("*.eml"))
        lines = [
            f"Finished in {seconds:.1f} s: {counts}",
            f"One mail:  {mails[0] if mails else 'none was written'}",
            f"Outbox:    {self._base}/outbox",
            f"API:       curl -H 'Authorization: Bearer {token}' '{self._base}/v1/messages?company_code={COMPANY}'",
        ]
        stays = "The stack stops now; without DEMO_EXIT=1 it stays up for these links."
        lines.append(stays if self._leave else "The stack stays up until Ctrl-C.")
        for line in lines:
            self._console.print(line, soft_wrap=True, markup=False)
