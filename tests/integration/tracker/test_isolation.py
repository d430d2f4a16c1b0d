"""Two companies in one tracker: no RPC tells one of them anything of the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc.aio
import pytest
from morpheus.tracker.v1 import tracker_pb2 as pb
from morpheus.tracker.v1.tracker_pb2_grpc import TrackerServiceStub
from redis.asyncio import Redis

from morpheus_kit import errors, ids
from morpheus_kit.queue.scripts import Queue
from morpheus_kit.rpc.status import from_rpc_error
from tests.integration.tracker.rig import ACCEPTED_MS, Sender, until

MINE, OTHERS = "acme", "rival"
TIMES: dict[str, Any] = {"to": {"seconds": ACCEPTED_MS // 1000 + 3600}}

# How each RPC is asked by `MINE` for what is only `OTHERS`' (group `theirs`, message 0), or for all that it may see.
CASES: dict[str, Callable[[], Any]] = {
    "GetGroup": lambda: pb.GetGroupRequest(company_code=MINE, group_id="theirs"),
    "WatchGroup": lambda: pb.WatchGroupRequest(company_code=MINE, group_id="theirs"),
    "ListGroups": lambda: pb.ListGroupsRequest(company_code=MINE),
    "ListMessages": lambda: pb.ListMessagesRequest(company_code=MINE),
    "GetMessage": lambda: pb.GetMessageRequest(company_code=MINE, id=ids.message_id(OTHERS, "theirs", 0, 0)),
    "ExportMessages": lambda: pb.ExportMessagesRequest(filter=pb.ListMessagesRequest(company_code=MINE)),
    "GetStatistics": lambda: pb.GetStatisticsRequest(company_code=MINE, group_by=["method", "tag"], **TIMES),
    "GetCosts": lambda: pb.GetCostsRequest(company_code=MINE, group_by="tag"),
    "ReadInputs": lambda: pb.ReadInputsRequest(company_code=MINE, message_id=ids.message_id(OTHERS, "theirs", 0, 0)),
    "StreamEvents": lambda: pb.StreamEventsRequest(company_code=MINE, limit=1000),
    "ListSuppressions": lambda: pb.ListSuppressionsRequest(company_code=MINE),
    "AddSuppression": lambda: pb.AddSuppressionRequest(company_code=MINE, address=f"new@{MINE}.example"),
    "EraseAddress": lambda: pb.EraseAddressRequest(company_code=MINE, address=f"person@{OTHERS}.example"),
    "RemoveSuppression": lambda: pb.RemoveSuppressionRequest(company_code=MINE, address=f"person@{OTHERS}.example"),
}
NOT_FOUND = {"GetGroup", "WatchGroup", "GetMessage", "ReadInputs"}
# Who tells is a provider, and it is told nothing.
WRITES = {"IngestWebhook"}
# Who asks has a link, signed by us, that names its company: see `test_unsubscribes.py`.
LINKS = {"GetUnsubscribeLink", "UnsubscribeRecipient"}
# Operations: of one company only.
TELLS_NOTHING = {"RemoveSuppression", "EraseAddress"}
ONE_COMPANY = {"EraseAddress", "ListSuppressions", "AddSuppression", "RemoveSuppression"}
RPCS = pb.DESCRIPTOR.services_by_name["TrackerService"].methods_by_name


def test_every_rpc_has_a_case() -> None:
    assert set(CASES) == set(RPCS) - WRITES - LINKS


@pytest.fixture
async def stub(tracker: Any, queue: Queue, redis: Redis) -> TrackerServiceStub:
    """A tracker that has something of both."""
    made: TrackerServiceStub = await tracker()
    await fill(made, queue, redis)
    return made


async def fill(stub: TrackerServiceStub, queue: Queue, redis: Redis) -> None:
    """One group and two messages of each company, `shared` a group id of both."""
    for company, own in ((MINE, "ours"), (OTHERS, "theirs")):
        for group_id in (own, "shared"):
            sender = Sender(queue, company, group_id)
            sender.shared.tags.append(f"tag-of-{company}")
            await sender.commit(2)
            costs = {"cost_micros": 1000, "cost_currency": "GBP"}
            events = [sender.event(index, "sent", detail=costs) for index in range(2)]
            await sender.send(0, 1, kinds=())
            await sender.add(events=events)
        suppression = pb.AddSuppressionRequest(company_code=company, address=f"person@{company}.example")
        await ask(stub, "AddSuppression", suppression)
    await until(lambda: redis.xlen(queue.keys.outcomes), lambda length: length == 0)


async def ask(stub: TrackerServiceStub, name: str, request: Any) -> list[Any]:
    """All answers of an RPC of whatever kind."""
    call = getattr(stub, name)(request, timeout=10)
    if RPCS[name].server_streaming:
        return [answer async for answer in call]
    return [await call]


async def test_nothing_of_another_company_is_told(stub: TrackerServiceStub) -> None:
    for name, make in CASES.items():
        if name in NOT_FOUND:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await ask(stub, name, make())
            assert isinstance(from_rpc_error(caught.value), errors.NotFoundError), name
            continue
        told = str([answer for answer in await ask(stub, name, make()) if str(answer)])
        assert MINE in told or "ours" in told or name in TELLS_NOTHING, name
        for secret in (OTHERS, "theirs", *(ids.message_id(OTHERS, group, 0, 0) for group in ("theirs", "shared"))):
            assert secret not in told, name


async def test_a_company_asks_for_itself_and_an_administrator_for_all(stub: TrackerServiceStub) -> None:
    for name in set(CASES) - NOT_FOUND - ONE_COMPANY:
        told = str(await ask(stub, name, of("*", name)))
        for company in (MINE, OTHERS):
            assert company in told, name
    for name in CASES:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ask(stub, name, of("", name))
        assert [each.path for each in from_rpc_error(caught.value).violations] == ["company_code"], name


async def test_nothing_of_another_company_is_changed(stub: TrackerServiceStub) -> None:
    for name in ONE_COMPANY:
        await ask(stub, name, CASES[name]())
        with pytest.raises(grpc.aio.AioRpcError, match="one company"):
            await ask(stub, name, of("*", name))
    (theirs,) = await ask(stub, "ListSuppressions", of(OTHERS, "ListSuppressions"))
    assert [each.address for each in theirs.suppressions] == [f"person@{OTHERS}.example"]


def of(company: str, name: str) -> Any:
    """The case, asked by another."""
    request = CASES[name]()
    (request.filter if name == "ExportMessages" else request).company_code = company
    return request
