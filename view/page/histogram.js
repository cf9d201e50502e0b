// How many meters have which voltage: columns over volts, and the band that they should be in.

import { s } from "./dom.js";
import { linear, ticks } from "./scale.js";
import { valueAxis } from "./plot.js";
import { count, plural, volts } from "./format.js";

/** A model for a plot, of the voltage panel's answer. */
export function histogram({ distribution, low_volts: low, high_volts: high, nominal_volts: nominal, step_volts: step }) {
  const half = high - nominal;
  const first = Math.min(low - half * 0.5, ...distribution.map((one) => one.from_volts));
  const last = Math.max(high + half * 0.5, ...distribution.map((one) => one.from_volts + step));
  // The limit itself is within; what begins at it is mostly not.
  const outside = (one) => one.from_volts < low - step / 2 || one.from_volts > high - step / 2;
  const head = (one) => `${volts(one.from_volts)} to ${volts(one.from_volts + step)}`;
  return (box) => {
    const most = Math.max(...distribution.map((one) => one.meters));
    const scale = ticks(0, most * 1.06, 2);
    const y = linear(0, Math.max(most * 1.06, scale[scale.length - 1]), box.bottom, box.top);
    const x = linear(first, last, box.left, box.right);
    const width = Math.max(1, x(first + step) - box.left - 1);
    return {
      n: distribution.length,
      x: (i) => x(distribution[i].from_volts + step / 2),
      head: (i) => head(distribution[i]),
      lines: (i) => [[outside(distribution[i]) ? "bad" : "volts", outside(distribution[i]) ? "out of tolerance" : "within tolerance", plural(distribution[i].meters, "meter")]],
      words: (i) => `${head(distribution[i])}: ${plural(distribution[i].meters, "meter")}, ${outside(distribution[i]) ? "out of" : "within"} tolerance`,
      draw(svg) {
        svg.append(s("rect", { class: "band", x: x(low), width: x(high) - x(low), y: box.top, height: box.bottom - box.top }));
        valueAxis(svg, box, y, 0, Math.max(most, 1), "meters");
        for (const one of distribution) {
          // A single meter among a hundred thousand is still to be seen.
          const height = Math.max(outside(one) ? 4 : 1.5, box.bottom - y(one.meters));
          svg.append(s("rect", { class: `column ${outside(one) ? "bad" : "s0"}`, x: x(one.from_volts), width, y: box.bottom - height, height }));
        }
        for (const [edge, end] of [[low, false], [high, true]]) {
          svg.append(
            s("line", { class: "edge", x1: x(edge), x2: x(edge), y1: box.top, y2: box.bottom }),
            s("text", { class: `edge-text ${end ? "end" : ""}`, x: x(edge) + (end ? -5 : 5), y: box.top + 12 }, volts(edge).replace(/[.,]0/, "")),
          );
        }
        for (const tick of ticks(first, last, Math.max(2, Math.floor((box.right - box.left) / 70)))) {
          svg.append(
            s("line", { class: "notch", x1: x(tick), x2: x(tick), y1: box.bottom, y2: box.bottom + 4 }),
            s("text", { class: "tick middle", x: x(tick), y: box.bottom + 18 }, `${count(tick)} V`),
          );
        }
      },
    };
  };
}
