// One meter: how it is now, and its day.

import { byId, h, renew, say, Values } from "./dom.js";
import { columns } from "./columns.js";
import { count, date, energy, hm, moment, number, percent, plural, span, time, utc, volts } from "./format.js";
import { lines } from "./lines.js";
import { Plot } from "./plot.js";

const DAY_MS = 86400000;
const QUARTER_MS = 900000;

export class Meter {
  /** `ask()` is called when another day is wanted. */
  constructor(id, ask) {
    Object.assign(this, { id, until: null, ask });
    this.title = h("h1", { tabindex: "-1" }, id);
    this.place = h("p", { class: "place" });
    this.badges = h("ul", { class: "badges" });
    this.figures = h("dl", { class: "figures" });
    this.trouble_ = h("p", { class: "nothing", hidden: true });
    this.voltage = new Plot("Voltage over the day", { height: 280 });
    this.energy = new Plot("Energy over the day by the quarter of an hour", { height: 200 });
    this.voltageSummary = h("p", { class: "summary" });
    this.energySummary = h("p", { class: "summary" });
    this.voltageNothing = h("p", { class: "nothing", hidden: true }, "No voltages on this day.");
    this.energyNothing = h("p", { class: "nothing", hidden: true }, "No energy on this day.");
    this.values = new Values("The meter's readings by the minute, newest first", [["Time"], ["Energy, kWh", "n"], ["Voltage, V", "n"], ["Lowest, V", "n"], ["Highest, V", "n"], ["Tolerance"]]);
    this.dayText = h("p", { class: "day", "aria-live": "polite" });
    const button = (text, act) => {
      const element = h("button", { type: "button" }, text);
      element.addEventListener("click", act);
      return element;
    };
    this.earlier = button("Day before", () => this.move(-DAY_MS));
    this.later = button("Day after", () => this.move(DAY_MS));
    this.latest = button("Latest", () => { this.until = null; this.ask(); });
    this.body = h("div", { class: "meter-body" },
      h("nav", { class: "days", "aria-label": "Which day" }, this.earlier, this.dayText, this.later, this.latest),
      panel("meter-voltage", "Voltage", h("figure", { "aria-labelledby": "meter-voltage" }, this.voltage.element, this.voltageNothing, h("figcaption", {}, this.voltageSummary))),
      panel("meter-energy", "Energy", h("figure", { "aria-labelledby": "meter-energy" }, this.energy.element, this.energyNothing, h("figcaption", {}, this.energySummary))),
      panel("meter-values", "Readings", this.values.element));
    byId("meter").replaceChildren(
      h("p", { class: "back" }, h("a", { href: "#" }, "← Overview")),
      h("div", { class: "meter-head" }, h("div", {}, this.title, this.place, this.badges), this.figures),
      this.trouble_, this.body);
  }

  url() {
    const until = this.until === null ? "" : `&until=${this.until}`;
    return `/api/meter?id=${encodeURIComponent(this.id)}${until}`;
  }

  move(by) {
    if (this.to === undefined) return;
    this.until = this.to + by;
    this.ask();
  }

  trouble(words) {
    this.trouble_.hidden = false;
    this.body.hidden = true;
    say(this.trouble_, words);
  }

  answer(meter) {
    this.trouble_.hidden = true;
    this.body.hidden = false;
    this.to = meter.to_ms;
    const newest = Math.max(meter.now_ms, meter.seen_ms);
    this.later.disabled = meter.to_ms >= newest;
    this.latest.disabled = this.until === null;
    if (this.until !== null && meter.to_ms >= newest) this.until = null;
    say(this.place, meter.region ? `Meter in ${meter.region}` : "Meter");
    say(this.dayText, `${date(meter.from_ms)}, ${hm(meter.from_ms)} to ${date(meter.to_ms)}, ${hm(meter.to_ms)}`);
    this.state(meter);
    this.curve(meter);
    this.bars(meter);
    const limits = (step) => (step.high > meter.high_volts ? "too high" : step.low !== null && step.low < meter.low_volts ? "too low" : step.volts === null ? "" : "within");
    const cell = (value) => (value === null ? "–" : number(value));
    this.values.set(JSON.stringify([meter.to_ms, meter.steps.length, meter.sum_kwh]), () => meter.steps.map((step) =>
      [time(step.at_ms, meter.to_ms), cell(step.kwh), cell(step.volts), cell(step.low), cell(step.high), limits(step)]).reverse());
  }

