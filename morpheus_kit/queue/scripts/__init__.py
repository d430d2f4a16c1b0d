"""The queue of one partition: every step is one Lua script of this folder, atomic and repeatable.

`Queue` is all steps together; the services use those of their part.
"""

from __future__ import annotations

from morpheus_kit.queue.control_steps import Control, Controlled, ControlSteps, InDoubt, Job, Receipt, TimerResult
from morpheus_kit.queue.erasure_steps import ErasureSteps, Letter, Waiting
from morpheus_kit.queue.intake_steps import CommitKind, CommitPart, CommitResult, GroupReference, IntakeSteps
from morpheus_kit.queue.sender_steps import (
    Claimed,
    CommitItem,
    GateAnswer,
    GateItem,
    HandBackItem,
    RecoverItem,
    SenderSteps,
    SendResult,
    Taken,
    TakenItem,
    TakeStatus,
)
from morpheus_kit.queue.suppression_steps import Kind, SuppressionSteps, SuppressItem

__all__ = [
    "Claimed",
    "CommitItem",
    "CommitKind",
    "CommitPart",
    "CommitResult",
    "Control",
    "Controlled",
    "GateAnswer",
    "GateItem",
    "GroupReference",
    "HandBackItem",
    "InDoubt",
    "Job",
    "Kind",
    "Letter",
    "Queue",
    "Receipt",
    "RecoverItem",
    "SendResult",
    "SuppressItem",
    "TakeStatus",
    "Taken",
    "TakenItem",
    "TimerResult",
    "Waiting",
]


class Queue(IntakeSteps, SenderSteps, ControlSteps, SuppressionSteps, ErasureSteps):
    """All steps of one partition."""
