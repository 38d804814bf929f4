"""Trains a line over Flower: SuperLink, three SuperNodes and three parties, all processes on loopback.

Arguments: folder with job.msgpack (features, bounds, target, classes) and 0.parquet to 2.parquet. Prints, as JSON, the
margins of the program for inputs.json, and what of Flower's telemetry was seen.
"""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

PARTIES = 3
APP = '''
from shipworthy.learning.privacy.federated.flower import client_app, over
client = client_app()
from flwr.serverapp import ServerApp
server = ServerApp()

@server.main()
def main(grid, context):
    import json, msgspec
    from pathlib import Path
    import numpy as np
    from shipworthy.core.features import Features
    from shipworthy.learning.privacy.federated.learners import fit_linear
    folder = Path(context.run_config["folder"])
    job = msgspec.msgpack.decode((folder / "job.msgpack").read_bytes())
    features = msgspec.json.decode(job["features"], type=Features)
    try:
        parties = over(grid, 3, seconds=45)
        parties.start(features, job["target"], tuple(job["classes"]))
        program = fit_linear(parties, features, job["bounds"], tuple(job["classes"]))
        inputs = np.array(json.loads((folder / "inputs.json").read_text()), np.float64)
        from flwr.supercore import telemetry
        told = {"margins": program.margin(inputs)[:, 0].tolist(), "telemetry": telemetry.FLWR_TELEMETRY_ENABLED,
                "turns": parties.turn,
                "messages": [[one.party, one.values, one.asked] for one in parties.transcript]}
    except Exception as error:
        told = {"error": str(error)}
    (folder / "told.tmp").write_text(json.dumps(told))
    (folder / "told.tmp").rename(folder / "told.json")
'''
PROJECT = '''
[project]
name = "sums"
version = "1.0.0"
description = "sums over Flower"
license = "Apache-2.0"
dependencies = []
[tool.flwr.app]
publisher = "shipworthy"
[tool.flwr.app.components]
serverapp = "sums.app:server"
clientapp = "sums.app:client"
[tool.flwr.app.config]
folder = "{folder}"
'''


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as door:
        return door.getsockname()[1]


def main():
    folder, here = Path(sys.argv[1]), Path(sys.executable).parent
    package = folder / "app" / "sums"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "app.py").write_text(APP)
    (folder / "app" / "pyproject.toml").write_text(PROJECT.format(folder=folder))
    home, port = folder / "home", free_port()
    home.mkdir()
    (home / "config.toml").write_text(
        f'[superlink]\ndefault = "here"\n[superlink.here]\naddress = "127.0.0.1:{port}"\ninsecure = true\n')
    env = {**os.environ, "FLWR_HOME": str(home), "FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1",
           "PATH": f"{here}:{os.environ['PATH']}"}
    log, made = (folder / "flower.log").open("wb"), []

    def start(*command):
        made.append(subprocess.Popen([str(one) for one in command], env=env, stdout=log, stderr=log,
                                     start_new_session=True))

    try:
        start(here / "flower-superlink", "--insecure", "--disable-runtime-dependency-installation",
              "--host", "127.0.0.1", "--port", port)
        for n in range(PARTIES):
            near = free_port()
            start(sys.executable, "-m", "shipworthy.learning.privacy.federated.flower", near, folder / f"{n}.parquet")
            start(here / "flower-supernode", "--insecure", "--superlink", f"127.0.0.1:{port}", "--host", "127.0.0.1",
                  "--port", free_port(), "--node-config", f"party-port={near}")
        waited(port)
        subprocess.run([here / "flwr", "run", folder / "app", "here", "--stream"], env=env, stdout=log, stderr=log,
                       check=True, timeout=280)
        print((folder / "told.json").read_text())
    finally:
        for one in made:
            os.killpg(one.pid, signal.SIGTERM)
        for one in made:
            one.wait(timeout=30)


def waited(port):
    """Until the SuperLink listens."""
    from threading import Event

    for _ in range(300):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            Event().wait(0.2)


main()
