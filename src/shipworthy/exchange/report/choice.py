"""What a report says of the choice: the sentence, every candidate's figures, the cost in words."""

from __future__ import annotations

from typing import Any

import msgspec

from shipworthy.core.learned import Learned


def ladder(learned: Learned) -> dict[str, Any]:
    """What a report says of the choice: the sentence, every candidate's figures, the cost in words."""
    cost = learned.cost
    figures = [{"learner": c.name, "chosen": c is learned.chosen, **msgspec.to_builtins(c.figures)}
               for c in learned.candidates]
    metric = {"binary": "AUC", "multiclass": "accuracy", "regression": "R²"}[learned.chosen.model.task]
    words = [
        ("Learning took",
         f"{cost.wall_seconds:.0f} s of {cost.budget_seconds:.0f} s, {cost.cpu_seconds:.0f} CPU-seconds"),
        ("Peak memory", f"{cost.peak_bytes / 1e9:.2f} GB"),
        ("Energy", f"{cost.kwh_low * 1000:.2f} to {cost.kwh_high * 1000:.2f} Wh"),
        ("Carbon", f"{cost.grams_low:.2f} to {cost.grams_high:.2f} g CO2e ({cost.grid})"),
        ("Money", f"{cost.money:.4f} {cost.currency}"),
    ]
    spent = learned.chosen.private
    told = {"privacy": msgspec.to_builtins(spent)} if spent else {}
    return {"chosen": learned.why, "metric": metric, "candidates": figures, "cost": words, **told}
