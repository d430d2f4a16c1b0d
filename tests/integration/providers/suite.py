"""What every provider over HTTP must do, whatever its API: the same tests, run for each."""

from __future__ import annotations

import socket
from typing import ClassVar

import pytest

from services.dispatcher.providers.base import Outgoing, Provider
from services.dispatcher.verdicts import Answer
from tests.integration.providers.server import Script, serve


class ProviderSuite:
    """Subclass it with the answer of a success, and a way to make the provider."""

    accepted: ClassVar[tuple[int, bytes]]
    external_id: ClassVar[str]
    calls_in_doubt: ClassVar[int] = 1
    """More only where the provider takes an idempotency key."""

    def make(self, url: str, timeout: float) -> Provider:
        """The provider, not started; `timeout` in seconds."""
        raise NotImplementedError

    def outgoing(self, number: int) -> Outgoing:
        """A message in the form that it takes."""
        raise NotImplementedError

    def script(self, fault: str = "") -> Script:
        status, body = self.accepted
        return Script(status, body, fault=fault)

    async def send(self, url: str, *numbers: int, timeout: float = 5.0) -> list[tuple[Answer, str, str]]:
        """The verdicts of one batch: answer, text, external id."""
        provider = self.make(url, timeout)
        await provider.start()
        try:
            verdicts = await provider.send([self.outgoing(number) for number in numbers])
        finally:
            await provider.stop()
        return [(each.answer, each.text, each.external_id) for each in verdicts]

    async def test_each_message_is_one_call_and_one_verdict(self) -> None:
        script = self.script()
        async with serve(script) as url:
            verdicts = await self.send(url, 0, 1, 2)
        assert [(answer, external_id) for answer, _, external_id in verdicts] == [
            (Answer.ACCEPTED, self.external_id)
        ] * 3
        assert script.calls == 3

    @pytest.mark.parametrize(
        ("status", "answer"),
        [
            (302, Answer.RETRY),
            (307, Answer.RETRY),
            (401, Answer.PAUSED),
            (403, Answer.PAUSED),
            (422, Answer.REFUSED),
            (429, Answer.THROTTLED),
            (500, Answer.RETRY),
            (502, Answer.UNCLEAR),
            (503, Answer.RETRY),
            (504, Answer.UNCLEAR),
        ],
    )
    async def test_no_status_is_answered_by_a_second_call(self, status: int, answer: Answer) -> None:
        script = Script(status, b"<html>nothing of the provider's</html>", {"Location": "/elsewhere"})
        async with serve(script) as url:
            ((found, _, _),) = await self.send(url, 0)
        assert found is answer
        assert script.calls == (self.calls_in_doubt if answer is Answer.UNCLEAR else 1)

    async def test_a_hang_after_the_request_was_read_is_unclear_and_not_repeated(self) -> None:
        script = self.script("hang")
        async with serve(script) as url:
            ((answer, _, _),) = await self.send(url, 0, timeout=0.3)
        assert answer is Answer.UNCLEAR
        assert script.calls == self.calls_in_doubt

    async def test_a_reset_after_the_request_was_read_is_unclear_and_not_repeated(self) -> None:
        script = self.script("reset")
        async with serve(script) as url:
            ((answer, _, _),) = await self.send(url, 0)
        assert answer is Answer.UNCLEAR
        assert script.calls == self.calls_in_doubt

    async def test_a_success_that_cannot_be_read_is_unclear(self) -> None:
        script = Script(200, b"<html>")
        async with serve(script) as url:
            ((answer, _, _),) = await self.send(url, 0)
        assert answer is Answer.UNCLEAR

    async def test_a_refused_connection_is_a_retry(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        ((answer, text, _),) = await self.send(f"http://127.0.0.1:{port}", 0)
        assert answer is Answer.RETRY
        assert text

    async def test_a_name_that_does_not_resolve_is_a_retry(self) -> None:
        ((answer, _, _),) = await self.send("http://nowhere.invalid", 0)
        assert answer is Answer.RETRY

    async def test_a_server_without_tls_is_a_retry(self) -> None:
        script = self.script()
        async with serve(script) as url:
            ((answer, _, _),) = await self.send(url.replace("http:", "https:"), 0)
        assert answer is Answer.RETRY
        assert script.calls == 0
