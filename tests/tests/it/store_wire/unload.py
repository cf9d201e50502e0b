"""UNLOAD into S3 with boto3: unload.py URL s3://bucket/prefix, where the server may write. Ends with "ok", or with what was
not as it should be."""

import json
import sys

import boto3
from botocore.config import Config

url, place = sys.argv[1:]
query = boto3.client(
    "timestream-query",
    endpoint_url=url,
    region_name="us-east-1",
    aws_access_key_id="any",
    aws_secret_access_key="any",
    config=Config(retries={"max_attempts": 1}, read_timeout=120),
)
s3 = boto3.client("s3", config=Config(s3={"addressing_style": "path"}))


def get(location):
    bucket, key = location.removeprefix("s3://").split("/", 1)
    return s3.get_object(Bucket=bucket, Key=key)["Body"].read()


# Large enough for files in several parts.
rows = "SELECT n, rpad('x', 60, 'x') AS pad FROM (SELECT 1) CROSS JOIN UNNEST(sequence(1, 600000)) AS t(n)"
answer = query.query(QueryString=f"UNLOAD ({rows}) TO '{place}/deep' WITH (compression = 'NONE', max_file_size = '16MB')")
count, metadata, manifest = [datum["ScalarValue"] for datum in answer["Rows"][0]["Data"]]
assert count == "600000" and manifest.startswith(f"{place}/deep/{answer['QueryId']}"), answer
assert [column["Name"] for column in json.loads(get(metadata))["ColumnInfo"]] == ["n", "pad"]
seen = []
files = json.loads(get(manifest))["result_files"]
for file in files:
    text = get(file["url"])
    assert len(text) == file["file_metadata"]["content_length_in_bytes"] <= 16 << 20, file
    seen += [int(line.split(",")[0]) for line in text.decode().splitlines()]
assert len(files) == 3 and sorted(seen) == list(range(1, 600001)), (files, len(seen))

bucket = place.removeprefix("s3://").split("/", 1)[0]
for elsewhere in [f"s3://{bucket}/other", f"{place}2", "s3://elsewhere/folder", f"{place}/../up", "file:///tmp"]:
    try:
        query.query(QueryString=f"UNLOAD (SELECT 1 AS a) TO '{elsewhere}'")
    except query.exceptions.ValidationException:
        continue
    raise AssertionError(f"{elsewhere} was not refused")
print("ok")
