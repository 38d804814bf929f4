"""LitServe, one worker. python serve_litserve.py PORT TABLE [null]"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import litserve
from model import answerer

PORT, TABLE, NULL = int(sys.argv[1]), Path(sys.argv[2]), "null" in sys.argv


class Api(litserve.LitAPI):
    """One record a request."""

    def setup(self, device: str) -> None:
        self.answer = answerer(TABLE, null=NULL)

    def predict(self, x: Any, **more: Any) -> Any:
        return self.answer([x])[0]

    def encode_response(self, output: Any, **more: Any) -> Any:
        return {"probability": output}


if __name__ == "__main__":
    litserve.LitServer(Api(), accelerator="cpu", workers_per_device=1).run(
        port=PORT, host="127.0.0.1", generate_client_file=False, log_level="warning", access_log=False)
