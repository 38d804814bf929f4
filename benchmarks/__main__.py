"""Run a benchmark: `python -m benchmarks NAME`. A bar that does not hold is a result, not an error: exit 0.

    python -m benchmarks                       the names
    python -m benchmarks house                 a table of what was measured
    python -m benchmarks house --json          the same as JSON on stdout
    python -m benchmarks house --quick         in two minutes; says what was skipped or shrunk
    python -m benchmarks house --only start    only this group; may be repeated
    python -m benchmarks kernel                the compiled kernel beside the pure one and LightGBM, in seconds
    python -m benchmarks case                  proofs, drills, trials and the bank beside their oracles
    python -m benchmarks watch                 alarms, estimates without labels, renewal and rollout beside peers
    python -m benchmarks batch                 rows a minute and memory of scoring Parquet to Parquet
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from types import ModuleType

from benchmarks import batch, case, house, kernel, serving, watch
from benchmarks.frame import Bar, environment

BENCHMARKS: dict[str, ModuleType] = {"house": house, "kernel": kernel, "serving": serving, "batch": batch,
                                     "case": case, "watch": watch}


def main(words: Sequence[str] | None = None) -> int:
    """0; argparse leaves with 2 when misused."""
    options = _parser().parse_args(words)
    if not options.name:
        for name, module in BENCHMARKS.items():
            print(f"{name:<10} {(module.__doc__ or '').splitlines()[0]}")
            print(f"{'':<10} groups: {', '.join(module.GROUPS)}")
        return 0
    module = BENCHMARKS[options.name]
    strange = [word for word in options.only if word not in module.GROUPS]
    if strange:
        _parser().error(f"no group {', '.join(strange)} in {options.name}; there are: {', '.join(module.GROUPS)}")
    around = environment()
    bars = module.measure(quick=options.quick, only=options.only,
                          progress=lambda name: print(f"  {options.name}: {name}", file=sys.stderr, flush=True))
    if options.json:
        print(json.dumps({"name": options.name, "environment": around, "bars": [bar.facts() for bar in bars],
                          "tables": getattr(module, "tables", [])},
                         indent=2, ensure_ascii=False))
    else:
        print("\n".join(table(bars)))
        for each in getattr(module, "tables", []):
            print("\n".join(["", each["title"], *("  ".join(row) for row in (each["head"], *each["rows"]))]))
    return 0


def table(bars: Sequence[Bar]) -> list[str]:
    """Lines: verdict, what, value, limit, and beneath it how it was measured or why not."""
    wide = max((len(bar.what) for bar in bars), default=0)
    lines = []
    for bar in bars:
        sign = {True: "✓ holds", False: "✗ FAILS", None: "– none "}[bar.holds]
        value = "–" if bar.value is None else f"{bar.value:.4g}"
        side = "<=" if bar.better == "lower" else ">="
        lines.append(f"{sign}  {bar.what:<{wide}}  {value:>9}  {side} {bar.limit:g}")
        lines += [f"{'':<9}{bar.note}"] if bar.note else []
    held = sum(bar.holds is True for bar in bars)
    missing = sum(bar.holds is None for bar in bars)
    return [*lines, f"{held} of {len(bars)} bars hold, {len(bars) - held - missing} do not, {missing} not measured"]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("name", nargs="?", choices=sorted(BENCHMARKS), help="which benchmark; none lists them")
    parser.add_argument("--json", action="store_true", help="print JSON to stdout")
    parser.add_argument("--quick", action="store_true", help="within two minutes; skips and shrinks, and says so")
    parser.add_argument("--only", action="append", default=[], metavar="GROUP", help="only this group of bars")
    return parser


if __name__ == "__main__":
    sys.exit(main())
