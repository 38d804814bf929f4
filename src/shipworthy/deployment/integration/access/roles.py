"""Which scope an act of the product needs, and in which role it is then recorded; no scope holds another.

That an approver is not the trainer goes by names, in `releases.history`: whoever calls passes `Caller.name` as `by`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from shipworthy.deployment.integration.access.gate import Caller, Denied, Gate
from shipworthy.deployment.integration.access.tokens import Scope
from shipworthy.errors import Misuse, one_of

ROLES: Mapping[Scope, str] = MappingProxyType(
    {"predict": "client", "label": "client", "train": "trainer", "approve": "approver", "admin": "operator"})
ACTS: Mapping[str, tuple[Scope, ...]] = MappingProxyType({
    "predict": ("predict",), "label": ("label",),
    "run": ("train",), "renew": ("train",), "cancel": ("train", "admin"),
    "promote": ("approve",), "waive": ("approve",), "attest": ("approve",), "rollout": ("approve",),
    "rollback": ("approve", "admin"),
    "watch": ("train", "approve", "admin"), "read": ("train", "approve", "admin"),
    "collect": ("admin",), "import": ("admin",), "export": ("train", "approve", "admin"), "token": ("admin",),
})
"""Act → the scopes of which one is enough."""


def may(gate: Gate, authorization: bytes | None, act: str) -> tuple[Caller, str]:
    """Who does an act of `ACTS`, and in which role. Raises Denied, and Misuse for an act that is none."""
    if act not in ACTS:
        raise Misuse(f'there is no act "{act}"', where="access", hint=one_of(act, ACTS))
    caller = gate.caller(authorization)
    for scope in ACTS[act]:
        if scope in caller.scopes:
            return caller, ROLES[scope]
    raise Denied(403 if caller.token else 401, f"{caller.name} may not {act}: that takes {' or '.join(ACTS[act])}",
                 challenge=f', error="insufficient_scope", scope="{" ".join(ACTS[act])}"' if caller.token else "",
                 hint=f"ask the operator for a token: shipworthy token create --scope {ACTS[act][0]}")
