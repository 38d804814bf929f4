"""Ray Serve, one replica, tuned. python serve_ray.py PORT TABLE [null]"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import Any

os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": str(Path(__file__).parent)}
import ray
from ray import serve

PORT, TABLE, NULL = int(sys.argv[1]), sys.argv[2], "null" in sys.argv


@serve.deployment(max_ongoing_requests=200, num_replicas=1)
class Deployment:
    """One record a request."""

    def __init__(self) -> None:
        from model import answerer

        self.answer = answerer(Path(TABLE), null=NULL)

    async def __call__(self, request: Any) -> dict[str, float]:
        return {"probability": self.answer([await request.json()])[0]}


if __name__ == "__main__":
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": PORT})
    serve.run(Deployment.bind())
    threading.Event().wait()
