"""The project file, parsed strictly: an unknown key or a wrong type is an error that names the key."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from shipworthy.core.address import divide, table_name
from shipworthy.core.canon import digest
from shipworthy.core.part import Part, Rollout
from shipworthy.errors import BadProject, nearest, one_of

FILE = "shipworthy.toml"
RENEWED = "renewed"  # the table of a renewal: the rows of the champion and those served since


class About(Part, frozen=True):
    """[project] What this is for, and who answers for it.

    name: what its releases are called. purpose: what the answers are for, in one sentence.
    owner, trainer, approver: people, by name or address; the trainer may not approve. subject: what a row is about;
    "person" switches on the rows that protect people. decides: whether the answer decides something about a person.
    plugins: Python files with your own checks, connectors and learners, from the project folder.
    """

    name: str
    purpose: str = ""
    owner: str = ""
    trainer: str = ""
    approver: str = ""
    subject: Literal["person", "thing", "undeclared"] = "undeclared"
    decides: bool = True
    plugins: tuple[str, ...] = ()


class Source(Part, frozen=True):
    """[[source]] One table or folder: address, owner and licence.

    address: a path from the project folder, or a URL. name: what joins and the report call it; if empty, the table
    after # or the file without its suffixes. No two sources have one name. owner: who answers for the data. licence:
    its SPDX identifier, such as CC0-1.0, or words. rows: at most so many are read, drawn at random by their place, for
    tables that the machine cannot hold; 0 is all.
    """

    address: str
    name: str = ""
    owner: str = ""
    licence: str = ""
    rows: Annotated[int, msgspec.Meta(ge=0)] = 0

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
    has two spellings. personal: columns with personal data, declared.
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


class Splitting(Part, frozen=True):
    """[split] How rows are divided into learn, tune and holdout.

    kind: at random, at random within each class, by whole groups, or in time. tune, holdout: shares of the rows, used
    when there are no dates. learn_until, tune_until, holdout_until: UTC times; each part lies before its own, and
    later rows are the traffic to come. seed: of the random draw.
    """

    kind: Literal["random", "stratified", "grouped", "time"] = "stratified"
    tune: float = 0.15
    holdout: float = 0.2
    learn_until: str = ""
    tune_until: str = ""
    holdout_until: str = ""
    seed: int = 0


class Learning(Part, frozen=True):
    """[learning] The budget and what limits a model.

    seconds: wall clock of the whole ladder and search. trials: of the search, instead of the clock, so that the outcome
    depends on rows, settings and seed alone; 0 is by the clock. learners: those of the ladder to try; if
    empty, all but network, which waits to be named. search: whether settings are searched. seed: of folds, learners
    and search. threads: at most. epsilon: gain that pays for complexity. max_*: declared limits on the target hardware;
    0 is none. money_per_cpu_hour, currency: what the cost is reckoned with. watts_per_core: power of a busy core.
    grams_per_kwh: CO2e, lowest and highest. grid: what those grams describe.
    """

    seconds: float = 60.0
    trials: int = 0
    learners: tuple[str, ...] = ()
    search: bool = True
    seed: int = 0
    threads: int = 2
    epsilon: float = 0.002
    max_row_microseconds: float = 0.0
    max_megabytes: float = 0.0
    max_cpu_seconds: float = 0.0
    money_per_cpu_hour: float = 0.04
    currency: str = "USD"
    watts_per_core: float = 8.0
    grams_per_kwh: tuple[float, float] = (350.0, 500.0)
    grid: str = "world average 2024"


class Requirement(Part, frozen=True):
    """[[requirement]] A metric that the holdout must reach at the pessimistic end of its 95 % interval.

    metric: its name, such as auc, recall or mae. at_least, at_most: the limit; one of the two: at_least where higher is
    better, at_most where lower is. segment: column → value; empty for all rows.
    """

    metric: str
    at_least: float | None = None
    at_most: float | None = None
    segment: dict[str, str] = {}


class Value(Part, frozen=True):
    """[value] What a decision earns; costs are negative.

    currency: of all amounts. true_positive, false_positive, false_negative, true_negative: amount per row by truth
    and decision. per_unit_under, per_unit_over: for a regression, the amount for one unit too low or too high.
    capacity: share of rows that may be decided positive. assumed: the amounts are guesses, and every finding says so.
    """

    currency: str = "points"
    true_positive: float = 0.0
    false_positive: float = 0.0
    false_negative: float = 0.0
    true_negative: float = 0.0
    per_unit_under: float = 0.0
    per_unit_over: float = 0.0
    capacity: float = 1.0
    assumed: bool = False


class Fairness(Part, frozen=True):
    """[fairness] The criterion, chosen before measuring, and its limit.

    criterion: ratio of selection rates, or gap of error rates, between groups. limit: 0 is the criterion's usual one.
    """

    criterion: Literal["impact-ratio", "equalised-odds", "none"] = "none"
    limit: float = 0.0


class Gate(Part, frozen=True):
    """[gate] Which rows hold back promotion; every change of the default is shown.

    also: rows beyond the default that must hold. without: rows that need not.
    """

    also: tuple[str, ...] = ()
    without: tuple[str, ...] = ()


class Watching(Part, frozen=True):
    """[watch] When somebody is called.

    pages_per_year: budget of false pages. effect: change in the shares of a column's values that matters, Cohen's w.
    tolerance: rise of the loss that is borne. window: how much traffic is judged at a time.
    """

    pages_per_year: float = 1.0
    effect: float = 0.1
    tolerance: float = 0.02
    window: Literal["hour", "day", "week"] = "day"


class Serving(Part, frozen=True):
    """[serve] Address of the predict API and its limits.

    host, port: where it listens. workers: processes that share the port, at most one a core. max_rows, max_megabytes:
    of one request. max_concurrent: requests under way beyond which a client is told to come back. unseen: what becomes
    of a category that training did not have; accepted ones are flagged in the answer. log: what an answer waits for:
    kept (survives a killed process), durable (survives a power cut), buffered (neither, for up to a second). open:
    whether it answers without a token; if not said, as long as it listens on this machine only and no token for it was
    ever made. rows_a_minute: of one token, in any sixty seconds, if the token says nothing else, and of all who ask
    without one together; 0 is without limit. rows_a_day: likewise, from midnight to midnight UTC. certificate: PEM
    file, with its chain, to be reached by https; a path from the project folder. key: PEM file of its private key.
    requests: json writes one line a request to stderr, without any value from it. label_days: how long before its time
    the answer may lie that a label means which is given by entity and time. traces: address of an OpenTelemetry
    collector that takes OTLP over HTTP, such as http://127.0.0.1:4318; empty sends none.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    workers: Annotated[int, msgspec.Meta(gt=0)] = 1
    max_rows: Annotated[int, msgspec.Meta(gt=0)] = 10_000
    max_megabytes: Annotated[float, msgspec.Meta(gt=0)] = 16.0
    max_concurrent: Annotated[int, msgspec.Meta(ge=0)] = 64
    unseen: Literal["accept", "refuse"] = "accept"
    log: Literal["kept", "durable", "buffered"] = "kept"
    label_days: Annotated[float, msgspec.Meta(ge=0)] = 30.0
    open: bool | None = None
    rows_a_minute: Annotated[int, msgspec.Meta(ge=0)] = 0
    rows_a_day: Annotated[int, msgspec.Meta(ge=0)] = 0
    certificate: str = ""
    key: str = ""
    requests: Literal["none", "json"] = "none"
    traces: str = ""


