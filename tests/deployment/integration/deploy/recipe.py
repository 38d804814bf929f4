"""A Dockerfile read line by line. Source: Docker, Dockerfile reference (2025)."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

KNOWN = {"FROM", "RUN", "CMD", "LABEL", "EXPOSE", "ENV", "COPY", "ENTRYPOINT", "VOLUME", "USER", "WORKDIR", "ARG",
         "STOPSIGNAL", "HEALTHCHECK"}
EXEC = {"CMD", "ENTRYPOINT", "VOLUME"}


@dataclass(frozen=True)
class Step:
    """One instruction. words: what follows it, lines joined."""

    name: str
    words: str

    @property
    def array(self) -> list[str]:
        """The words of an instruction in exec form. Raises ValueError for another form."""
        found = json.loads(self.words)
        assert isinstance(found, list) and all(isinstance(word, str) for word in found)
        return found


def stages(text: str) -> list[list[Step]]:
    """The instructions of every stage, FROM first. Raises ValueError for what is no Dockerfile."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    found: list[list[Step]] = []
    for line in filter(str.strip, joined.splitlines()):
        name, _, words = line.partition(" ")
        if name not in KNOWN:
            raise ValueError(f"{name} is no instruction that is used here")
        if name == "FROM":
            found.append([])
        if not found:
            raise ValueError(f"{name} stands before FROM")
        step = Step(name, words.strip())
        if name in EXEC:
            _ = step.array
        found[-1].append(step)
    return found
