"""What learning may cost, and what it may not exceed."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from shipworthy.core.settings.part import Part


class Learning(Part, frozen=True):
    """[learning] The budget and what limits a model.

    seconds: wall clock of the whole ladder and search. trials: of the search, instead of the clock, so that the outcome
    depends on rows, settings and seed alone; 0 is by the clock. learners: those of the ladder to try; if
    empty, all but network, which waits to be named. search: whether settings are searched. cautious: boosted trees are
    small ones with little room to remember a row, unsearched: what helps against membership inference. seed: of folds,
    learners and search. threads: at most. epsilon: gain that pays for complexity. max_*: declared limits on the target
    hardware; 0 is none. max_cpu_seconds, max_kwh and max_grams end the search when they are used up; energy and carbon
    at their upper ends. least_gain_per_kwh: AUC, accuracy or R² that the search must gain for a kWh, or it ends; 0 is
    any. money_per_cpu_hour, currency: what the cost is reckoned with. watts_per_core: power of a busy core. overhead:
    energy of idle machines and cooling, as a factor; 1 counts none. grams_per_kwh: CO2e, lowest and highest. grid: what
    those grams describe. grid_as_of: the last day that they describe. profile: usual, or provable: boosted trees alone,
    at most 100 of at most 31 leaves, that rise and fall as [[property]] claims, in which a protected column meets no
    other, and categories of more than 8 levels are read by their place in the alphabet.
    """

    seconds: float = 60.0
    trials: int = 0
    learners: tuple[str, ...] = ()
    search: bool = True
    cautious: bool = False
    seed: int = 0
    threads: int = 2
    epsilon: float = 0.002
    max_row_microseconds: float = 0.0
    max_megabytes: float = 0.0
    max_cpu_seconds: float = 0.0
    max_kwh: float = 0.0
    max_grams: float = 0.0
    least_gain_per_kwh: float = 0.0
    money_per_cpu_hour: float = 0.04
    currency: str = "USD"
    watts_per_core: float = 8.0
    overhead: Annotated[float, msgspec.Meta(ge=1)] = 1.0
    grams_per_kwh: tuple[float, float] = (350.0, 500.0)
    grid: str = "world average 2024"
    grid_as_of: str = "2024-12-31"
    profile: Literal["usual", "provable"] = "usual"


class Privacy(Part, frozen=True):
    """[privacy] Bounds what can be known of a row from the model: differential privacy, of learning and of tuning.

    epsilon, delta: the bound, for a row more or less; it holds of all trainings together. releases: how many trainings
    share it. learner: the only one that is fitted; a choice between several would cost. levels: column → its values;
    numbers have [data.limits] instead. Neither is ever read from the rows. heavy: columns that are mostly small and
    sometimes very large, put on a logarithmic scale.
    """

    epsilon: Annotated[float, msgspec.Meta(gt=0)] = 1.0
    delta: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 1e-5
    releases: Annotated[int, msgspec.Meta(gt=0)] = 1
    learner: Literal["private-additive", "private-linear"] = "private-additive"
    levels: dict[str, tuple[str, ...]] = {}
    heavy: tuple[str, ...] = ()


class Federated(Part, frozen=True):
    """[federated] Other parties with rows of the same columns, who send sums only.

    parties: their Parquet files, by path from the project folder; each is read by a process of its own on this machine.
    callers: certificates of parties elsewhere, who call by `shipworthy party join`; paths from the project folder.
    listen: host and port where they call. key: PEM file of this project's own key and certificate. seconds: how long a
    party may be silent or late. One more party is this project with its learn rows, so at least two are named. The
    learners federated-linear, federated-additive and federated-trees, named in [learning] learners, then learn from
    all; numbers need [data.limits].
    """

    parties: tuple[str, ...] = ()
    callers: tuple[str, ...] = ()
    listen: str = "0.0.0.0:7443"
    key: str = ""
    seconds: Annotated[float, msgspec.Meta(gt=0)] = 60.0
