"""What providers tell, from the post to the record: Mandrill in batches, SNS one a post, and 46 copies of the same.

All events are made and signed before the clock starts. It stops when one that was told after all others is recorded:
events are recorded in the order in which they became durable.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

import aiohttp

from benchmarks import sample
from benchmarks.stack import Stack
from fakes import mandrill
from fakes.ses import Ses
from morpheus_kit import ids

MESSAGES: Final = 5_000
BATCH: Final = 1_000
COPIES: Final = 46
POSTS: Final = 3_000
CONNECTIONS: Final = {"mandrill": 4, "ses": 50}
KEY: Final = "bench-webhook-key"
WORDS: Final = ("delivered", "open", "click", "open")
GROUP: Final = "told"
_SECONDS: Final = 120.0


class Post(NamedTuple):
    """A signed webhook."""

    body: bytes
    headers: dict[str, str]


def measure(messages: int = MESSAGES) -> dict[str, Any]:
    """Events a second and CPU an event, of batches, of copies and of single posts."""
    return asyncio.run(_measure(messages))


async def _measure(messages: int) -> dict[str, Any]:
    async with Ses.serve() as amazon:
        environment = {
            "MORPHEUS_MANDRILL_WEBHOOK_KEYS": KEY,
            "MORPHEUS_SES_TOPIC_ARNS": amazon.topic.arn,
            "MORPHEUS_SNS_CERT_HOSTS": amazon.url.removeprefix("http://"),
        }
        with tempfile.TemporaryDirectory(prefix="morpheus-bench-") as folder, Stack(Path(folder), environment) as stack:
            status, reply, _ = await asyncio.to_thread(stack.send, GROUP, messages)
            if status != 202:
                msg = f"the post was refused: {status} {reply}"
                raise RuntimeError(msg)
            await asyncio.to_thread(stack.wait_finished, GROUP, _SECONDS)
            load = _Load(stack, await asyncio.to_thread(_references, stack, messages))
            return {
                "batches": await load.batches(),
                "copies": await load.copies(),
                "single_posts": await load.single_posts(amazon),
            }


def _references(stack: Stack, messages: int) -> list[str]:
    """The references of the group's messages, which its month is a part of."""
    accepted = stack.group(GROUP)["accepted_at"]
    prefix = ids.reference_prefix(accepted[:7].replace("-", ""), 0, sample.COMPANY, GROUP)
    return [f"{prefix}-{ids.message_id(sample.COMPANY, GROUP, 0, index)}" for index in range(messages)]


