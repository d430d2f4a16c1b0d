"""The errors that cross a boundary. One class per row of the table in `docs/http-api.md`.

A class names its gRPC status, HTTP status and public `code`; its docstring is the default
message. Anything else that is raised becomes INTERNAL / 500 with an id and no text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import grpc


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One field that breaks a rule: `path` as `recipients[3].address`, `reason` a sentence."""

    path: str
    reason: str


class MorpheusError(Exception):
    """Something went wrong."""

    grpc_status: ClassVar[grpc.StatusCode] = grpc.StatusCode.INTERNAL
    http_status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"

    def __init__(
        self,
        message: str = "",
        *,
        violations: tuple[FieldViolation, ...] = (),
        retry_after: float | None = None,
    ) -> None:
        """`retry_after` is in seconds; `violations` names the fields at fault."""
        self.message = message or (self.__doc__ or "").strip()
        self.violations = violations
        self.retry_after = retry_after
        super().__init__(self.message)


class MalformedError(MorpheusError):
    """The body is not one well-formed msgpack map."""

    grpc_status = grpc.StatusCode.INVALID_ARGUMENT
    http_status = 400
    code = "malformed_body"


class InvalidInputError(MorpheusError):
    """The request breaks a rule."""

    grpc_status = grpc.StatusCode.INVALID_ARGUMENT
    http_status = 422
    code = "invalid_request"

    @classmethod
    def of(cls, path: str, reason: str) -> InvalidInputError:
        """An error about one field."""
        return cls(f"{path}: {reason}", violations=(FieldViolation(path, reason),))


class NotSupportedError(MorpheusError):
    """This is not built yet."""

    grpc_status = grpc.StatusCode.UNIMPLEMENTED
    http_status = 422
    code = "not_supported"

    @classmethod
    def of(cls, path: str, reason: str) -> NotSupportedError:
        """An error about one field."""
        return cls(f"{path}: {reason}", violations=(FieldViolation(path, reason),))


class UnauthenticatedError(MorpheusError):
    """The key, timestamp or signature is not valid."""

    grpc_status = grpc.StatusCode.UNAUTHENTICATED
    http_status = 401
    code = "unauthenticated"


class ForbiddenError(MorpheusError):
    """The key may not do this."""

    grpc_status = grpc.StatusCode.PERMISSION_DENIED
    http_status = 403
    code = "forbidden"


class NotFoundError(MorpheusError):
    """There is no such thing."""

    grpc_status = grpc.StatusCode.NOT_FOUND
    http_status = 404
    code = "not_found"


class ConflictError(MorpheusError):
    """It is already there with other content."""

    grpc_status = grpc.StatusCode.ALREADY_EXISTS
    http_status = 409
    code = "conflict"


class TemplateChangedError(MorpheusError):
    """A pinned template version cannot be had any more."""

    grpc_status = grpc.StatusCode.FAILED_PRECONDITION
    http_status = 409
    code = "template_changed"


class TooLargeError(MorpheusError):
    """The body is too large."""

    grpc_status = grpc.StatusCode.OUT_OF_RANGE
    http_status = 413
    code = "too_large"


class UnsupportedMediaTypeError(MorpheusError):
    """The content type must be application/msgpack."""

    grpc_status = grpc.StatusCode.INVALID_ARGUMENT
    http_status = 415
    code = "unsupported_media_type"


class ThrottledError(MorpheusError):
    """Too many requests; try again later."""

    grpc_status = grpc.StatusCode.RESOURCE_EXHAUSTED
    http_status = 429
    code = "throttled"


class UnavailableError(MorpheusError):
    """Not available now; try again later."""

    grpc_status = grpc.StatusCode.UNAVAILABLE
    http_status = 503
    code = "unavailable"


class DeadlineError(MorpheusError):
    """It took too long."""

    grpc_status = grpc.StatusCode.DEADLINE_EXCEEDED
    http_status = 504
    code = "deadline_exceeded"


ALL_ERRORS: tuple[type[MorpheusError], ...] = (
    MalformedError,
    InvalidInputError,
    NotSupportedError,
    UnauthenticatedError,
    ForbiddenError,
    NotFoundError,
    ConflictError,
    TemplateChangedError,
    TooLargeError,
    UnsupportedMediaTypeError,
    ThrottledError,
    UnavailableError,
    DeadlineError,
)
