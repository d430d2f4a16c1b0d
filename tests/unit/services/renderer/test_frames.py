"""Frames and progress between the front and its workers."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

import pytest

from services.renderer import frames
from services.renderer.frames import Frame, Progress

FRAMES = [Frame(frames.READY), Frame(frames.CHUNK, bytes(100_000), 500), Frame(frames.DONE, b"x")]


async def test_frames_come_out_as_they_went_in() -> None:
    data = b"".join(frames.pack(frame) for frame in FRAMES)
    pipe, reader = io.BytesIO(data), asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    for frame in FRAMES:
        assert frames.read(pipe) == frame
        assert await frames.read_async(reader) == frame
    with pytest.raises(EOFError):
        frames.read(pipe)
    with pytest.raises(EOFError):
        await frames.read_async(reader)


@pytest.mark.parametrize("cut", [1, 8, 9, 12])
def test_cut_frame_is_the_end(cut: int) -> None:
    data = frames.pack(Frame(frames.DONE, b"abcdef"))
    with pytest.raises(EOFError):
        frames.read(io.BytesIO(data[:cut]))


def test_progress_is_seen_by_the_other_side(tmp_path: Path) -> None:
    front = Progress.create(tmp_path / "p")
    worker = Progress(tmp_path / "p")
    before = front.read()
    worker.begin(7)
    seven = front.read()
    worker.begin(7)
    again = front.read()
    assert before != seven != again
    assert seven[0] == again[0] == 7
    worker.begin(frames.LOADING)
    assert front.read()[0] == frames.LOADING