class _Load:
    """Posts webhooks to a running stack and waits until they are recorded."""

    def __init__(self, stack: Stack, references: Sequence[str]) -> None:
        self._stack = stack
        self._references = references
        self._url = f"http://127.0.0.1:{stack.port}/webhooks/"
        self._now = int(time.time())
        self._sentinels = 0

    async def batches(self) -> dict[str, Any]:
        """Each message's events, in batches that mix messages."""
        events = [event for number, word in enumerate(WORDS) for event in self._events(word, number)]
        return await self._run("mandrill", [self._batch(each) for each in _cut(events, BATCH)], len(events))

    async def copies(self) -> dict[str, Any]:
        """One batch, again and again: it has one effect."""
        batch = self._batch(list(self._events("click", 50))[:BATCH])
        before = await self._times(0)
        figures = await self._run("mandrill", [batch] * COPIES, BATCH * COPIES)
        return figures | {"copies": COPIES, "effects_on_a_message": len(await self._times(0)) - len(before)}

    async def single_posts(self, amazon: Ses) -> dict[str, Any]:
        """One event a post, as SNS sends them."""
        posts = []
        for number in range(POSTS):
            reference = self._references[number % len(self._references)]
            stamp = f"2026-01-01T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}.000Z"
            mail = {"timestamp": stamp, "messageId": f"{number:016x}", "tags": {"reference": [reference]}}
            event = {"eventType": "Open", "mail": mail, "open": {"timestamp": stamp, "userAgent": "Bench/1.0"}}
            envelope = amazon.topic.notification(event, self._now, amazon.url)
            posts.append(Post(json.dumps(envelope).encode(), {"content-type": "text/plain; charset=UTF-8"}))
        return await self._run("ses", posts, POSTS)

    async def _run(self, provider: str, posts: Sequence[Post], events: int) -> dict[str, Any]:
        before, started = self._stack.cpu_seconds(), time.perf_counter()
        durable = await self._post(provider, posts)
        await self._recorded()
        seconds, after = time.perf_counter() - started, self._stack.cpu_seconds()
        cpu = {name: round((after[name] - before.get(name, 0.0)) / events * 1e6, 1) for name in after}
        return {
            "events": events,
            "events_per_second": round(events / seconds, 1),
            "durable_events_per_second": round(events / durable, 1),
            "cpu_us_per_event": {name: used for name, used in cpu.items() if used >= 1},
        }

    async def _post(self, provider: str, posts: Sequence[Post]) -> float:
        """Seconds until all are answered with 200."""
        waiting = iter(posts)
        started = time.perf_counter()
        connector = aiohttp.TCPConnector(limit=CONNECTIONS[provider])
        async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as group:
            for _ in range(CONNECTIONS[provider]):
                group.create_task(_drain(session, self._url + provider, waiting))
        return time.perf_counter() - started

    async def _recorded(self) -> None:
        """Tells one event more, and waits until it is recorded."""
        self._sentinels += 1
        second = 10_000 + self._sentinels
        await self._post("mandrill", [self._batch([self._event("open", self._references[-1], second)])])
        deadline = time.monotonic() + _SECONDS
        while (self._now + second) not in await self._times(-1):
            if time.monotonic() > deadline:
                msg = f"not recorded after {_SECONDS} s"
                raise TimeoutError(msg)
            await asyncio.sleep(0.02)

    async def _times(self, index: int) -> list[int]:
        """Unix seconds of the events that are recorded of a message."""
        detail = await asyncio.to_thread(self._stack.message, self._references[index][-36:])
        return [int(datetime.fromisoformat(event["time"]).timestamp()) for event in detail["events"]]

    def _events(self, word: str, second: int) -> Iterator[dict[str, Any]]:
        return (self._event(word, reference, second) for reference in self._references)

    def _event(self, word: str, reference: str, second: int) -> dict[str, Any]:
        """As large as Mandrill's own."""
        message = {
            "ts": self._now,
            "_id": reference[-32:].replace("-", ""),
            "state": "sent",
            "email": "person@example.org",
            "sender": "bench@example.org",
            "subject": "Invoice INV-000001 for Person",
            "tags": ["bench"],
            "opens": [{"ts": self._now, "ip": "192.0.2.1", "location": "Oslo", "ua": "Bench/1.0"}],
            "clicks": [],
            "smtp_events": [{"ts": self._now, "type": "sent", "diag": "250 2.0.0 OK 1790000000 queued as 4F7D"}],
            "metadata": {"reference": reference},
            "subaccount": None,
            "resends": [],
            "template": None,
        }
        told: dict[str, Any] = {"event": word, "_id": message["_id"], "ts": self._now + second, "msg": message}
        if word == "click":
            told["url"] = "https://pay.example.org/invoice?utm_source=bench"
        return told

    def _batch(self, events: Sequence[dict[str, Any]]) -> Post:
        fields = {"mandrill_events": json.dumps(events)}
        signature = mandrill.sign(KEY, self._url + "mandrill", fields)
        headers = {"content-type": "application/x-www-form-urlencoded", "x-mandrill-signature": signature}
        return Post(urlencode(fields).encode(), headers)


async def _drain(session: aiohttp.ClientSession, url: str, posts: Iterator[Post]) -> None:
    for post in posts:
        async with session.post(url, data=post.body, headers=post.headers) as response:
            if response.status != 200:
                msg = f"{url}: {response.status} {await response.text()}"
                raise RuntimeError(msg)


def _cut(events: Sequence[dict[str, Any]], size: int) -> Iterator[Sequence[dict[str, Any]]]:
    return (events[start : start + size] for start in range(0, len(events), size))
