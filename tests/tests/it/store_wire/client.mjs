// AWS's SDK for JavaScript (v3) against `hurtig store serve`: client.mjs URL ID SECRET PLACE, where PLACE has the SDK in its
// node_modules. Ends with "ok", or with what was not as it should be.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { join } from "node:path";

const [url, id, secret, place] = process.argv.slice(2);
const sdk = createRequire(join(place, "beside-node_modules"));
const Write = sdk("@aws-sdk/client-timestream-write");
const Query = sdk("@aws-sdk/client-timestream-query");

const there = { endpoint: url, region: "us-east-1", credentials: { accessKeyId: id, secretAccessKey: secret } };
const write = new Write.TimestreamWriteClient(there);
const query = new Query.TimestreamQueryClient(there);
const now = Date.now();
const DAY = 86_400_000;

const ask = (name, input = {}, client = write) => client.send(new Write[`${name}Command`](input));
const askQuery = (name, input = {}, client = query) => client.send(new Query[`${name}Command`](input));
const put = (Records, more = {}) =>
  ask("WriteRecords", { DatabaseName: "meters", TableName: "readings", Records, ...more }).then((a) => a.RecordsIngested);
const fails = (kind, words, asked) =>
  asked.then(
    (answer) => assert.fail(`${kind.name} was not thrown, but answered ${JSON.stringify(answer)}`),
    (error) => {
      assert.ok(error instanceof kind, `${error} is no ${kind.name}`);
      assert.ok(error.message.includes(words), `${error}`);
      return error;
    },
  );

/** All rows as texts, and the rows of each page. */
async function rows(QueryString, pageSize) {
  const pages = [];
  for await (const page of Query.paginateQuery({ client: query, pageSize }, { QueryString })) {
    pages.push(page.Rows.map((row) => row.Data.map((datum) => datum.ScalarValue ?? null)));
  }
  return { rows: pages.flat(), pages: pages.map((page) => page.length) };
}

async function endpoints() {
  const host = new URL(url).host;
  for (const asked of [ask("DescribeEndpoints"), askQuery("DescribeEndpoints")]) {
    const [{ Address, CachePeriodInMinutes }] = (await asked).Endpoints;
    assert.equal(Address, host);
    assert.ok(CachePeriodInMinutes > 0);
  }
  // Discovery belongs to AWS's own addresses: the SDK refuses to be told of it beside an endpoint, be it to leave it off.
  for (const endpointDiscoveryEnabled of [true, false]) {
    const told = new Write.TimestreamWriteClient({ ...there, endpointDiscoveryEnabled });
    await fails(Error, "Custom endpoint is supplied", ask("ListDatabases", {}, told));
  }
}

async function signatures() {
  const guessed = new Write.TimestreamWriteClient({
    ...there,
    credentials: { accessKeyId: id, secretAccessKey: "guessed" },
  });
  const error = await fails(Write.TimestreamWriteServiceException, "", ask("ListDatabases", {}, guessed));
  assert.equal(error.name, "InvalidSignatureException");
  assert.equal(error.$metadata.httpStatusCode, 403);
  // A clock that is wrong is put right by what the server says of the time.
  const late = new Write.TimestreamWriteClient({ ...there, systemClockOffset: -20 * 60_000 });
  assert.deepEqual((await ask("ListDatabases", {}, late)).Databases, []);
}

async function catalog() {
  const made = (await ask("CreateDatabase", { DatabaseName: "meters" })).Database;
  assert.equal(made.DatabaseName, "meters");
  assert.ok(made.CreationTime instanceof Date && Math.abs(made.CreationTime - now) < 3_600_000, `${made.CreationTime}`);
  await fails(Write.ConflictException, "already exists", ask("CreateDatabase", { DatabaseName: "meters" }));
  const { Table } = await ask("CreateTable", {
    DatabaseName: "meters",
    TableName: "readings",
    RetentionProperties: { MemoryStoreRetentionPeriodInHours: 24, MagneticStoreRetentionPeriodInDays: 7 },
    MagneticStoreWriteProperties: { EnableMagneticStoreWrites: true },
  });
  assert.equal(Table.TableStatus, Write.TableStatus.ACTIVE);
  assert.deepEqual(Table.RetentionProperties, {
    MemoryStoreRetentionPeriodInHours: 24,
    MagneticStoreRetentionPeriodInDays: 7,
  });
  const missing = Write.ResourceNotFoundException;
  await fails(missing, "nowhere", ask("CreateTable", { DatabaseName: "nowhere", TableName: "abc" }));
  await fails(missing, "does not exist", ask("DescribeDatabase", { DatabaseName: "nowhere" }));
  for (let i = 0; i < 5; i += 1) await ask("CreateTable", { DatabaseName: "meters", TableName: `t${i}0` });
  const names = [];
  for await (const page of Write.paginateListTables({ client: write, pageSize: 4 }, { DatabaseName: "meters" })) {
    names.push(...page.Tables.map((table) => table.TableName));
  }
  assert.deepEqual(names, ["readings", "t00", "t10", "t20", "t30", "t40"]);
}

