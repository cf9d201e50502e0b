// The lists that lead to a meter: who is out of tolerance, and who is silent.

import { Values, byId, h, rows, say, table } from "./dom.js";
import { count, percent, plural, setTime, span, stamp, volts } from "./format.js";
import { histogram } from "./histogram.js";
import { Plot } from "./plot.js";

export const meterHref = (id) => `#meter=${encodeURIComponent(id)}`;

class List {
  constructor(name, label, head) {
    this.name = name;
    const { box, body } = table(label, head, { classes: "list" });
    this.body = body;
    this.box = box;
    this.nothing = h("p", { class: "nothing", hidden: true });
    byId(name).append(box, this.nothing);
  }

  trouble(words) {
    this.box.hidden = true;
    this.nothing.hidden = false;
    delete this.nothing.dataset.state;
    say(this.nothing, words);
  }

  put(answer, well) {
    say(byId(`${this.name}-aside`), answer.total > answer.meters.length ? `${count(answer.meters.length)} of ${count(answer.total)}` : count(answer.total));
    this.box.hidden = answer.meters.length === 0;
    this.nothing.hidden = answer.meters.length > 0;
    if (answer.meters.length === 0) {
      say(this.nothing, answer.empty ?? well);
      this.nothing.dataset.state = answer.empty ? "" : "well";
    }
    rows(this.body, answer.meters, (meter) => meter.id, (meter) => this.row(meter), (row, meter) => this.update(row, meter, answer));
  }
}

export class VoltageList extends List {
  constructor() {
    super("voltage", "Meters whose voltage is out of tolerance, the worst first", [["Meter"], ["Region"], ["Voltage", "n"], ["Deviation", "n"], ["Measured", "n"]]);
    this.plot = new Plot("All meters' last voltages", { height: 132 });
    this.summary = h("p", { class: "summary" });
    this.values = new Values("All meters' last voltages, values", [["From"], ["Meters", "n"]]);
    this.figure = h("figure", { hidden: true, "aria-label": "All meters' last voltages" }, this.plot.element, h("figcaption", {}, this.summary));
    byId("voltage").append(this.figure, this.values.element);
  }

  answer(answer) {
    const { distribution, low_volts: low, high_volts: high, step_volts: step } = answer;
    const measured = distribution.reduce((sum, one) => sum + one.meters, 0);
    this.put(answer, measured ? `Every meter's last voltage lies within ${volts(low)} and ${volts(high)}.` : "No meter measures its voltage.");
    this.figure.hidden = this.values.element.hidden = measured === 0;
    if (measured === 0) return;
    this.plot.set(histogram(answer));
    say(this.summary, `${plural(measured, "meter")} by last voltage; ${percent(1 - answer.total / measured, 1)} between ${volts(low)} and ${volts(high)}.`);
    this.values.set(JSON.stringify(distribution), () => distribution.map((one) => [`${volts(one.from_volts)} to ${volts(one.from_volts + step)}`, count(one.meters)]));
  }

  row(meter) {
    return h("tr", {}, h("th", { scope: "row" }, h("a", { href: meterHref(meter.id) }, meter.id)), h("td", {}, meter.region),
      h("td", { class: "n strong" }), h("td", { class: "n" }, h("span", { class: "deviation" })), h("td", { class: "n" }, h("time")));
  }

  update(row, meter, { now_ms: now }) {
    const [, region, value, deviation, at] = row.children;
    say(region, meter.region);
    say(value, volts(meter.volts));
    const high = meter.deviation > 0;
    deviation.firstElementChild.dataset.way = high ? "high" : "low";
    say(deviation.firstElementChild, `${percent(Math.abs(meter.deviation), 1)} ${high ? "high" : "low"}`);
    setTime(at.firstElementChild, meter.at_ms, `${span(Math.max(0, now - meter.at_ms))} ago`);
  }
}

export class SilentList extends List {
  constructor() {
    super("silent", "Silent meters, the longest silent first", [["Meter"], ["Region"], ["Silent for", "n"], ["Last reading", "n"]]);
  }

  answer(answer) {
    this.put(answer, `Every meter has said something in the last ${span(answer.silent_after_ms)}.`);
  }

  row(meter) {
    return h("tr", {}, h("th", { scope: "row" }, h("a", { href: meterHref(meter.id) }, meter.id)), h("td", {}, meter.region),
      h("td", { class: "n strong" }), h("td", { class: "n" }, h("time")));
  }

  update(row, meter, { now_ms: now }) {
    const [, region, silent, at] = row.children;
    say(region, meter.region);
    say(silent, span(meter.silent_ms));
    setTime(at.firstElementChild, meter.seen_ms, stamp(meter.seen_ms, now));
  }
}
