"""Redis is killed and comes back with its files, while gateway and tracker run."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import pytest

from morpheus_kit.queue.connection import open_redis
from morpheus_kit.queue.scripts import Queue
from tests.integration.webhooks.rig import Group, running
from tests.integration.webhooks.test_mandrill import KEYS, event, signed
from tests.valkey import running_valkey


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="valkey-") as name:
        yield Path(name)


async def test_receipt_is_refused_while_redis_is_away_and_what_was_answered_is_recorded(
    folder: Path, tmp_path: Path
) -> None:
    first = ExitStack()
    url = first.enter_context(running_valkey(folder))
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(open_redis(url))
        queue = Queue(redis, 0, aof_always=True)
        await queue.prepare()
        await queue.suppressions_known()
        group = Group(queue)
        await group.post()
        await group.send_into_doubt()
        rig = await stack.enter_async_context(running(url, tmp_path, mandrill_webhook_keys=KEYS))
        await rig.until(group, lambda message: message.state == "uncertain")
        delivered = signed(rig, [event("delivered", group.reference())])
        opened = signed(rig, [event("open", group.reference(), 90)])
        assert (await rig.post("mandrill", *delivered)).status_code == 200
        first.close()
        answer = await rig.post("mandrill", *opened)
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        stack.enter_context(running_valkey(folder))
        assert (await rig.post("mandrill", *opened)).status_code == 200
        found = await rig.until(group, lambda message: message.state == "opened")
        assert {each.type for each in found.events} == {"queued", "uncertain", "sent", "delivered", "opened"}
        state = await queue.group_state("acme/june")
        assert state is not None
        assert (state["uncertain"], state["ended"]) == (b"0", b"1")
