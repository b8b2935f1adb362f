// Charts: a line over time, and bars, as SVG with a text label for screen readers.
import { h, svg, word } from "/web/parts/ui.js";

const WIDTH = 600;

/** An empty chart; `setLabel(key, values)` sets its label. Lines keep their width when it is stretched. */
function canvas(kind, height) {
  const picture = svg("svg", {
    class: `chart ${kind}`, viewBox: `0 0 ${WIDTH} ${height}`, preserveAspectRatio: "none", role: "img",
  });
  const top = h("span", { class: "top" });
  const axis = h("figcaption", {}, h("span"), h("span"));
  const node = h("figure", { class: "plot" }, top, picture, axis);
  return { node, picture, top, axis, setLabel: (key, values) => word(picture, key, values, "aria-label") };
}

/** A line chart: `draw(points, from, to, most)` with [x, y] points; y from 0 to `most`. */
export function line({ height = 120 } = {}) {
  const c = canvas("line", height);
  const area = svg("path", { class: "area" });
  const path = svg("path", { class: "stroke", "vector-effect": "non-scaling-stroke" });
  c.picture.append(grid(height), area, path);
  c.draw = (points, from, to, most) => {
    const x = (value) => ((value - from) / Math.max(1, to - from)) * WIDTH;
    const y = (value) => height - 2 - (value / Math.max(1e-9, most)) * (height - 4);
    const d = points.map(([px, py], at) => `${at ? "L" : "M"}${x(px).toFixed(1)} ${y(py).toFixed(1)}`).join("");
    path.setAttribute("d", d);
    const ends = points.length ? `L${x(points.at(-1)[0]).toFixed(1)} ${height}L${x(points[0][0]).toFixed(1)} ${height}Z` : "";
    area.setAttribute("d", d + ends);
  };
  return c;
}

/** A bar chart of whole numbers, oldest first. */
export function bars({ height = 120 } = {}) {
  const c = canvas("bars", height);
  const group = svg("g");
  c.picture.append(grid(height), group);
  c.draw = (values, most = Math.max(1, ...values)) => {
    const step = WIDTH / values.length;
    while (group.children.length < values.length) group.append(svg("rect", { class: "bar", rx: 1 }));
    while (group.children.length > values.length) group.lastChild.remove();
    values.forEach((value, at) => {
      // Zero is a hairline, and one among hundreds stays visible.
      const tall = Math.max(value ? 2 : 0.75, (value / most) * (height - 4));
      const box = { x: at * step + step * 0.12, width: step * 0.76, y: height - tall, height: tall };
      for (const [name, size] of Object.entries(box)) group.children[at].setAttribute(name, size.toFixed(2));
      group.children[at].classList.toggle("none", !value);
    });
  };
  return c;
}

function grid(height) {
  const rule = (y) => svg("line", { class: "rule", x1: 0, x2: WIDTH, y1: y, y2: y, "vector-effect": "non-scaling-stroke" });
  return svg("g", {}, rule(1), rule(height / 2), rule(height - 1));
}

/** The next round number, at least the given one. */
export function roundUp(number) {
  const power = 10 ** Math.floor(Math.log10(Math.max(1e-9, number)));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((n) => n * power).find((n) => n >= number * 0.999999);
}
