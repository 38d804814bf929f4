"""Write docs/reference/bank.md from the bank's own output.

    shipworthy sabotage --json > bank.json
    python tools/make_bank_page.py bank.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "bank.md"


def page(outcome: dict[str, object]) -> str:
    """Markdown of the bank's table. outcome: what `shipworthy sabotage --json` prints."""
    checks = outcome["checks"]
    assert isinstance(checks, list)
    twins = checks[0]["twins"] if checks else 0
    noisy = {one["check"]: one["false_alarms"] for one in checks}
    trials = twins * len(noisy)
    rate = sum(noisy.values()) / trials if trials else float("nan")
    lines = [
        "<!-- Made by tools/make_bank_page.py from the output of `shipworthy sabotage --json`. -->",
        "# The sabotage bank, run",
        "",
        f"{outcome['caught']} of {outcome['planted']} planted faults were caught. Over {twins} clean twins of each of "
        f"{len(noisy)} checks, {sum(noisy.values())} false alarms: {rate:.2%}.",
        "",
        "| row | check | planted fault | caught | false alarms |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| `{one['row']}` | `{one['check']}` | {one['sabotage']} | {'yes' if one['caught'] else '**no**'} "
        f"| {one['false_alarms']} of {one['twins']} |"
        for one in checks
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))), encoding="utf-8")
    print(PAGE)
