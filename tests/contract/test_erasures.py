"""Erasures over HTTP: status, shape, scope."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from services.tracker.erasures import STORES
from tests.contract.stack import Stack

PATH = "/v1/erasures"
OPERATOR = {"authorization": "Bearer default"}


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


async def test_the_page_about_privacy_shows_what_is_asked_and_answered(stack: Stack) -> None:
    page = (Path(__file__).parents[2] / "docs" / "privacy.md").read_text()
    asked, answered = (json.loads(text) for text in re.findall(r"```json\n(.*?)```", page, re.DOTALL))
    path, query = re.findall(r"`POST (/v1/erasures)\?company_code=(\w+)`", page)[0]
    assert (
        await stack.http.post(path, params={"company_code": query}, json=asked, headers=OPERATOR)
    ).status_code == 200
    assert set(answered["erased"]) == set(STORES)
