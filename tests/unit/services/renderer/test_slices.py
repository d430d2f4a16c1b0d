"""What happens to a slice's messages when a worker dies."""

from __future__ import annotations

import pytest

from services.renderer.pool import WorkerDiedError
from services.renderer.slices import Batch, after_death

A, B, C = b"a", b"b", b"c"


@pytest.mark.parametrize(
    ("left", "position", "timed_out", "endless", "failed", "again"),
    [
        # past the deadline: the message that it was at, and no other
        (Batch([A, B, C]), 1, True, False, [B], [Batch([A]), Batch([C])]),
        (Batch([A, B, C]), 0, True, False, [A], [Batch([B, C])]),
        (Batch([A]), 0, True, False, [A], []),
        # before the first message: what the group shares is at fault, the first stands for it
        (Batch([A, B]), -1, True, False, [A], [Batch([B])]),
        # several in a row without one success: all
        (Batch([A, B, C]), 0, True, True, [A, B, C], []),
        # killed or crashed: the message is a suspect and tried alone
        (Batch([A, B, C]), 1, False, False, [], [Batch([A]), Batch([B], 1), Batch([C])]),
        (Batch([A, B]), -1, False, False, [], [Batch([A, B], 1)]),
        (Batch([A, B], 2), -1, False, False, [A, B], []),
        (Batch([A]), 0, False, False, [], [Batch([A], 1)]),
        (Batch([A], 1), 0, False, False, [], [Batch([A], 2)]),
        (Batch([A], 2), 0, False, False, [A], []),
        # a position that is none of the batch does not hurt
        (Batch([A, B]), 7, True, False, [A], [Batch([B])]),
    ],
)
def test_only_the_guilty_message_fails(
    left: Batch, position: int, timed_out: bool, endless: bool, failed: list[bytes], again: list[Batch]
) -> None:
    death = WorkerDiedError(position, timed_out=timed_out)
    assert after_death(left, position, death, endless=endless) == (failed, again)
