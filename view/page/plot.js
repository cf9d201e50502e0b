// A plot that can be read with the pointer and with the keyboard: it is a slider over its steps, whose value is told in words.

import { h, s } from "./dom.js";
import { axisNumber, ticks, timeTicks } from "./scale.js";
import { hm, shortDate, utc } from "./format.js";

/** Pixels around the drawing. */
const PAD = { top: 24, right: 12, bottom: 26, left: 52 };

/**
 * `model` is: `n` steps, `x(i)` the middle of one in pixels, `words(i)` a step in words, `head(i)` its title, `lines(i)` its
 * values as [class, name, value], `draw(svg, box)`.
 */
export class Plot {
  constructor(label, { height = 260 } = {}) {
    this.height = height;
    this.at = null;
    this.model = null;
    this.svg = s("svg", { "aria-hidden": "true", focusable: "false" });
    this.tip = h("div", { class: "tip", hidden: true, "aria-hidden": "true" });
    this.element = h("div", {
      class: "plot", tabindex: "0", role: "slider", "aria-label": `${label}. Arrow keys read the values`,
      "aria-orientation": "horizontal", "aria-valuemin": "0", "aria-valuemax": "0", "aria-valuenow": "0", "aria-valuetext": "no values",
    }, this.svg, this.tip);
    new ResizeObserver(() => this.draw()).observe(this.element);
    const on = (event, act) => this.element.addEventListener(event, act);
    on("pointermove", (event) => this.point(event));
    on("pointerdown", (event) => this.point(event));
    on("pointerleave", () => { if (document.activeElement !== this.element) this.show(null); });
    on("focus", () => { if (this.element.matches(":focus-visible")) this.show(this.at ?? this.last()); });
    on("blur", () => this.show(null));
    on("keydown", (event) => this.key(event));
  }

  /** Draws this from now on. `build(box)` gives a model for a box in pixels. */
  set(build) {
    this.build = build;
    this.draw();
  }

  last() {
    return this.model && this.model.n > 0 ? this.model.n - 1 : null;
  }

  draw() {
    const width = this.element.clientWidth;
    if (!this.build || width < 40) return;
    const box = { width, height: this.height, left: PAD.left, right: width - PAD.right, top: PAD.top, bottom: this.height - PAD.bottom };
    this.svg.setAttribute("viewBox", `0 0 ${width} ${this.height}`);
    this.svg.setAttribute("height", this.height);
    this.model = this.build(box);
    this.box = box;
    this.svg.replaceChildren();
    this.model.draw(this.svg, box);
    this.cursor = s("line", { class: "cursor", y1: box.top, y2: box.bottom, visibility: "hidden" });
    this.svg.append(this.cursor);
    this.element.setAttribute("aria-valuemax", Math.max(0, this.model.n - 1));
    if (this.at !== null && this.at >= this.model.n) this.at = this.last();
    if (this.shown) this.show(this.at);
    else this.tell(this.at ?? this.last());
  }

  tell(i) {
    if (i === null || !this.model?.n) return;
    this.element.setAttribute("aria-valuenow", i);
    const words = this.model.words(i);
    if (this.element.getAttribute("aria-valuetext") !== words) this.element.setAttribute("aria-valuetext", words);
  }

  show(i) {
    this.shown = i !== null && this.model?.n > 0;
    this.tip.hidden = !this.shown;
    this.cursor?.setAttribute("visibility", this.shown ? "visible" : "hidden");
    if (!this.shown) return;
    this.at = i;
    this.tell(i);
    const x = this.model.x(i);
    this.cursor.setAttribute("x1", x);
    this.cursor.setAttribute("x2", x);
    this.tip.replaceChildren(h("strong", {}, this.model.head(i)), ...this.model.lines(i).map(([kind, name, value]) =>
      h("div", {}, h("span", { class: `swatch ${kind}` }), h("span", {}, name), h("b", {}, value))));
    const half = this.tip.offsetWidth / 2;
    const beside = x > this.box.width / 2 ? x - half * 2 - 14 : x + 14;
    this.tip.style.left = `${Math.max(0, Math.min(this.box.width - half * 2, beside))}px`;
    this.tip.style.top = `${this.box.top}px`;
  }

  point(event) {
    if (!this.model?.n) return;
    const x = event.clientX - this.element.getBoundingClientRect().left;
    let best = 0;
    for (let i = 1; i < this.model.n; i++) {
      if (Math.abs(this.model.x(i) - x) < Math.abs(this.model.x(best) - x)) best = i;
    }
    this.show(best);
  }

  key(event) {
    const last = this.last();
    if (last === null) return;
    const from = this.at ?? last;
    const to = {
      ArrowLeft: from - 1, ArrowDown: from - 1, ArrowRight: from + 1, ArrowUp: from + 1,
      PageUp: from + 10, PageDown: from - 10, Home: 0, End: last,
    }[event.key];
    if (event.key === "Escape") return this.show(null);
    if (to === undefined) return;
    event.preventDefault();
    this.show(Math.max(0, Math.min(last, to)));
  }
}

/** The axis of values: lines across, numbers and the unit at the left. */
export function valueAxis(svg, box, y, low, high, unit) {
  const all = ticks(low, high, Math.max(2, Math.round((box.bottom - box.top) / 52)));
  const text = axisNumber(all.length > 1 ? all[1] - all[0] : 1);
  for (const value of all) {
    svg.append(
      s("line", { class: value === 0 ? "base" : "grid", x1: box.left, x2: box.right, y1: y(value), y2: y(value) }),
      s("text", { class: "tick end", x: box.left - 8, y: y(value) + 4 }, text(value)),
    );
  }
  svg.append(s("text", { class: "unit end", x: box.left - 8, y: 11 }, unit));
}

/** The axis of times. */
export function timeAxis(svg, box, x, from, to) {
  for (const at of timeTicks(from, to, Math.max(2, Math.floor((box.right - box.left) / 72)))) {
    const midnight = new Date(at).getHours() === 0 && new Date(at).getMinutes() === 0;
    const place = x(at);
    if (place < box.left - 1 || place > box.right + 1) continue;
    svg.append(
      s("line", { class: "notch", x1: place, x2: place, y1: box.bottom, y2: box.bottom + 4 }),
      s("text", { class: "tick middle", x: Math.min(place, box.right - 8), y: box.bottom + 18 }, s("title", {}, utc(at)), midnight ? shortDate(at) : hm(at)),
    );
  }
}
