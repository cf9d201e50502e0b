// Scales and their ticks.

/** Ticks at round numbers from 0 or `low` to `high`, about `wanted` of them. */
export function ticks(low, high, wanted = 4) {
  const range = high - low || 1;
  const rough = range / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((n) => n * power).find((n) => n >= rough * 0.999) ?? power * 10;
  const all = [];
  for (let n = Math.ceil(low / step - 1e-9); n * step <= high + step * 1e-9; n++) all.push(n * step + 0);
  return all;
}

const MINUTE = 60000;
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 180, 240, 360, 720, 1440].map((n) => n * MINUTE);

/** Times at round hours and minutes of the reader's zone, at most `most` of them. */
export function timeTicks(from, to, most) {
  const step = STEPS.find((n) => (to - from) / n <= most) ?? STEPS[STEPS.length - 1];
  // Midnight of the zone: from there whole steps are round.
  const midnight = new Date(from).setHours(0, 0, 0, 0);
  const all = [];
  for (let at = midnight + Math.ceil((from - midnight) / step) * step; at <= to; at += step) all.push(at);
  return all;
}

export const linear = (from, to, low, high) => (value) => low + ((value - from) / (to - from || 1)) * (high - low);

/** A number on an axis: as many digits as the step has. */
export function axisNumber(step) {
  const digits = Math.max(0, Math.min(4, -Math.floor(Math.log10(step) + 1e-9) + (String(step).includes("25") ? 1 : 0)));
  const format = new Intl.NumberFormat(undefined, { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return (n) => format.format(n);
}
