"""BentoML, one worker. python serve_bentoml.py PORT TABLE [null]: becomes `bentoml serve` of this very file."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import bentoml

sys.path.insert(0, str(Path(__file__).parent))
from model import answerer


@bentoml.service(workers=1, traffic={"timeout": 30})
class Service:
    """One record a request."""

    def __init__(self) -> None:
        self.answer = answerer(Path(os.environ["PEER_TABLE"]), null=bool(os.environ["PEER_NULL"]))

    @bentoml.api
    def predict(self, record: dict[str, Any]) -> dict[str, float]:
        """The probability for one record."""
        return {"probability": self.answer([record])[0]}


if __name__ == "__main__":
    os.environ |= {"PEER_TABLE": sys.argv[2], "PEER_NULL": "1" if "null" in sys.argv else "",
                   "BENTOML_DO_NOT_TRACK": "True"}
    os.chdir(Path(__file__).parent)
    os.execv(sys.executable, [sys.executable, "-m", "bentoml", "serve", "serve_bentoml:Service", "--host", "127.0.0.1",
                              "--port", sys.argv[1], "--quiet"])
