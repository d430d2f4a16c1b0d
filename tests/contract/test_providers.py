"""How providers stand, and switching them: for keys of scope admin."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.stack import Stack

RUNNING = {"name": "mandrill", "state": "running", "reason": None, "rate": 12.5}
PAUSED = {
    **RUNNING,
    "state": "paused",
    "reason": {"code": "provider_paused", "text": "by hand", "docs": "docs/http-api.md#provider_paused"},
}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/providers"),
        ("POST", "/v1/providers/mandrill/pause"),
        ("POST", "/v1/providers/mandrill/resume"),
    ],
)
async def test_they_need_the_scope_admin_and_no_company(stack: Stack, method: str, path: str) -> None:
    async def ask(token: str = "", **parameters: str) -> int:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        return (await stack.http.request(method, path, params=parameters, headers=headers)).status_code

    assert await ask() == 401
    assert await ask("wrong") == 401
    assert await ask("default", company_code="acme") == 403
    assert await ask("admin", colour="red") == 422
    assert stack.dispatcher.asked == []
    for parameters in ({}, {"company_code": "acme"}, {"company_code": "*"}):
        assert await ask("admin", **parameters) == 200


async def test_a_provider_is_paused_and_resumed_and_a_repeated_answer_is_the_same(stack: Stack) -> None:
    async def operate(word: str) -> Any:
        reply = await stack.operate(f"/v1/providers/mandrill/{word}", token="admin")
        assert reply.status_code == 200
        return reply.json()

    assert (await stack.get("/v1/providers", token="admin")).json() == {"items": [RUNNING], "next_page_token": ""}
    assert [await operate("pause"), await operate("pause")] == [PAUSED, PAUSED]
    assert (await stack.get("/v1/providers", token="admin")).json()["items"] == [PAUSED]
    assert [await operate("resume"), await operate("resume")] == [RUNNING, RUNNING]
    assert stack.dispatcher.asked[1].key_id == "admin"


@pytest.mark.parametrize("word", ["pause", "resume"])
async def test_one_that_is_not_configured_is_not_found(stack: Stack, word: str) -> None:
    reply = await stack.operate(f"/v1/providers/pigeons/{word}", token="admin")
    assert (reply.status_code, reply.json()["code"]) == (404, "not_found")
