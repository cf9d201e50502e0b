"""What others read of a lake: counts, sums and times, by Delta Lake's own package, pyarrow and DuckDB. Prints JSON."""

import json
import sys

import duckdb
import pyarrow.compute as pc
import pyarrow.dataset as ds
from deltalake import DeltaTable


def by_arrow(table):
    return {
        "rows": table.num_rows,
        "sum": round(pc.sum(table["value"]).as_py(), 3),
        "first": pc.min(table["time"]).as_py().isoformat(),
        "last": pc.max(table["time"]).as_py().isoformat(),
        "meters": len(pc.unique(table["meter_id"])),
    }


def by_duckdb(relation):
    rows, total, first, last, meters = duckdb.sql(
        f"""SELECT count(*), round(sum(value), 3), min(time), max(time), count(DISTINCT meter_id) FROM {relation}"""
    ).fetchall()[0]
    return {"rows": rows, "sum": total, "first": first.isoformat(), "last": last.isoformat(), "meters": meters}


lake = sys.argv[1]
duckdb.sql("SET TimeZone = 'UTC'")
delta = DeltaTable(f"{lake}/typed/readings")
dataset = delta.to_pyarrow_dataset()
files = [uri.removeprefix("file://") for uri in delta.file_uris()]
raw = f"{lake}/raw"
print(
    json.dumps(
        {
            "deltalake": by_arrow(delta.to_pyarrow_table()),
            "pyarrow": by_arrow(dataset.to_table()),
            "pyarrow, files": by_arrow(ds.dataset(files, format="parquet").to_table()),
            "duckdb": by_duckdb(f"read_parquet({files!r})"),
            "duckdb, pruned": duckdb.sql("SELECT count(*) FROM dataset WHERE year = 2024 AND month = 1").fetchall()[0][0],
            "duckdb, raw": duckdb.sql(
                f"SELECT count(*), count(DISTINCT filename) > 0 FROM read_json('{raw}/**/*.jsonl', format = 'newline_delimited', filename = true)"
            ).fetchall()[0][0],
            "operations": sorted({entry["operation"] for entry in delta.history()}),
            "partitions": delta.metadata().partition_columns,
        }
    )
)