async function records() {
  const common = {
    Dimensions: [{ Name: "region", Value: "north" }],
    MeasureName: "all",
    MeasureValueType: "MULTI",
    Time: `${Math.floor(now / 1000)}`,
    TimeUnit: "SECONDS",
    Version: 5,
  };
  const reading = (meter, d, more = {}) => ({
    Dimensions: [{ Name: "meter", Value: meter }],
    MeasureValues: [
      { Name: "d", Value: d, Type: "DOUBLE" },
      { Name: "i", Value: "9007199254740993", Type: "BIGINT" },
      { Name: "s", Value: "kWh, größer ≥ ⚡", Type: "VARCHAR" },
      { Name: "b", Value: "true", Type: "BOOLEAN" },
      { Name: "t", Value: "1700000000", Type: "TIMESTAMP" },
    ],
    ...more,
  });
  const old = `${Math.floor((now - 2 * DAY) / 1000)}`;
  const ingested = await put([reading("m-1", "0.1"), reading("m-2", "2e300"), reading("m-old", "3", { Time: old })], {
    CommonAttributes: common,
  });
  assert.deepEqual(ingested, { Total: 3, MemoryStore: 2, MagneticStore: 1 });
  const sql = "SELECT d, i, s, b, t, region FROM meters.readings WHERE meter = 'm-1'";
  const whole = ["9007199254740993", "kWh, größer ≥ ⚡", "true", "2023-11-14 22:13:20.000000000", "north"];
  assert.deepEqual((await rows(sql)).rows, [["0.1", ...whole]]);

  // Versions, and what is rejected: the rest of the request is stored.
  await put([reading("m-1", "0.2", { Version: 6 })], { CommonAttributes: common });
  assert.deepEqual((await rows(sql)).rows, [["0.2", ...whole]]);
  const at = (days) => ({ Time: `${Math.floor((now + days * DAY) / 1000)}` });
  const wrong = [
    reading("m-1", "0.3", { Version: 6 }),
    reading("m-new", "1"),
    reading("m-1", "0.1"),
    reading("m-past", "1", at(-30)),
    reading("m-future", "1", at(1)),
  ];
  const error = await fails(Write.RejectedRecordsException, "", put(wrong, { CommonAttributes: common }));
  assert.equal(error.$metadata.httpStatusCode, 419);
  assert.deepEqual(
    error.RejectedRecords.map((rejected) => [rejected.RecordIndex, rejected.ExistingVersion]),
    [[0, 6], [2, 6], [3, undefined], [4, undefined]],
  );
  const words = [
    "A record already exists with the same time, dimensions, measure name, and record version. A higher record",
    "The record version 5 is lower than the existing version 6. A higher version is required",
    "The record timestamp is outside the time range",
    "The record timestamp is outside the time range",
  ];
  error.RejectedRecords.forEach(({ Reason }, i) => assert.ok(Reason.includes(words[i]), Reason));
  assert.deepEqual((await rows("SELECT meter, d FROM meters.readings ORDER BY meter")).rows, [
    ["m-1", "0.2"],
    ["m-2", "2.0E300"],
    ["m-new", "1.0"],
    ["m-old", "3.0"],
  ]);

  await fails(Write.ValidationException, "is no DOUBLE", put([reading("m-nan", "NaN")], { CommonAttributes: common }));
  const nowhere = { CommonAttributes: common, TableName: "nothing" };
  await fails(Write.ResourceNotFoundException, "nothing", put([reading("m", "1")], nowhere));
}

