// How the job is: state, throughput, lag, checkpoints, books, failures.

import { byId, h, renew, say, table } from "./dom.js";
import { bytes, count, date, hms, percent, rate, span, stamp, time } from "./format.js";

/** A lag beyond this is no lag: the job replays history. */
const REPLAY_MS = 86400000 * 7;

const KINDS = { RUNNING: "well", FINISHED: "well", FAILED: "alarm", FAILING: "alarm", RESTARTING: "alarm", CANCELED: "quiet", CANCELLING: "quiet" };

export class Pipeline {
  constructor() {
    this.nothing = h("p", { class: "nothing", hidden: true });
    this.jobs = h("div", { class: "jobs" });
    byId("pipeline").append(this.nothing, this.jobs);
    this.open = new Map();
  }

  trouble(words) {
    this.nothing.hidden = false;
    this.jobs.replaceChildren();
    this.open.clear();
    say(this.nothing, words);
  }

  answer(answer) {
    say(byId("pipeline-rest"), answer.rest ?? "");
    if (answer.why) return this.trouble(`${answer.why}${answer.rest ? " The rest of this page is the store's, and goes on." : ""}`);
    this.nothing.hidden = true;
    const there = new Set(answer.jobs.map((job) => job.id));
    for (const [id, panel] of this.open) if (!there.has(id)) { panel.element.remove(); this.open.delete(id); }
    for (const job of answer.jobs) {
      if (!this.open.has(job.id)) this.open.set(job.id, new Job(job));
      const panel = this.open.get(job.id);
      this.jobs.append(...(panel.element.parentNode ? [] : [panel.element]));
      panel.update(job, answer.clock_ms);
    }
  }
}

class Job {
  constructor(job) {
    this.state = h("span", { class: "badge" });
    this.figures = h("dl", { class: "figures" });
    const vertices = table(`Vertices of ${job.name}`, [["Vertex"], ["In /s", "n"], ["Out /s", "n"], ["Event time", "n"], ["Busy", "n"], ["Back-pressure", "n"]]);
    const books = table(`Books of ${job.name}`, [["Sink"], ["Read", "n"], ["Written", "n"], ["Rejected", "n"], ["Dead letters", "n"], ["Balance"]]);
    this.vertices = vertices.body;
    this.books = books.body;
    this.booksBox = h("div", { hidden: true }, h("h4", {}, "Books, as of the last checkpoint"), books.box);
    this.exceptions = h("ul", { class: "exceptions" });
    this.exceptionsBox = h("div", { hidden: true }, h("h4", {}, "Failures"), this.exceptions);
    this.element = h("article", { class: "job" }, h("h3", {}, job.name, " ", this.state), this.figures, vertices.box, this.booksBox, this.exceptionsBox);
  }

  update(job, now) {
    say(this.state, job.state.toLowerCase());
    this.state.className = `badge ${KINDS[job.state] ?? "quiet"}`;
    const c = job.checkpoints;
    const lags = job.vertices.filter((v) => v.lag_ms !== null);
    const worst = lags.length ? Math.max(...lags.map((v) => v.lag_ms)) : null;
    const slowest = lags.find((v) => v.lag_ms === worst);
    const lag = worst === null ? ["–", job.vertices.some((v) => v.ended) ? "all input is read" : "no watermark yet"]
      : worst > REPLAY_MS ? [hms(slowest.watermark_ms), `on ${date(slowest.watermark_ms)}: history is replayed`]
      : [span(Math.max(0, worst)), "watermark behind now"];
    const figures = [
      ["Event time", ...lag],
      ["Last checkpoint", c.last_ms === null ? "none yet" : `${span(Math.max(0, now - c.last_ms))} ago`,
        c.last_ms === null ? "" : `took ${span(c.last_duration_ms ?? 0)}, ${bytes(c.last_bytes ?? 0)} of ${bytes(c.last_full_bytes ?? 0)} new`],
      ["Checkpoints", count(c.completed), c.failed ? `${count(c.failed)} failed${c.last_failure ? `: ${c.last_failure}` : ""}` : "none has failed"],
      ["Restarts", count(job.restarts), `up ${span(job.duration_ms)}`],
      ["Dead letters", count(job.dead_lettered), job.dead_lettered ? "kept with their reasons" : "nothing was refused"],
    ];
    renew(this.figures, JSON.stringify(figures), () => figures.map(([name, value, note]) =>
      h("div", { class: (name === "Restarts" && job.restarts > 0) || (name === "Checkpoints" && c.failed > 0) ? "warn" : null }, h("dt", {}, name), h("dd", { class: "value" }, value), h("dd", { class: "note" }, note))));

    renew(this.vertices, JSON.stringify([job.vertices, Math.floor(now / 1000)]), () => job.vertices.map((v) => h("tr", {},
      h("th", { scope: "row" }, v.name.replace(/->/g, "→"), v.parallelism > 1 ? h("small", {}, ` × ${v.parallelism}`) : ""),
      h("td", { class: "n" }, rate(v.in_per_second)), h("td", { class: "n" }, rate(v.out_per_second)),
      h("td", { class: "n" }, v.ended ? "end" : v.watermark_ms === null ? "–" : v.lag_ms > REPLAY_MS ? time(v.watermark_ms, now, stamp(v.watermark_ms, now)) : `${span(Math.max(0, v.lag_ms))} behind`),
      h("td", { class: "n" }, gauge(v.busy, "busy")), h("td", { class: "n" }, gauge(v.backpressured, "backpressured")))));

    this.booksBox.hidden = job.books.length === 0;
    renew(this.books, JSON.stringify(job.books), () => job.books.map((b) => h("tr", {}, h("th", { scope: "row" }, b.name),
      ...[b.read, b.written, b.rejected, b.dead_lettered].map((n) => h("td", { class: "n" }, count(n))),
      h("td", {}, h("span", { class: `verdict ${b.balanced ? "well" : "alarm"}` }, b.balanced ? "balanced" : `${count(b.read - b.written - b.rejected - b.dead_lettered)} missing`)))));

    this.exceptionsBox.hidden = job.exceptions.length === 0;
    renew(this.exceptions, JSON.stringify(job.exceptions), () => job.exceptions.map((e) =>
      h("li", {}, time(e.at_ms, now), ` ${e.what}`, e.task ? h("small", {}, ` in ${e.task}`) : "")));
  }
}

/** A share as a number and a short bar. */
function gauge(share, kind) {
  const fill = h("span", { class: "fill" });
  fill.style.inlineSize = `${Math.min(1, Math.max(0, share)) * 100}%`;
  const level = share > 0.5 ? "high" : share > 0.1 ? "some" : "low";
  return h("span", { class: `gauge ${kind}`, "data-level": level }, h("span", {}, percent(Math.round(share * 100) / 100)), h("span", { class: "track", "aria-hidden": "true" }, fill));
}

