// The fleet, from the table that the job `smart-meters` writes: dimensions `meter_id` and `region`, measures `kwh_measure`
// and `voltage_measure`, DOUBLE. Asked by Timestream's plugin, of hurtig's store or of AWS.

import { type DataSourceRef, type Threshold } from '@grafana/schema';

import { choiceVariable, dashboard, queryVariable, sourceVariable, textVariable } from './dashboard';
import { bars, column, type Common, lines, type Query, stat, table } from './panel';

const PLUGIN = 'grafana-timestream-datasource';
const SOURCE: DataSourceRef = { type: PLUGIN, uid: '${source}' };
const UID = 'hurtig-smart-meters';

/** The plugin's query. */
type TimestreamQuery = Query & { rawQuery: string; waitForResult: boolean; format: number };

const TABLE = '$__database.$__table';
const REGIONS = 'region IN (${region:sqlstring})';
const METER = 'meter_id = ${meter:sqlstring}';
const LOW = '($nominal - $nominal * $tolerance / 100.0)';
const HIGH = '($nominal + $nominal * $tolerance / 100.0)';
const OUTSIDE = `NOT BETWEEN ${LOW} AND ${HIGH}`;
const VALUE = 'measure_value::double';
const STEP = 'bin(time, $__interval_ms)';

/** The rows of a measure, or of all. */
function from(of: string, measure?: 'kwh_measure' | 'voltage_measure'): string {
  const measured = measure === undefined ? '' : ` AND measure_name = '${measure}'`;
  return `FROM ${TABLE}\nWHERE $__timeFilter AND ${of}${measured}`;
}

/** The last voltage of every meter. */
const LAST_VOLTAGES = `SELECT meter_id AS meter, max_by(region, time) AS region, max_by(${VALUE}, time) AS volts, max(time) AS seen
${from(REGIONS, 'voltage_measure')}
GROUP BY meter_id`;

/** When every meter was last heard of, of those that have said nothing for so long at the end of the range. */
const SILENT = `SELECT meter, region, seen
FROM (SELECT meter_id AS meter, max_by(region, time) AS region, max(time) AS seen
${from(REGIONS)}
GROUP BY meter_id)
WHERE seen < from_milliseconds($__timeTo) - $silence`;

function ask(rawQuery: string): TimestreamQuery[] {
  // The plugin reads all pages before it shows any.
  return [{ refId: 'A', datasource: SOURCE, rawQuery, waitForResult: true, format: 0 } as TimestreamQuery];
}

function asked(common: Omit<Common, 'datasource' | 'targets'>, rawQuery: string): Common {
  return { ...common, datasource: SOURCE, targets: ask(rawQuery) };
}

const SOME_IS_BAD: Threshold[] = [{ color: 'green', value: null }, { color: 'orange', value: 1 }];

const TO_METER = column('meter', {
  displayName: 'Meter',
  links: [
    { title: 'Show this meter', url: `/d/${UID}?\${__url_time_range}&\${source:queryparam}&var-meter=\${__value.raw}` },
  ],
});
const SEEN = column('seen', { displayName: 'Last reading', unit: 'dateTimeAsIso' });
const REGION = column('region', { displayName: 'Region' });

