"""Erasures over HTTP: status, shape, scope."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.stack import Stack

PATH = "/v1/erasures"


async def post(stack: Stack, content: Any, token: str = "default", **query: str) -> Any:
    headers = {"authorization": f"Bearer {token}"}
    return await stack.http.post(PATH, params=query or {"company_code": "acme"}, json=content, headers=headers)


async def test_the_answer_counts_by_store(stack: Stack) -> None:
    answer = await post(stack, {"address": "Ada@example.com"})
    assert (answer.status_code, answer.json()) == (200, {"erased": {"outbox": 0, "records": 2}})
    asked = stack.tracker.asked[-1]
    assert (asked.company_code, asked.address) == ("acme", "Ada@example.com")


async def test_only_operators_of_one_company_may(stack: Stack) -> None:
    for token in ("reader", "sender"):
        assert (await post(stack, {"address": "a@b.example"}, token)).status_code == 403
    assert (await post(stack, {"address": "a@b.example"}, company_code="other")).status_code == 403


@pytest.mark.parametrize(
    ("content", "path"), [({}, "body"), ({"address": 5}, "address"), ({"address": "a@b.example", "all": True}, "body")]
)
async def test_a_wrong_shape_is_named(stack: Stack, content: Any, path: str) -> None:
    answer = await post(stack, content)
    assert answer.status_code == 422
    assert [each["path"] for each in answer.json()["errors"]] == [path]
