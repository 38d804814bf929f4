"""Scores rows encrypted, the server in a process of its own; prints scores and what the server could not do, as JSON.

Arguments: folder with program.json, program.npz and inputs.json. With "serve", it is the server: it reads lines of
base64 from stdin, first the context, and answers each row in base64, and then says how its own decrypting failed.
"""

import base64
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from shipworthy.core.program import read_program
from shipworthy.errors import Misuse
from shipworthy.learning.privacy.encrypted import Client, Server, carries_secret


def main():
    folder = Path(sys.argv[1])
    program = read_program({name: (folder / name).read_bytes() for name in ("program.json", "program.npz")})
    if sys.argv[2:] == ["serve"]:
        return serve(program)
    inputs = np.array(json.loads((folder / "inputs.json").read_text()), np.float64)
    client = Client()
    sent = [client.public, *(client.encrypt(row, program.inputs) for row in inputs)]
    lines = b"".join(base64.b64encode(each) + b"\n" for each in sent)
    command = [sys.executable, __file__, str(folder), "serve"]
    done = subprocess.run(command, input=lines, capture_output=True, check=True)
    *answers, refused = done.stdout.splitlines()
    scores = [client.decrypt(base64.b64decode(each)) for each in answers]
    whole = client._context.serialize(save_secret_key=True)
    seen = [carries_secret(client.public), carries_secret(whole)]
    try:
        Server(program, whole)
        kept = ""
    except Misuse as error:
        kept = error.problem
    print(json.dumps({"scores": scores, "refused": refused.decode(), "with the key": kept, "secret seen": seen}))
    return None


def serve(program):
    import tenseal

    public, *rows = (base64.b64decode(line) for line in sys.stdin.buffer)
    server = Server(program, public)
    answers = [server.score(row) for row in rows]
    for answer in answers:
        print(base64.b64encode(answer).decode())
    try:
        print(tenseal.ckks_vector_from(server._context, answers[0]).decrypt())
    except ValueError as error:
        print(error)


main()