const fleet = [
  stat(
    asked(
      { title: 'Meters', description: 'Meters that have sent anything in the range.', width: 4, height: 4 },
      `SELECT count(DISTINCT meter_id) AS meters\n${from(REGIONS)}`,
    ),
    { plain: true },
  ),
  stat(
    asked(
      { title: 'Energy', description: 'What they have used together.', width: 4, height: 4, unit: 'kwatth' },
      `SELECT sum(${VALUE}) AS kwh\n${from(REGIONS, 'kwh_measure')}`,
    ),
    { plain: true },
  ),
  stat(
    asked(
      { title: 'Readings', description: 'Readings of energy in the range.', width: 4, height: 4, unit: 'short' },
      `SELECT count(*) AS readings\n${from(REGIONS, 'kwh_measure')}`,
    ),
    { plain: true },
  ),
  stat(
    asked(
      {
        title: 'Voltage out of tolerance', width: 4, height: 4, thresholds: SOME_IS_BAD,
        description: 'Meters whose last voltage is further from the nominal one than the tolerance.',
      },
      `SELECT count(*) AS meters\nFROM (${LAST_VOLTAGES})\nWHERE volts ${OUTSIDE}`,
    ),
  ),
  stat(
    asked(
      {
        title: 'Silent meters', width: 4, height: 4, thresholds: SOME_IS_BAD,
        description: 'Meters that were heard of in the range, but not in its last while (`Silent after`).',
      },
      `SELECT count(*) AS meters\nFROM (${SILENT})`,
    ),
  ),
  stat(
    asked(
      {
        title: 'Newest reading', description: 'How old what is seen here is.', width: 4, height: 4,
        unit: 'dateTimeFromNow', noValue: 'none',
      },
      `SELECT max(time) AS newest\n${from(REGIONS)}`,
    ),
    { plain: true, field: 'newest' },
  ),
  lines(
    asked(
      { title: 'Energy of the fleet', description: 'kWh per step.', width: 12, height: 8, unit: 'kwatth', interval: '15m' },
      `SELECT ${STEP} AS step, sum(${VALUE}) AS kwh\n${from(REGIONS, 'kwh_measure')}\nGROUP BY ${STEP} ORDER BY 1`,
    ),
    { bars: true, min: 0 },
  ),
  lines(
    asked(
      {
        title: 'Voltage of the fleet', description: 'Mean of all readings of a step, and where 90 % of them lie.',
        width: 12, height: 8, unit: 'volt', interval: '15m',
      },
      `SELECT ${STEP} AS step, approx_percentile(${VALUE}, 0.05) AS p05, avg(${VALUE}) AS mean, approx_percentile(${VALUE}, 0.95) AS p95
${from(REGIONS, 'voltage_measure')}
GROUP BY ${STEP} ORDER BY 1`,
    ),
  ),
];

const regions = [
  lines(
    asked(
      {
        title: 'Energy by region', description: 'kWh per step, one above the other.', width: 16, height: 9,
        unit: 'kwatth', interval: '15m', displayName: '${__field.labels.region}',
      },
      `WITH steps AS (
SELECT region, ${STEP} AS step, sum(${VALUE}) AS kwh
${from(REGIONS, 'kwh_measure')}
GROUP BY region, ${STEP})
SELECT region, create_time_series(step, kwh) AS kwh FROM steps GROUP BY region ORDER BY region`,
    ),
    { stacked: true, min: 0 },
  ),
  bars(
    asked(
      { title: 'Energy of each region', description: 'Over the range.', width: 8, height: 9, unit: 'kwatth' },
      `SELECT region, sum(${VALUE}) AS kwh\n${from(REGIONS, 'kwh_measure')}\nGROUP BY region ORDER BY kwh DESC, region`,
    ),
    { rows: true },
  ),
];

const meter = [
  lines(
    asked(
      { title: 'Energy of $meter', description: 'kWh per step.', width: 10, height: 8, unit: 'kwatth', interval: '15m' },
      `SELECT ${STEP} AS step, sum(${VALUE}) AS kwh\n${from(METER, 'kwh_measure')}\nGROUP BY ${STEP} ORDER BY 1`,
    ),
    { bars: true, min: 0 },
  ),
  lines(
    asked(
      {
        title: 'Voltage of $meter', description: 'Lowest, mean and highest of a step, and the limits.', width: 8,
        height: 8, unit: 'volt', interval: '1m',
        overrides: ['lower limit', 'upper limit'].map((name) => ({
          matcher: { id: 'byName', options: name },
          properties: [
            { id: 'color', value: { mode: 'fixed', fixedColor: 'red' } },
            { id: 'custom.lineStyle', value: { fill: 'dash', dash: [8, 8] } },
            { id: 'custom.fillOpacity', value: 0 },
          ],
        })),
      },
      `SELECT ${STEP} AS step, min(${VALUE}) AS lowest, avg(${VALUE}) AS mean, max(${VALUE}) AS highest,
       ${LOW} AS "lower limit", ${HIGH} AS "upper limit"
${from(METER, 'voltage_measure')}
GROUP BY ${STEP} ORDER BY 1`,
    ),
  ),
  table(
    asked(
      {
        title: 'Last readings of $meter', description: 'The newest of each measure.', width: 6, height: 8,
        overrides: [
          column('measure', { displayName: 'Measure' }), column('value', { displayName: 'Value', decimals: 3 }), REGION,
          SEEN,
        ],
      },
      `SELECT measure_name AS measure, max_by(${VALUE}, time) AS value, max_by(region, time) AS region, max(time) AS seen
${from(METER)}
GROUP BY measure_name ORDER BY measure_name`,
    ),
  ),
];

