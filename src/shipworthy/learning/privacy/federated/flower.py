"""The same messages over Flower: a party is a process at its SuperNode, which a ClientApp asks for every message.

A ClientApp is a process for one message and forgets, and what it keeps is kept by Flower. So it carries only; rows,
keys and margins stay in the party, which listens on its own machine:

    python -m shipworthy.learning.privacy.federated.flower PORT ROWS

Flower counts its uses and looks for newer versions unless FLWR_TELEMETRY_ENABLED=0 and FLWR_DISABLE_UPDATE_CHECK=1
are set before it is imported; here it is not imported without them.
Source: Beutel et al. (2020), "Flower: A Friendly Federated Learning Research Framework"; flwr 1.41.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any

from shipworthy.errors import BadData, Misuse
from shipworthy.learning.privacy.federated.federation import Federation
from shipworthy.learning.privacy.federated.party import read, receive, send

QUIET = {"FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1"}
HOST, PORT, RECORD, RAW, QUERY = "127.0.0.1", "party-port", "sums", "raw", "query"
PAUSE_SECONDS = 0.2


def client_app() -> Any:
    """A ClientApp that carries messages to the party at the port of its SuperNode's configuration, `party-port`."""
    flwr = _flower()
    from flwr.clientapp import ClientApp

    app = ClientApp()

    @app.query()  # type: ignore[untyped-decorator]
    def carry(message: Any, context: Any) -> Any:
        with socket.create_connection((HOST, int(context.node_config[PORT]))) as line:
            send(line, message.content[RECORD][RAW])
            return flwr.Message(_packed(flwr, receive(line)), reply_to=message)

    return app


def over(grid: Any, parties: int, *, seconds: float = 60.0) -> Federation:
    """The federation of the nodes of a ServerApp's grid. seconds: for nodes to come, and for every turn.

    Raises BadData where too few nodes come, and where one does not answer: then no sum can be opened.
    """
    flwr, until, pause = _flower(), monotonic() + seconds, Event()
    while len(nodes := sorted(grid.get_node_ids())) < parties:
        if monotonic() > until:
            raise BadData(f"{len(nodes)} of {parties} nodes came in {seconds:g} seconds",
                          where="federated training over Flower", hint="start a SuperNode and a party for each")
        pause.wait(PAUSE_SECONDS)
    nodes = nodes[:parties]

    def carry(requests: Sequence[bytes]) -> list[bytes]:
        asked = [flwr.Message(_packed(flwr, request), dst_node_id=node, message_type=QUERY)
                 for node, request in zip(nodes, requests, strict=True)]
        replies = {one.metadata.src_node_id: one for one in grid.send_and_receive(asked, timeout=seconds)}
        for place, node in enumerate(nodes):
            if node not in replies or replies[node].has_error():
                why = f": {replies[node].error.reason}" if node in replies else ""
                raise BadData(f"party {place} is lost, and without it no sum can be opened{why}",
                              where="federated training over Flower", hint="see that its party process is there")
        return [replies[node].content[RECORD][RAW] for node in nodes]

    return Federation(carry, parties)


def serve(door: socket.socket, answers: Callable[[], Callable[[bytes], bytes]]) -> None:
    """Answer one message a line, for ever; an empty one asks for a key, and so begins another training."""
    answer = answers()
    while True:
        with door.accept()[0] as line:
            try:
                request = receive(line)
                answer = answer if request else answers()
                send(line, answer(request))
            except OSError:
                continue


def _packed(flwr: Any, raw: bytes) -> Any:
    return flwr.RecordDict({RECORD: flwr.ConfigRecord({RAW: raw})})


def _flower() -> Any:
    """Flower, with its telemetry switched off. Raises Misuse where it is absent, or was imported with it on."""
    loaded = sys.modules.get("flwr.supercore.telemetry")
    os.environ.update(QUIET)
    try:
        import flwr.app
    except ImportError as error:
        raise Misuse("federated training over Flower needs Flower", where="federated training over Flower",
                     hint="pip install 'shipworthy[federated]'") from error
    if loaded is not None and loaded.FLWR_TELEMETRY_ENABLED != "0":
        raise Misuse("Flower was started with its telemetry on", where="federated training over Flower",
                     hint="export FLWR_TELEMETRY_ENABLED=0 FLWR_DISABLE_UPDATE_CHECK=1 before its programs start")
    return flwr.app


def main(port: str, rows: str) -> None:
    """Listen on this machine's loopback and answer."""
    with socket.create_server((HOST, int(port))) as door:
        serve(door, read(Path(rows)))


if __name__ == "__main__":
    main(*sys.argv[1:3])
