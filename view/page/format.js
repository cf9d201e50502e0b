// Numbers with their units, and times: the reader's zone, and UTC where the pointer rests.

import { h } from "./dom.js";

const digits = (least, most) => new Intl.NumberFormat(undefined, { minimumFractionDigits: least, maximumFractionDigits: most });
const whole = digits(0, 0);
const tenths = digits(1, 1);
const hundredths = digits(2, 2);
const thousandths = digits(3, 3);

export const count = (n) => whole.format(n);
export const volts = (v) => `${tenths.format(v)} V`;
export const percent = (share, least = 0) => `${digits(least, 1).format(share * 100)} %`;

/** Three digits or so that matter. */
export function number(n) {
  const size = Math.abs(n);
  if (size === 0 || size >= 1000) return whole.format(n);
  if (size >= 100) return digits(0, 1).format(n);
  if (size >= 1) return hundredths.format(n);
  return thousandths.format(n);
}

function scaled(value, units) {
  const size = Math.abs(value);
  let at = units.findIndex(([least]) => size >= least);
  if (at < 0) at = units.length - 1;
  const [least, unit] = units[at];
  return [number(value / (least || 1)), unit];
}

/** Power in kW as [number, unit]. */
export const powerParts = (kw) => scaled(kw, [[1e6, "GW"], [1e3, "MW"], [1, "kW"], [0, "kW"]]);
export const power = (kw) => powerParts(kw).join(" ");
/** Energy in kWh. */
export const energy = (kwh) => scaled(kwh, [[1e6, "GWh"], [1e3, "MWh"], [1, "kWh"], [0, "kWh"]]).join(" ");
export const bytes = (n) => scaled(n, [[1e9, "GB"], [1e6, "MB"], [1e3, "kB"], [0, "B"]]).join(" ");

/** Records in a second. */
export function rate(perSecond) {
  const [n, unit] = scaled(perSecond, [[1e6, "M"], [1e4, "k"], [0, ""]]);
  const short = Math.abs(perSecond) < 1e4 ? digits(0, perSecond < 10 ? 1 : 0).format(perSecond) : n;
  return unit.trim() ? `${n} ${unit}` : short;
}

/** How long: two units at most. */
export function span(ms) {
  if (ms < 0) return `−${span(-ms)}`;
  if (ms < 1000) return `${whole.format(ms)} ms`;
  const seconds = Math.floor(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return seconds % 60 && minutes < 10 ? `${minutes} min ${seconds % 60} s` : `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  const days = Math.floor(hours / 24);
  if (days < 700) return hours % 24 && days < 10 ? `${days} d ${hours % 24} h` : `${whole.format(days)} d`;
  return `${digits(0, 1).format(days / 365.25)} years`;
}

/** How long, in one unit. */
export const roughly = (ms) => (ms < 1000 ? "0 s" : span(ms).split(" ").slice(0, 2).join(" "));

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const clockSeconds = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const dayYear = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });

export const hm = (ms) => clock.format(ms);
export const hms = (ms) => clockSeconds.format(ms);
export const date = (ms) => dayYear.format(ms);
export const shortDate = (ms) => day.format(ms);

/** The time of day, with its day where that is not `today`'s. */
export function moment(ms, today) {
  const same = today !== undefined && new Date(ms).toDateString() === new Date(today).toDateString();
  if (same) return hms(ms);
  return `${date(ms)}, ${hms(ms)}`;
}

const dayMinute = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

/** The same as short as can be, for a list. */
export function stamp(ms, today) {
  const [a, b] = [new Date(ms), new Date(today)];
  if (a.toDateString() === b.toDateString()) return hms(ms);
  return a.getFullYear() === b.getFullYear() ? dayMinute.format(ms) : `${date(ms)}, ${hm(ms)}`;
}

export const utc = (ms) => `${new Date(ms).toISOString().replace("T", " ").replace(".000Z", "")} UTC`.replace("Z UTC", " UTC");

/** A time, for a page. */
export function time(ms, today, text = moment(ms, today)) {
  return h("time", { datetime: new Date(ms).toISOString(), title: utc(ms) }, text);
}

/** The same, into an element that is there. */
export function setTime(element, ms, text) {
  element.setAttribute("datetime", new Date(ms).toISOString());
  element.title = utc(ms);
  if (element.textContent !== text) element.textContent = text;
}

export const zone = () => Intl.DateTimeFormat().resolvedOptions().timeZone;
export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;
