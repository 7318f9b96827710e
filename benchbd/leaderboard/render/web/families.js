// Stages of defenses side by side, each with the columns that make sense for it.

const DETECTOR_NOTES = {
  "data-filter": "Shares of training samples; ACC and ASR are those of the model trained again without what was removed.",
  "input-detector": "Shares of inputs at test time, triggered ones against clean ones.",
  "model-detector": "One verdict for each model: shares of models, and AUROC of attacked against sound models.",
};

function drawFamilies({ section, defenses }) {
  const families = Object.keys(FAMILIES).filter((family) => defenses.some((d) => d.kind.family === family));
  return h("section", {}, h("h2", {}, section.title), h("div", { class: "cards" }, families.map((family) => familyCard(section, family, defenses))));
}

function familyCard(section, family, defenses) {
  const mine = defenses.filter((d) => d.kind.family === family).map((d) => ({ ...d, figures: d.standing.aggregates }));
  const detects = mine.some((d) => d.detecting);
  const columns = [
    { title: "defense", value: (d) => d.label, show: defenseName, words: true, wide: 150, narrow: true },
    ...(detects ? detectorColumns(mine) : []),
    ...repairColumns(mine),
    { title: "time", value: (d) => d.cost.seconds, show: (d) => seconds(d.cost.seconds), wide: 66, narrow: true },
  ];
  return h("article", { class: `card${detects ? " broad" : ""}` }, h("h3", {}, FAMILIES[family], h("small", {}, counted(mine.length, "defense"))),
    h("p", { class: "note" }, DETECTOR_NOTES[family] ?? "Means over the attacks that count for the ranking; only for rows with all cells."),
    grid(columns, mine, { name: `family-${family}${section.place}`, tall: mine.length > 40 }));
}

function detectorColumns(mine) {
  const share = (name, title, hint) => ({ title, value: (d) => d.detecting?.[name] ?? undefined, show: (d) => percent(d.detecting?.[name]), hint, wide: title.length > 9 ? 84 : 58, narrow: true });
  const columns = [
    { title: "models", value: (d) => d.detecting && d.detecting.models / d.detecting.attacked, show: (d) => (d.detecting ? `${d.detecting.models}/${d.detecting.attacked}` : ""), hint: "attacked models that it has figures for; where some are missing, rows do not compare", wide: 64, narrow: true },
    { title: "balanced accuracy", value: (d) => d.detecting?.balanced ?? undefined, show: (d) => percent(d.detecting?.balanced), hint: "the mean of TPR and 100 - FPR on clean models", wide: 80, narrow: true },
    { title: "AUROC", value: (d) => d.detecting?.auroc ?? undefined, show: (d) => d.detecting?.auroc?.toFixed(3) ?? "–", wide: 70, narrow: true },
    share("tpr_at_1_fpr", "TPR at 1 % FPR"), share("tpr_at_5_fpr", "TPR at 5 % FPR"),
    share("tpr", "TPR", "at its own threshold"), share("fpr", "FPR", "at its own threshold"),
    share("clean_fpr", "FPR on clean models", "how often it is alarmed where nothing was poisoned"),
  ];
  return columns.filter((column) => mine.some((d) => column.value(d) !== undefined) || column.title.includes("FPR"));
}

function repairColumns(mine) {
  const mean = (metric) => ({ title: `${TITLES[metric]} mean`, value: (d) => d.figures[metric]?.mean, show: (d) => barred(d.figures[metric]?.mean, metric), wide: 78, narrow: true });
  const lost = { title: "ACC on sound models", value: (d) => d.standing.clean_acc ?? undefined, show: (d) => percent(d.standing.clean_acc), wide: 82, narrow: true };
  return mine.some((d) => Object.keys(d.figures).length) ? [mean("asr"), mean("acc"), mean("der"), lost] : [lost];
}
