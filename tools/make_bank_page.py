"""Write docs/reference/bank.md from the bank's own output.

    shipworthy sabotage --all FOLDER --json > bank.json
    python tools/make_bank_page.py bank.json
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shipworthy.sabotage.bank import MAY_BE_UNKNOWN

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "bank.md"
WORLD = "the clean world"
Result = dict[str, Any]


def page(outcome: dict[str, Any]) -> str:
    """Markdown of the bank's tables. outcome: what `shipworthy sabotage --json` prints."""
    checks: list[Result] = outcome["checks"]
    grounds = list(dict.fromkeys(one["table"] for one in checks))
    world = [one for one in checks if not one["table"]]
    lines = [
        "<!-- Made by tools/make_bank_page.py from the output of `shipworthy sabotage --json`. -->",
        "# The sabotage bank, run", "",
        f"{len({one['check'] for one in checks})} checks, each with its planted faults, on {_named(grounds)}.", "",
        "On the clean world nothing is wrong, so every fault must be caught. On a real table a check says what is so "
        "before anything is planted: where that is a failure, or nothing, its faults and twins are not judged there.",
        "",
        "| ground | caught | missed | not judged | false alarms | clean twins that were judged |",
        "|---|---|---|---|---|---|",
        *(_ground(ground, [one for one in checks if one["table"] == ground]) for ground in grounds),
    ]
    missed = [one for one in checks if one["outcome"] == "missed"]
    if missed:
        lines += ["", "Missed:", ""]
        lines += [f"- {one['table'] or WORLD}: `{one['check']}`, {one['sabotage']}." for one in missed]
    lines += ["", f"## On {WORLD}", "",
              "Seconds: of one judgement. Unknown: the check said so, did not apply, failed itself or had nothing to "
              "judge; that is not quiet.", "",
              "| row | check | planted fault | caught | false alarms | unknown | seconds |",
              "|---|---|---|---|---|---|---|"]
    lines += [
        f"| `{one['row']}` | `{one['check']}` | {one['sabotage']} | {'yes' if one['caught'] else '**no**'} "
        f"| {one['false_alarms']} of {one['twins']} | {one['unknown']} of {one['twins']} | {one['seconds']:.2f} |"
        for one in world
    ]
    lines += ["", "These may be unknown on a clean twin, and no other may:", ""]
    lines += [f"- `{name}`: {why}." for name, why in MAY_BE_UNKNOWN.items()]
    return "\n".join(lines) + "\n"


def _named(grounds: Sequence[str]) -> str:
    real = [f"`{ground}`" for ground in grounds if ground]
    return f"{WORLD} and {len(real)} real tables: {', '.join(real)}" if real else WORLD


def _ground(name: str, checks: Sequence[Result]) -> str:
    count = {word: sum(one["outcome"] == word for one in checks) for word in ("caught", "missed", "not judged")}
    once = {one["check"]: one for one in checks}.values()
    twins = sum(one["twins"] - one["unknown"] for one in once)
    cries = sum(one["false_alarms"] for one in once)
    rate = f"{cries / twins:.2%}" if twins else "–"
    return (f"| {f'`{name}`' if name else WORLD} | {count['caught']} | {count['missed']} | {count['not judged']} "
            f"| {cries} ({rate}) | {twins} of {sum(one['twins'] for one in once)} |")


if __name__ == "__main__":
    PAGE.write_text(page(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))), encoding="utf-8")
    print(PAGE)
