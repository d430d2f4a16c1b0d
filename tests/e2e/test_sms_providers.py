"""Method `sms` through the whole stack into the fakes of Twilio and Bird: faults end right, nothing goes twice."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import msgpack
import pytest

from benchmarks import sample
from benchmarks.stack import Stack
from tests.e2e.states import wait_until_recorded

SENT, RETRIED, DOWN, DOUBT = "+447700900001", "+447700900114", "+447700900503", "+447700900113"
ENDS = {
    # It has no idempotency key: what may have been taken is not sent again. Its status tells that it was.
    "twilio": {SENT: "delivered", RETRIED: "delivered", DOWN: "failed", DOUBT: "delivered"},
    "bird": {SENT: "sent", RETRIED: "sent", DOWN: "failed", DOUBT: "sent"},
}


@pytest.fixture(params=["twilio", "bird"])
def fake(request: pytest.FixtureRequest) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name of a provider, and what the command of its fake printed, while it runs."""
    command = [sys.executable, "-m", "fakes", "--json", "--port-base", "0", "--only", request.param]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield request.param, json.loads(process.stdout.readline())[request.param]
        process.terminate()


@pytest.mark.timeout(180)
def test_faults_end_as_they_should_and_nothing_goes_twice(fake: tuple[str, dict[str, Any]], tmp_path: Path) -> None:
    name, printed = fake
    settings = {"MORPHEUS_RETRY_DELAYS": "0.1,0.1", "MORPHEUS_UNCERTAIN_AFTER": "1"}
    with Stack(tmp_path, printed["environment"] | settings) as stack:
        (tmp_path / "templates" / "bench" / "text.txt").write_text("Hello {{ first_name }}")
        post = {
            "group_id": "texts",
            "company_code": sample.COMPANY,
            "method": "sms",
            "inner_template": "bench/text.txt",
            "from_address": "ACME",
            "recipients": [{"address": address, "first_name": "Ann"} for address in ENDS[name]],
        }
        status, reply, _ = stack.post(msgpack.packb(post))
        assert (status, reply.get("rejected")) == (202, []), reply
        stack.wait_finished("texts", 90)
        with urlopen(f"{printed['api']}webhooks?wait=10", timeout=20):
            pass
        items = wait_until_recorded(stack, "texts", ENDS[name])
    assert items[DOWN]["reason"]["code"] == "retries_exhausted"
    assert (items[SENT]["provider"], items[SENT]["segments"]) == (name, 1)
    assert items[SENT]["cost"] is not None
    with urlopen(f"{printed['api']}messages", timeout=10) as answer:
        taken = json.load(answer)["items"]
    assert sorted(message["address"] for message in taken) == [SENT, DOUBT, RETRIED]
