// A job as its `/metrics` shows it to Prometheus: under Flink's names, and under hurtig's for what Flink has none for.

import { type DataSourceRef, type Threshold } from '@grafana/schema';

import { dashboard, queryVariable, sourceVariable } from './dashboard';
import { bars, type Common, lines, type Query, stat } from './panel';

const SOURCE: DataSourceRef = { type: 'prometheus', uid: '${prometheus}' };

/** Prometheus's query. */
type PrometheusQuery = Query & { expr: string; legendFormat: string; range: boolean; instant: boolean };

const JOB = 'job_name="$job"';
const OF_JOB = 'flink_jobmanager_job_';
const OF_TASK = 'flink_taskmanager_job_task_';
const OF_OPERATOR = 'flink_taskmanager_job_task_operator_';
/** Before the first watermark there is Java's smallest long. */
const SOME_TIME = '> 0';

/** Expressions with their legends. */
type Asked = Array<[expr: string, legend: string]>;

function ask(all: Asked, instant: boolean): PrometheusQuery[] {
  return all.map(([expr, legendFormat], at) => {
    const refId = String.fromCharCode('A'.charCodeAt(0) + at);
    return { refId, datasource: SOURCE, expr, legendFormat, range: !instant, instant };
  });
}

function asked(common: Omit<Common, 'datasource' | 'targets'>, all: Asked, instant = false): Common {
  return { ...common, datasource: SOURCE, targets: ask(all, instant) };
}

/** A task's gauge, added up over its subtasks. */
const byTask = (gauge: string, aggregate = 'sum'): string => `${aggregate} by (task_name) (${OF_TASK}${gauge}{${JOB}})`;
/** A connector's gauge, added up over its subtasks. */
const byOperator = (gauge: string, aggregate = 'sum'): string =>
  `${aggregate} by (operator_name) (${OF_OPERATOR}${gauge}{${JOB}})`;
/** Of one sink's books. */
const books = (count: string): string => `sum by (operator_name) (hurtig_sink_books_${count}{${JOB}})`;

const ONE_IS_BAD: Threshold[] = [{ color: 'green', value: null }, { color: 'red', value: 1 }];

const overview = [
  stat(
    asked({ title: 'Running for', description: 'Since it was started or restarted.', width: 4, height: 4, unit: 'ms' },
      [[`max(${OF_JOB}uptime{${JOB}})`, 'uptime']]),
    { plain: true },
  ),
  stat(
    asked({ title: 'Restarts', description: 'After failures.', width: 4, height: 4, thresholds: ONE_IS_BAD },
      [[`max(${OF_JOB}numRestarts{${JOB}})`, 'restarts']]),
  ),
  stat(
    asked({ title: 'Records a second', description: 'What all sources read.', width: 4, height: 4, unit: 'short' },
      [[`sum(${OF_TASK}numRecordsInPerSecond{${JOB},task_name=~"Source:.*"})`, 'read']]),
    { sparkline: true, plain: true },
  ),
  stat(
    asked(
      {
        title: 'Last checkpoint', description: 'How long ago it was completed.', width: 4, height: 4, unit: 's',
        thresholds: [{ color: 'green', value: null }, { color: 'orange', value: 120 }, { color: 'red', value: 600 }],
      },
      [[`time() - max(${OF_JOB}lastCheckpointCompletedTimestamp{${JOB}} ${SOME_TIME}) / 1000`, 'age']]),
  ),
  stat(
    asked(
      {
        title: 'Dead letters', description: 'What could not be read, was too late or was refused, since the attempt began.',
        width: 4, height: 4, unit: 'short', thresholds: [{ color: 'green', value: null }, { color: 'orange', value: 1 }],
      },
      [[`sum(hurtig_task_dead_lettered{${JOB}})`, 'dead letters']]),
  ),
  stat(
    asked(
      {
        title: 'Unaccounted for', description: 'Read less written, rejected and dead-lettered, of all sinks: never but 0.',
        width: 4, height: 4, thresholds: [{ color: 'red', value: null }, { color: 'green', value: 0 }, { color: 'red', value: 1 }],
      },
      [[
        `sum(hurtig_sink_books_read{${JOB}}) - sum(hurtig_sink_books_written{${JOB}})`
          + ` - sum(hurtig_sink_books_rejected{${JOB}}) - sum(hurtig_sink_books_dead_lettered{${JOB}})`,
        'records',
      ]]),
  ),
];