class Project(Part, frozen=True):
    """All of shipworthy.toml."""

    project: About
    data: Data
    source: tuple[Source, ...] = ()
    join: tuple[Join, ...] = ()
    split: Splitting = Splitting()
    learning: Learning = Learning()
    requirement: tuple[Requirement, ...] = ()
    value: Value | None = None
    fairness: Fairness = Fairness()
    gate: Gate = Gate()
    watch: Watching = Watching()
    serve: Serving = Serving()
    rollout: Rollout = Rollout()
    checks: dict[str, dict[str, Any]] = {}

    @property
    def digest(self) -> str:
        return digest(self)


def read_project(path: Path | str) -> Project:
    """The project of a file, or of the folder that holds shipworthy.toml.

    Raises BadProject with the key, the problem and the nearest known key.
    """
    path = Path(path)
    path = path / FILE if path.is_dir() else path
    if not path.is_file():
        raise BadProject("there is no project file", where=str(path),
                         hint="make one: shipworthy init TABLE --target COLUMN")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise BadProject("the file is not text in UTF-8", where=str(path), hint="save it again as UTF-8") from error
    return parse(text, where=str(path))


def parse(text: str, *, where: str = FILE) -> Project:
    """A project from TOML text. Raises BadProject."""
    try:
        project = msgspec.toml.decode(text.encode(), type=Project)
    except msgspec.ValidationError as error:
        raise BadProject(_plain(str(error)), where=where, hint=_hint(str(error), text)) from error
    except (msgspec.DecodeError, ValueError) as error:
        raise BadProject(f"the file is not TOML: {error}", where=where,
                         hint="correct that line; see docs/reference/settings.md") from error
    _named_once(project.source, where)
    for source in project.source:
        if re.match(r"[^:/?#]+://[^/@:]*:[^/]+@", source.address):
            raise BadProject("the address of a source holds a password, and releases hold the project file",
                             where=f"{where}, [[source]] {source.name}".rstrip(),
                             hint="take it out; for PostgreSQL, set PGPASSWORD instead")
    return project


