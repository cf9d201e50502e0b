// Consumption by region: columns that lie upon each other, and a legend with figures beside them.

import { byId, h, renew, say, Values } from "./dom.js";
import { columns } from "./columns.js";
import { energy, hm, number, percent, time } from "./format.js";
import { Plot } from "./plot.js";

const NAMES = { hour: "the last hour by the minute", day: "the last day by the quarter of an hour" };

export class Consumption {
  constructor() {
    this.plot = new Plot("Consumption by region over time", { height: 330 });
    this.summary = h("p", { class: "summary" });
    this.legend = h("ul", { class: "legend" });
    this.values = new Values("Consumption by region, values", [["From"], ["All", "n"]]);
    this.empty = h("p", { class: "nothing", hidden: true });
    this.chart = h("div", { class: "chart-with-legend" }, this.plot.element, this.legend);
    byId("consumption").append(h("figure", { "aria-labelledby": "consumption-title" }, this.chart, this.empty, h("figcaption", {}, this.summary)), this.values.element);
  }

  trouble(words) {
    this.empty.hidden = false;
    this.chart.hidden = true;
    say(this.empty, words);
  }

  answer(answer) {
    const { regions, times_ms: times, step_ms: step, total_kwh: totals, span } = answer;
    const sum = totals.reduce((a, b) => a + b, 0);
    if (answer.empty || sum === 0) {
      this.trouble(answer.empty ?? `No energy was reported in ${NAMES[span].split(" by ")[0]}.`);
      say(this.summary, "");
      return;
    }
    this.empty.hidden = true;
    this.chart.hidden = false;
    const called = (region) => (region.others ? `${region.others} others` : region.name || "no region");
    // A colour belongs to a name, not to a rank: what overtakes another keeps its own.
    const byName = regions.filter((region) => !region.others).map(called).sort();
    const kind = (region) => (region.others ? "rest" : `s${byName.indexOf(called(region))}`);
    const parts = regions.map((region) => ({ kind: kind(region), name: called(region), values: region.kwh })).reverse();
    const head = (i) => `${hm(times[i])} to ${hm(times[i] + step)}${i === times.length - 1 ? ", not over" : ""}`;
    this.plot.set(columns({ times, step, parts, unit: "kWh", format: energy, head, open: true }));

    renew(this.legend, JSON.stringify(regions.map((r) => [r.name, r.others, r.sum_kwh])), () => regions.map((region) =>
      h("li", {}, h("span", { class: `swatch ${kind(region)}` }), h("span", { class: "name" }, called(region)),
        h("b", {}, energy(region.sum_kwh)), h("small", {}, percent(region.sum_kwh / sum)))));

    let most = 0;
    totals.forEach((value, i) => { if (value > totals[most]) most = i; });
    const first = regions[0];
    const share = regions.length > 1 ? `, ${percent(first.sum_kwh / sum)} of it in ${called(first)}` : "";
    say(this.summary, `${energy(sum)} in ${NAMES[span]}${share}. Most from ${hm(times[most])}: ${energy(totals[most])}.`);

    const shown = [...parts].reverse();
    this.values.head = [["From"], ...shown.map(() => ["", "n"]), ["", "n"]];
    const titles = ["From", ...shown.map((part) => `${part.name}, kWh`), "All, kWh"];
    const row = this.values.element.querySelector("thead tr");
    renew(row, titles.join("\n"), () => titles.map((title, i) => h("th", { scope: "col", class: i ? "n" : null }, title)));
    this.values.set(`${span} ${times[0]} ${sum}`, () => times.map((at, i) =>
      [time(at, answer.now_ms, hm(at)), ...shown.map((part) => number(part.values[i])), number(totals[i])]).reverse());
  }
}
