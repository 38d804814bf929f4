"""Acts, the scopes they take, and the role they are recorded in."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from shipworthy.core.release import Release
from shipworthy.deployment.integration.access.gate import Denied, Gate
from shipworthy.deployment.integration.access.issue import create
from shipworthy.deployment.integration.access.roles import ACTS, ROLES, may
from shipworthy.deployment.integration.access.tokens import SCOPES
from shipworthy.deployment.integration.releases.history import ledger, promote
from shipworthy.errors import Misuse, NotFit
from shipworthy.store import Store


def header(store: Store, holder: str, *scopes: str) -> bytes:
    return b"Bearer " + create(store, holder, scopes, by="olga")[0].encode()


def test_every_scope_has_a_role_and_every_act_a_scope() -> None:
    assert set(ROLES) == set(SCOPES)
    assert {scope for scopes in ACTS.values() for scope in scopes} == set(SCOPES)
    assert all(ACTS.values())


@pytest.mark.parametrize(("act", "allowed"), [
    ("run", {"train"}), ("renew", {"train"}), ("promote", {"approve"}), ("waive", {"approve"}),
    ("rollback", {"approve", "admin"}), ("collect", {"admin"}), ("token", {"admin"}),
    ("read", {"train", "approve", "admin"}),
])
def test_an_act_takes_its_scope(store: Store, act: str, allowed: set[str]) -> None:
    gate = Gate(store.home)
    for scope in SCOPES:
        sent = header(store, scope, scope)
        if scope in allowed:
            caller, role = may(gate, sent, act)
            assert (caller.name, role) == (scope, ROLES[scope])
        else:
            with pytest.raises(Denied) as told:
                may(gate, sent, act)
            assert (told.value.status, told.value.problem) == (
                403, f"{scope} may not {act}: that takes {' or '.join(ACTS[act])}")
    with pytest.raises(Denied) as told:
        may(gate, None, act)
    assert told.value.status == 401


def test_an_act_that_is_none_is_a_misuse_and_not_let_in(store: Store) -> None:
    with pytest.raises(Misuse) as told:
        may(Gate(store.home), header(store, "ann", *SCOPES), "promot")
    assert told.value.hint == 'did you mean "promote"?'


def test_whoever_trained_may_not_approve_even_with_the_scope_for_it(
    store: Store, trained: Callable[..., Release]
) -> None:
    gate, release = Gate(store.home), trained(by="tom@example.org")
    tom, role = may(gate, header(store, "tom@example.org", "train", "approve"), "promote")
    with pytest.raises(NotFit, match="trained this model and may not approve it"):
        promote(store, release, by=tom.name, why="mine", role=role)
    ann, role = may(gate, header(store, "ann@example.org", "approve"), "promote")
    promote(store, release, by=ann.name, why="looked at it", role=role)
    assert (ledger(store)[-1]["actor"], ledger(store)[-1]["role"]) == ("ann@example.org", "approver")
