"""Providers as an operator sees and switches them, over two dispatchers of one queue."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import grpc.aio
import pytest
from morpheus.dispatcher.v1 import dispatcher_pb2

from tests.integration.dispatcher.rig import Rig, stub
from tests.integration.providers.server import Script, serve

SENT = b'[{"email":"x","status":"sent","_id":"abc"}]'
INVALID_KEY = json.dumps({"status": "error", "name": "Invalid_Key", "message": "its words"}).encode()


async def states(dispatcher: Any) -> dict[str, tuple[str, str, str]]:
    found = await dispatcher.ListProviders(dispatcher_pb2.ListProvidersRequest())
    return {each.name: (each.state, each.reason_code, each.reason_text) for each in found.providers}


def pause(dispatcher: Any, name: str = "mandrill", key_id: str = "ops") -> Any:
    return dispatcher.PauseProvider(dispatcher_pb2.PauseProviderRequest(name=name, key_id=key_id))


def resume(dispatcher: Any, name: str = "mandrill") -> Any:
    return dispatcher.ResumeProvider(dispatcher_pb2.ResumeProviderRequest(name=name, key_id="ops"))


async def test_what_one_dispatcher_pauses_no_other_sends_by(rig: Rig) -> None:
    script = Script(body=SENT)
    async with serve(script) as url:
        settings = {
            "mandrill_url": url,
            "mandrill_key": "key",
            "smtp_url": "smtp://127.0.0.1:9",
        }
        async with rig.dispatcher(**settings) as one, rig.dispatcher(**settings) as two:  # noqa: SIM117  too long for one
            async with stub(one) as first, stub(two) as second:
                assert await states(second) == {"mandrill": ("running", "", ""), "smtp": ("running", "", "")}
                paused = (await pause(first)).provider
                assert (paused.state, paused.reason_code) == ("paused", "provider_paused")
                assert paused.reason_text.startswith("Paused by key ops at 20")
                assert (await pause(second, key_id="other")).provider == paused
                assert (await states(second))["mandrill"] == ("paused", "provider_paused", paused.reason_text)
                await rig.post([f"p{number}@example.org" for number in range(20)], method="mandrill")
                await asyncio.sleep(0.7)
                assert script.calls == 0
                assert (await rig.ledger())["waiting"] == 20
                assert (await resume(second)).provider.state == "running"
                assert (await resume(first)).provider.state == "running"
                await rig.until(seconds=15)
                assert script.calls == 20
                async with asyncio.timeout(5):
                    # Each dispatcher tells what it sent once a second.
                    while True:
                        found = await first.ListProviders(dispatcher_pb2.ListProvidersRequest())
                        if found.providers[0].rate == pytest.approx(20 / 60):
                            break
                        await asyncio.sleep(0.1)
                assert found.providers[1].rate == 0


async def test_a_provider_that_refuses_its_key_is_paused_with_its_words_until_it_is_resumed(rig: Rig) -> None:
    script = Script(401, INVALID_KEY)
    async with serve(script) as url, rig.dispatcher(mandrill_url=url, mandrill_key="key") as unit, stub(unit) as desk:
        await rig.post(["first@example.org"], method="mandrill", group_id="first")
        await rig.until_types(0, "deferred", group_id="first")
        assert (await rig.events(0, "first"))[0].reason_code == "provider_account"
        words = "mandrill: Invalid_Key: its words"
        assert await states(desk) == {"mandrill": ("paused", "provider_account", words)}
        script.status, script.body = 200, SENT
        assert (await resume(desk)).provider.state == "running"
        # Without a resume nothing would go for a minute.
        await rig.post(["second@example.org"], method="mandrill", group_id="second")
        await rig.until("second", seconds=10)


async def test_a_provider_that_fails_in_a_row_is_open_with_the_last_words(rig: Rig) -> None:
    script = Script(503)
    async with serve(script) as url, rig.dispatcher(mandrill_url=url, mandrill_key="key") as unit, stub(unit) as desk:
        await rig.post([f"p{number}@example.org" for number in range(25)], method="mandrill")
        await rig.until(waiting=25)
        async with asyncio.timeout(10):
            while (found := await states(desk))["mandrill"][0] != "open":
                await asyncio.sleep(0.05)
        assert found["mandrill"][1] == "provider_unavailable"
        assert "503" in found["mandrill"][2]


@pytest.mark.parametrize("name", ["pigeons", "ses", "test", ""])
async def test_one_that_is_not_configured_is_not_found(rig: Rig, name: str) -> None:
    settings = {"mandrill_url": "http://127.0.0.1:9", "mandrill_key": "key"}
    async with rig.dispatcher(**settings) as unit, stub(unit) as desk:
        for word in (pause, resume):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await word(desk, name)
            assert refused.value.code() is grpc.StatusCode.NOT_FOUND
