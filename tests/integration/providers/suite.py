"""What every provider must do, whatever its protocol: the same tests, run for each. Those over HTTP have some more."""

from __future__ import annotations

import re
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import ClassVar

import pytest

from services.dispatcher.providers.base import Outgoing, Provider
from services.dispatcher.verdicts import Answer
from tests.integration.providers.server import Script, serve


@dataclass
class Served:
    """A server that answers as it was told, and how often it was asked to take a message."""

    url: str
    calls: Callable[[], int]


class ProviderSuite:
    """Subclass it with a server of the provider's protocol, and a way to make the provider."""

    external_id: ClassVar[str]
    address: ClassVar[str]
    """URL of a server on this machine, with `{port}`."""
    throttled: ClassVar[Answer] = Answer.THROTTLED
    calls_in_doubt: ClassVar[int] = 1
    """More only where the provider takes an idempotency key."""

    def make(self, url: str, timeout: float) -> Provider:
        """The provider, not started; `timeout` in seconds."""
        raise NotImplementedError

    def outgoing(self, number: int) -> Outgoing:
        """A message in the form that it takes."""
        raise NotImplementedError

    def serve(self, behaviour: str = "") -> AbstractAsyncContextManager[Served]:
        """A server that takes everything, or is `refused`, `throttled`; or, after all was read, `hang`, `reset`."""
        raise NotImplementedError

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
        async with self.serve() as server:
            verdicts = await self.send(server.url, 0, 1, 2)
            assert [(answer, external_id) for answer, _, external_id in verdicts] == [
                (Answer.ACCEPTED, self.external_id)
            ] * 3
            assert server.calls() == 3

    async def test_a_refusal_is_final_and_has_the_words_of_the_provider(self) -> None:
        async with self.serve("refused") as server:
            ((answer, text, _),) = await self.send(server.url, 0)
            assert answer is Answer.REFUSED
            assert text
            assert server.calls() == 1

    async def test_one_that_asks_to_wait_is_not_called_again(self) -> None:
        async with self.serve("throttled") as server:
            ((answer, _, _),) = await self.send(server.url, 0)
            assert answer is self.throttled
            assert server.calls() == 1

    @pytest.mark.parametrize("behaviour", ["hang", "reset"])
    async def test_a_message_that_was_read_and_not_answered_is_unclear_and_not_repeated(self, behaviour: str) -> None:
        async with self.serve(behaviour) as server:
            ((answer, _, _),) = await self.send(server.url, 0, timeout=1.0 if behaviour == "hang" else 5.0)
            assert answer is Answer.UNCLEAR
            assert server.calls() == self.calls_in_doubt

    async def test_a_refused_connection_is_a_retry(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        ((answer, text, _),) = await self.send(self.address.format(port=port), 0)
        assert answer is Answer.RETRY
        assert text

    async def test_a_name_that_does_not_resolve_is_a_retry(self) -> None:
        ((answer, _, _),) = await self.send(self.address.format(port=9).replace("127.0.0.1", "nowhere.invalid"), 0)
        assert answer is Answer.RETRY

    async def test_a_server_without_tls_is_a_retry(self) -> None:
        async with self.serve() as server:
            ((answer, _, _),) = await self.send(re.sub("^(http|smtp):", r"\1s:", server.url), 0, timeout=0.5)
            assert answer is Answer.RETRY
            assert server.calls() == 0


class HttpProviderSuite(ProviderSuite):
    """Subclass it with the answer of a success."""

    accepted: ClassVar[tuple[int, bytes]]
    address = "http://127.0.0.1:{port}"

    @asynccontextmanager
    async def serve(self, behaviour: str = "") -> AsyncIterator[Served]:
        """Bare bytes, none of the provider's manners."""
        status, body = {"refused": (422, b"{}"), "throttled": (429, b"{}")}.get(behaviour, self.accepted)
        script = Script(status, body, fault=behaviour if behaviour in {"hang", "reset"} else "")
        async with serve(script) as url:
            yield Served(url, lambda: script.calls)

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

    async def test_a_success_that_cannot_be_read_is_unclear(self) -> None:
        script = Script(200, b"<html>")
        async with serve(script) as url:
            ((answer, _, _),) = await self.send(url, 0)
        assert answer is Answer.UNCLEAR
