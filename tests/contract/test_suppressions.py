"""Suppressions over HTTP: statuses, shapes, scope."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.stack import Stack

PATH = "/v1/suppressions"


async def post(stack: Stack, content: Any, token: str = "default") -> Any:
    headers = {"authorization": f"Bearer {token}"}
    return await stack.http.post(PATH, params={"company_code": "acme"}, json=content, headers=headers)


async def test_added_is_201_and_again_200_with_the_same_body(stack: Stack) -> None:
    first = await post(stack, {"address": "ada@example.com", "stream": "news", "reason": "asked"})
    again = await post(stack, {"address": "ada@example.com", "stream": "news"})
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert first.json() | {"time": ""} == {
        "address": "ada@example.com",
        "stream": "news",
        "reason": "asked",
        "time": "",
    }
    listed = (await stack.get(PATH, company_code="acme")).json()
    assert listed == {"items": [first.json()], "next_page_token": ""}


async def test_removed_is_200_also_when_there_was_none(stack: Stack) -> None:
    await post(stack, {"address": "ada@example.com"})
    for removed in (1, 0):
        answer = await stack.http.delete(
            PATH,
            params={"company_code": "acme", "address": "ada@example.com"},
            headers={"authorization": "Bearer default"},
        )
        assert (answer.status_code, answer.json()) == (200, {"removed": removed})


async def test_only_operators_of_one_company_may(stack: Stack) -> None:
    assert (await stack.get(PATH, "reader", company_code="acme")).status_code == 403
    assert (await post(stack, {"address": "a@b.example"}, "sender")).status_code == 403
    assert (await stack.get(PATH, company_code="other")).status_code == 403
    assert (await stack.get(PATH, "admin", company_code="*")).status_code == 422


@pytest.mark.parametrize(
    ("content", "path"),
    [({}, "body"), ({"address": 5}, "address"), ({"address": "a@b.example", "adress": "x"}, "body")],
)
async def test_a_wrong_shape_is_named(stack: Stack, content: Any, path: str) -> None:
    answer = await post(stack, content)
    assert answer.status_code == 422
    assert [each["path"] for each in answer.json()["errors"]] == [path]


async def test_what_is_no_json_is_400(stack: Stack) -> None:
    headers = {"authorization": "Bearer default"}
    answer = await stack.http.post(PATH, params={"company_code": "acme"}, content=b"\xff{", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_body")
