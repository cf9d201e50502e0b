// Columns over time, of one or several parts that lie upon each other.

import { s } from "./dom.js";
import { linear, ticks } from "./scale.js";
import { timeAxis, valueAxis } from "./plot.js";

/**
 * A model for a plot: `times` are the steps' beginnings, `step` their length, `parts` are `{kind, name, values}` from the lowest,
 * `format` makes a value text, `open` says that the last step is not over.
 */
export function columns({ times, step, parts, unit, format, head, open }) {
  const totals = times.map((_, i) => parts.reduce((sum, part) => sum + part.values[i], 0));
  return (box) => {
    const from = times[0];
    const to = times[times.length - 1] + step;
    const most = Math.max(...totals, 0) || 1;
    // The highest line is a tick above the highest column.
    const scale = ticks(0, most * 1.04, 4);
    const high = Math.max(most * 1.04, scale[scale.length - 1]);
    const y = linear(0, high, box.bottom, box.top);
    const x = linear(from, to, box.left, box.right);
    const gap = Math.min(2, Math.max(0.5, (x(from + step) - box.left) * 0.18));
    const width = Math.max(1, x(from + step) - box.left - gap);
    const lines = (i) => {
      const all = parts.map((part) => [part.kind, part.name, format(part.values[i])]).reverse();
      return parts.length > 1 ? [...all, ["none", "All", format(totals[i])]] : all;
    };
    return {
      n: times.length,
      x: (i) => x(times[i] + step / 2),
      head: (i) => head(i),
      lines,
      words: (i) => `${head(i)}: ${lines(i).map(([, name, value]) => `${name} ${value}`).reverse().join(", ")}`,
      draw(svg) {
        valueAxis(svg, box, y, 0, high, unit);
        timeAxis(svg, box, x, from, to);
        const floor = times.map(() => 0);
        for (const part of parts) {
          // One path a part: a hundred columns are one element.
          let closed = "";
          let last = "";
          part.values.forEach((value, i) => {
            const bottom = y(floor[i]);
            floor[i] += value;
            const height = bottom - y(floor[i]);
            if (height < 0.05) return;
            // A line of the ground between parts tells them apart without their colours.
            const top = parts.length > 1 && height > 3 ? bottom - height + 1 : bottom - height;
            const column = `M${x(times[i]) + gap / 2} ${bottom}V${top}h${width}V${bottom}z`;
            if (open && i === times.length - 1) last += column;
            else closed += column;
          });
          svg.append(s("path", { class: `column ${part.kind}`, d: closed }));
          if (last) svg.append(s("path", { class: `column open ${part.kind}`, d: last }));
        }
      },
    };
  };
}
