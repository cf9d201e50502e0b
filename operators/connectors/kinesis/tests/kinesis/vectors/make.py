"""Writes python.bin: one aggregate as PyPI's aws_kinesis_agg packs it. Run: pip install aws_kinesis_agg protobuf six && python make.py"""

from pathlib import Path

from aws_kinesis_agg.aggregator import RecordAggregator

MEMBERS = [
    ("meter-1", b'{"kwh":1.25}', None),
    ("meter-2", b"", None),
    ("meter-1", bytes(range(256)), None),
    ("zähler-3 ☀", "größer".encode(), "340282366920938463463374607431768211455"),
    ("meter-4", b"x" * 20000, "170141183460469231731687303715884105728"),
]

aggregator = RecordAggregator()
for partition_key, data, explicit_hash_key in MEMBERS:
    assert aggregator.add_user_record(partition_key, data, explicit_hash_key) is None
partition_key, explicit_hash_key, record = aggregator.clear_and_get().get_contents()
Path(__file__).with_name("python.bin").write_bytes(record)
print(partition_key, explicit_hash_key, len(record))
