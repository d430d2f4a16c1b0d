"""Method `test`: the outbox and the calls."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from morpheus_kit.clock import ManualClock
from services.dispatcher.providers.base import Outgoing
from services.dispatcher.providers.test import TestProvider
from services.dispatcher.receipts import ReceiptRunner
from services.dispatcher.verdicts import Answer


def provider(outbox: str) -> TestProvider:
    clock = ManualClock(1_780_000_000_123)
    return TestProvider(outbox, ReceiptRunner({}, clock), clock, 0.001)


def outgoing(name: str, address: str, attempt: int = 1) -> Outgoing:
    return Outgoing(name, attempt, f"ref-{name}", 0, address, "hello@acme.example", name.encode())


def calls(outbox: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (outbox / "calls.jsonl").read_text().splitlines()]


async def test_each_message_is_a_file_and_each_call_a_line(tmp_path: Path) -> None:
    outbox = tmp_path / "made" / "outbox"
    test = provider(str(outbox))
    await test.start()
    verdicts = await test.send([outgoing("mail", "a@example.org"), outgoing("sms", "+441234567890", 2)])
    assert {verdict.answer for verdict in verdicts} == {Answer.ACCEPTED}
    assert (outbox / "mail.eml").read_bytes() == b"mail"
    assert (outbox / "sms.txt").read_bytes() == b"sms"
    assert calls(outbox) == [
        {"id": "mail", "attempt": 1, "time": 1_780_000_000.123},
        {"id": "sms", "attempt": 2, "time": 1_780_000_000.123},
    ]


async def test_what_the_simulated_provider_did_not_take_is_a_call_without_a_file(tmp_path: Path) -> None:
    test = provider(str(tmp_path))
    names = ["refused", "throttled", "down", "timeout-lost", "timeout-sent"]
    await test.send([outgoing(name, f"{name}@simulator.example.com") for name in names])
    assert [path.name for path in tmp_path.glob("*.eml")] == ["timeout-sent.eml"]
    assert [call["id"] for call in calls(tmp_path)] == names


async def test_without_an_outbox_nothing_is_written(tmp_path: Path) -> None:
    (verdict,) = await provider("").send([outgoing("mail", "a@example.org")])
    assert verdict.answer is Answer.ACCEPTED


async def test_a_call_that_cannot_be_written_has_not_happened(tmp_path: Path) -> None:
    (verdict,) = await provider(str(tmp_path / "missing")).send([outgoing("mail", "a@example.org")])
    assert verdict.answer is Answer.RETRY


async def test_a_message_whose_file_cannot_be_written_is_unclear(tmp_path: Path) -> None:
    (tmp_path / "mail.eml").mkdir()
    (verdict,) = await provider(str(tmp_path)).send([outgoing("mail", "a@example.org")])
    assert verdict.answer is Answer.UNCLEAR
    assert len(calls(tmp_path)) == 1
