"""FastAPI as teams write it by hand. python serve_fastapi.py PORT TABLE [null]"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from model import answerer

app = FastAPI()
answer = answerer(Path(sys.argv[2]), null="null" in sys.argv)


@app.post("/predict")
def predict(record: dict[str, Any]) -> dict[str, float]:
    """The probability for one record."""
    return {"probability": answer([record])[0]}


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), access_log=False, log_level="warning")
