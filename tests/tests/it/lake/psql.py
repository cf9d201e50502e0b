"""Asks a server of PostgreSQL's protocol, as a BI tool does; prints JSON."""

import json
import sys

import psycopg

port = int(sys.argv[1])
with psycopg.connect(host="127.0.0.1", port=port, dbname="hurtig", user="anybody", autocommit=True) as connection:

    def ask(sql, parameters=None):
        return connection.execute(sql, parameters).fetchall()

    def refused(sql):
        try:
            connection.execute(sql)
        except psycopg.Error as error:
            return [error.sqlstate, str(error).splitlines()[0]]
        return None

    print(
        json.dumps(
            {
                "one": ask("SELECT 1 AS one"),
                "count": ask("SELECT count(*) FROM readings")[0][0],
                "bound": ask("SELECT count(*) FROM readings WHERE month = %s AND meter_id <> %s", [1, "nobody"])[0][0],
                "typed": [type(value).__name__ for value in ask("SELECT meter_id, time, value FROM readings LIMIT 1")[0]],
                "tables": sorted(
                    name for (name,) in ask("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
                ),
                "classes": sorted(name for (name,) in ask("SELECT relname FROM pg_catalog.pg_class WHERE relname = 'readings'")),
                "created": ask("SELECT count(*) FROM meters.readings")[0][0],
                "no such table": refused("SELECT * FROM nothing"),
                # No statement of PostgreSQL's at all.
                "other files": refused("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'")[0],
                "refused": [
                    refused(sql)[0]
                    for sql in [
                        "COPY readings TO '/tmp/out.csv'",
                        "CREATE TABLE t AS SELECT 1",
                        "DROP TABLE readings",
                        "INSERT INTO readings SELECT * FROM readings",
                        "SET datafusion.execution.batch_size = 1",
                        """SET "datafusion.runtime.memory_limit" = '100G'""",
                        """SET "datafusion"."runtime"."temp_directory" = '/tmp'""",
                        "EXPLAIN ANALYZE INSERT INTO readings SELECT * FROM readings",
                    ]
                ],
            }
        )
    )
