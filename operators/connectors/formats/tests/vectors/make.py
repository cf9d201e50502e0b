"""Makes vectors.json: messages as fastavro and Google's protobuf write them.

Run it where both are installed (pip install fastavro protobuf grpcio-tools):

    python3 make.py

What it writes is committed, so that the tests need no Python.
"""

import datetime
import decimal
import importlib
import io
import json
import pathlib
import sys
import tempfile

import fastavro
from fastavro.schema import fingerprint, to_parsing_canonical_form
from grpc_tools import protoc

HERE = pathlib.Path(__file__).parent
UTC = datetime.timezone.utc


def avro(schema, value):
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), value)
    return out.getvalue().hex()


def single_object(schema, value):
    # CRC-64-AVRO, least significant byte first.
    name = fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO")
    return "c301" + name + avro(schema, value)


def main():
    v1 = json.loads((HERE / "reading_v1.avsc").read_text())
    v2 = json.loads((HERE / "reading_v2.avsc").read_text())
    old = {"meter": "m-7", "time": datetime.datetime(2024, 1, 2, 3, 4, 5, 678000, UTC), "wh": 1500, "quality": "GOOD"}
    new = {
        "meter_id": "m-8",
        "time": datetime.datetime(1969, 12, 31, 23, 59, 59, 999000, UTC),
        "wh": -0.25,
        "price": decimal.Decimal("-0.05"),
        "total": decimal.Decimal("12345678901234567890.123"),
        "quality": "ESTIMATED",
        "tags": ["a", "", "ü€😀"],
        "registers": {"T1": 1, "T2": -2},
        "position": {"lat": 51.5, "lon": -0.125},
        "raw": b"\x00\xff",
        "hash": b"0123456789abcdef",
        "next": {**LINK, "next": None},
    }
    vectors = {
        "avro_v1": avro(v1, old),
        "avro_v2": avro(v2, new),
        "avro_v2_blocks": blocks(v2, new),
        "avro_single_object": single_object(v1, old),
        "avro_decimals": {
            str(n): avro(DECIMAL, {"d": decimal.Decimal(n)}) for n in ["0", "0.01", "-0.01", "1.27", "1.28", "-1.28",
                                                                     "-1.29", "327.67", "327.68", "9999999999.99"]
        },
        **protobuf(),
    }
    (HERE / "vectors.json").write_text(json.dumps(vectors, indent=1) + "\n")


LINK = {
    "meter_id": "m-9",
    "time": datetime.datetime(2024, 1, 1, tzinfo=UTC),
    "wh": 0.0,
    "price": None,
    "total": decimal.Decimal("0"),
    "quality": "GOOD",
    "tags": [],
    "registers": {},
    "position": None,
    "raw": b"",
    "hash": bytes(16),
}
DECIMAL = {
    "type": "record",
    "name": "D",
    "fields": [{"name": "d", "type": {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}}],
}


def blocks(schema, value):
    """The same record with its array in two blocks, the first of them with its size in bytes."""
    whole = bytes.fromhex(avro(schema, value))
    text = "ü€😀".encode()
    plain = b"\x06" + b"\x02a" + b"\x00" + bytes([2 * len(text)]) + text + b"\x00"
    assert whole.count(plain) == 1
    # -2 items in 3 bytes, then 1 item.
    cut = b"\x03\x06" + b"\x02a" + b"\x00" + b"\x02" + bytes([2 * len(text)]) + text + b"\x00"
    return whole.replace(plain, cut).hex()


def protobuf():
    with tempfile.TemporaryDirectory() as made:
        includes = pathlib.Path(protoc.__file__).parent / "_proto"
        arguments = ["protoc", f"-I{HERE}", f"-I{includes}", f"--python_out={made}", str(HERE / "grid.proto")]
        arguments += ["--include_imports", f"--descriptor_set_out={made}/set.bin"]
        assert protoc.main(arguments) == 0
        sys.path.insert(0, made)
        grid = importlib.import_module("grid_pb2")
        descriptor_set = (pathlib.Path(made) / "set.bin").read_bytes().hex()
    reading = grid.Reading(meter="m-7", wh=-0.25, count=-3, total=2**63, small=-5, flag=True, raw=b"\x00\xff")
    reading.quality = grid.ESTIMATED
    reading.time.FromDatetime(datetime.datetime(2024, 1, 2, 3, 4, 5, 678000))
    reading.took.FromTimedelta(datetime.timedelta(milliseconds=-1500))
    reading.kwh.value = 1.5
    reading.tags.extend(["a", "", "ü€😀"])
    reading.numbers.extend([1, -1, 2**31 - 1])
    reading.registers["T1"] = 1
    reading.position.lat, reading.position.lon = 51.5, -0.125
    reading.phase = 0
    inner = grid.Outer.Inner(name="in")
    return {
        "protobuf_descriptor_set": descriptor_set,
        "protobuf_reading": reading.SerializeToString(deterministic=True).hex(),
        "protobuf_empty": grid.Reading().SerializeToString().hex(),
        "protobuf_inner": inner.SerializeToString().hex(),
    }


main()
