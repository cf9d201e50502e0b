// A curve over time within a band that it should not leave.

import { s } from "./dom.js";
import { linear, ticks } from "./scale.js";
import { timeAxis, valueAxis } from "./plot.js";

/**
 * A model for a plot: `points` are `{at, value, low, high}`; `band` is `{low, high, middle}` with texts for its edges; a gap longer
 * than `gap` interrupts the curve.
 */
export function lines({ points, from, to, band, gap, unit, format, head, name, kind }) {
  return (box) => {
    const lows = points.map((p) => p.low);
    const highs = points.map((p) => p.high);
    const margin = (band.high - band.low) * 0.12;
    const low = Math.min(band.low - margin, ...lows);
    const high = Math.max(band.high + margin, ...highs);
    const scale = ticks(low, high, 5);
    const y = linear(Math.min(low, scale[0]), Math.max(high, scale[scale.length - 1]), box.bottom, box.top);
    const x = linear(from, to, box.left, box.right);
    const outside = (p) => p.low < band.low || p.high > band.high;
    const describe = (p) => (p.high - p.low > 0.05 ? `${format(p.value)} (${format(p.low)} to ${format(p.high)})` : format(p.value));
    const state = (p) => (p.high > band.high ? "too high" : p.low < band.low ? "too low" : "within tolerance");
    return {
      n: points.length,
      x: (i) => x(points[i].at),
      head: (i) => head(points[i].at),
      lines: (i) => [[outside(points[i]) ? "alarm" : kind, name, describe(points[i])], ["none", "", state(points[i])]],
      words: (i) => `${head(points[i].at)}: ${name} ${describe(points[i])}, ${state(points[i])}`,
      draw(svg) {
        svg.append(s("rect", { class: "band", x: box.left, width: box.right - box.left, y: y(band.high), height: y(band.low) - y(band.high) }));
        valueAxis(svg, box, y, Math.min(low, scale[0]), Math.max(high, scale[scale.length - 1]), unit);
        timeAxis(svg, box, x, from, to);
        for (const [edge, text, below] of [[band.high, band.highText, true], [band.low, band.lowText, false]]) {
          svg.append(
            s("line", { class: "edge", x1: box.left, x2: box.right, y1: y(edge), y2: y(edge) }),
            s("text", { class: "edge-text end", x: box.right - 4, y: y(edge) + (below ? 14 : -5) }, text),
          );
        }
        let d = "";
        let spread = "";
        points.forEach((p, i) => {
          const goesOn = i > 0 && p.at - points[i - 1].at <= gap;
          d += `${goesOn ? "L" : "M"}${x(p.at).toFixed(1)} ${y(p.value).toFixed(1)}`;
          // A point that stands alone is a dot: a line of no length with round ends.
          if (!goesOn && !(i + 1 < points.length && points[i + 1].at - p.at <= gap)) d += "h0.01";
          if (p.high - p.low > 0.05) spread += `M${x(p.at).toFixed(1)} ${y(p.low).toFixed(1)}V${y(p.high).toFixed(1)}`;
        });
        if (spread) svg.append(s("path", { class: `spread ${kind}`, d: spread }));
        svg.append(s("path", { class: `curve ${kind}`, d }));
        // What is outside has a shape of its own: a triangle that points to where it has gone.
        for (const p of points.filter(outside)) {
          const up = p.high > band.high;
          const [px, py] = [x(p.at), y(up ? p.high : p.low)];
          const size = 4.5;
          const tip = up ? -size : size;
          svg.append(s("path", { class: "outside", d: `M${px} ${py + tip}l${size} ${-2 * tip}h${-2 * size}z` }));
        }
      },
    };
  };
}
