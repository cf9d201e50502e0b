// Panels in the few shapes that the dashboards have, typed by Grafana's own schema.

import {
  AxisPlacement,
  BarGaugeDisplayMode,
  BarGaugeNamePlacement,
  BarGaugeSizing,
  BarGaugeValueMode,
  BigValueColorMode,
  BigValueGraphMode,
  BigValueJustifyMode,
  BigValueTextMode,
  type DataQuery,
  type DataSourceRef,
  FieldColorModeId,
  type FieldConfig,
  type FieldConfigSource,
  GraphDrawStyle,
  LegendDisplayMode,
  type Panel,
  PercentChangeColorMode,
  type RowPanel,
  SortOrder,
  StackingMode,
  TableCellHeight,
  type Threshold,
  ThresholdsMode,
  TooltipDisplayMode,
  VisibilityMode,
  VizOrientation,
} from '@grafana/schema';
import type { Options as BarGaugeOptions } from '@grafana/schema/dist/esm/raw/composable/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen';
import type { Options as StatOptions } from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type {
  FieldConfig as TableFieldConfig,
  Options as TableOptions,
} from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import type {
  FieldConfig as TimeSeriesFieldConfig,
  Options as TimeSeriesOptions,
} from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

/** A query of either data source. */
export type Query = DataQuery & ({ rawQuery: string } | { expr: string });

/** What every panel has. */
export interface Common {
  title: string;
  /** What it shows, in a sentence, behind the panel's (i). */
  description: string;
  /** Columns of 24. */
  width: number;
  height: number;
  datasource: DataSourceRef;
  targets: Query[];
  unit?: string;
  decimals?: number;
  noValue?: string;
  /** What a series is called in the legend. */
  displayName?: string;
  thresholds?: Threshold[];
  /** The least width of a step. */
  interval?: string;
  overrides?: FieldConfigSource['overrides'];
}

/** A panel that has no place yet. */
export type Unplaced = Omit<Panel, 'gridPos' | 'id'> & { width: number; height: number };

const GREEN = 'green';

function field<T>(panel: Common, mode: FieldColorModeId, custom: T): FieldConfig<T> {
  const { unit, decimals, noValue, displayName } = panel;
  const steps: Threshold[] = panel.thresholds ?? [{ color: GREEN, value: null }];
  return {
    color: { mode },
    // Of what is not given nothing is said in the JSON.
    ...(unit === undefined ? {} : { unit }),
    ...(decimals === undefined ? {} : { decimals }),
    ...(noValue === undefined ? {} : { noValue }),
    ...(displayName === undefined ? {} : { displayName }),
    thresholds: { mode: ThresholdsMode.Absolute, steps },
    custom: custom as T & Record<string, unknown>,
  };
}

function panel<O, F>(type: string, common: Common, defaults: FieldConfig<F>, options: O): Unplaced {
  const { title, description, width, height, datasource, targets, interval, overrides } = common;
  return {
    type,
    title,
    description,
    datasource,
    ...(interval === undefined ? {} : { interval }),
    targets: targets.map((target) => ({ ...target })),
    fieldConfig: { defaults: defaults as FieldConfig, overrides: overrides ?? [] },
    options: options as Record<string, unknown>,
    width,
    height,
  };
}

/** Lines over time. */
export function lines(
  common: Common,
  more: { stacked?: boolean; bars?: boolean; max?: number; min?: number } = {},
): Unplaced {
  const custom: TimeSeriesFieldConfig = {
    drawStyle: more.bars ? GraphDrawStyle.Bars : GraphDrawStyle.Line,
    lineWidth: 1,
    fillOpacity: more.stacked || more.bars ? 40 : 8,
    showPoints: VisibilityMode.Auto,
    spanNulls: false,
    axisPlacement: AxisPlacement.Auto,
    stacking: { mode: more.stacked ? StackingMode.Normal : StackingMode.None, group: 'A' },
  };
  const options: TimeSeriesOptions = {
    legend: { showLegend: true, displayMode: LegendDisplayMode.List, placement: 'bottom', calcs: [] },
    tooltip: { mode: TooltipDisplayMode.Multi, sort: SortOrder.Descending },
  };
  const defaults = field(common, FieldColorModeId.PaletteClassic, custom);
  if (more.min !== undefined) defaults.min = more.min;
  if (more.max !== undefined) defaults.max = more.max;
  return panel('timeseries', common, defaults, options);
}

