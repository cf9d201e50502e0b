"""boto3's own client against `hurtig store serve`: client.py URL. Ends with "ok", or with what was not as it should be."""

import csv
import datetime
import gzip
import json
import re
import sys
import time

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

there = dict(
    endpoint_url=sys.argv[1],
    region_name="us-east-1",
    aws_access_key_id="any",
    aws_secret_access_key="any",
    config=Config(retries={"max_attempts": 1}, read_timeout=120),
)
write = boto3.client("timestream-write", **there)
query = boto3.client("timestream-query", **there)
# It sends, too, what boto3 sees by itself is wrong.
unchecked = boto3.client(
    "timestream-write", **{**there, "config": there["config"].merge(Config(parameter_validation=False))}
)
now = int(time.time() * 1000)


def same(got, wanted):
    assert got == wanted, f"{got!r} is not {wanted!r}"


def fails(kind, words, call, **arguments):
    try:
        call(**arguments)
    except kind as e:
        assert words in e.response["Error"]["Message"], e.response
        return e.response
    raise AssertionError(f"{kind.__name__} was not raised for {arguments}")


def record(meter, value="1.5", at=now, **more):
    return {
        "Dimensions": [{"Name": "meter", "Value": meter}],
        "MeasureName": "kw",
        "MeasureValue": value,
        "Time": str(at),
        **more,
    }


def put(*records, table="readings", client=write, **more):
    return client.write_records(DatabaseName="meters", TableName=table, Records=list(records), **more)["RecordsIngested"]


def rejected(*records, **more):
    try:
        put(*records, **more)
    except (write.exceptions.RejectedRecordsException, unchecked.exceptions.RejectedRecordsException) as e:
        same(e.response["ResponseMetadata"]["HTTPStatusCode"], 419)
        return [(r["RecordIndex"], r["Reason"], r.get("ExistingVersion")) for r in e.response["RejectedRecords"]]
    raise AssertionError(f"nothing was rejected of {records}")


def rows(sql, **more):
    pages = query.get_paginator("query").paginate(QueryString=sql, **more)
    return [[d.get("ScalarValue") for d in row["Data"]] for page in pages for row in page["Rows"]]


def catalog():
    same(write.describe_endpoints()["Endpoints"][0]["Address"], sys.argv[1].split("//")[1])
    made = write.create_database(DatabaseName="meters", Tags=[{"Key": "a", "Value": "1"}])["Database"]
    same((made["DatabaseName"], made["TableCount"]), ("meters", 0))
    assert abs(made["CreationTime"].timestamp() - now / 1000) < 3600, made
    fails(write.exceptions.ConflictException, "already exists", write.create_database, DatabaseName="meters")
    fails(write.exceptions.ResourceNotFoundException, "does not exist", write.describe_database, DatabaseName="nowhere")
    fails(write.exceptions.ValidationException, "cannot be the name", write.create_database, DatabaseName="ab")
    table = write.create_table(
        DatabaseName="meters",
        TableName="readings",
        RetentionProperties={"MemoryStoreRetentionPeriodInHours": 24, "MagneticStoreRetentionPeriodInDays": 7},
    )["Table"]
    same(table["TableStatus"], "ACTIVE")
    same(table["Schema"], {"CompositePartitionKey": [{"Type": "MEASURE"}]})
    same(table["MagneticStoreWriteProperties"], {"EnableMagneticStoreWrites": False})
    fails(
        write.exceptions.ResourceNotFoundException, "nowhere", write.create_table, DatabaseName="nowhere", TableName="abc"
    )
    changed = write.update_table(
        DatabaseName="meters", TableName="readings", MagneticStoreWriteProperties={"EnableMagneticStoreWrites": True}
    )["Table"]
    same(changed["MagneticStoreWriteProperties"], {"EnableMagneticStoreWrites": True})
    same(changed["RetentionProperties"]["MemoryStoreRetentionPeriodInHours"], 24)

    # Lists, in pages.
    for i in range(25):
        write.create_table(DatabaseName="meters", TableName=f"t{i:03}")
    first = write.list_tables(DatabaseName="meters", MaxResults=10)
    same(len(first["Tables"]), 10)
    second = write.list_tables(DatabaseName="meters", MaxResults=20, NextToken=first["NextToken"])
    assert "NextToken" not in second, second
    names = [t["TableName"] for t in first["Tables"] + second["Tables"]]
    same(names, sorted(["readings"] + [f"t{i:03}" for i in range(25)]))
    fails(write.exceptions.ValidationException, "pagination", write.list_tables, DatabaseName="meters", NextToken="?")
    for i in range(25):
        write.delete_table(DatabaseName="meters", TableName=f"t{i:03}")
    same(write.describe_database(DatabaseName="meters")["Database"]["TableCount"], 1)
    fails(write.exceptions.ValidationException, "has tables", write.delete_database, DatabaseName="meters")
    same([d["DatabaseName"] for d in write.list_databases()["Databases"]], ["meters"])

    # Tags.
    arn = made["Arn"]
    tags = lambda arn: {t["Key"]: t["Value"] for t in write.list_tags_for_resource(ResourceARN=arn)["Tags"]}
    same(tags(arn), {"a": "1"})
    write.tag_resource(ResourceARN=arn, Tags=[{"Key": "a", "Value": "2"}, {"Key": "b", "Value": ""}])
    same(tags(arn), {"a": "2", "b": ""})
    write.untag_resource(ResourceARN=arn, TagKeys=["a"])
    same(tags(arn), {"b": ""})
    same(tags(table["Arn"]), {})
    fails(write.exceptions.ResourceNotFoundException, "nowhere", tags, arn=arn.replace("meters", "nowhere"))

    # What is not offered says so.
    fails(write.exceptions.ValidationException, "Batch load", write.list_batch_load_tasks)
    same(query.list_scheduled_queries()["ScheduledQueries"], [])
    query.update_account_settings(MaxQueryTCU=8)
    same(query.describe_account_settings()["MaxQueryTCU"], 8)


