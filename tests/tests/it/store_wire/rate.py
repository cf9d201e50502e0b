"""How fast boto3 writes into `hurtig store serve`: rate.py HURTIG [SECONDS [WRITERS...]], 10 seconds with 1 and with 2 writers
unless said otherwise. Of each: what was acknowledged a second, and the CPU time that clients and server took for a million
records, which shows who holds whom up. Ends with "ok" when a query counts what was acknowledged."""

import json
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time

import boto3
from botocore.config import Config

BATCH = 100


def client(service, url):
    return boto3.client(
        service,
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
        config=Config(retries={"max_attempts": 0}, read_timeout=120),
    )


def cpu_of_this():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def cpu_of(pid):
    with open(f"/proc/{pid}/stat") as f:
        # The name, in brackets, may have spaces in it.
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def write(url, number, seconds, ready, done):
    # A process of its own: two threads of Python would wait for each other.
    writer = client("timestream-write", url)
    writer.describe_database(DatabaseName="meters")
    time_ms, acknowledged = int(time.time() * 1000), 0
    ready.wait()
    begin, before = time.monotonic(), cpu_of_this()
    while time.monotonic() - begin < seconds:
        # One time a batch, so that every record is a point of its own: boto3 does less than a batch a millisecond.
        time_ms += 1
        ingested = writer.write_records(
            DatabaseName="meters",
            TableName="readings",
            CommonAttributes={
                "Dimensions": [{"Name": "region", "Value": "north"}],
                "MeasureName": "kw",
                "MeasureValueType": "DOUBLE",
                "Time": str(time_ms),
            },
            Records=[
                {"Dimensions": [{"Name": "meter", "Value": f"m-{number}-{n}"}], "MeasureValue": f"{n}.25"}
                for n in range(BATCH)
            ],
        )["RecordsIngested"]
        assert ingested["Total"] == BATCH, ingested
        acknowledged += BATCH
    done.put((acknowledged, time.monotonic() - begin, cpu_of_this() - before))


def measure(server, url, seconds, writers):
    ready, done = multiprocessing.Barrier(writers + 1), multiprocessing.Queue()
    started = [multiprocessing.Process(target=write, args=(url, n, seconds, ready, done)) for n in range(writers)]
    for process in started:
        process.daemon = True
        process.start()
    ready.wait(120)
    before = cpu_of(server.pid)
    results = [done.get(timeout=seconds + 120) for _ in started]
    server_cpu = cpu_of(server.pid) - before
    for process in started:
        process.join()
    total = sum(acknowledged for acknowledged, _, _ in results)
    rate = sum(acknowledged / took for acknowledged, took, _ in results)
    client_cpu = sum(cpu for _, _, cpu in results)
    print(
        f"{writers} writer{'s' if writers > 1 else ''}: {rate:,.0f} records/s acknowledged; CPU s a million records: "
        f"clients {client_cpu / total * 1e6:.1f}, server {server_cpu / total * 1e6:.1f}"
    )
    counted = client("timestream-query", url).query(QueryString="SELECT count(*) FROM meters.readings")
    counted = int(counted["Rows"][0]["Data"][0]["ScalarValue"])
    assert counted == total, f"{counted} are there of {total} acknowledged"


def main(hurtig, seconds=10.0, *writers):
    for count in [int(w) for w in writers] or [1, 2]:
        with tempfile.TemporaryDirectory(prefix="hurtig-rate-") as where:
            serve = ["store", "serve", "--listen", "127.0.0.1:0", "--dir", where, "--table", "meters/readings", "--json"]
            with subprocess.Popen([hurtig, *serve], stdout=subprocess.PIPE, text=True) as server:
                try:
                    measure(server, json.loads(server.stdout.readline())["url"], float(seconds), count)
                finally:
                    server.kill()
    print("ok")


if __name__ == "__main__":
    main(*sys.argv[1:])
