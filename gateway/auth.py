"""Who reads or operates: bearer token, scope, company."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Query, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from morpheus_kit.errors import InvalidInputError, UnauthenticatedError
from morpheus_kit.keyring import ANY_COMPANY, Key, Keyring

_bearer = HTTPBearer(auto_error=False, description="A token of the key file.")


@dataclass(frozen=True, slots=True)
class Caller:
    """A key that may do what it asks for, and for which company; `*` for all."""

    key: Key
    company_code: str


def _caller(scope: str, *, all_companies: bool) -> Callable[..., Caller]:
    def check(
        request: Request,
        credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
        company_code: Annotated[str, Query(min_length=1, max_length=64, description="Company that asks.")],
    ) -> Caller:
        key = _key(request, credentials, scope)
        if company_code == ANY_COMPANY and not all_companies:
            raise InvalidInputError.of("company_code", "one company is required here")
        key.require_company(company_code)
        return Caller(key, company_code)

    return check


def administrator(
    request: Request,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    company_code: Annotated[
        str, Query(min_length=1, max_length=64, description="Has no effect: the installation is one.")
    ] = ANY_COMPANY,
) -> Caller:
    """A key of scope admin."""
    key = _key(request, credentials, "admin")
    key.require_company(company_code)
    return Caller(key, company_code)


def _key(request: Request, credentials: HTTPAuthorizationCredentials | None, scope: str) -> Key:
    if credentials is None:
        raise UnauthenticatedError("Authorization: a bearer token is required.")
    keyring: Keyring = request.app.state.keyring
    key = keyring.by_token(credentials.credentials)
    key.require_scope(scope)
    return key


Reader = Annotated[Caller, Depends(_caller("read", all_companies=True))]
Operator = Annotated[Caller, Depends(_caller("operate", all_companies=False))]
Administrator = Annotated[Caller, Depends(administrator)]


def only_parameters(*names: str) -> Callable[[Request], None]:
    """A dependency: a misspelt filter would answer more than was asked for, so it is refused."""
    known = {"company_code", *names}

    def check(request: Request) -> None:
        for name in request.query_params:
            if name not in known:
                raise InvalidInputError.of(name[:64], "unknown parameter")

    return check
