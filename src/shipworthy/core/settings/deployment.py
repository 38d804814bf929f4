"""How a release is served, takes over, and is watched."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from shipworthy.core.settings.part import Part


class Serving(Part, frozen=True):
    """[serve] Address of the predict API and its limits.

    host, port: where it listens. workers: processes that share the port, at most one a core. max_rows, max_megabytes:
    of one request. max_concurrent: requests under way beyond which a client is told to come back. unseen: what
    becomes of a category that training did not have; accepted ones are flagged in the answer. strange: whether the
    model abstains where a value is flagged as unseen or outside. log: what an answer waits for: kept (survives a
    killed process), durable (survives a power cut), buffered (neither, for up to a second). open: whether it answers
    without a token; if not said, as long as it listens on this machine only and no token for it was ever made.
    rows_a_minute: of one token, in any sixty seconds, if the token says nothing else, and of all who ask without one
    together; 0 is without limit. rows_a_day: likewise, from midnight to midnight UTC. certificate: PEM file, with its
    chain, to be reached by https; a path from the project folder. key: PEM file of its private key. requests: json
    writes one line a request to stderr, without any value from it. label_days: how long before its time the answer
    may lie that a label means which is given by entity and time. traces: address of an OpenTelemetry collector that
    takes OTLP over HTTP, such as http://127.0.0.1:4318; empty sends none. open_weights: whether the model itself is
    published, so that nobody needs to steal it. feedback: whether /v1/feedback takes what users say. encrypted:
    whether clients send rows that the server cannot read, by `learning.privacy.encrypted`.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    workers: Annotated[int, msgspec.Meta(gt=0)] = 1
    max_rows: Annotated[int, msgspec.Meta(gt=0)] = 10_000
    max_megabytes: Annotated[float, msgspec.Meta(gt=0)] = 16.0
    max_concurrent: Annotated[int, msgspec.Meta(ge=0)] = 64
    unseen: Literal["accept", "refuse"] = "accept"
    strange: Literal["answer", "abstain"] = "answer"
    log: Literal["kept", "durable", "buffered"] = "kept"
    label_days: Annotated[float, msgspec.Meta(ge=0)] = 30.0
    open: bool | None = None
    rows_a_minute: Annotated[int, msgspec.Meta(ge=0)] = 0
    rows_a_day: Annotated[int, msgspec.Meta(ge=0)] = 0
    certificate: str = ""
    key: str = ""
    requests: Literal["none", "json"] = "none"
    traces: str = ""
    open_weights: bool = False
    feedback: bool = True
    encrypted: bool = False


class Rollout(Part, frozen=True):
    """[rollout] How a challenger takes over, stage by stage, and what takes it back.

    stages: rising shares of the traffic that it answers, the last 1. shadow: before them it is asked too, and its
    answers are kept, not sent. minutes: least of every stage. rows: least that it answers in every stage. hours: after
    so many the champion is kept. unit: columns whose values name an entity, all of whose requests one arm answers.
    alpha: chance of a wrong rollback by all tests together. borne: rise of the mean loss, in [0, 1], beyond which proof
    of harm takes it back; by default any. margin: rise of the mean loss within which it must be shown to lie where
    labels are awaited. labels: labelled differences without which it is not promoted. slower: by what share its
    slowest answers may be slower. scores: largest gap that is borne between the two distributions of scores.
    differ: share of its decisions that may differ from the champion's. abstain: share of abstentions that is borne
    beyond the champion's. segments: columns by each of whose values the loss is held to its margin. segment_rows:
    least of each value before promotion.
    """

    stages: tuple[float, ...] = (0.01, 0.05, 0.25, 0.5, 1.0)
    shadow: bool = True
    minutes: float = 60.0
    rows: Annotated[int, msgspec.Meta(ge=1)] = 500
    hours: float = 336.0
    unit: tuple[str, ...] = ()
    alpha: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.05
    borne: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    margin: float = 0.02
    labels: int = 0
    slower: float = 0.25
    scores: float = 0.3
    differ: float = 0.3
    abstain: float = 0.2
    segments: tuple[str, ...] = ()
    segment_rows: int = 100


class Watching(Part, frozen=True):
    """[watch] When somebody is called.

    pages_per_year: budget of false pages. effect: change in the shares of a column's values that matters, Cohen's w.
    effects: column → its own, such as 0.02 for a rare word that matters. tolerance: rise of the loss that is borne.
    window: how much traffic is judged at a time. zone: whose clock tells the hour of the week, such as "Europe/Berlin".
    segments: columns by each of whose values traffic is counted apart, the twenty most frequent of each. every: minutes
    between two looks of the keeper beside a server, and of `shipworthy watch --follow`; at 0 the keeper does not look.
    confirmed: a table of prediction_id and verdict, strange or fine, from which strange rows are learnt. audit: share
    of answers, chosen by the hash of their ids, that you have labelled whatever they are (0.001, 0.002, 0.005, 0.01 …
    1, else the next lower); what lacks a label: shipworthy labels --audit. replay: rows of each side, of the holdout
    and of what was served, with which code, model and data of before and now are replayed when an incident of harm
    opens; 0 replays nothing. replay_seconds: after which no further replay is begun.
    """

    pages_per_year: Annotated[float, msgspec.Meta(gt=0)] = 1.0
    effect: Annotated[float, msgspec.Meta(gt=0)] = 0.1
    effects: dict[str, Annotated[float, msgspec.Meta(gt=0)]] = {}
    tolerance: Annotated[float, msgspec.Meta(ge=0)] = 0.02
    window: Literal["hour", "day", "week"] = "day"
    zone: str = "UTC"
    segments: tuple[str, ...] = ()
    confirmed: str = ""
    every: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    audit: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    replay: Annotated[int, msgspec.Meta(ge=0)] = 5_000
    replay_seconds: Annotated[float, msgspec.Meta(gt=0)] = 20.0
