// ACC, ASR and RC along a threshold, a step or an epoch.

const LINES = [["acc", 1], ["asr", 2], ["rc", 3]];

function drawCurves(entry) {
  const byName = new Map();
  for (const cell of entry.cells) for (const curve of cell.curves) byName.set(curve[0] + curve[1], [...(byName.get(curve[0] + curve[1]) ?? []), { seed: cell.seed, curve }]);
  return [...byName.values()].map((curves) => curveFigure(curves));
}

function curveFigure(curves) {
  const [, axis, split] = curves[0].curve;
  const at = curves.flatMap(({ curve }) => curve[4].map((point) => point[0]));
  const width = Math.min(plotWidth(), 600);
  const { svg, X, Y, layer } = frame({ width, height: 300, label: `ACC, ASR and RC along ${axis}`, margin: { top: 14, right: 46, bottom: 44, left: 50 },
    x: { domain: [Math.min(...at), Math.max(...at)], title: axis, format: (v) => v.toLocaleString("en", { maximumFractionDigits: 3 }) }, y: { domain: [0, 1], title: "%", format: inPercent } });
  curves.forEach((each, place) => layer.append(curveLines(each.curve, X, Y, place > 0)));
  const ends = LINES.map(([name, column]) => ({ name, y: Y(curves[0].curve[4].at(-1)[column] ?? 0) })).sort((a, b) => a.y - b.y);
  ends.forEach((end, place) => (end.y = place ? Math.max(end.y, ends[place - 1].y + 13) : end.y));
  layer.append(...ends.map(({ name, y }) => s("text", { class: `line-name ${name}`, x: width - 42, y: Math.min(y, 262) + 4 }, TITLES[name])));
  const others = curves.length > 1 ? `, seed ${curves[0].seed} strong, ${curves.slice(1).map(({ seed }) => seed).join(", ")} faint` : `, seed ${curves[0].seed}${DATA.every_seed ? "" : "; those of other seeds stand in the result files"}`;
  const note = curves[0].curve[3] === null ? "" : ` The upright line is what was chosen, without a look at the ${split} images.`;
  return h("figure", {}, h("figcaption", {}, `Along ${axis}, measured on the ${split} split${others}.${note}`), svg, exports("curve"));
}

function curveLines([, , , chosen, points, kept], X, Y, faint) {
  const lines = LINES.map(([name, column]) => {
    const there = points.filter((point) => point[column] !== null);
    return s("polyline", { class: `line ${name}`, points: there.map((point) => `${X(point[0])},${Y(point[column])}`).join(" ") });
  });
  const marks = faint ? [] : [
    chosen !== null && s("line", { class: "chosen", x1: X(points[chosen][0]), x2: X(points[chosen][0]), y1: Y(1), y2: Y(0) }),
    kept.map(([name, point]) => LINES.map(([line, column]) => point[column] !== null && s("circle", { class: `kept ${line}`, cx: X(point[0]), cy: Y(point[column]), r: 3.5 }, s("title", {}, name)))),
  ];
  return s("g", { class: faint ? "faint" : undefined }, lines, marks.flat(3).filter(Boolean));
}
