// ACC against ASR with its Pareto front, and what a defense costs against the ASR that it leaves.

const COSTS = {
  seconds: { title: "seconds of the defense", of: (cost) => cost.seconds, log: true, format: (v) => (v >= 1 ? v.toLocaleString("en") : String(Number(v.toPrecision(1)))) },
  bytes: { title: "peak memory, MB", of: (cost) => (cost.peak_bytes ?? cost.bytes) / 1e6, format: (v) => Math.round(v).toLocaleString("en") },
  clean: { title: "clean samples used", of: (cost) => cost.clean_samples ?? cost.clean, format: (v) => Math.round(v).toLocaleString("en") },
};

function drawTradeoffs({ section, attacks, defenses }) {
  const attack = attacks.find((each) => each.label === state.against);
  const points = defenses.map((defense) => (attack ? pointOf(section.entry(attack, defense)) : meanPoint(defense))).filter(Boolean);
  const where = attack ? `against ${attack.label}` : "mean over attacks, rows with all cells";
  const fronts = section.fronts[attack?.label ?? ""] ?? { acc: [], seconds: [] };
  const cost = COSTS[state.cost] ? state.cost : "seconds";
  const families = Object.keys(FAMILIES).filter((family) => points.some((point) => point.defense.kind.family === family));
  return h("section", {}, h("h2", {}, section.title), attackChoice(attacks, "mean over attacks"), markLegend(families),
    h("div", { class: "pair" },
      h("figure", {}, h("figcaption", {}, h("b", {}, "ACC against ASR"), `, ${where}. Better is up and left; the line joins the defenses that none beats in both.`), accuracyPlot(points, fronts.acc), exports("acc-against-asr")),
      h("figure", {}, h("figcaption", {}, h("b", {}, "Cost against ASR"), `, ${where}. Better is down and left.`),
        chosenFrom(`cost${section.place}`, "cost:", [["seconds", "time"], ["bytes", "memory"], ["clean", "clean data"]], cost, (value) => change({ cost: value })),
        costPlot(points, cost, cost === "seconds" ? fronts.seconds : []), exports("cost-against-asr"))),
    points.length < defenses.length && h("p", { class: "note" }, `${counted(defenses.length - points.length, "defense")} without ${attack ? "numbers here" : "a complete row"}.`));
}

const attackChoice = (attacks, all) =>
  chosenFrom("against", "attack:", [...(all ? [["", all]] : []), ...attacks.map((a) => [a.label, a.label])], attacks.some((a) => a.label === state.against) ? state.against : all ? "" : attacks[0].label, (value) => change({ against: value }));

const pointOf = (entry) => shownEntry(entry) && entry.metrics.asr && { defense: entry.defense, entry, acc: entry.metrics.acc.mean, asr: entry.metrics.asr.mean, cost: entry.cost };

function meanPoint(defense) {
  const { acc, asr } = defense.standing.aggregates;
  return acc && asr && { defense, acc: acc.mean, asr: asr.mean, cost: defense.cost };
}

function accuracyPlot(points, front) {
  const width = plotWidth();
  const lowest = Math.min(0.96, ...points.map((point) => point.acc)) - 0.01;
  const { svg, X, Y, layer } = frame({ width, height: Math.min(430, 0.75 * width + 60), label: "ACC against ASR",
    x: { domain: [0, 1], title: "ASR %", format: inPercent }, y: { domain: [Math.max(0, Math.floor(20 * lowest) / 20), 1.004], title: "ACC %", format: inPercent } });
  drawPoints(svg, layer, points.map((point) => ({ ...point, x: X(point.asr), y: Y(point.acc) })), front, width);
  return svg;
}

function costPlot(points, cost, front) {
  const width = plotWidth();
  const { title, of, log, format } = COSTS[cost];
  const costs = points.map((point) => of(point.cost));
  const [least, most] = log ? [Math.max(0.01, Math.min(...costs, 1)), Math.max(...costs, 1)] : [0, Math.max(...costs, 1)];
  const domain = log ? [10 ** Math.floor(Math.log10(least)), 10 ** Math.ceil(Math.log10(most) + 1e-9)] : [0, most * 1.05];
  const { svg, X, Y, layer } = frame({ width, height: Math.min(430, 0.75 * width + 60), label: "Cost against ASR",
    x: { domain, title, format, log }, y: { domain: [0, 1], title: "ASR %", format: inPercent } });
  drawPoints(svg, layer, points.map((point) => ({ ...point, x: X(of(point.cost)), y: Y(point.asr) })), front, width);
  return svg;
}

function drawPoints(svg, layer, points, front, width) {
  const placed = new Map(points.map((point) => [point.defense.label, point]));
  const onFront = front.map((label) => placed.get(label)).filter(Boolean);
  if (onFront.length > 1) layer.append(s("polyline", { class: "front", points: onFront.map(({ x, y }) => `${x},${y}`).join(" ") }));
  const few = points.length <= 14;
  const marks = points.map((point) => {
    const { defense, entry } = point;
    const g = s("g", { class: `point${front.includes(defense.label) ? " on-front" : ""}${defense.oracle ? " oracle" : ""}`, transform: `translate(${point.x} ${point.y})`, tabindex: "0", role: "button", "aria-label": defense.label }, mark(defense.kind.family));
    g.point = point;
    const open = () => entry ? change(linkTo(entry), true) : change({ view: "matrix", find: defense.label });
    g.addEventListener("click", open);
    g.addEventListener("keydown", (e) => e.key === "Enter" && open());
    return g;
  });
  layer.append(...marks);
  nameled(layer, points.map((point) => ({ x: point.x, y: point.y, name: few || front.includes(point.defense.label) ? point.defense.label : "" })), width);
  tipFor(svg, ".point", (g) => pointTip(g.point));
}

const pointTip = ({ defense, acc, asr, cost, entry }) => entry ? entryTip(entry) : [
  h("strong", {}, defense.label),
  h("p", {}, `${FAMILIES[defense.kind.family]} · ${rankWords(defense.standing)}${defense.oracle ? " · oracle" : ""}`),
  h("p", {}, `ACC ${percent(acc)} · ASR ${percent(asr)} · ${seconds(cost.seconds)}`),
];
