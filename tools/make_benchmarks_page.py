"""Make docs/benchmarks.md from what `python -m benchmarks NAME --json` printed.

    python -m benchmarks house --json > house.json
    python tools/make_benchmarks_page.py house.json [MORE.json …]
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"
SIGNS = {True: "holds", False: "**does not hold**", None: "not measured"}

HEAD = """# Benchmarks

What Shipworthy promises about time, memory, size, scores and what it catches, and what was measured.
This page is made by `tools/make_benchmarks_page.py` from the output of `python -m benchmarks NAME --json`; nothing on
it is typed by hand. A benchmark is a command, not a test: `make test` never measures time.

```console
$ python -m benchmarks house            # some ten minutes; the real tables lie in SHIPWORTHY_DATA
$ python -m benchmarks house --quick    # at most two minutes; says what it skipped or shrunk
$ python -m benchmarks kernel           # some seconds
$ python -m benchmarks batch            # a minute
$ python -m benchmarks case             # half an hour; groups: formal, law, properties, trials, and more
$ python -m benchmarks watch            # most of an hour; peers each in an environment of its own, in SHIPWORTHY_PEERS
$ python -m benchmarks serving          # a quarter of an hour, once the environments of the peers are made; needs wrk
```
"""

TAIL = """## How it is measured

- Times and memory are those of fresh processes that the benchmark started, as the operating system counted them.
  Memory is the peak of the largest single process; peaks of processes that ran side by side are not added up.
- Projects are made as a user makes them: `shipworthy init`, an edit of the learning budget, `shipworthy run`. A
  *release* here is a release candidate: the names of people, the purpose and the licence that `init` leaves empty are
  left empty, so such a candidate is not fit, and is not promoted.
- A score is the point estimate on the holdout that the project itself drew, by its default seed; its 95 % interval
  stands beside it. Nothing is chosen by the holdout.
- The false-alarm rate is that of the worst check: the share of clean twins on which it failed. The note names every
  check with an alarm, and says how often any check was unknown.

## What is not compared

- **Other products' scores.** No score here was reached with another tool, and none is copied from a paper. Published
  scores on these tables use other splits, other budgets and other machines.
- **One run.** Each number is one run on one machine. Differences of a thousandth in AUC, or of a tenth in time, mean
  nothing.
- **The machine.** Nothing here was measured on other processors, on a graphics card, on Windows, or on a cluster.
- **Tables that lie in time.** The scores are of random or stratified holdouts; a model that meets newer rows does
  worse. The flights are the only ones that are split in time.
- **Monitors.** Peers run at their defaults, as their first pages show, and where a bar says so at their best documented
  setting; two of them no longer import on today's NumPy and pandas and run on the older ones that they ask for. Streams
  and faults are simulated but for those named; false alarms are made equal before delays are compared.
- **Servers.** All have one core, one worker and the same model, behind the same imputation and encoding; wrk has the
  other core and asks over loopback, so nothing is said of networks, of TLS, of more cores or of models on a graphics
  card. Ours logs, counts, asks for a token and counts a budget; the peers do none of that. The peers are set up as
  their first pages show, one record a request, without their batching; a tuned deployment of any of them is faster.
  That no acknowledged answer is lost to a killed process is a test (`tests/deployment/integration/log/test_kill.py`).
"""


def main(paths: list[str]) -> int:
    """0, or 2 if no file was named or one is not the output of a benchmark."""
    if not paths:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        found = [json.loads(Path(path).read_text("utf-8")) for path in paths]
        text = page(found)
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"error: not the output of a benchmark: {error}", file=sys.stderr)
        return 2
    PAGE.write_text(text, encoding="utf-8")
    print(PAGE.relative_to(PAGE.parents[1]))
    return 0


def page(found: Iterable[dict[str, Any]]) -> str:
    """The Markdown of the page. found: outputs of benchmarks, in the order they are shown."""
    return "\n".join([HEAD, *(section(one) for one in found), TAIL])


def section(one: dict[str, Any]) -> str:
    """A benchmark: when and where it was measured, its bars as a table, and the versions."""
    around, bars = one["environment"], one["bars"]
    held = sum(bar["holds"] is True for bar in bars)
    missing = sum(bar["holds"] is None for bar in bars)
    lines = [
        f"## {one['name'].capitalize()}",
        "",
        f"Measured on {around['date']} with {around['python']} on {around['platform']}: {around['cpu_count']} "
        f"processors ({around['processor']}), {around['memory_gb']:g} GB of memory, load {around['load_before']:g} "
        f"before the start. {held} of {len(bars)} bars hold, {len(bars) - held - missing} do not, {missing} were "
        "not measured.",
        "",
        "| what | measured | limit | | how |",
        "|---|---:|---:|---|---|",
        *(row(bar) for bar in bars),
        "",
        *(line for place, each in enumerate(one.get("tables", [])) for line in _table(one["name"], place, each)),
        f"Versions: {', '.join(f'{name} {version}' for name, version in around['versions'].items())}.",
        "",
    ]
    return "\n".join(lines)


def _table(name: str, place: int, each: dict[str, Any]) -> list[str]:
    """A table of servers and its chart, drawn into a file beside the page."""
    chart = PAGE.with_name(f"benchmarks-{name}-{place}.svg")
    chart.write_text(_chart(each), encoding="utf-8")
    cells = [" | ".join(row) for row in (each["head"], ["---", *["---:"] * (len(each["head"]) - 1)], *each["rows"])]
    return [f"### {each['title']}", "", *(f"| {row} |" for row in cells), "",
            f"![Requests a second at 16 connections, logarithmic]({chart.name})", ""]


def _chart(each: dict[str, Any]) -> str:
    """Bars of requests a second at 16 connections, on a logarithmic scale."""
    import vl_convert

    return str(vl_convert.vegalite_to_svg({
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json", "width": 520, "background": "white",
        "data": {"values": [{"server": name, "rate": round(rate)} for name, rate in each["rates"].items()]},
        "encoding": {"y": {"field": "server", "type": "nominal", "sort": "-x", "title": None},
                     "x": {"field": "rate", "type": "quantitative", "scale": {"type": "log", "domainMin": 10},
                           "title": "requests a second at 16 connections, one core"}},
        "layer": [{"mark": {"type": "bar"}, "encoding": {"color": {
                      "condition": {"test": "datum.server == 'shipworthy'", "value": "#1f6f5c"}, "value": "#a8b3bd"},
                      "x2": {"datum": 10}}},
                  {"mark": {"type": "text", "align": "left", "dx": 4}, "encoding": {"text": {
                      "field": "rate", "type": "quantitative", "format": ",d"}}}]}))


def row(bar: dict[str, Any]) -> str:
    """One line of the table."""
    side = "≤" if bar["better"] == "lower" else "≥"
    cells = [bar["what"], number(bar["value"]), f"{side} {bar['limit']:g}", SIGNS[bar["holds"]], bar.get("note", "")]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def number(value: float | None) -> str:
    """Four significant figures, or a dash."""
    return "–" if value is None else f"{value:.4g}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