  state(meter) {
    const now = meter.now_ms;
    const badges = [];
    if (meter.silent) badges.push(["quiet", `Silent for ${span(now - meter.seen_ms)}`]);
    if (meter.outside) badges.push(["alarm", `Voltage ${meter.volts.value > meter.high_volts ? "too high" : "too low"}`]);
    if (badges.length === 0) badges.push(["well", "Speaks, and within tolerance"]);
    renew(this.badges, JSON.stringify(badges), () => badges.map(([kind, text]) => h("li", { class: `badge ${kind}` }, text)));
    const figures = [
      ["Voltage", meter.volts ? volts(meter.volts.value) : "–", meter.volts ? `${deviation(meter)}, ${span(Math.max(0, now - meter.volts.at_ms))} ago` : "not measured"],
      ["Last energy", meter.kwh ? energy(meter.kwh.value) : "–", meter.kwh ? `${span(Math.max(0, now - meter.kwh.at_ms))} ago` : "not measured"],
      ["Energy of the day", energy(meter.sum_kwh), plural(meter.steps.length, "minute with readings", "minutes with readings")],
      ["Last reading", moment(meter.seen_ms, now), utc(meter.seen_ms)],
    ];
    renew(this.figures, JSON.stringify(figures), () => figures.map(([name, value, note]) =>
      h("div", {}, h("dt", {}, name), h("dd", { class: "value" }, value), h("dd", { class: "note" }, note))));
  }

  curve(meter) {
    const points = meter.steps.filter((step) => step.volts !== null).map((step) => ({ at: step.at_ms, value: step.volts, low: step.low, high: step.high }));
    this.voltage.element.hidden = points.length === 0;
    this.voltageNothing.hidden = points.length > 0;
    if (points.length === 0) return say(this.voltageSummary, "");
    const steps = points.slice(1).map((p, i) => p.at - points[i].at).sort((a, b) => a - b);
    const usual = steps[Math.floor(steps.length / 2)] ?? QUARTER_MS;
    const band = { low: meter.low_volts, high: meter.high_volts, lowText: `lowest, ${volts(meter.low_volts)}`, highText: `highest, ${volts(meter.high_volts)}` };
    const head = (at) => `${moment(at, meter.to_ms)}`;
    this.voltage.set(lines({ points, from: meter.from_ms, to: meter.to_ms, band, gap: usual * 2.5, unit: "V", format: volts, head, name: "Voltage", kind: "volts" }));
    const low = Math.min(...points.map((p) => p.low));
    const high = Math.max(...points.map((p) => p.high));
    const out = meter.steps_outside;
    say(this.voltageSummary, `Between ${volts(low)} and ${volts(high)}; ${out === 0 ? "always within tolerance" : `in ${count(out)} of ${plural(points.length, "minute")} with readings out of tolerance, marked by triangles`}.`);
  }

  bars(meter) {
    const with_ = meter.steps.filter((step) => step.kwh !== null);
    this.energy.element.hidden = with_.length === 0;
    this.energyNothing.hidden = with_.length > 0;
    if (with_.length === 0) return say(this.energySummary, "");
    const first = Math.floor(meter.from_ms / QUARTER_MS) * QUARTER_MS;
    const times = [];
    for (let at = first; at <= meter.to_ms; at += QUARTER_MS) times.push(at);
    const values = times.map(() => 0);
    for (const step of with_) values[Math.floor((step.at_ms - first) / QUARTER_MS)] += step.kwh;
    const head = (i) => `${hm(times[i])} to ${hm(times[i] + QUARTER_MS)}`;
    this.energy.set(columns({ times, step: QUARTER_MS, parts: [{ kind: "energy", name: "Energy", values }], unit: "kWh", format: energy, head, open: this.until === null }));
    let most = 0;
    values.forEach((value, i) => { if (value > values[most]) most = i; });
    say(this.energySummary, `${energy(meter.sum_kwh)} in all, most from ${hm(times[most])}: ${energy(values[most])}.`);
  }
}

function deviation(meter) {
  const share = meter.volts.value / meter.nominal_volts - 1;
  return `${percent(Math.abs(share), 1)} ${share >= 0 ? "above" : "below"} ${volts(meter.nominal_volts).replace(/[.,]0/, "")}`;
}

function panel(id, title, ...children) {
  return h("section", { class: "panel", "aria-labelledby": id }, h("header", {}, h("h2", { id }, title)), ...children);
}
