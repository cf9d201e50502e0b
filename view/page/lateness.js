// How late readings come: bars, each with its number, so the drawing is the table.

import { byId, h, renew, say } from "./dom.js";
import { count, percent, span } from "./format.js";

const name = (bucket, before) => {
  if (bucket.upper_ms === null) return before ? `more than ${span(before)}` : "any";
  return before ? `${span(before)} to ${span(bucket.upper_ms)}` : `up to ${span(bucket.upper_ms)}`;
};

export class Lateness {
  constructor() {
    this.nothing = h("p", { class: "nothing", hidden: true });
    this.body = h("tbody");
    this.table = h("table", { class: "bars" }, h("caption", { class: "unseen" }, "Readings by how long after they were measured they came"),
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Late by"), h("th", { scope: "col", class: "n" }, "Readings"), h("th", { scope: "col", class: "n" }, "Share"), h("th", { scope: "col", class: "unseen-cell" }, h("span", { class: "unseen" }, "Bar")))), this.body);
    this.summary = h("p", { class: "summary" });
    byId("lateness").append(this.table, this.nothing, this.summary);
  }

  trouble(words) {
    this.table.hidden = true;
    this.nothing.hidden = false;
    say(this.nothing, words);
    say(this.summary, "");
  }

  answer({ why, buckets, total }) {
    if (why || total === 0) return this.trouble(why ?? "No reading was counted yet.");
    this.table.hidden = false;
    this.nothing.hidden = true;
    const most = Math.max(...buckets.map((bucket) => bucket.count));
    renew(this.body, JSON.stringify(buckets), () => buckets.map((bucket, i) => {
      const share = bucket.count / total;
      // By the root: one reading in ten thousand is still seen. The numbers say what is meant.
      const length = most > 0 ? Math.sqrt(bucket.count / most) : 0;
      const bar = h("span", { class: "length" });
      bar.style.inlineSize = `${length * 100}%`;
      return h("tr", {}, h("th", { scope: "row" }, name(bucket, buckets[i - 1]?.upper_ms)), h("td", { class: "n" }, count(bucket.count)),
        h("td", { class: "n" }, bucket.count > 0 && share < 0.001 ? "< 0.1 %" : percent(share)), h("td", { class: "bar-cell", "aria-hidden": "true" }, bar));
    }));
    const minute = buckets.filter((bucket) => bucket.upper_ms !== null && bucket.upper_ms <= 60000).reduce((sum, bucket) => sum + bucket.count, 0);
    say(this.summary, `${percent(minute / total, 1)} of ${count(total)} readings came within a minute. Bars grow with the root of the number.`);
  }
}