def source_of(sources: Iterable[Source], name: str, address: str) -> Source | None:
    """The source that a table came from: of its name, else of its address, paths resolved; None if there is none."""
    known = tuple(sources)
    return next((one for one in known if one.called == name), None) or next(
        (one for one in known if address and _resolved(one.address) == _resolved(address)), None)


def _resolved(address: str) -> str:
    return address if "://" in address else os.path.realpath(address)


def _named_once(sources: tuple[Source, ...], where: str) -> None:
    first: dict[str, str] = {}
    for source in sources:
        if source.called in first:
            raise BadProject(f'two sources are called "{source.called}": {first[source.called]} and {source.address}',
                             where=f"{where}, [[source]]", hint='give one of them another name: name = "…"')
        first[source.called] = source.address


def _plain(message: str) -> str:
    return message.replace("Object contains unknown field", "there is no setting").replace("`", '"').replace("$.", "")


def _hint(message: str, text: str) -> str:
    found = re.search(r"at `\$\.([^`]+)`", message)
    path = found[1] if found else ""
    hint = _type_at(path)
    unknown = re.search(r"unknown field `(\w+)`", message)
    if unknown and isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return one_of(unknown[1], hint.__struct_fields__)
    value, allowed = _value_at(path, text), _allowed(hint)
    if allowed:
        return f"{nearest(str(value), allowed)} choose one of: {', '.join(allowed)}".strip()
    if "Expected `str`" in message and isinstance(value, bool | int | float):
        return f"write it as text: {path.rpartition('.')[2]} = {json.dumps(str(value))}"
    wanted = re.search(r"Expected `([^`]+)`((?: [<>]=? [-\d.]+)?)", message)
    return f"write a value of type {wanted[1]}{wanted[2]}" if wanted else "see docs/reference/settings.md"


def _type_at(path: str) -> Any:
    """The type of the setting at a path as msgspec writes it, such as "source[0].rows" or "data.kinds[...]"."""
    hint: Any = Project
    for name in filter(None, re.sub(r"\[.*?\]", ".[", path).split(".")):
        inner = [each for each in get_args(hint) if each is not type(None)]
        if name == "[":
            hint = inner[-1] if get_origin(hint) is dict else inner[0]
            continue
        structs = [each for each in (hint, *inner) if isinstance(each, type) and issubclass(each, msgspec.Struct)]
        hint = get_type_hints(structs[0])[name] if structs else None
    structs = [each for each in (hint, *get_args(hint)) if isinstance(each, type) and issubclass(each, msgspec.Struct)]
    return structs[0] if structs else hint


def _value_at(path: str, text: str) -> Any:
    """The value at a path of plain keys, or None."""
    value: Any = tomllib.loads(text)
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _allowed(hint: Any) -> tuple[str, ...]:
    return get_args(hint) if get_origin(hint) is Literal else ()