const throughput = [
  lines(
    asked({ title: 'Read by each task', description: 'Records a second, all subtasks together.', width: 12, height: 9, unit: 'short' },
      [[byTask('numRecordsInPerSecond'), '{{task_name}}']]),
    { min: 0 },
  ),
  lines(
    asked({ title: 'Emitted by each task', description: 'Records a second, all subtasks together.', width: 12, height: 9, unit: 'short' },
      [[byTask('numRecordsOutPerSecond'), '{{task_name}}']]),
    { min: 0 },
  ),
];

const lag = [
  lines(
    asked(
      { title: 'Behind the present', description: 'The clock less each task\'s watermark.', width: 12, height: 9, unit: 's' },
      [[`time() - min by (task_name) (${OF_TASK}currentInputWatermark{${JOB}} ${SOME_TIME}) / 1000`, '{{task_name}}']]),
  ),
  lines(
    asked(
      {
        title: 'Watermarks', description: 'Event time of what each operator emits, of its slowest subtask.', width: 12,
        height: 9, unit: 'dateTimeAsIso',
      },
      [[`min by (operator_name) (${OF_OPERATOR}currentOutputWatermark{${JOB}} ${SOME_TIME})`, '{{operator_name}}']]),
  ),
  lines(
    asked(
      {
        title: 'Subtasks apart', description: 'Watermark of a task\'s fastest subtask less that of its slowest.', width: 8,
        height: 8, unit: 'ms',
      },
      [[
        `max by (task_name) (${OF_TASK}currentInputWatermark{${JOB}} ${SOME_TIME})`
          + ` - min by (task_name) (${OF_TASK}currentInputWatermark{${JOB}} ${SOME_TIME})`,
        '{{task_name}}',
      ]]),
    { min: 0 },
  ),
  lines(
    asked(
      { title: 'Behind Kinesis', description: 'Behind each shard\'s newest record, of the shard that is furthest.', width: 8, height: 8, unit: 'ms' },
      [[`max by (stream) (${OF_OPERATOR}millisBehindLatest{${JOB}})`, '{{stream}}']]),
    { min: 0 },
  ),
  lines(
    asked(
      {
        title: 'Pending in the sources', description: 'Kafka: between the positions and the partitions\' ends; Kinesis: fetched and not yet emitted.',
        width: 8, height: 8, unit: 'short',
      },
      [[byOperator('pendingRecords'), '{{operator_name}}']]),
    { min: 0 },
  ),
];

const checkpoints = [
  lines(
    asked({ title: 'Duration', description: 'Of the last checkpoint.', width: 8, height: 8, unit: 'ms' },
      [[`max(${OF_JOB}lastCheckpointDuration{${JOB}} ${SOME_TIME})`, 'duration']]),
    { min: 0 },
  ),
  lines(
    asked({ title: 'Size', description: 'Of the last checkpoint, and what of it had to be stored anew.', width: 8, height: 8, unit: 'bytes' },
      [
        [`max(${OF_JOB}lastCheckpointFullSize{${JOB}})`, 'all'],
        [`max(${OF_JOB}lastCheckpointSize{${JOB}})`, 'new'],
      ]),
    { min: 0 },
  ),
  lines(
    asked({ title: 'Completed and failed', description: 'Since the job was started.', width: 8, height: 8, unit: 'short' },
      [
        [`max(${OF_JOB}numberOfCompletedCheckpoints{${JOB}})`, 'completed'],
        [`max(${OF_JOB}numberOfFailedCheckpoints{${JOB}})`, 'failed'],
        [`max(${OF_JOB}numberOfInProgressCheckpoints{${JOB}})`, 'in progress'],
      ]),
    { min: 0 },
  ),
];

const share = (gauge: string): string => `${byTask(gauge, 'avg')} / 10`;

