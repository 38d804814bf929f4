"""`prove(program, claim, domain, budget) -> Verdict`: the claims of `claims.py`, proved or refuted for tree ensembles.

Programs of another family are handed on: `linear.decide`, `additive.decide`, `network.decide`, each with the signature
of `prove`.
"""
