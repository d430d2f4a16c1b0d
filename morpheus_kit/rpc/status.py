"""Errors to gRPC statuses and back: `google.rpc.Status` with an `ErrorInfo` that names the class."""

from __future__ import annotations

import secrets
from typing import Any, cast

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from morpheus_kit import errors

DOMAIN = "morpheus"
_BY_REASON = {error.code.upper(): error for error in errors.ALL_ERRORS}
_CODE: dict[grpc.StatusCode, int] = {status: status.value[0] for status in grpc.StatusCode}


def to_status(error: errors.MorpheusError) -> grpc.Status:
    """The status that carries `error` whole."""
    details = [_any(error_details_pb2.ErrorInfo(reason=error.code.upper(), domain=DOMAIN))]
    if error.violations:
        bad = error_details_pb2.BadRequest()
        for violation in error.violations:
            bad.field_violations.add(field=violation.path, description=violation.reason)
        details.append(_any(bad))
    if error.retry_after is not None:
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(round(error.retry_after * 1000))
        details.append(_any(error_details_pb2.RetryInfo(retry_delay=delay)))
    status = status_pb2.Status(code=_CODE[error.grpc_status], message=error.message, details=details)
    return rpc_status.to_status(status)


def internal_status() -> tuple[grpc.Status, str]:
    """A status that says nothing but an error id, and that id for the log."""
    error_id = secrets.token_hex(8)
    status = status_pb2.Status(code=code_pb2.INTERNAL, message=f"Internal error {error_id}.")
    return rpc_status.to_status(status), error_id


def from_rpc_error(error: grpc.RpcError) -> errors.MorpheusError:
    """The error that a peer raised; what is not one of ours becomes the nearest class."""
    call = cast("Any", error)
    status = rpc_status.from_call(call) if _has_details(call) else None
    message = call.details() or ""
    if status is None:
        return _nearest(call.code(), message)
    reason, violations, retry_after = "", [], None
    for detail in status.details:
        if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
            info = error_details_pb2.ErrorInfo()
            detail.Unpack(info)
            reason = info.reason
        elif detail.Is(error_details_pb2.BadRequest.DESCRIPTOR):
            bad = error_details_pb2.BadRequest()
            detail.Unpack(bad)
            violations = [errors.FieldViolation(item.field, item.description) for item in bad.field_violations]
        elif detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR):
            retry = error_details_pb2.RetryInfo()
            detail.Unpack(retry)
            retry_after = retry.retry_delay.ToMilliseconds() / 1000
    if reason not in _BY_REASON:
        return _nearest(call.code(), message)
    return _BY_REASON[reason](message, violations=tuple(violations), retry_after=retry_after)


def _has_details(call: Any) -> bool:
    return bool(call.trailing_metadata())


def _nearest(code: grpc.StatusCode, message: str) -> errors.MorpheusError:
    if code in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}:
        return errors.UnavailableError()
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return errors.DeadlineError()
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return errors.TooLargeError()
    return errors.MorpheusError(message)


def _any(message: Any) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed
