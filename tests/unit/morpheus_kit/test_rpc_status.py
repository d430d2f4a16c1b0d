"""The one table of errors: complete, and the same in both directions over a real call."""

from __future__ import annotations

from typing import cast

import grpc
import pytest

from morpheus_kit import errors
from morpheus_kit.rpc import status


def _subclasses(cls: type[errors.MorpheusError]) -> set[type[errors.MorpheusError]]:
    return set(cls.__subclasses__()) | {deep for sub in cls.__subclasses__() for deep in _subclasses(sub)}


def test_table_holds_every_error() -> None:
    assert set(errors.ALL_ERRORS) == {
        error for error in _subclasses(errors.MorpheusError) if error.__module__ == errors.__name__
    }


def test_codes_are_unique() -> None:
    codes = [error.code for error in errors.ALL_ERRORS]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("cls", errors.ALL_ERRORS)
def test_status_carries_error_whole(cls: type[errors.MorpheusError]) -> None:
    raised = cls("words", violations=(errors.FieldViolation("recipients[3].address", "why"),), retry_after=1.5)
    sent = status.to_status(raised)

    class Call:
        def code(self) -> object:
            return sent.code

        def details(self) -> str:
            return sent.details or ""

        def trailing_metadata(self) -> object:
            return sent.trailing_metadata

    got = status.from_rpc_error(cast("grpc.RpcError", Call()))
    assert type(got) is cls
    assert (got.message, got.violations, got.retry_after) == ("words", raised.violations, 1.5)


def test_default_message_is_docstring() -> None:
    assert errors.NotFoundError().message == "There is no such thing."


def test_internal_status_says_nothing_but_an_id() -> None:
    sent, error_id = status.internal_status()
    assert sent.details == f"Internal error {error_id}."