const pressure = [
  lines(
    asked(
      { title: 'Held back', description: 'Share of its time that a task waits for those that take what it emits.', width: 8, height: 9, unit: 'percent' },
      [[share('backPressuredTimeMsPerSecond'), '{{task_name}}']]),
    { min: 0, max: 100 },
  ),
  lines(
    asked({ title: 'Busy', description: 'Share of its time that a task works.', width: 8, height: 9, unit: 'percent' },
      [[share('busyTimeMsPerSecond'), '{{task_name}}']]),
    { min: 0, max: 100 },
  ),
  lines(
    asked({ title: 'State', description: 'In the last snapshot of each task.', width: 8, height: 9, unit: 'bytes' },
      [[`sum by (task_name) (hurtig_task_state_bytes{${JOB}}) ${SOME_TIME}`, '{{task_name}}']]),
    { min: 0 },
  ),
];

/** The labels `le` of the job's histogram, and what they say. */
const LATE: Array<[label: string, words: string]> = [
  ['1s', 'up to 1 s'], ['10s', 'up to 10 s'], ['1m', 'up to 1 min'], ['10m', 'up to 10 min'], ['1h', 'up to 1 h'],
  ['6h', 'up to 6 h'], ['1d', 'up to 1 day'], ['inf', 'later'],
];

const bad = [
  bars(
    asked(
      { title: 'How late readings come', description: 'Arrival less event time, since the attempt began.', width: 8, height: 10, unit: 'short' },
      LATE.map(([label, words]) => [`sum(${OF_OPERATOR}latenessBucket{${JOB},le="${label}"})`, words]), true),
  ),
  lines(
    asked(
      { title: 'Dead letters of each task', description: 'A second.', width: 8, height: 10, unit: 'short' },
      [[`sum by (task_name) (rate(hurtig_task_dead_lettered{${JOB}}[$__rate_interval])) ${SOME_TIME}`, '{{task_name}}']]),
    { stacked: true, min: 0 },
  ),
  bars(
    asked(
      { title: 'Written by each sink', description: 'As of the last completed checkpoint.', width: 8, height: 10, unit: 'short' },
      [[books('written'), '{{operator_name}}']], true),
  ),
];

const sinks = [
  lines(
    asked({ title: 'Sent by each sink', description: 'Records a second that services have taken.', width: 6, height: 8, unit: 'short' },
      [[byOperator('numRecordsSendPerSecond'), '{{operator_name}}']]),
    { min: 0 },
  ),
  lines(
    asked({ title: 'Time of a request', description: 'Attempts and waits included.', width: 6, height: 8, unit: 'ms' },
      [[byOperator('currentSendTime', 'max'), '{{operator_name}}']]),
    { min: 0 },
  ),
  lines(
    asked({ title: 'Waiting in the sinks', description: 'Taken and not yet acknowledged.', width: 6, height: 8, unit: 'short' },
      [[byOperator('bufferedRecords'), '{{operator_name}}']]),
    { min: 0 },
  ),
  lines(
    asked(
      { title: 'Sent again and refused', description: 'Requests that were sent again, lines and records that services refused: a second.', width: 6, height: 8, unit: 'short' },
      [
        [`sum by (operator_name) (rate(${OF_OPERATOR}numRequestsRetried{${JOB}}[$__rate_interval]))`, '{{operator_name}}: again'],
        [`sum by (operator_name) (rate(${OF_OPERATOR}numRecordsRejected{${JOB}}[$__rate_interval]))`, '{{operator_name}}: refused'],
      ]),
    { min: 0 },
  ),
];

export const pipeline = dashboard({
  uid: 'hurtig-pipeline',
  title: 'Pipeline',
  description: 'A job of hurtig\'s: throughput, lag, checkpoints, back-pressure, dead letters.',
  from: 'now-1h',
  refresh: '10s',
  variables: [
    sourceVariable('prometheus', 'Prometheus', 'prometheus', 'hurtig-prometheus', 'hurtig metrics'),
    queryVariable('job', 'Job', SOURCE, { query: `label_values(${OF_JOB}uptime, job_name)`, refId: 'job' }, false),
  ],
  sections: [
    { title: 'The job', panels: overview },
    { title: 'Throughput', panels: throughput },
    { title: 'Lag and watermarks', panels: lag },
    { title: 'Checkpoints', panels: checkpoints },
    { title: 'Back-pressure and state', panels: pressure },
    { title: 'Late data, dead letters, books', panels: bad },
    { title: 'Stores and services that are written to', panels: sinks },
  ],
});
