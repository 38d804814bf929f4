"""MLServer in one process. python serve_mlserver.py PORT TABLE [null]: becomes `mlserver start` of a new folder."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

from mlserver import MLModel
from mlserver.codecs import NumpyCodec, PandasCodec
from mlserver.types import InferenceRequest, InferenceResponse

sys.path.insert(0, str(Path(__file__).parent))
from model import answerer


class Runtime(MLModel):
    """One record a request, by the Open Inference Protocol."""

    async def load(self) -> bool:
        import numpy

        self._numpy = numpy
        self._answer = answerer(Path(os.environ["PEER_TABLE"]), null=bool(os.environ["PEER_NULL"]))
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        frame = PandasCodec.decode_request(payload)
        found = self._numpy.array(self._answer(frame.to_dict("records")))
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("probability", found)])


if __name__ == "__main__":
    folder = Path(tempfile.mkdtemp())
    ports = {"http_port": int(sys.argv[1]), "grpc_port": int(sys.argv[1]) + 1, "metrics_port": int(sys.argv[1]) + 2}
    (folder / "settings.json").write_text(json.dumps({"debug": False, "host": "127.0.0.1", "parallel_workers": 0,
                                                      **ports}))
    (folder / "model-settings.json").write_text(json.dumps({"name": "adult",
                                                            "implementation": "serve_mlserver.Runtime"}))
    os.environ |= {"PEER_TABLE": sys.argv[2], "PEER_NULL": "1" if "null" in sys.argv else "",
                   "PYTHONPATH": str(Path(__file__).parent)}
    os.execv(sys.executable, [sys.executable, "-c", "from mlserver.cli import main; main()", "start", str(folder)])
