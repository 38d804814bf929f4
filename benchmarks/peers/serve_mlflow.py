"""MLflow's own scoring server. python serve_mlflow.py PORT TABLE [null]: becomes `mlflow models serve`."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import mlflow

sys.path.insert(0, str(Path(__file__).parent))
from model import answerer


class Model(mlflow.pyfunc.PythonModel):
    """The probabilities of a frame."""

    def load_context(self, context: Any) -> None:
        self.answer = answerer(Path(os.environ["PEER_TABLE"]), null=bool(os.environ["PEER_NULL"]))

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        return self.answer(model_input.to_dict("records"))


if __name__ == "__main__":
    own = str(Path(sys.executable).parent)  # it starts uvicorn by name
    os.environ |= {
        "PATH": os.pathsep.join([own, os.environ.get("PATH", "")]), "PYTHONPATH": str(Path(__file__).parent),
        "PEER_TABLE": sys.argv[2], "PEER_NULL": "1" if "null" in sys.argv else "",
        "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    folder = Path(tempfile.mkdtemp()) / "model"
    from serve_mlflow import Model as Importable  # a class of this file by its own name, not of __main__

    mlflow.pyfunc.save_model(folder, python_model=Importable(), pip_requirements=[])
    os.execv(sys.executable, [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(folder), "-p", sys.argv[1],
                              "--env-manager", "local", "-w", "1"])
