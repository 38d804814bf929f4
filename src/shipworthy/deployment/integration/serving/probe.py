"""Asks a server once whether it is well, for machines without curl: exit 0 if it answers 200, else 1.

    python -m shipworthy.deployment.integration.serving.probe http://127.0.0.1:8000/ready

A certificate is not checked: who asks is on the same machine, and it names another host.
"""

from __future__ import annotations

import ssl
import sys
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

SECONDS = 3.0


def probe(address: str) -> tuple[bool, str]:
    """Whether a GET is answered with 200, and what was said."""
    parts = urlsplit(address)
    host = parts.hostname or "127.0.0.1"
    connection: HTTPConnection
    if parts.scheme == "https":
        unchecked = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        unchecked.check_hostname, unchecked.verify_mode = False, ssl.CERT_NONE
        connection = HTTPSConnection(host, parts.port, timeout=SECONDS, context=unchecked)
    else:
        connection = HTTPConnection(host, parts.port, timeout=SECONDS)
    try:
        connection.request("GET", parts.path or "/health")
        answer = connection.getresponse()
        return answer.status == 200, answer.read(4_096).decode(errors="replace")
    except (OSError, HTTPException) as error:
        return False, str(error)
    finally:
        connection.close()


if __name__ == "__main__":
    well, said = probe(sys.argv[1])
    print(said)
    sys.exit(0 if well else 1)
