"""Asks by tritonclient as its documentation does; prints what came back as JSON. stdin: the table, by column."""

import json
import sys

import numpy as np
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

KINDS = {"age": (np.float64, "FP64"), "dose": (np.float32, "FP32"), "smoker": (np.bool_, "BOOL"),
         "grade": (np.int32, "INT32")}


def inputs(table, *, binary):
    made = []
    for name, values in table.items():
        dtype, datatype = KINDS.get(name, (np.object_, "BYTES"))
        words = [(value or "").encode() for value in values] if datatype == "BYTES" else values
        array = np.array([np.nan if value is None else value for value in words], dtype)
        made.append(triton.InferInput(name, array.shape, datatype))
        made[-1].set_data_from_numpy(array, binary_data=binary)
    return made


def plain(array):
    return [each.decode() if isinstance(each, bytes) else each for each in array.ravel().tolist()]


def main():
    table = json.load(sys.stdin)
    client = triton.InferenceServerClient(sys.argv[1].removeprefix("http://"))
    (entry,) = client.get_model_repository_index()
    name, version = entry["name"], entry["version"]
    models = [(name,), (name, version), ("other",)]
    told = {"live": client.is_server_live(), "ready": client.is_server_ready(),
            "model": [client.is_model_ready(*model) for model in models], "server": client.get_server_metadata(),
            "metadata": client.get_model_metadata(name), "versioned": client.get_model_metadata(name, version)}
    usual = client.infer(name, inputs(table, binary=True), request_id="7")
    names = [output["name"] for output in usual.get_response()["outputs"]]
    told["id"] = usual.get_response()["id"]
    told["usual"] = {each: plain(usual.as_numpy(each)) for each in names}
    wanted = [triton.InferRequestedOutput("probabilities", binary_data=False),
              triton.InferRequestedOutput("contributions", binary_data=True)]
    chosen = client.infer(name, inputs(table, binary=False), version, outputs=wanted)
    told["chosen"] = {each: chosen.as_numpy(each).tolist() for each in ("probabilities", "contributions")}
    later = client.async_infer(name, inputs(table, binary=True), request_compression_algorithm="gzip")
    told["later"] = plain(later.get_result().as_numpy("prediction"))
    small = client.infer(name, inputs(table, binary=True), request_compression_algorithm="deflate")
    told["small"] = plain(small.as_numpy("prediction"))
    try:
        client.infer(name, inputs(table, binary=True)[1:])
    except InferenceServerException as error:
        told["refused"] = [error.status(), error.message()]
    print(json.dumps(told))


main()
