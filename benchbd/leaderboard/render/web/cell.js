// One section for each entry: figures of every seed, curves, images, parameters, provenance, and how to make it again.

const dialog = h("dialog", { class: "sheet", id: "cell", "aria-labelledby": "cell-title" });
// Closing goes back to where the cell was opened; from a link there is no such place.
dialog.addEventListener("close", () => {
  if (!state.key) return;
  if (history.state?.opened) history.back();
  else change({ key: "", table: "" });
});
dialog.addEventListener("click", (e) => e.target === dialog && dialog.close());

function showCell() {
  const entry = state.key ? entryLinked(state.key, state.table) : undefined;
  if (!entry) return dialog.open && dialog.close();
  hideTip();
  replaceContent(dialog, cellSheet(entry));
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
}

function cellSheet(entry) {
  const close = h("button", { type: "button", class: "small", "aria-label": "close", autofocus: true, on: { click: () => dialog.close() } }, "close");
  return [
    h("header", {}, h("div", {}, h("h2", { id: "cell-title" }, entry.defense.label, h("span", { class: "quiet" }, " against "), entry.attack.label), h("p", { class: "quiet" }, entry.section.title)), close),
    h("p", { class: "chips" }, chips(entry)),
    entry.doubts.length > 0 && h("ul", { class: "doubts", "aria-label": "doubts" }, entry.doubts.map((doubt) => h("li", {}, doubt))),
    reproducing(entry),
    h("h3", {}, "Every seed"), h("div", { class: "scroll" }, seedTable(entry)),
    entry.measured > 0 && h("figure", {}, dotsOf(entry)),
    utilityTable(entry),
    detectionOf(entry),
    entry.cells.some((cell) => cell.curves.length) && [h("h3", {}, "Curves"), drawCurves(entry)],
    pictureOf(entry),
    entry.defense.sensitivity && [h("h3", {}, "Sensitivity"), h("p", { class: "note" }, `By how many points ACC and ASR change on average when one hyper-parameter takes another value, ${sensitivityWords(entry.defense.sensitivity)}; mean ${percent(entry.defense.sensitivity.mean)}. As stated by who studied it.`)],
    h("h3", {}, "Parameters"), h("div", { class: "columns" }, methodCard(entry.attack, "attack"), methodCard(entry.defense, "defense"), recipeCard(entry.section)),
    entry.cells.length > 0 && [h("h3", {}, "Provenance"), entry.cells.map(provenance)],
  ].filter(Boolean);
}

function chips(entry) {
  const level = { "as stated": "as stated: its author's word", recomputed: "recomputed from its predictions", "reproduced by another": "reproduced by another" };
  return [
    h("span", { class: "status", data: { status: statusOf(entry) } }, statusWords(entry)),
    entry.measured > 0 && h("span", { class: "badge" }, level[entry.trust]),
    h("span", { class: "badge" }, FAMILIES[entry.defense.kind.family]),
    entry.oracle && h("span", { class: "badge oracle" }, "oracle: saw what no defender has"),
    entry.stale && h("span", { class: "badge" }, "stale: made by other code than today's"),
    entry.doubts.length > 0 && h("span", { class: "badge doubtful" }, "doubtful"),
    entry.attack.healthy && h("span", { class: "badge" }, "nothing poisoned: shows false alarms and cost"),
  ].filter(Boolean);
}

function reproducing(entry) {
  const cell = entry.cells.find((each) => each.code === "ok");
  if (!cell) return h("p", { class: "note" }, "There are no numbers to reproduce.");
  const command = reproduceCommand(cell);
  return h("p", { class: "command" }, h("code", {}, command), copyButton(command), h("small", { class: "quiet" }, `runs seed ${cell.seed} again, attack and defense`));
}

function seedTable(entry) {
  const figures = FIGURES.filter((name) => entry.metrics[name] || name === "acc");
  const before = figures.map((name) => h("td", {}, entry.attack.baseline[name] ? belowMean(shareOf(entry.attack.baseline[name])) : ""));
  return h("table", { class: "figures" },
    h("thead", {}, h("tr", {}, h("th", {}, "seed"), h("th", { class: "text" }, "status"), figures.map((name) => h("th", {}, `${TITLES[name]} %`)), ["time", "memory", "clean images"].map((word) => h("th", {}, word)), h("th", { class: "text" }, "make it again"))),
    h("tbody", {}, entry.cells.map((cell) => seedRow(cell, figures)),
      h("tr", { class: "mean" }, h("th", {}, "mean"), h("td", { class: "text" }, statusWords(entry)), figures.map((name) => h("td", {}, belowMean(entry.metrics[name]))), h("td", {}, entry.cost ? seconds(entry.cost.seconds) : ""), h("td", { colspan: 3 })),
      h("tr", { class: "quiet" }, h("th", {}, "undefended"), h("td"), before, h("td", { colspan: 4 }))));
}

const belowMean = (summary) => [percent(summary?.mean), summary?.low !== undefined && h("small", { class: "bounds" }, `[${percent(summary.low)}, ${percent(summary.high)}]`)];

const shareOf = ({ mean, low, high, values }) => ({ mean, low: low ?? undefined, high, values: low === null && values.length > 1 ? values : [] });

