"""Whether a ledger's chain of hashes holds, by the standard library alone: copy this file anywhere and run it.

    python chain.py ledger.jsonl

It shares no code with what wrote the ledger. Signatures of the head need a library; see `core.ledger.unsealed`.
"""

import hashlib
import json
import sys


def faults(text: str) -> list[str]:
    """What is wrong with a ledger, one sentence each; empty if every line follows from the one before."""
    found, before = [], "0" * 64
    for place, raw in enumerate(text.rstrip("\n").split("\n")):
        line = json.loads(raw)
        told = line.pop("hash", "")
        body = json.dumps(line, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        if line.get("n") != place or line.get("prev") != before:
            found.append(f"line {place} does not follow from the line before it")
        if hashlib.sha256(before.encode() + body).hexdigest() != told:
            found.append(f"line {place} was changed after it was written")
        before = told
    return found


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        wrong = faults(file.read())
    print("\n".join(wrong) or "every line follows from the one before")
    sys.exit(1 if wrong else 0)
