"""The OpenAPI document against what is really decoded and answered: the same keys, no more and no less."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from morpheus.dispatcher.v1 import dispatcher_pb2
from morpheus.intake.v1 import intake_pb2
from morpheus.tracker.v1 import tracker_pb2

from gateway import shapes
from gateway.codec import Header
from gateway.routes.posts import reply_body
from morpheus_kit import wire
from tests.contract.stack import Stack

Document = dict[str, Any]


@pytest.fixture
async def document(stack: Stack) -> Document:
    found: Document = (await stack.http.get("/openapi.json")).json()
    return found


def keys(document: Document, name: str) -> tuple[set[str], set[str]]:
    """All of a schema, and those that are always there."""
    schema = document["components"]["schemas"][name]
    return set(schema["properties"]), set(schema["required"])


async def test_the_body_is_described_as_it_is_decoded(document: Document) -> None:
    def decoded(struct: type[msgspec.Struct]) -> tuple[set[str], set[str]]:
        fields = msgspec.structs.fields(struct)
        return {field.encode_name for field in fields}, {field.encode_name for field in fields if field.required}

    everything, required = decoded(Header)
    assert keys(document, "Post") == (everything | {"recipients"}, required | {"recipients"})
    assert keys(document, "Recipient") == decoded(wire.Recipient)
    assert keys(document, "PdfAttachment") == decoded(wire.PdfAttachment)
    assert keys(document, "StoredAttachment") == decoded(wire.StoredAttachment)


async def test_what_is_not_supported_is_described_so(document: Document) -> None:
    needed = {
        "group_id": "g",
        "company_code": "c",
        "method": "test",
        "inner_template": "t",
        "from_address": "a@b.example",
    }
    for key, field in document["components"]["schemas"]["Post"]["properties"].items():
        types = [field.get("type"), *(each.get("type") for each in field.get("anyOf", []))]
        values: dict[str, Any] = {"boolean": True, "array": ["x"], "integer": 1, "object": {}, "string": "x"}
        asked = next(value for name, value in values.items() if name in types)
        if key in {"recipients", "context", "send_at", "expires_at"}:
            continue
        header = msgspec.msgpack.decode(msgspec.msgpack.encode({**needed, key: asked}), type=Header)
        said = "not supported yet" in field.get("description", "").lower()
        assert (key in header.unsupported()) == said, key


async def test_answers_are_described_as_they_are_given(document: Document) -> None:
    def always(name: str, answer: dict[str, Any]) -> None:
        assert keys(document, name) == (set(answer), set(answer)), name

    reason = tracker_pb2.Reason(code="bounced", text="Mailbox full.")
    message = tracker_pb2.Message(reason=reason, cost_micros=1, cost_currency="GBP")
    message.events.add()
    message.attachments.add()
    detail = shapes.message_detail(message)
    always("Message", shapes.message_item(message))
    always("MessageDetail", detail)
    always("Reason", detail["reason"])
    always("Cost", detail["cost"])
    always("Event", detail["events"][0])
    always("Attachment", detail["attachments"][0])
    always("Provider", shapes.provider(dispatcher_pb2.Provider()))
    group = tracker_pb2.Group()
    group.operations.add()
    body = shapes.group(group)
    assert keys(document, "Group")[0] >= set(body)
    always("Progress", body["progress"])
    always("Operation", body["operations"][0])
    statistics = shapes.statistics(tracker_pb2.Statistics(method="test", tag="a"))
    assert keys(document, "Statistics") == (set(statistics), set(statistics) - {"method", "tag"})
    always("Rates", statistics["rates"])
    always("CostSum", shapes.cost(tracker_pb2.Cost()))
    always("FeedEvent", shapes.feed_event(tracker_pb2.FeedEvent()))
    response = intake_pb2.SubmitGroupResponse()
    response.rejected.add()
    accepted = reply_body(response, {})
    previewed = intake_pb2.PreviewGroupResponse(cost_micros=1, cost_currency="GBP")
    previewed.errors.add()
    previewed.warnings.add()
    previewed.samples.add().attachments.add()
    preview = shapes.preview(previewed)
    always("Preview", preview)
    always("PreviewError", preview["errors"][0])
    always("PreviewWarning", preview["warnings"][0])
    always("PreviewSample", preview["samples"][0])
    always("PreviewAttachment", preview["samples"][0]["attachments"][0])
    always("Accepted", accepted)
    always("Rejected", accepted["rejected"][0])


async def test_every_answer_and_refusal_has_its_shape(document: Document) -> None:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            refusal = operation["responses"]["default"]["content"]
            assert refusal["application/problem+json"]["schema"] == {"$ref": "#/components/schemas/Problem"}
            for status, response in operation["responses"].items():
                for media_type, content in response["content"].items():
                    described = content.get("schema") or media_type == "text/event-stream"
                    assert described, f"{method} {path} {status}"
    events = document["paths"]["/v1/groups/{group_id}/events"]["get"]["responses"]["200"]
    assert list(events["content"]) == ["text/event-stream"]
    page = document["paths"]["/v1/messages/{message_id}/html"]["get"]["responses"]["200"]
    assert list(page["content"]) == ["text/html"]


async def test_defaults_are_values_that_may_be_given(document: Document) -> None:
    for methods in document["paths"].values():
        for operation in methods.values():
            for parameter in operation.get("parameters", ()):
                schema = parameter["schema"]
                assert "enum" not in schema or schema.get("default", schema["enum"][0]) in schema["enum"], parameter


async def test_a_refusal_is_described_as_it_is_given(stack: Stack, document: Document) -> None:
    refused = (await stack.get("/v1/messages", company_code="acme", state="lost")).json()
    everything, required = keys(document, "Problem")
    assert set(refused) == everything
    assert required == everything - {"errors"}
    assert refused["detail"].startswith("state: must be one of queued, sending, ")


async def test_the_page_shows_body_and_answers(stack: Stack, document: Document) -> None:
    text = (await stack.http.get("/docs")).text
    for name in ("Post", "Recipient", "Message", "Group", "Accepted"):
        for key in document["components"]["schemas"][name]["properties"]:
            assert f"<code>{key}</code>" in text, f"{name}.{key}"
    assert "<code>normal</code> (default) or <code>high</code>" in text
    assert "`" not in text