const LAST = { calcs: ['lastNotNull'], fields: '', values: false };

/** One number, large; of a field that is no number, the field's name is needed. */
export function stat(common: Common, more: { sparkline?: boolean; plain?: boolean; field?: string } = {}): Unplaced {
  const options: StatOptions = {
    reduceOptions: more.field === undefined ? LAST : { ...LAST, fields: `/^${more.field}$/` },
    orientation: VizOrientation.Auto,
    colorMode: more.plain ? BigValueColorMode.None : BigValueColorMode.Value,
    graphMode: more.sparkline ? BigValueGraphMode.Area : BigValueGraphMode.None,
    justifyMode: BigValueJustifyMode.Auto,
    textMode: BigValueTextMode.Auto,
    percentChangeColorMode: PercentChangeColorMode.Standard,
    showPercentChange: false,
    wideLayout: true,
  };
  return panel('stat', common, field(common, FieldColorModeId.Thresholds, {}), options);
}

/** One bar a row of the answer, or a query. */
export function bars(common: Common, more: { rows?: boolean } = {}): Unplaced {
  const options: BarGaugeOptions = {
    reduceOptions: more.rows ? { calcs: [], fields: '', values: true, limit: 100 } : LAST,
    orientation: VizOrientation.Horizontal,
    legend: { showLegend: false, displayMode: LegendDisplayMode.List, placement: 'bottom', calcs: [] },
    displayMode: BarGaugeDisplayMode.Basic,
    namePlacement: BarGaugeNamePlacement.Auto,
    valueMode: BarGaugeValueMode.Text,
    sizing: BarGaugeSizing.Auto,
    showUnfilled: true,
    minVizHeight: 16,
    minVizWidth: 8,
    maxVizHeight: 300,
  };
  return panel('bargauge', common, field(common, FieldColorModeId.PaletteClassic, {}), options);
}

/** Rows and columns. */
export function table(common: Common): Unplaced {
  const custom: Partial<TableFieldConfig> = { filterable: true };
  const options: TableOptions = {
    frameIndex: 0,
    showHeader: true,
    cellHeight: TableCellHeight.Sm,
    enablePagination: true,
  };
  return panel('table', common, field(common, FieldColorModeId.Thresholds, custom), options);
}

/** What a column of a table is shown as. */
export function column(
  name: string,
  properties: Partial<{ unit: string; decimals: number; displayName: string; links: unknown[] }>,
): FieldConfigSource['overrides'][number] {
  return {
    matcher: { id: 'byName', options: name },
    properties: Object.entries(properties).map(([id, value]) => ({ id, value })),
  };
}

/** A heading, and what stands below it. */
export interface Section {
  title: string;
  panels: Unplaced[];
}

/** Gives every panel its place, from left to right and from top to bottom, and its number. */
export function place(sections: Section[]): Array<Panel | RowPanel> {
  const placed: Array<Panel | RowPanel> = [];
  let y = 0;
  for (const section of sections) {
    const id = placed.length + 1;
    placed.push({
      id, type: 'row', title: section.title, collapsed: false, gridPos: { x: 0, y, w: 24, h: 1 }, panels: [],
    });
    y += 1;
    let [x, tallest] = [0, 0];
    for (const { width, height, ...panel } of section.panels) {
      if (x + width > 24) {
        y += tallest;
        [x, tallest] = [0, 0];
      }
      placed.push({ id: placed.length + 1, gridPos: { x, y, w: width, h: height }, ...panel });
      x += width;
      tallest = Math.max(tallest, height);
    }
    y += tallest;
  }
  return placed;
}
