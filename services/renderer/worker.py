"""One worker process.

    python -m services.renderer.worker <cache> <progress> <stack> <settings> <memory> <parent>

Reads orders from its standard input, writes answers to its standard output, and ends when either is closed or its
parent dies. Everything that templates can do happens here; the front kills a worker that takes too long.
"""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import signal
import sys
import time
from pathlib import Path
from typing import BinaryIO

import msgspec
from google.protobuf.message import DecodeError
from morpheus.renderer.v1 import renderer_pb2

from services.renderer import frames, stack_dump, wire
from services.renderer.analysis import compile_template, describe_template
from services.renderer.compose import SliceRenderer
from services.renderer.frames import Compile, Content, Frame, Progress
from services.renderer.pdf_cache import SharedPdfs
from services.renderer.pinned import TemplateSets
from services.renderer.settings import RenderSettings
from services.renderer.shared_cache import LostTemplatesError, SharedCache

CHUNK_BYTES = 1024 * 1024
# An order ends after so much, though messages of it are left: the front asks for them when its caller reads on, and
# others have their turn between.
ORDER_BYTES = 4 * CHUNK_BYTES
ORDER_SECONDS = 0.5
PR_SET_PDEATHSIG = 1


class Worker:
    """The loop of a worker: one order at a time."""

    def __init__(
        self,
        orders: BinaryIO,
        answers: BinaryIO,
        cache: SharedCache,
        progress: Progress,
        settings: RenderSettings,
    ) -> None:
        self._orders = orders
        self._answers = answers
        self._progress = progress
        self._sets = TemplateSets(cache, settings.max_message)
        pdfs = SharedPdfs(cache.folder / "pdfs", settings.pdf_cache)
        self._slices = SliceRenderer(self._fetch, progress, pdfs, settings)

    def serve(self) -> None:
        """Until the front is gone."""
        self._send(Frame(frames.READY))
        while True:
            try:
                order = frames.read(self._orders)
            except EOFError:
                return
            if order.kind == frames.RENDER:
                self._render(order.payload)
            elif order.kind == frames.COMPILE:
                compiled = compile_template(msgspec.msgpack.decode(order.payload, type=Compile))
                self._send(Frame(frames.DONE, msgspec.msgpack.encode(compiled)))
            elif order.kind == frames.DESCRIBE:
                description = describe_template(msgspec.msgpack.decode(order.payload, type=Compile))
                self._send(Frame(frames.DONE, msgspec.msgpack.encode(description)))

    def _render(self, payload: bytes) -> None:
        try:
            request = renderer_pb2.RenderMessagesRequest.FromString(payload)
        except DecodeError:
            self._send(Frame(frames.REFUSED))
            return
        try:
            pinned = self._sets.get(request.group.versions, strict=request.group.missing_variables != "empty")
        except LostTemplatesError as exc:
            self._send(Frame(frames.LOST, msgspec.msgpack.encode(exc.versions)))
            return
        until, total = time.monotonic() + ORDER_SECONDS, 0
        chunk: list[bytes] = []
        size = 0
        for answer in self._slices.render(request, pinned):
            if chunk and size + len(answer) > CHUNK_BYTES:
                self._send_chunk(chunk)
                chunk, size = [], 0
            chunk.append(answer)
            size += len(answer)
            total += len(answer)
            if total >= ORDER_BYTES or time.monotonic() >= until:
                break
        if chunk:
            self._send_chunk(chunk)
        self._send(Frame(frames.DONE))

    def _send_chunk(self, chunk: list[bytes]) -> None:
        self._send(Frame(frames.CHUNK, wire.response(chunk), len(chunk)))

    def _fetch(self, path: str) -> Content:
        self._send(Frame(frames.FETCH, path.encode()))
        return msgspec.msgpack.decode(frames.read(self._orders).payload, type=Content)

    def _send(self, frame: Frame) -> None:
        self._answers.write(frames.pack(frame))
        self._answers.flush()


def end_with_parent(parent: int) -> None:
    """The kernel ends this process when the thread that started it ends; closed pipes do the same elsewhere."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(0)


def confine(memory: int) -> None:
    """At most `memory` bytes, no core file full of people's data, and the first to go when the machine has no more."""
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        Path("/proc/self/oom_score_adj").write_text("1000")


def main(arguments: list[str]) -> int:
    folder, progress, stack, settings, memory, parent = arguments
    end_with_parent(int(parent))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal reaches all; the front decides
    confine(int(memory))
    orders, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    # What any library prints must not get between the frames.
    os.dup2(2, 1)
    stack_dump.answer(Path(stack))
    gc.freeze()
    told = msgspec.json.decode(settings, type=RenderSettings)
    worker = Worker(orders, answers, SharedCache(Path(folder)), Progress(Path(progress)), told)
    try:
        worker.serve()
    except (BrokenPipeError, EOFError):
        return 0
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
