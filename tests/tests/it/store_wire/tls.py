"""boto3 over HTTPS: tls.py URL CERTIFICATE. Ends with "ok", or with what was not as it should be."""

import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError, SSLError

url, certificate = sys.argv[1:]


def client(service, url=url, verify=certificate, secret="secret"):
    return boto3.client(
        service,
        endpoint_url=url,
        verify=verify,
        region_name="us-east-1",
        aws_access_key_id="AKIDTEST",
        aws_secret_access_key=secret,
        config=Config(retries={"max_attempts": 0}, connect_timeout=60, read_timeout=60),
    )


def fails(kind, call):
    try:
        call()
    except kind as e:
        return e
    raise AssertionError(f"{kind.__name__} was not raised")


write, query = client("timestream-write"), client("timestream-query")
write.create_database(DatabaseName="meters")
write.create_table(DatabaseName="meters", TableName="readings")
rows = query.query(QueryString="SHOW TABLES FROM meters")["Rows"]
assert rows[0]["Data"][0]["ScalarValue"] == "readings", rows
address = write.describe_endpoints()["Endpoints"][0]["Address"]
assert url == f"https://{address}", address

# Signatures count here as anywhere.
wrong = fails(ClientError, client("timestream-write", secret="guessed").list_databases)
assert wrong.response["Error"]["Code"] == "InvalidSignatureException", wrong
# Nobody knows this certificate but who was given it, and without TLS there is no answer.
fails(SSLError, client("timestream-write", verify=True).list_databases)
fails(HTTPClientError, client("timestream-write", url=url.replace("https:", "http:")).list_databases)
print("ok")
