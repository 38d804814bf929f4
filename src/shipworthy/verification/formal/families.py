"""Which way of proving fits a program: trees, sums of separate inputs, tables with pairs, a small network."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

from shipworthy.core.program import Program
from shipworthy.core.table import Floats
from shipworthy.errors import BadModel
from shipworthy.verification.formal import linear, network
from shipworthy.verification.formal.additive import as_trees, tabular
from shipworthy.verification.formal.claims import Budget, Claim, Domain, Verdict
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
        if found.certificate is None:
            return found
        return replace(found, certificate=replace(found.certificate, programs=(
            self.program.digest, *found.certificate.programs[1:])))

    @property
    def searched(self) -> bool:
        """Whether claims are searched for among boxes of trees and tables, and not decided in closed form."""
        return tabular(self.program) and not linear.separable(self.program)

    @cached_property
    def ensemble(self) -> Ensemble:
        """The program as trees. Raises BadModel, when it is made ready, for one that reads an input in two ways."""
        return Ensemble(as_trees(self.program), self.domain, near=self.near)
