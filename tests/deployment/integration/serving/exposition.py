"""A strict reader of Prometheus text. Source: Prometheus, exposition formats, text format 0.0.4."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(?:,(?=.)|$)')
SAMPLE = re.compile(rf"({NAME})(?:\{{(.*)\}})? ([^ ]+)")
TOLD = re.compile(rf"# (HELP|TYPE) ({NAME}) (.+)")
KINDS = ("counter", "gauge", "histogram")
Series = tuple[str, tuple[tuple[str, str], ...]]


@dataclass
class Metric:
    """One family. samples: (name, labels) → value."""

    name: str
    help: str = ""
    kind: str = ""
    samples: dict[Series, float] = field(default_factory=dict)

    @property
    def labels(self) -> set[str]:
        return {name for _, labels in self.samples for name, _ in labels}


def families(text: str) -> dict[str, Metric]:
    """Every metric of a text. Raises ValueError with the line for anything that the format does not allow."""
    found: dict[str, Metric] = {}
    last: Metric | None = None
    if not text.endswith("\n"):
        raise ValueError("the last line does not end")
    for line in text[:-1].split("\n"):
        if line.startswith("#"):
            told = TOLD.fullmatch(line)
            if not told:
                raise ValueError(f"neither HELP nor TYPE: {line}")
            last = _described(found, last, told)
        else:
            _sampled(last, line)
    for metric in found.values():
        _complete(metric)
    return found


def _described(found: dict[str, Metric], last: Metric | None, told: re.Match[str]) -> Metric:
    what, name, words = told.groups()
    if what == "HELP":
        if name in found:
            raise ValueError(f"{name} is told of twice")
        found[name] = Metric(name, help=words)
        return found[name]
    if last is None or last.name != name or last.kind or last.samples or words not in KINDS:
        raise ValueError(f"a TYPE out of place: {name} {words}")
    last.kind = words
    return last


def _sampled(last: Metric | None, line: str) -> None:
    sample = SAMPLE.fullmatch(line)
    if not sample or last is None or not last.kind:
        raise ValueError(f"no sample of a metric that was told of: {line}")
    name, inside, value = sample.groups()
    own = {last.name} if last.kind != "histogram" else {last.name + end for end in ("_bucket", "_sum", "_count")}
    labels = tuple(sorted(LABEL.findall(inside or "")))
    if name not in own or LABEL.sub("", inside or "") or len(dict(labels)) != len(labels):
        raise ValueError(f"another metric's name, or labels that cannot be read: {line}")
    number = float(value)
    if (name, labels) in last.samples or (last.kind != "gauge" and not number >= 0):
        raise ValueError(f"twice, or below nought: {line}")
    last.samples[name, labels] = number


def _complete(metric: Metric) -> None:
    if not metric.help or not metric.kind:
        raise ValueError(f"{metric.name} has no HELP or no TYPE")
    if metric.kind != "histogram":
        return
    groups: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = {}
    for (name, labels), value in metric.samples.items():
        if name.endswith("_bucket"):
            rest = tuple(pair for pair in labels if pair[0] != "le")
            groups.setdefault(rest, []).append((float(dict(labels)["le"]), value))
    for rest, buckets in groups.items():
        edges, counts = zip(*buckets, strict=True)
        if list(edges) != sorted(set(edges)) or edges[-1] != math.inf or list(counts) != sorted(counts):
            raise ValueError(f"the buckets of {metric.name} do not add up")
        if metric.samples.get((f"{metric.name}_count", rest)) != counts[-1] or \
                (f"{metric.name}_sum", rest) not in metric.samples:
            raise ValueError(f"{metric.name} lacks its sum or its count")
