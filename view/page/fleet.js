// The fleet at a glance.

import { byId, h, say } from "./dom.js";
import { count, moment, percent, plural, powerParts, rate, roughly, setTime, span, volts } from "./format.js";

const TILES = ["power", "meters", "outside", "silent", "rate", "newest"];

/** The strip of figures; `news(words)` tells what has changed to those who do not see it. */
export class Fleet {
  constructor(news) {
    this.news = news;
    this.before = null;
    const tiles = {
      power: "Consumption now", meters: "Meters", outside: "Out of tolerance", silent: "Silent", rate: "Readings", newest: "Newest reading",
    };
    this.tiles = Object.fromEntries(TILES.map((name) => {
      const value = name === "newest" ? h("time") : h("span", {}, "–");
      const unit = h("small");
      const note = h("dd", { class: "note" }, "\u00a0");
      const tile = h("div", { class: `tile ${name}` }, h("dt", {}, tiles[name]), h("dd", { class: "value" }, value, " ", unit), note);
      return [name, { tile, value, unit, note }];
    }));
    byId("fleet").append(...TILES.map((name) => this.tiles[name].tile));
    this.trouble(null);
  }

  trouble(words) {
    byId("fleet-trouble").hidden = !words;
    say(byId("fleet-trouble"), words ?? "");
  }

  put(name, value, unit, note, state = "") {
    const tile = this.tiles[name];
    say(tile.value, value);
    say(tile.unit, unit);
    say(tile.note, note || "\u00a0");
    tile.tile.dataset.state = state;
  }

  answer(fleet) {
    this.trouble(fleet.empty);
    const [power, unit] = powerParts(fleet.kw);
    const before = fleet.kw_day_before;
    const change = before > 0 ? fleet.kw / before - 1 : null;
    const word = change === null ? `mean of the last ${span(fleet.silent_after_ms)}`
      : Math.abs(change) < 0.005 ? "as a day before"
      : `${change > 0 ? "▲" : "▼"} ${percent(Math.abs(change))} ${change > 0 ? "above" : "below"} a day before`;
    this.put("power", power, unit, word);
    this.put("meters", count(fleet.meters), "", fleet.regions > 0 ? `in ${plural(fleet.regions, "region")}` : "");
    const share = fleet.measured ? fleet.outside / fleet.measured : 0;
    const range = `${count(fleet.low_volts)} to ${volts(fleet.high_volts).replace(/[.,]0/, "")}`;
    this.put("outside", count(fleet.outside), "", fleet.measured ? `${percent(share)} of those measured; ${range}` : "no voltages are measured", fleet.outside > 0 ? "alarm" : "well");
    this.put("silent", count(fleet.silent), "", `for more than ${span(fleet.silent_after_ms)}`, fleet.silent > 0 ? "quiet" : "well");
    const newest = this.tiles.newest;
    if (fleet.newest_ms === null) {
      this.put("newest", "–", "", "there is none yet");
    } else {
      const age = fleet.clock_ms - fleet.newest_ms;
      setTime(newest.value, fleet.newest_ms, roughly(Math.max(0, age)));
      say(newest.unit, "old");
      say(newest.note, moment(fleet.newest_ms, fleet.clock_ms));
      newest.tile.dataset.state = age > fleet.silent_after_ms ? "quiet" : "well";
    }
    this.tell(fleet);
  }

  /** Only what asks for somebody: more or fewer meters in trouble. */
  tell(fleet) {
    const now = { outside: fleet.outside, silent: fleet.silent };
    if (this.before && (now.outside !== this.before.outside || now.silent !== this.before.silent)) {
      this.news(`${plural(now.outside, "meter")} out of tolerance, ${count(now.silent)} silent`);
    }
    this.before = now;
  }

  pipeline({ readings_per_second: perSecond, why }) {
    if (perSecond === null || perSecond === undefined) this.put("rate", "–", "", why ? "no job answers" : "no job runs");
    else this.put("rate", rate(perSecond), "/s", "read by the job");
  }
}
