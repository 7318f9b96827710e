// Every seed as a dot: an ASR after a defense often has two peaks, which a mean hides.

function drawSeeds({ section, attacks, defenses }) {
  const attack = attacks.find((each) => each.label === state.against) ?? attacks.find((each) => !each.healthy) ?? attacks[0];
  const metric = ["acc", "asr", "rc", "der"].includes(state.metric) ? state.metric : "asr";
  const entries = defenses.map((defense) => section.entry(attack, defense)).filter(shownEntry);
  return h("section", {}, h("h2", {}, section.title),
    h("div", { class: "choices" },
      chosenFrom("against", "attack:", attacks.map((a) => [a.label, a.label]), attack.label, (value) => change({ against: value })),
      chosenFrom("metric", "metric:", ["asr", "acc", "rc", "der"].map((name) => [name, TITLES[name]]), metric, (value) => change({ metric: value }))),
    h("p", { class: "note" }, "Each dot a seed; the tick is their mean, the bar its 95 % interval where there is one, the dashed line the undefended models."),
    h("figure", {}, dotPlot(entries, metric, attack.baseline[metric]?.mean), exports("seeds")));
}

function dotPlot(entries, metric, undefended, open = true) {
  const width = plotWidth(980);
  const left = open ? Math.min(190, 0.36 * width) : 60;
  const rowHeight = 24;
  const top = entries.length > 20 ? 22 : 8;
  const height = top + 38 + rowHeight * entries.length;
  const X = linear([0, 1], [left, width - 20]);
  const bottom = height - 30;
  const axis = ticks([0, 1]).map((at) => s("g", { transform: `translate(${X(at)} 0)` },
    s("line", { class: "rule", y1: top - 4, y2: bottom }), s("text", { y: bottom + 16, "text-anchor": "middle" }, inPercent(at)), entries.length > 20 && s("text", { y: 11, "text-anchor": "middle" }, inPercent(at))));
  const svg = s("svg", { class: "plot dots", viewBox: `0 0 ${width} ${height}`, width, height, role: "group", "aria-label": `${TITLES[metric]} of every seed` }, axis,
    undefended !== undefined && s("line", { class: "undefended", x1: X(undefended), x2: X(undefended), y1: top - 4, y2: bottom }),
    entries.map((entry, row) => dotRow(entry, metric, X, top + rowHeight * (row + 0.5), left, width, open)));
  if (open) tipFor(svg, ".dot-row", (g) => entryTip(entries[g.dataset.row]));
  svg.querySelectorAll(".dot-row").forEach((g, row) => (g.dataset.row = row));
  return svg;
}

function dotRow(entry, metric, X, y, left, width, open) {
  const name = entry.defense.label.length * 6.6 > left - 14 ? `${entry.defense.label.slice(0, Math.floor((left - 20) / 6.6))}…` : entry.defense.label;
  const { mean, low, high } = entry.metrics[metric] ?? {};
  const act = () => change(linkTo(entry), true);
  return s("g", { class: "dot-row", transform: `translate(0 ${y})`, tabindex: open ? "0" : undefined, role: open ? "button" : undefined, on: open ? { click: act, keydown: (e) => e.key === "Enter" && act() } : {} },
    s("rect", { class: "row", x: 0, y: -12, width, height: 24 }),
    s("text", { x: left - 10, dy: "0.32em", "text-anchor": "end" }, name),
    low !== undefined && s("line", { class: "interval", x1: X(low), x2: Math.max(X(high), X(low) + 1) }),
    mean !== undefined ? s("line", { class: "mean", x1: X(mean), x2: X(mean), y1: -8, y2: 8 }) : s("text", { class: "quiet", x: left + 6, dy: "0.32em" }, statusWords(entry)),
    entry.cells.filter((cell) => cell.figures[metric] !== undefined && cell.code === "ok").map((cell) => s("circle", { class: "dot", cx: X(cell.figures[metric]), r: 4.5 })));
}
