"""The part of the RPC adapter that is about privacy: suppressed addresses, links that unsubscribe, erasing persons."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from morpheus.tracker.v1 import tracker_pb2 as pb
from morpheus.tracker.v1 import tracker_pb2_grpc as rpc

from morpheus_kit.addresses import is_simulated
from morpheus_kit.errors import InvalidInputError, UnavailableError
from morpheus_kit.sms.numbers import NumberError, parse_number
from services.tracker.answers import timestamp
from services.tracker.erasures import Erasures
from services.tracker.filters import company_of, page_size, stream_of
from services.tracker.paging import PageTokens
from services.tracker.store.base import EVERYONE, Position, StoreDownError
from services.tracker.store.privacy import Suppression, SuppressionPlace
from services.tracker.suppressions import MANUAL, Suppressions
from services.tracker.unsubscribes import Unsubscribes

_LONGEST_ADDRESS, _LONGEST_REASON = 320, 256
_EMAIL = re.compile(r"[^@\s\x00-\x1f\x7f]+@[^@\s\x00-\x1f\x7f]+")


class Privacy(NamedTuple):
    """Who answers them."""

    suppressions: Suppressions
    unsubscribes: Unsubscribes
    erasures: Erasures


class PrivacyService(rpc.TrackerServiceServicer):
    """Serves the RPCs of suppressions and erasures; mixed into `TrackerService`."""

    _privacy: Privacy
    _tokens: PageTokens

    async def AddSuppression(self, request: pb.AddSuppressionRequest, context: Any) -> pb.AddSuppressionResponse:
        company, address, stream = _one_company(request.company_code), address_of(request.address), request.stream
        stream_of(stream)
        if is_simulated(address):
            raise InvalidInputError.of("address", "simulator addresses are exempt")
        if len(request.reason) > _LONGEST_REASON:
            raise InvalidInputError.of("reason", f"at most {_LONGEST_REASON} characters")
        try:
            created = await self._privacy.suppressions.add(
                company, address, stream=stream, reason=request.reason or MANUAL
            )
            found = await self._privacy.suppressions.find(company, address, stream)
        except StoreDownError as exc:
            raise _down() from exc
        return pb.AddSuppressionResponse(suppression=_shape(found) if found else None, created=created)

    async def RemoveSuppression(
        self, request: pb.RemoveSuppressionRequest, context: Any
    ) -> pb.RemoveSuppressionResponse:
        company, address = _one_company(request.company_code), address_of(request.address)
        stream_of(request.stream)
        try:
            removed = await self._privacy.suppressions.remove(company, address, stream=request.stream)
        except StoreDownError as exc:
            raise _down() from exc
        return pb.RemoveSuppressionResponse(removed=removed)

    async def ListSuppressions(self, request: pb.ListSuppressionsRequest, context: Any) -> pb.ListSuppressionsResponse:
        company = _one_company(request.company_code)
        address = address_of(request.address) if request.address else ""
        size, question = page_size(request.page_size), ("suppressions", company, address)
        after = _place(self._tokens.read(question, request.page_token))
        try:
            found = await self._privacy.suppressions.page(company, address, after, size + 1)
        except StoreDownError as exc:
            raise _down() from exc
        token = ""
        if len(found) > size:
            last = found[size - 1]
            token = self._tokens.make(question, Position(last.time_ms, f"{last.recipient.hex()}{last.stream}"))
        return pb.ListSuppressionsResponse(suppressions=map(_shape, found[:size]), next_page_token=token)

    async def GetUnsubscribeLink(
        self, request: pb.GetUnsubscribeLinkRequest, context: Any
    ) -> pb.GetUnsubscribeLinkResponse:
        return pb.GetUnsubscribeLinkResponse(stream=self._privacy.unsubscribes.read(request.token).stream)

    async def UnsubscribeRecipient(
        self, request: pb.UnsubscribeRecipientRequest, context: Any
    ) -> pb.UnsubscribeRecipientResponse:
        return pb.UnsubscribeRecipientResponse(stream=(await self._privacy.unsubscribes.apply(request.token)).stream)

    async def EraseAddress(self, request: pb.EraseAddressRequest, context: Any) -> pb.EraseAddressResponse:
        company, address = _one_company(request.company_code), any_address_of(request.address)
        try:
            return pb.EraseAddressResponse(erased=await self._privacy.erasures.erase(company, address))
        except StoreDownError as exc:
            raise _down() from exc


def any_address_of(text: str) -> str:
    """An address as it may have been recorded: also what nothing could be sent to. InvalidInputError."""
    text = text.strip()
    if not text or len(text) > _LONGEST_ADDRESS:
        raise InvalidInputError.of("address", f"1 to {_LONGEST_ADDRESS} characters are required")
    try:
        return address_of(text)
    except InvalidInputError:
        return text


def address_of(text: str) -> str:
    """An email address, or a number as E.164. InvalidInputError."""
    text = text.strip()
    if not text:
        raise InvalidInputError.of("address", "is required")
    if "@" in text:
        if len(text) > _LONGEST_ADDRESS or not _EMAIL.fullmatch(text):
            raise InvalidInputError.of("address", "is not an email address")
        return text
    if not text.startswith(("+", "00")):
        raise InvalidInputError.of("address", "an email address, or a number with its country (+44…), is required")
    try:
        return parse_number("+" + text.removeprefix("00") if text.startswith("00") else text).e164
    except NumberError as exc:
        raise InvalidInputError.of("address", str(exc)) from exc


def _one_company(code: str) -> str:
    if company_of(code) == EVERYONE:
        raise InvalidInputError.of("company_code", "one company is required here")
    return code


def _place(position: Position | None) -> SuppressionPlace | None:
    if position is None:
        return None
    recipient, stream = position[1][:32], position[1][32:]
    return SuppressionPlace(position.accepted_ms, stream, bytes.fromhex(recipient))


def _shape(found: Suppression) -> pb.Suppression:
    return pb.Suppression(
        address=found.address or "", stream=found.stream, reason=found.reason, time=timestamp(found.time_ms)
    )


def _down() -> UnavailableError:
    return UnavailableError("The record store does not answer.", retry_after=1)
