"""What is learnt from: the project itself, its sources, the target, and how rows are divided."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import Annotated, Literal

import msgspec

from shipworthy.core.address import divide, table_name
from shipworthy.core.settings.part import Part


class About(Part, frozen=True):
    """[project] What this is for, and who answers for it.

    name: what its releases are called. purpose: what the answers are for, in one sentence.
    owner, trainer, approver: people, by name or address; the trainer may not approve. subject: what a row is about;
    "person" switches on the rows that protect people. decides: whether the answer decides something about a person.
    consumers: who uses the answers, by the holder of their token; "anonymous" for whoever asks without one.
    plugins: Python files with your own checks, connectors and learners, from the project folder.
    """

    name: str
    purpose: str = ""
    owner: str = ""
    trainer: str = ""
    approver: str = ""
    subject: Literal["person", "thing", "undeclared"] = "undeclared"
    decides: bool = True
    consumers: tuple[str, ...] = ()
    plugins: tuple[str, ...] = ()


class Source(Part, frozen=True):
    """[[source]] One table or folder: address, owner and licence.

    address: a path from the project folder, or a URL. name: what joins and the report call it; if empty, the table
    after # or the file without its suffixes. No two sources have one name. owner: who answers for the data. licence:
    its SPDX identifier, such as CC0-1.0, or words. rows: at most so many are read, drawn at random by their place, for
    tables that the machine cannot hold; 0 is all. public: whether anybody can have these rows with their labels, so
    that what they teach is no secret. signer: public key of whoever sends it, in hex; an unsigned file is then refused.
    """

    address: str
    name: str = ""
    owner: str = ""
    licence: str = ""
    rows: Annotated[int, msgspec.Meta(ge=0)] = 0
    public: bool = False
    signer: str = ""

    @property
    def called(self) -> str:
        """What the table of this source is called, everywhere."""
        return self.name or table_name(*divide(self.address))


class Join(Part, frozen=True):
    """[[join]] Columns of another table looked up by key; rows of the left table are never multiplied.

    table: name of the source that is looked up. on: left column → right column. prefix: put before the joined
    column names.
    """

    table: str
    on: dict[str, str]
    prefix: str = ""


class TargetRule(Part, frozen=True):
    """[data.target_rule] Makes a two-class target from a number: above the limit is positive.

    column: the number. above: the limit. missing: what a row without the number is: positive, negative, or dropped.
    """

    column: str
    above: float
    missing: Literal["positive", "negative", "drop"] = "drop"


class Data(Part, frozen=True):
    """[data] Which table, which target, which roles.

    target: the column to predict. table: the source whose rows are learnt from; the first if empty. positive: the
    class that a decision is about. time: when a row came to be known. group: what a row belongs to; a grouped split
    keeps it whole. identifiers: names of rows, never learnt from; the log keeps those that are not personal, so that
    labels can name them. protected: columns by which fairness is measured.
    set_aside: columns that the model may not see. target_rule: makes the target from a number. kinds: column → kind,
    where the guess is wrong. units: column → unit. missing_codes: column → values that mean "missing". limits:
    column → lowest and highest possible value. same: value of the target → the value that it means, where one class
    has two spellings. personal: columns with personal data, declared. quasi_identifiers: columns that together might
    tell who a row is about. retention_days: `shipworthy forget` removes rows of the tables that are older, by `time`,
    and what was served and labelled that long ago; 0 says nothing. answers: columns that are the answers of another
    model. weight: column that says how much a row weighs in learning; the model does not see it.
    """

    target: str
    table: str = ""
    positive: str = ""
    time: str = ""
    group: str = ""
    identifiers: tuple[str, ...] = ()
    protected: tuple[str, ...] = ()
    set_aside: tuple[str, ...] = ()
    target_rule: TargetRule | None = None
    kinds: dict[str, Literal["number", "category", "text", "boolean", "timestamp"]] = {}
    units: dict[str, str] = {}
    missing_codes: dict[str, tuple[str, ...]] = {}
    limits: dict[str, tuple[float, float]] = {}
    same: dict[str, str] = {}
    personal: tuple[str, ...] = ()
    quasi_identifiers: tuple[str, ...] = ()
    retention_days: Annotated[int, msgspec.Meta(ge=0)] = 0
    answers: tuple[str, ...] = ()
    weight: str = ""


class Splitting(Part, frozen=True):
    """[split] How rows are divided into learn, tune and holdout.

    kind: at random, at random within each class, by whole groups, or in time. tune, holdout: shares of the rows, used
    when there are no dates. learn_until, tune_until, holdout_until: days, such as "2024-06-01", which begin at midnight
    UTC, or times, such as "2024-06-01T06:00:00Z"; each part lies before its own, and later rows are the traffic to
    come. seed: of the random draw. newest: share of the rows, the last ones of the table, among which those to tune on
    and to hold out are drawn where the split is not in time; older ones, and groups that have older ones, are learnt
    from. A renewal sets it, for a model is judged on the present.
    """

    kind: Literal["random", "stratified", "grouped", "time"] = "stratified"
    tune: float = 0.15
    holdout: float = 0.2
    learn_until: str = ""
    tune_until: str = ""
    holdout_until: str = ""
    seed: int = 0
    newest: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1.0

    def until(self, name: str) -> datetime:
        """The end of a part, by the name of its setting. Raises ValueError for what is no day and no time with a zone.
        """
        text = getattr(self, name)
        try:
            return datetime.combine(date.fromisoformat(text), time(), UTC)
        except ValueError:
            at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            raise ValueError(f"{text} has no time zone")
        return at
