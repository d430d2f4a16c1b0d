"""Questions as dashboards ask them, through the tracker's RPCs, and how long their answers take."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from statistics import quantiles
from typing import Any, Final

import grpc.aio
from google.protobuf.timestamp_pb2 import Timestamp
from morpheus.tracker.v1 import tracker_pb2 as pb
from morpheus.tracker.v1.tracker_pb2_grpc import TrackerServiceStub

from benchmarks.archive import KINDS, PEOPLE, Group

EACH: Final = 200
_WARM_UP: Final = 10
_SECONDS: Final = 30.0
_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 24 * _HOUR_MS
_WORDS: Final = ("invoice", "lesson", "tutor 1", "amount", "håkon", "katya", "questions answer", "morpheus", "inv 00")

Question = tuple[str, Any]
"""The name of a call, and its request."""


class Questions:
    """Random ones about `groups`, the same in every run."""

    def __init__(self, groups: Sequence[Group]) -> None:
        """`groups` are recorded."""
        self._groups = groups
        self._chance = random.Random(7)  # noqa: S311  no secret
        self.kinds: dict[str, Callable[[], Question]] = {
            "progress": self._progress,
            "list": self._list,
            "text_and_tag": self._text_and_tag,
            "statistics": self._statistics,
            "costs_of_a_month": self._costs,
        }

    def _group(self) -> Group:
        return self._chance.choice(self._groups)

    def _progress(self) -> Question:
        group = self._group()
        return "GetGroup", pb.GetGroupRequest(company_code=group.company, group_id=group.group_id)

    def _list(self) -> Question:
        group = self._group()
        narrowed: dict[str, Any] = self._chance.choice(
            [
                {},
                {"group_id": group.group_id},
                {"state": "bounced"},
                {"method": group.shared.method, "state": "delivered"},
                {"to": _time(group.accepted_ms)},
            ]
        )
        return "ListMessages", pb.ListMessagesRequest(company_code=group.company, page_size=50, **narrowed)

    def _text_and_tag(self) -> Question:
        group = self._group()
        tag = self._chance.choice([*KINDS, group.shared.tags[1], f"client-{self._chance.randrange(PEOPLE)}"])
        words = self._chance.choice(_WORDS)
        return "ListMessages", pb.ListMessagesRequest(company_code=group.company, query=words, tags=[tag], page_size=50)

    def _statistics(self) -> Question:
        """A quarter by day, also by method; a week by day and tag."""
        group = self._group()
        by = self._chance.choice([[], ["method"], ["tag"]])
        days, until = 7 if by == ["tag"] else 91, group.newest_ms + _HOUR_MS
        return "GetStatistics", pb.GetStatisticsRequest(
            company_code=group.company,
            group_by=by,
            **_between(until - days * _DAY_MS, until),
        )

    def _costs(self) -> Question:
        group = self._group()
        until = group.newest_ms - self._chance.randrange(60) * _DAY_MS
        return "GetCosts", pb.GetCostsRequest(
            company_code=group.company,
            group_by=self._chance.choice(["company", "method", "day", "tag"]),
            **_between(until - 30 * _DAY_MS, until),
        )


async def ask(
    address: str, groups: Sequence[Group], cpu_seconds: Callable[[], float], each: int = EACH
) -> dict[str, Any]:
    """One question at a time, `each` of a kind: milliseconds at the 50th and 95th percentile, and on an average of CPU.

    `cpu_seconds` is what tracker and node have used so far.
    """
    questions = Questions(groups)
    async with grpc.aio.insecure_channel(address) as channel:
        stub = TrackerServiceStub(channel)
        return {name: await _times(stub, make, cpu_seconds, each) for name, make in questions.kinds.items()}


async def _times(
    stub: Any, make: Callable[[], Question], cpu_seconds: Callable[[], float], each: int
) -> dict[str, float]:
    taken, items, before = [], 0, 0.0
    for number in range(_WARM_UP + each):
        if number == _WARM_UP:
            before = cpu_seconds()
        call, request = make()
        started = time.perf_counter()
        answer = await getattr(stub, call)(request, timeout=_SECONDS)
        if number >= _WARM_UP:
            taken.append((time.perf_counter() - started) * 1000)
            items += sum(len(getattr(answer, name, ())) for name in ("messages", "items"))
    cpu = (cpu_seconds() - before) / each * 1000
    percentiles = quantiles(taken, n=100)
    return {
        "p50_ms": round(percentiles[49], 1),
        "p95_ms": round(percentiles[94], 1),
        "cpu_ms": round(cpu, 1),
        "items": round(items / each, 1),
    }


def _between(from_ms: int, to_ms: int) -> dict[str, Any]:
    return {"from": _time(from_ms), "to": _time(to_ms)}


def _time(ms: int) -> Timestamp:
    stamp = Timestamp()
    stamp.FromMilliseconds(ms // _HOUR_MS * _HOUR_MS)
    return stamp
