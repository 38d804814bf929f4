"""Whom the control API lets in: one of several scopes is enough, and a project without tokens lets nobody in."""

from __future__ import annotations

import pytest

from shipworthy.deployment.integration.serving.refusals import Refused
from shipworthy.server.gate import Closed, allowed

from .conftest import ANN, READER, ROOT, TOM, Tokens


def bearer(token: str) -> bytes:
    return f"Bearer {token}".encode()


@pytest.mark.parametrize(("token", "scopes"), [
    (TOM, ("train",)), (ROOT, ("approve", "admin")), (ANN, ("train", "approve", "admin"))])
def test_one_of_the_scopes_is_enough(tokens: Tokens, token: str, scopes: tuple[str, ...]) -> None:
    assert "@example.org" in allowed(tokens, bearer(token), scopes).name


def test_a_token_with_none_of_them_is_told_the_first(tokens: Tokens) -> None:
    with pytest.raises(Refused) as caught:
        allowed(tokens, bearer(READER), ("train", "admin"))
    assert (caught.value.status, caught.value.problem) == (403, "this token may not train")


def test_a_token_that_is_not_known_or_has_spent_its_budget_is_not_asked_about_the_next_scope(tokens: Tokens) -> None:
    tokens.spent.add("tom@example.org")
    for header, status in ((None, 401), (bearer("wrong"), 401), (bearer(TOM), 429)):
        with pytest.raises(Refused) as caught:
            allowed(tokens, header, ("train", "admin"))
        assert caught.value.status == status


def test_a_project_without_tokens_lets_nobody_in() -> None:
    with pytest.raises(Refused) as caught:
        allowed(Closed(), bearer(TOM), ("train", "admin"))
    assert caught.value.status == 401