function seedRow(cell, figures) {
  return [
    h("tr", {}, h("th", {}, cell.seed),
      h("td", { class: "text" }, h("span", { class: "status", data: { status: cell.code } }, cell.code), cell.oracle && " oracle", cell.stale && " stale"),
      figures.map((name) => h("td", {}, percent(cell.figures[name]))), h("td", {}, seconds(cell.cost.seconds)), h("td", {}, megabytes(cell.cost.bytes)), h("td", {}, cell.cost.clean),
      h("td", { class: "text" }, cell.code === "ok" ? copyButton(reproduceCommand(cell), "copy") : h("code", {}, cell.key))),
    cell.reason && h("tr", { class: "reason" }, h("td", { colspan: figures.length + 6, class: "text" }, cell.stage && h("b", {}, `${cell.stage}: `), cell.reason)),
  ];
}

function dotsOf(entry) {
  const metrics = ["acc", "asr", "rc", "der"].filter((name) => entry.metrics[name]);
  const rows = metrics.map((name) => ({ ...entry, defense: { label: TITLES[name] }, cells: entry.cells.map((cell) => ({ ...cell, figures: { only: cell.figures[name] } })), metrics: { only: entry.metrics[name] } }));
  const svg = dotPlot(rows, "only", undefined, false);
  svg.setAttribute("class", "plot dots small-plot");
  return svg;
}

// What stored predictions tell beside ACC and ASR.
function utilityTable(entry) {
  const counted_ = entry.cells.filter((cell) => cell.utility.least_accuracy !== undefined);
  if (!counted_.length) return false;
  const names = Object.keys(UTILITY).filter((name) => entry.utility[name] !== undefined);
  const row = (head, figures, least) => h("tr", {}, h("th", {}, head), names.map((name) => h("td", {}, percent(figures[name]), name === "least_accuracy" && least !== undefined && h("small", { class: "quiet" }, ` class ${least}`))));
  return [h("h3", {}, "Beyond ACC and ASR"), h("div", { class: "scroll" }, h("table", { class: "figures" },
    h("thead", {}, h("tr", {}, h("th", {}, "seed"), names.map((name) => h("th", {}, `${UTILITY[name]} %`)))),
    h("tbody", {}, counted_.map((cell) => row(cell.seed, cell.utility, cell.utility.least_class)), row("mean", entry.utility))))];
}

function detectionOf(entry) {
  const found = Object.entries(DETECTION).filter(([name]) => entry.detection[name] !== undefined);
  const flagged = entry.detection.flagged;
  const facts = entry.defense.detecting;
  if (!found.length && flagged === undefined) return false;
  return [h("h3", {}, "Detection"), h("dl", {},
    found.map(([name, title]) => [h("dt", {}, title), h("dd", {}, name === "auroc" ? entry.detection[name].toFixed(3) : `${percent(entry.detection[name])} %`)]),
    flagged !== undefined && [h("dt", {}, "models flagged"), h("dd", {}, `${percent(flagged)} %`)],
    facts && [h("dt", {}, "FPR on clean models"), h("dd", {}, facts.clean_fpr === null ? "no clean model measured" : `${percent(facts.clean_fpr)} % (${counted(facts.clean_models, "model")})`)])];
}

function pictureOf(entry) {
  const content = entry.section.picture(entry.attack);
  return content && [h("h3", {}, "Images"), h("figure", {},
    h("img", { class: "strip", alt: `test images clean, with the trigger of ${entry.attack.label}, and what it changed`, src: `data:image/png;base64,${content}` }),
    h("figcaption", {}, "Test images: clean, triggered, and the change around mid-grey, amplified. As stored with the results; not part of what is verified."))];
}

function methodCard(thing, kind) {
  const { method } = thing;
  return h("div", {}, h("h4", {}, `${kind}: ${method.name}`), thing.kind.summary && h("p", { class: "note" }, thing.kind.summary), sourceOf(thing),
    definitions([["provided by", method.provider], ["version of results", method.results_version], ...Object.entries(method.params)]));
}

const outside = (address, words) => h("a", { href: address, rel: "noreferrer", target: "_blank" }, words);

// Paper, code and page of a method, as far as they are stated.
function sourceOf(thing) {
  const { paper, authors, year, url, code, page, verdict } = thing.kind.source;
  const named = paper && `${authors}: ${paper}${year ? `, ${year}` : ""}`;
  const parts = [named && (url ? outside(url, named) : named), code && outside(code, "code of its authors"), page && outside(`../docs/${page}`, "its page")].filter(Boolean);
  return parts.length > 0 && h("p", { class: "source" }, joined(parts), verdict && [h("br"), outside("../docs/fidelity.md", "beside the reference code"), `: ${verdict}`]);
}

const recipeCard = (section) => h("div", {}, h("h4", {}, "recipe of the victim"), definitions([["clean budget", `${percent(section.clean_budget)} %`], ...Object.entries(section.recipe)]));

const definitions = (pairs) => h("dl", {}, pairs.map(([name, value]) => [h("dt", {}, name), h("dd", {}, shortened(typeof value === "string" ? value : JSON.stringify(value)))]));

const shortened = (words) => (words.length > 300 ? `${words.slice(0, 300)}…` : words);

function provenance(cell) {
  return h("details", {}, h("summary", {}, `seed ${cell.seed}, key ${cell.key}`),
    definitions([["checked", cell.trust], ["device", cell.device], ["attack took", seconds(cell.cost.attackSeconds)], ...cell.made]));
}
