// A dashboard around its panels, and the variables above it.

import {
  type Dashboard,
  DashboardCursorSync,
  type DataSourceRef,
  VariableHide,
  type VariableModel,
  VariableRefresh,
  VariableSort,
} from '@grafana/schema';

import { place, type Section } from './panel';

/** All that dashboards differ in. */
export interface Described {
  /** Fixed: links point to it. */
  uid: string;
  title: string;
  description: string;
  from: string;
  refresh: string;
  variables: VariableModel[];
  sections: Section[];
}

/** Of Grafana 13; older ones read it too. */
const SCHEMA_VERSION = 41;

export function dashboard(described: Described): Dashboard {
  const { uid, title, description, from, refresh, variables, sections } = described;
  return {
    uid,
    title,
    description,
    tags: ['hurtig'],
    schemaVersion: SCHEMA_VERSION,
    editable: true,
    graphTooltip: DashboardCursorSync.Crosshair,
    time: { from, to: 'now' },
    timezone: 'browser',
    refresh,
    annotations: { list: [] },
    links: [
      {
        type: 'dashboards', title: 'hurtig', tags: ['hurtig'], asDropdown: true, icon: 'external link', tooltip: '',
        includeVars: false, keepTime: true, targetBlank: false,
      },
    ],
    templating: { list: variables },
    panels: place(sections),
  };
}

/** Which data source of a kind is asked; panels name it by `${NAME}`. */
export function sourceVariable(name: string, label: string, kind: string, uid: string, text: string): VariableModel {
  return {
    type: 'datasource', name, label, query: kind, current: { text, value: uid }, hide: VariableHide.dontHide,
    includeAll: false, multi: false, refresh: VariableRefresh.onDashboardLoad, regex: '',
  };
}

/** Values that a query answers with. */
export function queryVariable(
  name: string,
  label: string,
  datasource: DataSourceRef,
  query: string | Record<string, unknown>,
  several: boolean,
): VariableModel {
  return {
    type: 'query', name, label, datasource, query, includeAll: several, multi: several, regex: '',
    sort: VariableSort.naturalAsc, refresh: VariableRefresh.onTimeRangeChanged, hide: VariableHide.dontHide,
    ...(several ? { current: { text: ['All'], value: ['$__all'] } } : {}),
  };
}

/** A number to type. */
export function textVariable(name: string, label: string, value: string): VariableModel {
  return { type: 'textbox', name, label, query: value, current: { text: value, value }, hide: VariableHide.dontHide };
}

/** One of a few values, the first to begin with. */
export function choiceVariable(name: string, label: string, values: string[]): VariableModel {
  const [first = ''] = values;
  return {
    type: 'custom', name, label, query: values.join(','), includeAll: false, multi: false, hide: VariableHide.dontHide,
    current: { text: first, value: first },
    options: values.map((value, at) => ({ text: value, value, selected: at === 0 })),
  };
}
