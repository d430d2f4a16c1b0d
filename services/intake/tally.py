"""What a preview has found: counted while messages come, answered at the end. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from morpheus.intake.v1.intake_pb2 import (
    PreviewError,
    PreviewGroupResponse,
    PreviewSample,
    PreviewWarning,
    RejectedRecipient,
)
from morpheus.renderer.v1.renderer_pb2 import PreviewedMessage

from morpheus_kit.prices import Prices
from morpheus_kit.queue.schema import QueuedMessage

MOST_ERRORS = 10_000
MOST_SAMPLES = 5
MOST_SAMPLE_BYTES = 16 * 1024 * 1024


class Tally:
    """Of one preview. Messages may come in any order; the answer does not depend on it but for warnings' texts."""

    def __init__(self, prices: Prices, email_method: str) -> None:
        """`email_method`: whose price an email has."""
        self._prices = prices
        self._email_method = email_method
        self._errors: list[PreviewError] = []
        self._warnings: dict[str, PreviewWarning] = {}
        self._samples: list[PreviewSample] = []
        self._sample_bytes = 0
        self._segments = 0
        self._micros: int | None = None

    @property
    def wants_samples(self) -> bool:
        """Whether bodies are still of use."""
        return len(self._samples) < MOST_SAMPLES and self._sample_bytes < MOST_SAMPLE_BYTES

    def add(self, message: QueuedMessage, previewed: PreviewedMessage) -> None:
        """One message."""
        index = message.index
        if previewed.HasField("failure"):
            failure = previewed.failure
            self._errors.append(PreviewError(index=index, code=failure.code, text=failure.text))
            return
        self._add_cost(message, previewed)
        for each in previewed.warnings:
            self._warn(each.code, each.text, 1, index)
        if previewed.subject or previewed.html or previewed.text:
            self._add_sample(index, previewed)

    def _add_cost(self, message: QueuedMessage, previewed: PreviewedMessage) -> None:
        if previewed.HasField("sms"):
            self._segments += previewed.sms.segments
            cost = self._prices.of_sms(message.address, previewed.sms.segments)
        else:
            cost = self._prices.of_email(self._email_method)
        if cost is not None:
            self._micros = (self._micros or 0) + cost.micros

    def _warn(self, code: str, text: str, count: int, index: int) -> None:
        known = self._warnings.get(code)
        if known is None:
            self._warnings[code] = PreviewWarning(code=code, text=text, count=count, index=index)
            return
        known.count += count
        if index < known.index:
            known.index, known.text = index, text

    def _add_sample(self, index: int, previewed: PreviewedMessage) -> None:
        """Keeps the first ones, whenever they come."""
        sample = PreviewSample(index=index, subject=previewed.subject, html=previewed.html, text=previewed.text)
        for each in previewed.attachments:
            sample.attachments.add(name=each.name, size=each.size)
        self._samples = sorted([*self._samples, sample], key=lambda one: one.index)[:MOST_SAMPLES]
        self._sample_bytes = sum(one.ByteSize() for one in self._samples)
        while self._sample_bytes > MOST_SAMPLE_BYTES:
            self._sample_bytes -= self._samples.pop().ByteSize()

    def response(self, rejected: Iterable[RejectedRecipient]) -> PreviewGroupResponse:
        """The answer; `rejected` never came to be rendered."""
        errors = [PreviewError(index=each.index, code=each.code, text=each.text) for each in rejected]
        errors = sorted([*errors, *self._errors], key=lambda error: error.index)
        if len(errors) > MOST_ERRORS:
            more = errors[MOST_ERRORS:]
            self._warn("errors_cut", f"{len(more)} more recipients would get nothing", len(more), more[0].index)
        return PreviewGroupResponse(
            errors=errors[:MOST_ERRORS],
            segments=self._segments,
            cost_micros=self._micros,
            cost_currency=self._prices.currency if self._micros is not None else "",
            warnings=sorted(self._warnings.values(), key=lambda warning: warning.code),
            samples=self._samples,
        )
