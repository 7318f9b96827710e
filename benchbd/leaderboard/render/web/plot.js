// Frames of plots: scales, axes and titles, as SVG of the width that there is.

const plotWidth = (most = 620) => Math.max(300, Math.min(most, document.documentElement.clientWidth - 40));

const linear = ([from, to], [start, end]) => (value) => start + ((value - from) / (to - from || 1)) * (end - start);

function logarithmic([from, to], range) {
  const scale = linear([Math.log10(from), Math.log10(to)], range);
  return (value) => scale(Math.log10(Math.max(value, from)));
}

// Round numbers between two bounds, about `count` of them.
function ticks([from, to], count = 5) {
  const rough = (to - from || 1) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10);
  const found = [];
  for (let at = Math.ceil(from / step - 1e-9) * step; at <= to + step * 1e-6; at += step) found.push(Number(at.toPrecision(12)));
  return found;
}

const decades = ([from, to]) => Array.from({ length: Math.round(Math.log10(to / from)) + 1 }, (_, place) => from * 10 ** place);

// `x` and `y`: {domain, title, format, log}. Gives the svg, the scales, and a group to draw into.
function frame({ width, height, x, y, label, margin = { top: 14, right: 16, bottom: 44, left: 54 } }) {
  const inner = { right: width - margin.right, bottom: height - margin.bottom };
  const X = (x.log ? logarithmic : linear)(x.domain, [margin.left, inner.right]);
  const Y = (y.log ? logarithmic : linear)(y.domain, [inner.bottom, margin.top]);
  const across = (x.log ? decades : ticks)(x.domain).map((at) => s("g", { transform: `translate(${X(at)} 0)` },
    s("line", { class: "rule", y1: margin.top, y2: inner.bottom }), s("text", { y: inner.bottom + 17, "text-anchor": "middle" }, x.format(at))));
  const up = ticks(y.domain).map((at) => s("g", { transform: `translate(0 ${Y(at)})` },
    s("line", { class: "rule", x1: margin.left, x2: inner.right }), s("text", { x: margin.left - 8, dy: "0.32em", "text-anchor": "end" }, y.format(at))));
  const titles = [
    s("text", { class: "axis", x: (margin.left + inner.right) / 2, y: height - 6, "text-anchor": "middle" }, x.title),
    s("text", { class: "axis", transform: `translate(13 ${(margin.top + inner.bottom) / 2}) rotate(-90)`, "text-anchor": "middle" }, y.title),
  ];
  const layer = s("g", {});
  const svg = s("svg", { class: "plot", viewBox: `0 0 ${width} ${height}`, width, height, role: "group", "aria-label": label }, across, up, titles, layer);
  return { svg, X, Y, layer };
}

const inPercent = (share) => String(Math.round(1000 * share) / 10);

// Writes names beside points where there is room: four places are tried, names that fit nowhere are left to the tooltip.
function nameled(layer, points, width) {
  const taken = points.map(({ x, y }) => [x - 6, y - 6, x + 6, y + 6]);
  for (const { x, y, name } of points.filter((point) => point.name)) {
    const words = name.length > 22 ? `${name.slice(0, 21)}…` : name;
    const long = 6.4 * words.length;
    const places = [[x + 9, y + 4, "start"], [x - 9, y + 4, "end"], [x, y - 10, "middle"], [x, y + 18, "middle"]];
    for (const [left, base, anchor] of places) {
      const from = anchor === "start" ? left : anchor === "end" ? left - long : left - long / 2;
      const box = [from, base - 11, from + long, base + 3];
      if (box[0] < 50 || box[2] > width - 4 || taken.some((other) => box[0] < other[2] && box[2] > other[0] && box[1] < other[3] && box[3] > other[1])) continue;
      taken.push(box);
      layer.append(s("text", { class: "name", x: left, y: base, "text-anchor": anchor }, words));
      break;
    }
  }
}

const chosenFrom = (id, title, options, value, choose) => {
  const select = h("select", { id, on: { change: (e) => choose(e.target.value) } }, options.map(([key, words]) => h("option", { value: key }, words)));
  select.value = value;
  return h("label", { class: "choice" }, title, " ", select);
};
