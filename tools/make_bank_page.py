"""Write docs/reference/bank.md from the bank's own output.

    shipworthy sabotage --json > bank.json
    python tools/make_bank_page.py bank.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from shipworthy.sabotage.bank import MAY_BE_UNKNOWN

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "bank.md"


def page(outcome: dict[str, object]) -> str:
    """Markdown of the bank's table. outcome: what `shipworthy sabotage --json` prints."""
    checks = outcome["checks"]
    assert isinstance(checks, list)
    twins = checks[0]["twins"] if checks else 0
    noisy = {one["check"]: one["false_alarms"] for one in checks}
    unknown = {one["check"]: one["unknown"] for one in checks}
    trials = twins * len(noisy)
    cries, silent = sum(noisy.values()), sum(unknown.values())
    rate = cries / trials if trials else float("nan")
    lines = [
        "<!-- Made by tools/make_bank_page.py from the output of `shipworthy sabotage --json`. -->",
        "# The sabotage bank, run",
        "",
        f"{outcome['caught']} of {outcome['planted']} planted faults were caught. Over {twins} clean twins of each of "
        f"{len(noisy)} checks, {cries} false alarm{'' if cries == 1 else 's'} ({rate:.2%}), {silent} times unknown, "
        f"and quiet and judged {trials - cries - silent} of {trials} times.",
        "",
        "Unknown: the check said so, did not apply, failed itself or had nothing to judge; that is not quiet.",
        "",
        "| row | check | planted fault | caught | false alarms | unknown |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| `{one['row']}` | `{one['check']}` | {one['sabotage']} | {'yes' if one['caught'] else '**no**'} "
        f"| {one['false_alarms']} of {one['twins']} | {one['unknown']} of {one['twins']} |"
        for one in checks
    ]
    lines += ["", "These may be unknown on a clean twin, and no other may:", ""]
    lines += [f"- `{name}`: {why}." for name, why in MAY_BE_UNKNOWN.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))), encoding="utf-8")
    print(PAGE)