def records():
    multi = {
        "MeasureName": "all",
        "MeasureValueType": "MULTI",
        "MeasureValues": [
            {"Name": "d", "Value": "0.1", "Type": "DOUBLE"},
            {"Name": "i", "Value": "9007199254740993", "Type": "BIGINT"},
            {"Name": "s", "Value": "kWh", "Type": "VARCHAR"},
            {"Name": "b", "Value": "true", "Type": "BOOLEAN"},
            {"Name": "t", "Value": "1700000000", "Type": "TIMESTAMP"},
        ],
    }
    common = {"Dimensions": [{"Name": "region", "Value": "north"}], "Time": str(now // 1000), "TimeUnit": "SECONDS"}
    own = {"Dimensions": [{"Name": "meter", "Value": "m-multi"}], **multi}
    same(put(own, CommonAttributes=common), {"Total": 1, "MemoryStore": 1, "MagneticStore": 0})
    same(
        rows("SELECT d, i, s, b, t, region FROM meters.readings WHERE meter = 'm-multi'"),
        [["0.1", "9007199254740993", "kWh", "true", "2023-11-14 22:13:20.000000000", "north"]],
    )
    # Two days old: the magnetic store.
    old = now - 2 * 86_400_000
    same(put(record("m-old", at=old)), {"Total": 1, "MemoryStore": 0, "MagneticStore": 1})

    # Versions.
    same(put(record("m-v", "1", Version=5))["Total"], 1)
    same(put(record("m-v", "1", Version=5))["Total"], 1)
    same(put(record("m-v", "1", Version=7))["Total"], 1)
    same(put(record("m-v", "2", Version=8))["Total"], 1)
    same(rows("SELECT measure_value::double FROM meters.readings WHERE meter = 'm-v'"), [["2.0"]])
    outside, ahead = now - 30 * 86_400_000, now + 3_600_000
    got = rejected(
        record("m-v", "3", Version=8),
        record("m-new"),
        record("m-v", "2", Version=2),
        record("m-past", at=outside),
        record("m-future", at=ahead),
        record("m-type", "x", MeasureValueType="VARCHAR", MeasureName="ts_reserved"),
        record("", "1"),
    )
    same([(i, v) for i, _, v in got], [(0, 8), (2, 8), (3, None), (4, None), (5, None), (6, None)])
    for (_, reason, _), words in zip(
        got,
        [
            "A record already exists with the same time, dimensions, measure name, and record version. A higher record",
            "The record version 2 is lower than the existing version 8. A higher version is required",
            "The record timestamp is outside the time range",
            "The record timestamp is outside the time range",
            "reserved",
            "empty",
        ],
    ):
        assert words in reason, (words, reason)
    # What was not rejected is there.
    same(rows("SELECT count(*) FROM meters.readings WHERE meter = 'm-new'"), [["1"]])

    # What cannot be right is refused as a whole.
    invalid = write.exceptions.ValidationException
    before = rows("SELECT count(*) FROM meters.readings")
    for words, wrong in [
        ("is no DOUBLE", record("m", "NaN")),
        ("is no DOUBLE", record("m", "-0.0")),
        ("is no BIGINT", record("m", "1.5", MeasureValueType="BIGINT")),
        ("is no BOOLEAN", record("m", "yes", MeasureValueType="BOOLEAN")),
        ("TIMESTAMP is an invalid measure value type", record("m", "1", MeasureValueType="TIMESTAMP")),
        ("is no number", record("m", at="soon")),
        ("not 1 or greater", record("m", Version=0)),
        ("must have MeasureValues only", {**multi, **record("m"), "MeasureValueType": "MULTI"}),
        ("failed to satisfy constraint", record("m", TimeUnit="DAYS")),
    ]:
        fails(invalid, words, lambda: put(record("m-good"), wrong))
    overlap = {"Dimensions": [{"Name": "meter", "Value": "other"}]}
    fails(invalid, "overlap", lambda: put(record("m"), CommonAttributes=overlap))
    fails(ClientError, "less than or equal to 100", lambda: put(*[record(f"m-{i}") for i in range(101)]))
    same(rows("SELECT count(*) FROM meters.readings"), before)
    fails(write.exceptions.ResourceNotFoundException, "nothing", lambda: put(record("m"), table="nothing"))

    # A partition key that is required.
    key = {"Type": "DIMENSION", "Name": "site", "EnforcementInRecord": "REQUIRED"}
    write.create_table(DatabaseName="meters", TableName="sites", Schema={"CompositePartitionKey": [key]})
    same(
        write.describe_table(DatabaseName="meters", TableName="sites")["Table"]["Schema"]["CompositePartitionKey"], [key]
    )
    site = record("m")
    site["Dimensions"] = site["Dimensions"] + [{"Name": "site", "Value": "s"}]
    same(
        rejected(record("m"), site, {**site, "MeasureName": "ts_a"}, table="sites"),
        [
            (0, "The record has no dimension 'site', which the table's partition key requires.", None),
            (2, "The measure name 'ts_a' is reserved.", None),
        ],
    )
    same(rows("SELECT count(*) FROM meters.sites"), [["1"]])


def refuses(table, *cases, **more):
    """Each record is rejected for its reason, and one before each, which is right, is stored."""
    count = lambda: int(rows(f"SELECT count(*) FROM meters.{table}")[0][0])
    before = count()
    batch = [r for i, (wrong, _, _) in enumerate(cases) for r in (record(f"m-good-{before + i}"), wrong)]
    got = rejected(*batch, table=table, **more)
    # The window goes with the clock.
    got = [(i, re.sub(r"\[.*\)", "[WINDOW)", reason), version) for i, reason, version in got]
    same(got, [(2 * i + 1, reason, version) for i, (_, reason, version) in enumerate(cases)])
    same(count(), before + len(cases))


def limits():
    """Every reason for which Timestream rejects a record, but for those above; what is just within a limit is taken."""
    hours = {"MemoryStoreRetentionPeriodInHours": 24, "MagneticStoreRetentionPeriodInDays": 7}
    for table in ["strict", "wide", "deep", "broad"]:
        write.create_table(DatabaseName="meters", TableName=table, RetentionProperties=hours)
    day = 86_400_000
    with_dimensions = lambda *names: record("m", Dimensions=[{"Name": name, "Value": "1"} for name in names])

    def multi(*names, **more):
        values = [{"Name": name, "Value": "true", "Type": "BOOLEAN"} for name in names]
        made = record("m", MeasureName="all", MeasureValueType="MULTI", MeasureValues=values, **more)
        del made["MeasureValue"]
        return made

    names = lambda first, behind: [f"n{i:04}" for i in range(first, behind)]
    # A record's bytes are those of names and values, a number having eight, and eight for the time.
    around = len("meter") + len("kw") + 8 + 8
    long_names = ["d" * 60, "é" * 30]
    fits = [
        record("m-version", "7", Version=200),
        multi("flag"),
        record("m-old", at=now - day + 3_600_000),
        record("m-ahead", at=now + 14 * 60_000),
        record("x" * (2048 - around)),
        with_dimensions(*long_names),
        record("m", MeasureName="n" * 256),
        multi("é" * 128, at=now - 1),
    ]
    same(put(*fits, table="strict")["MemoryStore"], len(fits))
    another_type = multi("flag")
    another_type["MeasureValues"][0].update(Value="1", Type="BIGINT")
    lower = (
        "The record version 2 is lower than the existing version 200. A higher version is required to update the measure "
        "value."
    )
    equal = (
        "A record already exists with the same time, dimensions, measure name, and record version. A higher record "
        "version must be specified in order to update the measure value. Specifying record version is supported by the "
        "latest SDKs."
    )
    outside = "The record timestamp is outside the time range [WINDOW) of the data ingestion window."
    too_long = lambda what, name, most: (
        f"The {what} name '{name}' has {len(name.encode())} bytes; at most {most} are allowed."
    )
    reserved = ["time", "measure_value", "measure_name", "measure_name_a", "ts_non_existent_col", "ts_a"]
    refuses(
        "strict",
        # There is a magnetic store, but nothing is written into it.
        (record("m", at=now - 2 * day), outside, None),
        (record("m", at=now - 8 * day), outside, None),
        (record("m", at=now + 16 * 60_000), outside, None),
        (record("m-version", "7", Version=2), lower, 200),
        (record("m-version", "8", Version=2), lower, 200),
        (record("m-version", "8", Version=200), equal, 200),
        (another_type, "The measure 'flag' is of type BOOLEAN; the record's value is of type BIGINT.", None),
        (with_dimensions(*names(0, 129)), "The record has 129 dimensions; at most 128 are allowed.", None),
        (with_dimensions(), "The record must have at least one dimension.", None),
        (multi(*names(0, 257)), "The record has 257 measures; at most 256 are allowed.", None),
        (record("x" * (2049 - around)), "The record has 2049 bytes; at most 2048 are allowed.", None),
        *[(with_dimensions(name), too_long("dimension", name, 60), None) for name in ["d" * 61, "é" * 31]],
        *[(record("m", MeasureName=name), too_long("measure", name, 256), None) for name in ["n" * 257, "é" * 129]],
        (multi("n" * 257), too_long("measure", "n" * 257, 256), None),
        *[(with_dimensions(name), f"The dimension name '{name}' is reserved.", None) for name in reserved],
        *[(record("m", MeasureName=name), f"The measure name '{name}' is reserved.", None) for name in reserved],
        *[(multi(name), f"The measure name '{name}' is reserved.", None) for name in reserved],
    )
    refuses(
        "strict",
        (with_dimensions(""), "The name of a dimension is empty.", None),
        (record("m", MeasureName=""), "The name of a measure is empty.", None),
        (multi(""), "The name of a measure is empty.", None),
        client=unchecked,
    )
    (_, reason, _), *_ = rejected(record("m", at=now - 2 * day), table="strict")
    seconds = lambda text: datetime.datetime.strptime(text[:19] + "+0000", "%Y-%m-%dT%H:%M:%S%z").timestamp()
    begin, end = [seconds(text) - now // 1000 for text in re.search(r"\[(.*), (.*)\)", reason).groups()]
    assert 0 <= begin + 86_400 < 3600 and 0 <= end - 900 < 3600, reason

    # A table's dimensions, all records together.
    put(with_dimensions("meter", *names(1, 128)), table="wide")
    refuses("wide", (with_dimensions("meter", "one-more"), "The table has 128 dimensions already.", None))
    # A table's measures, all MULTI records together.
    part = lambda first: names(first, min(first + 256, 1022))
    put(*[multi(*part(first), at=now - first) for first in range(0, 1024, 256)], table="deep")
    # A record that is rejected takes nobody's place.
    refuses("deep", (multi("a", "b", "c"), "The table has 1022 measures of MULTI records already.", None))
    put(multi("a", "b", at=now - 1), table="deep")
    refuses("deep", (multi("one-more"), "The table has 1024 measures of MULTI records already.", None))
    # A table's measure names; that of the record which is right is the last.
    for first in range(0, 8191, 100):
        put(*[record("m", MeasureName=name) for name in names(first, min(first + 100, 8191))], table="broad")
    refuses("broad", (record("m", MeasureName="one-more"), "The table has 8192 measure names already.", None))


def queries():
    write.create_table(DatabaseName="meters", TableName="many")
    for i in range(0, 2500, 100):
        put(*[record(f"m-{n:05}", str(n)) for n in range(i, i + 100)], table="many")
    sql = "SELECT meter, measure_value::double FROM meters.many ORDER BY meter"
    got = rows(sql, PaginationConfig={"PageSize": 1000})
    same([float(v) for _, v in got], [float(n) for n in range(2500)])
    first = query.query(QueryString=sql, MaxRows=10)
    same((len(first["Rows"]), [c["Name"] for c in first["ColumnInfo"]]), (10, ["meter", "measure_value::double"]))
    again = query.query(QueryString=sql, NextToken=first["NextToken"], MaxRows=10)
    same(again["Rows"][0]["Data"][0]["ScalarValue"], "m-00010")
    # An answer that was lost can be asked for again.
    repeated = query.query(QueryString=sql, NextToken=first["NextToken"], MaxRows=10)
    same(repeated["Rows"], again["Rows"])
    invalid = query.exceptions.ValidationException
    fails(
        invalid, "Invalid pagination token", query.query, QueryString="SELECT 1", NextToken=again["NextToken"], MaxRows=10
    )
    fails(invalid, "Invalid pagination token", query.query, QueryString=sql, NextToken="bm9uZTox")
    assert "cancelled" in query.cancel_query(QueryId=first["QueryId"])["CancellationMessage"]
    assert "before" in query.cancel_query(QueryId=first["QueryId"])["CancellationMessage"]
    fails(invalid, "Invalid pagination token", query.query, QueryString=sql, NextToken=again["NextToken"])
    fails(invalid, "does not run", query.cancel_query, QueryId="none")
    # The same client token is the same query.
    token = "t" * 32
    once = query.query(QueryString=sql, ClientToken=token, MaxRows=10)
    same(query.query(QueryString=sql, ClientToken=token, MaxRows=10)["QueryId"], once["QueryId"])
    fails(invalid, "another QueryString", query.query, QueryString="SELECT 2", ClientToken=token)
    one = query.query(QueryString="SELECT 1")
    same(one["Rows"][0]["Data"][0]["ScalarValue"], "1")
    same(one["QueryStatus"]["ProgressPercentage"], 100.0)
    fails(invalid, "line 1:", query.query, QueryString="SELECT * FROM meters.nothing")
    prepared = query.prepare_query(QueryString="SELECT meter FROM meters.many")
    same(prepared["Columns"], [{"Name": "meter", "Type": {"ScalarType": "VARCHAR"}}])
    # A page is at most 1 MB.
    wide = "SELECT meter, rpad('x', 2000, 'x') AS pad FROM meters.many"
    pages = list(query.get_paginator("query").paginate(QueryString=wide))
    assert len(pages) >= 5, len(pages)
    same(sum(len(p["Rows"]) for p in pages), 2500)


def unload():
    where = "s3://bucket/folder"
    result = query.query(
        QueryString=f"UNLOAD (SELECT meter, measure_value::double AS v, 'x' AS part FROM meters.many ORDER BY meter) "
        f"TO '{where}' WITH (partitioned_by = ARRAY['part'], include_header = 'true')"
    )
    row = dict(zip([c["Name"] for c in result["ColumnInfo"]], [d["ScalarValue"] for d in result["Rows"][0]["Data"]]))
    same(row["rows"], "2500")
    local = lambda url: url.removeprefix("file://")
    with open(local(row["manifestFile"])) as f:
        manifest = json.load(f)
    with open(local(row["metadataFile"])) as f:
        same([c["Name"] for c in json.load(f)["ColumnInfo"]], ["meter", "v", "part"])
    assert result["QueryId"] in row["manifestFile"], row
    same(manifest["query_metadata"]["total_row_count"], 2500)
    lines = []
    for file in manifest["result_files"]:
        assert "/results/part=x/" in file["url"], file
        with gzip.open(local(file["url"]), "rt", newline="") as f:
            lines += list(csv.reader(f))[1:]
    same(sorted(lines), [[f"m-{n:05}", f"{n}.0"] for n in range(2500)])
    invalid = query.exceptions.ValidationException
    fails(invalid, "may not write", query.query, QueryString="UNLOAD (SELECT 1 AS a) TO 'file:///etc'")


def scheduled():
    write.create_table(DatabaseName="meters", TableName="means")
    arn = query.create_scheduled_query(
        Name="means",
        QueryString="SELECT 'all' AS meter, @scheduled_runtime AS at, avg(measure_value::double) AS mean FROM meters.many",
        ScheduleConfiguration={"ScheduleExpression": "cron(0 0 1 1 ? *)"},
        NotificationConfiguration={"SnsConfiguration": {"TopicArn": "arn:aws:sns:us-east-1:000000000000:t"}},
        TargetConfiguration={
            "TimestreamConfiguration": {
                "DatabaseName": "meters",
                "TableName": "means",
                "TimeColumn": "at",
                "DimensionMappings": [{"Name": "meter", "DimensionValueType": "VARCHAR"}],
                "MultiMeasureMappings": {
                    "TargetMultiMeasureName": "means",
                    "MultiMeasureAttributeMappings": [{"SourceColumn": "mean", "MeasureValueType": "DOUBLE"}],
                },
            }
        },
        ScheduledQueryExecutionRoleArn="arn:aws:iam::000000000000:role/r",
        ErrorReportConfiguration={"S3Configuration": {"BucketName": "reports"}},
    )["Arn"]
    describe = lambda: query.describe_scheduled_query(ScheduledQueryArn=arn)["ScheduledQuery"]
    same((describe()["State"], describe()["NextInvocationTime"].month), ("ENABLED", 1))
    at = datetime.datetime.fromtimestamp(now // 1000, datetime.timezone.utc)
    query.execute_scheduled_query(ScheduledQueryArn=arn, InvocationTime=at)
    until = time.monotonic() + 120
    while "LastRunSummary" not in describe():
        assert time.monotonic() < until, describe()
        time.sleep(0.01)
    run = describe()["LastRunSummary"]
    same((run["RunStatus"], run["ExecutionStats"]["RecordsIngested"]), ("MANUAL_TRIGGER_SUCCESS", 1))
    same(run["InvocationTime"], at)
    same(rows("SELECT mean FROM meters.means"), [["1249.5"]])
    listed = query.list_scheduled_queries()["ScheduledQueries"]
    same([(q["Arn"], q["LastRunStatus"]) for q in listed], [(arn, "MANUAL_TRIGGER_SUCCESS")])
    query.tag_resource(ResourceARN=arn, Tags=[{"Key": "a", "Value": "1"}])
    same(query.list_tags_for_resource(ResourceARN=arn)["Tags"], [{"Key": "a", "Value": "1"}])
    query.update_scheduled_query(ScheduledQueryArn=arn, State="DISABLED")
    same(describe()["State"], "DISABLED")
    query.delete_scheduled_query(ScheduledQueryArn=arn)
    missing = query.exceptions.ResourceNotFoundException
    fails(missing, "no scheduled query", query.describe_scheduled_query, ScheduledQueryArn=arn)


catalog()
records()
limits()
queries()
unload()
scheduled()
print("ok")
