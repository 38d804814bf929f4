"""Asks by MLflow's own client of scoring servers; prints what came back as JSON. stdin: the rows."""

import json
import sys
from urllib.parse import urlsplit

import pandas as pd
from mlflow.pyfunc.scoring_server.client import ScoringServerClient


def main():
    rows = json.load(sys.stdin)
    address = urlsplit(sys.argv[1])
    client = ScoringServerClient(address.hostname, address.port)
    client.wait_server_ready(timeout=10)
    frame = pd.DataFrame(rows)
    frame["seen"] = pd.to_datetime(frame["seen"], utc=True)
    frame["age"] = frame["age"].astype(float)
    told = {"version": json.loads(client.get_version()),
            "frame": client.invoke(frame).get_predictions("ndarray").tolist(),
            "records": client.invoke(rows).get_predictions("ndarray").tolist(),
            "details": client.invoke(frame, params={"details": True})["predictions"]}
    try:
        client.invoke(frame, params={"detail": True})
    except Exception as error:  # it raises nothing narrower
        told["refused"] = str(error)
    print(json.dumps(told))


main()
