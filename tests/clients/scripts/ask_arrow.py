"""Asks by an Arrow stream, text as a dictionary; prints the answers as JSON. stdin: the rows."""

import json
import sys
from urllib.request import Request, urlopen

import pyarrow as pa
import pyarrow.compute as pc

KIND = "application/vnd.apache.arrow.stream"


def main():
    table = pa.Table.from_pylist(json.load(sys.stdin))
    table = table.set_column(table.column_names.index("ward"), "ward", table["ward"].dictionary_encode())
    seen = pc.strptime(table["seen"], format="%Y-%m-%dT%H:%M:%SZ", unit="us").cast(pa.timestamp("us", "UTC"))
    table = table.set_column(table.column_names.index("seen"), "seen", seen)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    with urlopen(Request(sys.argv[1] + "/v1/predict", sink.getvalue().to_pybytes(), {"Content-Type": KIND})) as answer:
        found = pa.ipc.open_stream(answer.read()).read_all()
    print(json.dumps({"columns": found.column_names, "rows": found.to_pylist()}))


main()
