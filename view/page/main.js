// The page: what is shown is asked for, and where one is stands in the address (`#meter=…`).

import { byId, say } from "./dom.js";
import { Consumption } from "./consumption.js";
import { Fleet } from "./fleet.js";
import { hms, moment, setTime, span, zone } from "./format.js";
import { Lateness } from "./lateness.js";
import { SilentList, VoltageList, meterHref } from "./lists.js";
import { Meter } from "./meter.js";
import { Pipeline } from "./pipeline.js";
import { Poll, link } from "./poll.js";
import { search } from "./search.js";

const overview = byId("overview");
const meterPage = byId("meter");
const title = document.title;
let polls = [];
let panels = null;

/** For those who hear the page: the same words twice are said once. */
const news = (words) => say(byId("news"), words);

/** A panel and the question that it shows the answer to. */
function shows(panel, url, options = {}) {
  const answer = (answer) => {
    if (answer.now_ms !== undefined) now(answer);
    panel.answer(answer);
    options.also?.(answer);
  };
  return new Poll(url, { every: options.every, answer, trouble: (words) => panel.trouble(words) });
}

function now({ now_ms: at, clock_ms: clock, replay, newest_ms: newest }) {
  setTime(byId("now"), at, replay ? moment(at, clock) : hms(at));
  say(byId("now-label"), replay ? "Shown as of" : "Now");
  const notice = byId("replay");
  notice.hidden = !replay;
  if (replay) say(notice, `Readings end at ${moment(newest, clock)}, ${span(clock - newest)} ago. The page shows the fleet as it was then.`);
}

function openOverview() {
  panels ??= { fleet: new Fleet(news), consumption: new Consumption(), voltage: new VoltageList(), silent: new SilentList(), lateness: new Lateness(), pipeline: new Pipeline() };
  const { fleet, consumption, voltage, silent, lateness, pipeline } = panels;
  const spanOf = () => document.querySelector('input[name="span"]:checked').value;
  const consumptions = shows(consumption, () => `/api/consumption?span=${spanOf()}`);
  byId("span").onchange = () => consumptions.now();
  polls = [
    shows(fleet, () => "/api/fleet"),
    consumptions,
    shows(voltage, () => "/api/voltage"),
    shows(silent, () => "/api/silent"),
    shows(lateness, () => "/api/lateness"),
    shows(pipeline, () => "/api/pipeline", { also: (answer) => fleet.pipeline(answer) }),
  ];
}

function openMeter(id) {
  let poll = null;
  const meter = new Meter(id, () => poll.now());
  poll = shows(meter, () => meter.url());
  polls = [poll];
  return meter;
}

/** Shows what the address says; `moved` is false for the page's first. */
function route(moved) {
  const id = location.hash.startsWith("#meter=") ? decode(location.hash.slice(7)) : "";
  // The overview is there already.
  if (!id && moved && !overview.hidden && polls.length > 0) return;
  polls.forEach((poll) => poll.stop());
  overview.hidden = id !== "";
  meterPage.hidden = id === "";
  if (id) {
    const meter = openMeter(id);
    document.title = `${id} · ${title}`;
    window.scrollTo(0, 0);
    meter.title.focus({ preventScroll: true });
  } else {
    meterPage.replaceChildren();
    document.title = title;
    openOverview();
    if (moved) {
      window.scrollTo(0, 0);
      byId("content").focus({ preventScroll: true });
    }
  }
}

function decode(text) {
  try { return decodeURIComponent(text); } catch { return text; }
}

function linked() {
  const element = byId("link");
  const was = element.dataset.state;
  element.dataset.state = link.state;
  document.body.classList.toggle("stale", link.state === "down");
  const words = link.state === "down" ? `Connection lost at ${hms(link.since)}; trying again` : was === "down" ? "Connected again" : "Live";
  say(byId("link-text"), words);
  clearTimeout(linked.timer);
  if (words === "Connected again") linked.timer = setTimeout(() => say(byId("link-text"), "Live"), 8000);
}

// The address says which meter is shown: the skip link must leave it alone.
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  byId("content").focus();
});
link.addEventListener("change", linked);
window.addEventListener("hashchange", () => route(true));
search((id) => { location.hash = meterHref(id); });
say(byId("zone"), zone());
route(false);
