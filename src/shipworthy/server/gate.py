"""Whom the control API lets in: what it needs of a gate, and the gate that lets in nobody."""

from __future__ import annotations

from typing import Protocol

from shipworthy.deployment.integration.serving.refusals import Refused
from shipworthy.errors import ShipworthyError


class Caller(Protocol):
    """Whoever holds the token of a request. name: under which they act. token: its id."""

    @property
    def name(self) -> str: ...

    @property
    def token(self) -> str: ...


class Gate(Protocol):
    """Tells who asks, by the authorization header as it came, if their token has the scope.

    scope: predict, label, train, approve or admin. Raises a ShipworthyError whose `status` is 401 without a token that
    is good, 403 where it lacks the scope, or 429 when its budget is spent.
    """

    def allows(self, authorization: bytes | None, scope: str) -> Caller: ...


class Closed:
    """The gate of a project that has no tokens: nobody comes in."""

    def allows(self, authorization: bytes | None, scope: str) -> Caller:
        """Raises Refused, whoever asks."""
        raise Refused(401, "a token is needed, and this project has none", field="authorization",
                      hint="send authorization: Bearer TOKEN")


def allowed(gate: Gate, authorization: bytes | None, scopes: tuple[str, ...]) -> Caller:
    """Who asks, if their token has one of the scopes. Raises what the gate says of the first, which names it."""
    first: ShipworthyError | None = None
    for scope in scopes:
        try:
            return gate.allows(authorization, scope)
        except ShipworthyError as error:
            if getattr(error, "status", 0) != 403:
                raise
            first = first or error
    assert first
    raise first
