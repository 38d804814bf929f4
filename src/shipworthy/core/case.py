"""The case: everything that checks may judge, by subject name. `SUBJECTS` is the vocabulary of check parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from shipworthy.core.model import Model

SUBJECTS: dict[str, str] = {
    "project": "the parsed project file (core.project.Project)",
    "catalogue": "every source found and the joins between them (core.found.Catalogue)",
    "raw": "the collected table before cleaning (core.table.Table)",
    "table": "the cleaned table: learn, tune and holdout rows (Table)",
    "ledger": "what cleaning changed (core.found.Ledger)",
    "profile": "the table in one pass, with suspects (core.found.Profile)",
    "contract": "what every batch must hold (core.found.Contract)",
    "datasheet": "the filled datasheet (dict: question → answer)",
    "arrived": "the holdout as it arrived, before cleaning, row for row (Table)",
    "parts": "learn, tune and holdout tables (core.learned.Parts)",
    "learned": "candidates, choice, cost (core.learned.Learned)",
    "recipe": "how the chosen model was trained (core.learned.Recipe)",
    "quota": "rows a day that whoever may ask most may ask for, 0 without limit (int)",
    "holders": "who may ask for answers, by name (tuple of str)",
    "tickets": "what users posted to the server (tuple of core.tickets.Ticket)",
    "metrics": "the metrics that a requirement may name (dict: name → metrics.Metric)",
    "meters": "the figures that plugins count of traffic (tuple of core.meters.OwnMeter)",
    "model": "the calibrated model chosen (core.model.Model)",
    "library": "the library model's margin, inputs (n, d) → (n, k) (callable)",
    "book": "how often holdouts were opened, and the best model that this one judged before (core.case.Book)",
    "champion": "the model in production now (Model)",
    "learnt": "the rows that the champion learnt from or was tuned on (Table)",
    "release": "the release folder opened (core.release.Release)",
    "signer": "the project's public key, which must have signed the release (PEM bytes)",
    "history": "the audit ledger of people and pointer moves (list of lines)",
    "seals": "signed heads of that ledger, the newest first (tuple of core.ledger.Seal)",
    "attestations": "what people signed (tuple of core.attested.Attestation)",
    "packs": "the rule packs that the project names (tuple of core.pack.Pack)",
    "evidence": "what all checks before this one said; who judges it is heard last (core.evidence.Evidence)",
    "drills": "what drills found, the newest first (tuple of core.drill.Drill)",
    "grid": "the frozen reference grid (core.grid.Reference)",
    "log": "what was served (Table)",
    "labels": "what came true, late (Table)",
    "tallies": "what was served and what came true, counted (core.tallies.Tallies)",
    "beside": "the same of what was held back and answered by another policy (core.tallies.Tallies)",
    "confirmed": "rows that people called strange or fine (Table: prediction_id, verdict)",
    "tables": "the versioned tables of the store (callable name → versions)",
    "code": "the user's own code files (tuple of paths)",
    "steps": "functions that make the above again (core.case.Steps)",
    "bank": "the outcome of the sabotage bank (core.case.BankResult list)",
}


@dataclass(frozen=True)
class Book:
    """What the holdout book says. models: different models that this holdout has judged, this one included.

    holdouts: different holdouts that this project has read in its lifetime. best: the earlier model with the lowest
    loss on this holdout, as far as its release is still here.
    """

    models: int
    holdouts: int = 1
    best: Model | None = None


@dataclass(frozen=True)
class Steps:
    """The stages as functions, so that a check or a sabotage can make a noun again from a changed table.

    profile: table → Profile. contract: table → Contract. validate: (contract, batch) → tuple[Breach, ...].
    clean: raw → (table, ledger). discover: (tables, project) → Catalogue.
    train: (table, *, learner, seed, settings) → Model, quick and uncalibrated, encoders fitted on that table.
    contributions: (model, inputs) → (n, d) exact shares of the margin against `model.reference`.
    suspect_labels: table → ranking of rows, most suspicious label first.
    reference: (model, edges, sample) → Reference grid. answer: (model, record) → the answer that serving gives.
    learn: (parts, project) → (Learned, Model), by that project file. noise: () → the noise of private learning.
    client: () → who sends rows encrypted; its `public` is what a server is handed.
    serve: (model, contract) → a context manager: a connection to a server of this machine that answers for the model.
    alarm: (model, grid, rows with target, *, delay, accepted) → rows served until monitoring pages, or None.
    recourse: (model, row, changes, *, wish) → Recourse, the cheapest change of a row that turns its decision.
    review: (release, project) → Reviewed, what a live override of one answer came to.
    tally: (model, grid, log, labels) → Tallies of what was served and came true, by the project's settings.
    """

    profile: Callable[..., Any]
    contract: Callable[..., Any]
    validate: Callable[..., Any]
    clean: Callable[..., Any]
    train: Callable[..., Any]
    contributions: Callable[..., Any]
    suspect_labels: Callable[..., Any]
    reference: Callable[..., Any]
    discover: Callable[..., Any]
    answer: Callable[..., Any]
    recourse: Callable[..., Any]
    review: Callable[..., Any]
    serve: Callable[..., Any]
    alarm: Callable[..., Any]
    learn: Callable[..., Any] | None = None
    noise: Callable[..., Any] | None = None
    tally: Callable[..., Any] | None = None
    client: Callable[..., Any] | None = None


@dataclass(frozen=True)
class Reviewed:
    """What came of overruling one served answer. served, asked, stands: the model's decision, the person's, and what
    stands afterwards. status, refused: of the request with a token that may overrule, and with one that may not.
    logged: decisions of people in the log. actors: of its lines in the ledger. broken: what is wrong with the ledger.
    """

    served: Any
    asked: Any
    status: int
    refused: int
    stands: Any
    logged: tuple[Any, ...]
    actors: tuple[str, ...]
    broken: tuple[str, ...] = ()


@dataclass(frozen=True)
class BankResult:
    """What the bank saw of one check on one table: was its planted fault caught, on how many clean twins did it cry.

    table: the ground; the clean world if empty. before: what the check said of the ground before the fault was planted;
    empty where it had nothing to judge. seconds: that it took to say so. unknown: the twins that it did not judge: it
    said unknown, did not apply, failed itself or lacked a subject. On the others it was quiet and judged.
    """

    check: str
    row: str
    sabotage: str
    caught: bool
    false_alarms: int
    twins: int
    sentence: str = ""
    unknown: int = 0
    table: str = ""
    before: str = "pass"
    seconds: float = 0.0

    @property
    def quiet(self) -> int:
        """The clean twins that the check judged and let pass."""
        return self.twins - self.false_alarms - self.unknown

    @property
    def outcome(self) -> Literal["caught", "missed", "not judged"]:
        """Not judged: what fails, or says nothing, of the ground itself can be held to nothing there."""
        if self.caught:
            return "caught"
        return "missed" if self.before in ("pass", "attested") or not self.table else "not judged"