const voltage = [
  lines(
    asked(
      {
        title: 'Readings out of tolerance', description: 'How many, by region.', width: 12, height: 8, unit: 'short',
        interval: '15m', displayName: '${__field.labels.region}',
      },
      `WITH steps AS (
SELECT region, ${STEP} AS step, count_if(${VALUE} ${OUTSIDE}) AS readings
${from(REGIONS, 'voltage_measure')}
GROUP BY region, ${STEP})
SELECT region, create_time_series(step, readings) AS readings FROM steps GROUP BY region ORDER BY region`,
    ),
    { stacked: true, bars: true, min: 0 },
  ),
  table(
    asked(
      {
        title: 'Meters out of tolerance', width: 12, height: 8,
        description: 'By their last voltage, those that are furthest off first, 200 at most.',
        overrides: [
          TO_METER, REGION, column('volts', { displayName: 'Voltage', unit: 'volt', decimals: 1 }),
          column('deviation', { displayName: 'Off by', unit: 'percent', decimals: 1 }), SEEN,
        ],
      },
      `SELECT meter, region, volts, 100.0 * (volts / $nominal - 1) AS deviation, seen
FROM (${LAST_VOLTAGES})
WHERE volts ${OUTSIDE}
ORDER BY abs(volts - $nominal) DESC, meter LIMIT 200`,
    ),
  ),
];

const silent = [
  bars(
    asked(
      { title: 'Silent meters by region', description: 'As of the end of the range.', width: 8, height: 8, unit: 'short' },
      `SELECT region, count(*) AS meters\nFROM (${SILENT})\nGROUP BY region ORDER BY meters DESC, region`,
    ),
    { rows: true },
  ),
  table(
    asked(
      {
        title: 'Meters that are silent', description: 'Those that have been silent longest first, 200 at most.', width: 16,
        height: 8, overrides: [TO_METER, REGION, SEEN, column('silent', { displayName: 'Silent for', unit: 's' })],
      },
      `SELECT meter, region, seen, date_diff('second', seen, from_milliseconds($__timeTo)) AS silent
FROM (${SILENT})
ORDER BY seen, meter LIMIT 200`,
    ),
  ),
];

export const smartMeters = dashboard({
  uid: UID,
  title: 'Smart meters',
  description: 'The fleet as the readings show it, seconds after they were measured.',
  from: 'now-24h',
  refresh: '30s',
  variables: [
    sourceVariable('source', 'Source', PLUGIN, 'hurtig-store', 'hurtig store'),
    queryVariable('region', 'Region', SOURCE, `SELECT DISTINCT region FROM ${TABLE} WHERE $__timeFilter ORDER BY region`, true),
    queryVariable(
      'meter', 'Meter', SOURCE,
      `SELECT DISTINCT meter_id FROM ${TABLE} WHERE $__timeFilter AND ${REGIONS} ORDER BY meter_id LIMIT 1000`, false,
    ),
    textVariable('nominal', 'Nominal voltage', '230'),
    textVariable('tolerance', 'Tolerance in %', '10'),
    choiceVariable('silence', 'Silent after', ['2h', '30m', '1h', '6h', '1d']),
  ],
  sections: [
    { title: 'Fleet', panels: fleet },
    { title: 'Consumption by region', panels: regions },
    { title: 'One meter', panels: meter },
    { title: 'Voltage out of tolerance', panels: voltage },
    { title: 'Silent meters', panels: silent },
  ],
});