async function queries() {
  const many = { TableName: "t00", CommonAttributes: { MeasureName: "kw", MeasureValueType: "DOUBLE", Time: `${now}` } };
  const number = (n) => ({ Dimensions: [{ Name: "meter", Value: `m-${`${n}`.padStart(5, "0")}` }], MeasureValue: `${n}` });
  const all = Array.from({ length: 2500 }, (_, n) => n);
  for (let from = 0; from < all.length; from += 100) await put(all.slice(from, from + 100).map(number), many);
  const sql = "SELECT meter, measure_value::double FROM meters.t00 ORDER BY meter";
  const wanted = all.map((n) => [number(n).Dimensions[0].Value, n]);
  for (const [size, pages] of [[1000, 3], [400, 7]]) {
    const got = await rows(sql, size);
    assert.deepEqual(got.rows.map(([meter, value]) => [meter, Number(value)]), wanted);
    assert.equal(got.pages.length, pages);
    assert.ok(got.pages.every((rows) => rows <= size), `${got.pages}`);
  }
  // What is no scalar.
  const series = await askQuery("Query", {
    QueryString: "SELECT CREATE_TIME_SERIES(time, measure_value::double) AS s, ARRAY[1, 2] AS a, NULL AS n FROM meters.t00 \
      WHERE meter = 'm-00007'",
  });
  const [s, a, n] = series.Rows[0].Data;
  assert.deepEqual(
    series.ColumnInfo.slice(0, 2).map((column) => Object.keys(column.Type)[0]),
    ["TimeSeriesMeasureValueColumnInfo", "ArrayColumnInfo"],
  );
  assert.deepEqual(s.TimeSeriesValue.map((point) => point.Value.ScalarValue), ["7.0"]);
  assert.deepEqual(a.ArrayValue.map((datum) => datum.ScalarValue), ["1", "2"]);
  assert.equal(n.NullValue, true);

  // Cancelled between two pages.
  const first = await askQuery("Query", { QueryString: sql, MaxRows: 10 });
  assert.deepEqual(first.Rows.length, 10);
  assert.ok((await askQuery("CancelQuery", { QueryId: first.QueryId })).CancellationMessage.includes("cancelled"));
  const invalid = Query.ValidationException;
  const { NextToken } = first;
  await fails(invalid, "Invalid pagination token", askQuery("Query", { QueryString: sql, NextToken, MaxRows: 10 }));
  await fails(invalid, "does not run", askQuery("CancelQuery", { QueryId: "none" }));
  await fails(invalid, "line 1:", askQuery("Query", { QueryString: "SELECT * FROM meters.nothing" }));
  await fails(invalid, "line 1:", askQuery("Query", { QueryString: "SELECT FROM WHERE" }));
  await fails(invalid, "Cannot cast", askQuery("Query", { QueryString: "SELECT CAST(meter AS BIGINT) FROM meters.t00" }));
  // More than one query may have of memory.
  const long = "SELECT concat(rpad('x', 1000, 'x'), CAST(n AS VARCHAR)) AS pad FROM UNNEST(sequence(1, 100000)) AS t(n)";
  const greedy = `SELECT pad, count(*) FROM (${long}) GROUP BY pad`;
  await fails(Query.QueryExecutionException, "memory limit", askQuery("Query", { QueryString: greedy }));
}

async function gone() {
  for (let i = 0; i < 5; i += 1) await ask("DeleteTable", { DatabaseName: "meters", TableName: `t${i}0` });
  await fails(Write.ValidationException, "has tables", ask("DeleteDatabase", { DatabaseName: "meters" }));
  await ask("DeleteTable", { DatabaseName: "meters", TableName: "readings" });
  await fails(
    Write.ResourceNotFoundException,
    "does not exist",
    ask("DescribeTable", { DatabaseName: "meters", TableName: "readings" }),
  );
  await ask("DeleteDatabase", { DatabaseName: "meters" });
  assert.deepEqual((await ask("ListDatabases")).Databases, []);
}

await endpoints();
await signatures();
await catalog();
await records();
await queries();
await gone();
console.log("ok");
