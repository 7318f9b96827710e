// What is shown as comma-separated values, shares in [0, 1]: one row for each entry.

function csvOf(sections) {
  const parts = ["", "_low", "_high"];
  const header = [
    "table", "protocol", "dataset", "model", "attack", "poison_ratio", "labels", "defense", "family", "provider", "place", "best_rank", "worst_rank", "status", "measured", "expected", "seeds",
    ...FIGURES.flatMap((name) => parts.map((part) => name + part)), ...Object.keys(DETECTION), ...DATA.utility, "seconds", "peak_bytes", "clean_samples", "oracle", "stale", "trust", "keys",
  ];
  const rows = sections.flatMap(({ section, attacks, defenses }) => attacks.flatMap((a) => defenses.map((d) => section.entry(a, d)))).filter(shownEntry).map(csvRow);
  return [header, ...rows].map((row) => row.map(csvField).join(",")).join("\r\n") + "\r\n";
}

function csvRow(entry) {
  const { section, attack, defense } = entry;
  const figures = FIGURES.flatMap((name) => ["mean", "low", "high"].map((part) => entry.metrics[name]?.[part]));
  const ok = entry.cells.filter((cell) => cell.code === "ok");
  return [
    section.title, section.protocol, section.dataset, section.model, attack.label, attack.poison_ratio, attack.kind.labels, defense.label, defense.kind.family, defense.method.provider,
    defense.standing.place, ...(defense.standing.ranks ?? ["", ""]), statusWords(entry), entry.measured, entry.expected, ok.map((cell) => cell.seed).join(" "),
    ...figures, ...Object.keys(DETECTION).map((name) => entry.detection[name]), ...DATA.utility.map((name) => entry.utility[name]), entry.cost?.seconds, entry.cost?.bytes, entry.cost?.clean,
    entry.oracle, entry.stale, entry.trust, ok.map((cell) => cell.key).join(" "),
  ];
}

// A text that a spreadsheet would take for a formula gets a quote before it.
function csvField(value) {
  if (value === undefined || value === null) return "";
  const words = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
  return /[",\r\n]/.test(words) ? `"${words.replaceAll('"', '""')}"` : words;
}

function download(name, content, type = "text/csv") {
  const address = URL.createObjectURL(new Blob([content], { type }));
  h("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

const TEX = { "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}" };
const texWords = (words) => String(words).replace(/[\\~^&%$#_{}]/g, (mark) => TEX[mark] ?? `\\${mark}`);

// What is shown as LaTeX tables of ASR / ACC in percent, one for each table of the board; needs the package booktabs.
function latexOf(sections) {
  return sections.map(({ section, attacks, defenses }) => {
    const line = (cells) => `${cells.map(texWords).join(" & ")} \\\\`;
    const share = (entry) => !shownEntry(entry) ? "" : !entry.measured ? statusWords(entry) : `${entry.attack.healthy ? "" : `${percent(entry.metrics.asr?.mean)} / `}${percent(entry.metrics.acc.mean)}`;
    const rows = defenses.map((d) => line([d.label, ...attacks.map((a) => share(section.entry(a, d)))]));
    return ["\\begin{table}", "\\centering", `\\caption{${texWords(section.title.replaceAll(" · ", ", "))}: ASR / ACC in percent. Board ${DATA.digest}.}`, `\\begin{tabular}{l${"r".repeat(attacks.length)}}`, "\\toprule", line(["defense", ...attacks.map((a) => a.label)]), "\\midrule", ...rows, "\\bottomrule", "\\end{tabular}", "\\end{table}", ""].join("\n");
  }).join("\n");
}

const PAINT = ["fill", "fill-opacity", "stroke", "stroke-width", "stroke-dasharray", "stroke-opacity", "opacity", "font-family", "font-size", "font-weight", "paint-order"];

// A picture as a file of its own: what the style sheet says of each element is written into it.
function svgFile(svg) {
  const copied = svg.cloneNode(true);
  const [from, to] = [svg, copied].map((each) => [each, ...each.querySelectorAll("*")]);
  from.forEach((element, place) => {
    const style = getComputedStyle(element);
    for (const name of PAINT) to[place].style.setProperty(name, style.getPropertyValue(name));
  });
  copied.setAttribute("xmlns", SVG);
  copied.style.background = getComputedStyle(document.body).backgroundColor;
  return new XMLSerializer().serializeToString(copied);
}

// Buttons below a figure: its picture as SVG, and as PDF by way of the browser's print.
const exports = (name) => h("p", { class: "exports" },
  h("button", { type: "button", class: "small", data: { export: "svg" }, on: { click: (e) => download(`${name}.svg`, svgFile(figureOf(e).querySelector("svg.plot")), "image/svg+xml") } }, "SVG"),
  h("button", { type: "button", class: "small", data: { export: "pdf" }, title: "prints this figure alone; choose to save as PDF", on: { click: (e) => printed(figureOf(e)) } }, "PDF"));

const figureOf = (e) => e.currentTarget.closest("figure");

function printed(figure) {
  figure.classList.add("printed");
  document.documentElement.classList.add("printing");
  print();
  figure.classList.remove("printed");
  document.documentElement.classList.remove("printing");
}
