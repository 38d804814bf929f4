"""Which way of proving fits a program: trees, sums of separate inputs, tables with pairs, a small network."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from shipworthy.core.program import Program
from shipworthy.core.table import Floats
from shipworthy.errors import BadModel
from shipworthy.verification.formal import linear, network
from shipworthy.verification.formal.additive import as_trees, tabular
from shipworthy.verification.formal.bounds import margin_bounds
from shipworthy.verification.formal.claims import Below, Budget, Claim, Domain, Near, Verdict
from shipworthy.verification.formal.ensemble import Ensemble
from shipworthy.verification.formal.properties import proved


@dataclass(frozen=True)
class Prover:
    """Claims about one program over one domain; what many claims share is made once. near: the row that
    counterexamples are taken near to."""

    program: Program
    domain: Domain
    near: Floats | None = None

    def __call__(self, claim: Claim, budget: Budget) -> Verdict:
        """The verdict on a claim; unknown, with the reason, for a program of a kind that cannot be searched."""
        if isinstance(claim, Near):
            return self._gap(claim, budget)
        if linear.separable(self.program):
            return linear.decide(self.program, claim, self.domain)
        if network.is_network(self.program):
            return network.decide(self.program, claim, self.domain, budget)
        if not tabular(self.program):
            return Verdict("unknown", -math.inf, math.inf, why="a program of this kind cannot be searched")
        try:
            found = proved(self.ensemble, claim, budget)
        except BadModel as error:
            return Verdict("unknown", -math.inf, math.inf, why=error.problem)
        return _about(found, self.program)

    @property
    def searched(self) -> bool:
        """Whether claims are searched for among boxes of trees and tables, and not decided in closed form."""
        return tabular(self.program) and not linear.separable(self.program)

    @cached_property
    def ensemble(self) -> Ensemble:
        """The program as trees. Raises BadModel, when it is made ready, for one that reads an input in two ways."""
        return Ensemble(as_trees(self.program), self.domain, near=self.near)

    def _gap(self, claim: Near, budget: Budget) -> Verdict:
        """How far another program lies from this one: both of one kind are searched together."""
        one, other = self.program, claim.other
        if network.is_network(one) and network.is_network(other):
            return network.decide(one, claim, self.domain, budget)
        if tabular(one) and tabular(other):
            try:
                both = Ensemble(as_trees(one), self.domain, as_trees(other), near=self.near)
                return _about(proved(both, replace(claim, other=as_trees(other)), budget), one, other)
            except BadModel as error:
                return Verdict("unknown", -math.inf, math.inf, why=error.problem)
        less = replace(one, terms=one.terms + linear.negated(other).terms)
        if linear.separable(less, twice=True):
            sides = [linear.decide(less, Below(claim.limit, tuple(sign * w for w in claim.weights)), self.domain)
                     for sign in (1.0, -1.0)]
            worst = next((side for status in ("refuted", "unknown") for side in sides if side.status == status),
                         max(sides, key=lambda side: side.high))
            return replace(worst, high=max(side.high for side in sides), certificate=None)
        return self._apart(claim)

    def _apart(self, claim: Near) -> Verdict:
        """The gap from bounds of either program alone."""
        begun, w = time.monotonic(), np.asarray(claim.weights, np.float64)
        ends = [np.array([getattr(span, end) if span.codes is None else 0.0 for span in self.domain.spans])
                for end in ("low", "high")]
        sides = [margin_bounds(program, *ends) for program in (self.program, claim.other)]
        (low, high), (least, most) = ((np.minimum(w * a, w * b).sum(), np.maximum(w * a, w * b).sum())
                                      for a, b in sides)
        gap = float(max(high - least, most - low)) * (1 + 1e-9)
        gap = gap if math.isfinite(gap) else math.inf
        why = "" if gap < claim.limit else "programs of two kinds are bounded one by one"
        return Verdict("unknown" if why else "proved", 0.0, gap, seconds=time.monotonic() - begun, why=why)


def _about(found: Verdict, *programs: Program) -> Verdict:
    """The verdict with the certificate named for the programs as they are released."""
    if found.certificate is None:
        return found
    own = tuple(program.digest for program in programs)
    return replace(found, certificate=replace(found.certificate, programs=own))
