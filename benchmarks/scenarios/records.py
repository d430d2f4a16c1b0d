"""Records at size: how fast they are written beside a bare bulk loop, and how fast questions about them are answered.

The entries of the queue are made before the clock starts; it stops when the last one has left the queue, which it does
when the store has it on the disk. Every few rounds two bare loops write the documents of the round once more.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from redis import Redis

from benchmarks import archive
from benchmarks.archive import Group
from benchmarks.bare import Bare, BareElasticsearch, BareSqlite, Reading
from benchmarks.node import Node, NodeError, running_node
from benchmarks.questions import EACH, ask
from benchmarks.stack import Stack, free_port
from local.redis import socket_path
from morpheus_kit.lifecycle import spare_the_collector
from morpheus_kit.queue.keys import Keys

SQLITE: Final = 200_000
ELASTICSEARCH: Final = 1_000_000
ROUND: Final = 20_000
GROUP: Final = 5_000
BARE_EVERY: Final = 10
NODE: Final = {"ES_HEAP": "2g", "ES_FLAGS": "-XX:+UseG1GC", "ES_WAIT": "300"}
_SECONDS: Final = 900.0


class Round(NamedTuple):
    """What one round cost: the process that writes, and the node that it writes to."""

    writer: Reading
    node_cpu: float


def measure() -> dict[str, Any]:
    """Both stores at their sizes; Elasticsearch where it can be had."""
    figures = {"sqlite": measure_sqlite()}
    try:
        with running_node(**NODE) as node:
            figures["elasticsearch"] = measure_elasticsearch(node)
    except NodeError as exc:
        figures["elasticsearch"] = {"not_measured": str(exc)}
    return figures


def measure_sqlite(messages: int = SQLITE, group: int = GROUP, questions: int = EACH) -> dict[str, Any]:
    """As `python -m local` keeps them."""
    with _running({}, None) as tracker:
        bare = BareSqlite(tracker.home / "records.db", tracker.home)
        return asyncio.run(_measure(tracker, bare, archive.groups(messages, group, _newest_ms()), questions))


def measure_elasticsearch(
    node: Node, messages: int = ELASTICSEARCH, group: int = GROUP, questions: int = EACH
) -> dict[str, Any]:
    """In indices `morpheus-*`, `copied-*` and `made-*` of a node that has none of them."""
    with _running({"MORPHEUS_RECORDS_URL": node.url, "MORPHEUS_RECORDS_REPLICAS": "0"}, node) as tracker:
        bare = BareElasticsearch(node.url)
        return asyncio.run(_measure(tracker, bare, archive.groups(messages, group, _newest_ms()), questions))


@dataclass(frozen=True, slots=True)
class _Tracker:
    """A running stack of which only the tracker has something to do."""

    home: Path
    stack: Stack
    address: str
    redis: Redis
    node: Node | None

    def write(self, groups: Sequence[Group]) -> Round:
        """From the first entry to the last acknowledgement."""
        entries = [entry for group in groups for entry in group.entries()]
        outcomes = Keys(0).outcomes
        cpu, node_cpu, started = self.stack.cpu_seconds()["tracker"], self.node_cpu(), time.perf_counter()
        pipe = self.redis.pipeline(transaction=False)
        for entry in entries:
            pipe.xadd(outcomes, entry)  # type: ignore[arg-type]  # its fields are bytes
        pipe.execute()
        while self.redis.xlen(outcomes):
            if time.perf_counter() - started > _SECONDS:
                msg = f"not recorded after {_SECONDS} s"
                raise TimeoutError(msg)
            time.sleep(0.01)  # the tracker tells nobody that it is done
        seconds = time.perf_counter() - started
        documents = sum(group.messages for group in groups)
        cpu = self.stack.cpu_seconds()["tracker"] - cpu
        return Round(Reading(documents, seconds, cpu), self.node_cpu() - node_cpu)

    def cpu_seconds(self) -> float:
        """Of the tracker and of its node, so far."""
        return self.stack.cpu_seconds()["tracker"] + self.node_cpu()

    def node_cpu(self) -> float:
        """Of the node, so far."""
        return self.node.cpu_seconds() if self.node is not None else 0.0


@contextmanager
def _running(environment: dict[str, str], node: Node | None) -> Iterator[_Tracker]:
    address = f"127.0.0.1:{free_port()}"
    with tempfile.TemporaryDirectory(prefix="morpheus-bench-") as folder:
        home = Path(folder)
        with (
            Stack(home, {**environment, "MORPHEUS_TRACKER_ADDR": address}) as stack,
            Redis(unix_socket_path=str(socket_path(home))) as redis,
        ):
            yield _Tracker(home, stack, address, redis, node)


async def _measure(tracker: _Tracker, bare: Bare, groups: Sequence[Group], questions: int) -> dict[str, Any]:
    each = max(1, ROUND // groups[0].messages)
    rounds = [groups[start : start + each] for start in range(0, len(groups), each)]
    spare_the_collector()  # as every service does
    ours, beside, loops = list[Round](), list[Round](), dict[str, list[Round]]()
    for number, batch in enumerate(rounds):
        ours.append(tracker.write(batch))
        if number % BARE_EVERY == min(1, len(rounds) - 1):  # the first round warms everything up
            for name, prepare in {"copying": bare.copying, "making": bare.making}.items():
                copy, node_cpu = prepare(batch), tracker.node_cpu()
                reading = await copy()
                loops.setdefault(name, []).append(Round(reading, tracker.node_cpu() - node_cpu))
            beside.append(ours[-1])
    bare.close()
    answers = await ask(tracker.address, groups, tracker.cpu_seconds, questions)
    compared = {f"bare_{name}": {**_figures(loop), **_ratios(beside, loop)} for name, loop in loops.items()}
    return {"writing": {**_figures(ours), **compared}, "answers": answers}


def _figures(rounds: Sequence[Round]) -> dict[str, Any]:
    documents, seconds, cpu, node_cpu = _sums(rounds)
    figures = {
        "documents": documents,
        "documents_per_second": round(documents / seconds, 1),
        "cpu_us_per_document": round(cpu / documents * 1e6, 1),
    }
    return figures | ({"node_cpu_us_per_document": round(node_cpu / documents * 1e6, 1)} if node_cpu else {})


def _ratios(ours: Sequence[Round], bare: Sequence[Round]) -> dict[str, float]:
    """How many times as much the tracker took for the rounds that both have written."""
    _, seconds, cpu, node_cpu = _sums(ours)
    _, bare_seconds, bare_cpu, bare_node_cpu = _sums(bare)
    return {
        "time_ratio": round(seconds / bare_seconds, 2),
        "cpu_ratio": round((cpu + node_cpu) / (bare_cpu + bare_node_cpu), 2),
        "process_cpu_ratio": round(cpu / bare_cpu, 2),
    }


def _sums(rounds: Sequence[Round]) -> tuple[int, float, float, float]:
    readings = [each.writer for each in rounds]
    return (
        sum(reading.documents for reading in readings),
        sum(reading.seconds for reading in readings),
        sum(reading.cpu for reading in readings),
        sum(each.node_cpu for each in rounds),
    )


def _newest_ms() -> int:
    return int(time.time() * 1000) - 3_600_000
