// Rankings of defenses and of attacks, and every entry as a row.

const worstAndMean = (metric) => [
  { title: `${TITLES[metric]} worst`, value: (d) => d.figures[metric]?.worst, show: (d) => worst(d.figures[metric]), left: true, hint: "the worst attack, each the mean of its seeds" },
  { title: `${TITLES[metric]} mean`, value: (d) => d.figures[metric]?.mean, show: (d) => barred(d.figures[metric]?.mean, metric), hint: "mean over attacks" },
];

const worst = (aggregate) => withNote(percent(aggregate?.worst), aggregate?.worst_attack);

// A figure with a few words behind it, so that the figures of a column stand below each other.
const withNote = (figure, words) => h("span", { class: "with-note" }, h("span", {}, figure), words && h("small", { class: "quiet" }, words));

const costColumns = (cost) => [
  { title: "seconds", value: (d) => cost(d)?.seconds, show: (d) => seconds(cost(d)?.seconds) },
  { title: "peak memory", value: (d) => cost(d)?.peak_bytes ?? cost(d)?.bytes, show: (d) => megabytes(cost(d)?.peak_bytes ?? cost(d)?.bytes) },
  { title: "clean samples", value: (d) => cost(d)?.clean_samples ?? cost(d)?.clean },
];

function drawDefenses({ section, defenses }) {
  const [complete, incomplete] = [[], []];
  for (const d of defenses) (d.standing.measured === d.standing.expected ? complete : incomplete).push(d);
  const title = (d) => h("span", {}, h("b", {}, d.label), d.oracle && h("span", { class: "badge oracle" }, "oracle"));
  const columns = (first) => [
    { title: "defense", value: (d) => d.label, show: title, words: true, frozen: innerWidth > 700, wide: 120 },
    first,
    ...["der", "asr", "acc", "rc"].flatMap(worstAndMean),
    { title: "cells", value: (d) => d.standing.measured / d.standing.expected, show: (d) => `${d.standing.measured}/${d.standing.expected} cells`, wide: 90 },
    { title: "ACC on sound models", value: (d) => d.standing.clean_acc ?? undefined, show: (d) => percent(d.standing.clean_acc), wide: 105, narrow: true, hint: "what it leaves of a model that was never attacked" },
    ...costColumns((d) => d.cost),
    { title: "family", value: (d) => FAMILIES[d.kind.family], words: true },
  ];
  const rank = { title: "rank", value: (d) => d.standing.line, show: (d) => h("span", { class: "place" }, d.standing.ranks ? ranks(d.standing.ranks) : d.standing.place), wide: 80, hint: "the ranks that the tests leave open; sorts by mean DER" };
  const test = { title: "against the first", value: (d) => d.against?.adjusted, show: (d) => compared(d.against), left: true, wide: 260, hint: "difference in mean DER and Holm-corrected p" };
  const with_ = (key) => (d) => ({ ...d, figures: d.standing[key] });
  return h("section", {}, h("h2", {}, section.title), h("p", { class: "note" }, section.note, " Filters hide rows; they change no rank and no figure."),
    complete.length > 0 && grid([...columns(rank), test], complete.map(with_("aggregates")), { name: `defenses${section.place}`, tall: complete.length > 60 }),
    incomplete.length > 0 && [
      h("h3", {}, "Incomplete rows, imputed worst case"),
      h("p", { class: "note imputed" }, DATA.imputed),
      grid(columns({ title: "place", value: (d) => d.standing.place, words: true }), incomplete.map(with_("imputed")), { name: `incomplete${section.place}` }),
    ]);
}

const compared = (against) =>
  against ? withNote(percent(-against.difference), `p ${against.adjusted < 0.001 ? against.adjusted.toExponential(1) : against.adjusted.toFixed(3)} against ${against.than}`) : "";

function drawAttacks({ section, attacks }) {
  const rows = attacks.map((attack) => ({ ...attack, best: section.best[attack.label] })).sort((a, b) => a.healthy - b.healthy || (b.survival ?? -1) - (a.survival ?? -1));
  const before = (metric) => ({ title: `${TITLES[metric]} undefended`, value: (a) => a.baseline[metric]?.mean, show: (a) => interval(a.baseline[metric] && shareOf(a.baseline[metric])), wide: 130 });
  const columns = [
    { title: "attack", value: (a) => a.label, show: (a) => h("b", {}, a.label), words: true, wide: 120 },
    { title: "ASR left by defenses", value: (a) => a.survival ?? undefined, show: (a) => barred(a.survival, "asr"), hint: "mean over the cells of complete rows; oracles and no defense left out", wide: 110 },
    { title: "best against it (DER)", value: (a) => a.best?.der, show: (a) => a.best && withNote(percent(a.best.der), `${a.best.defense}, ASR ${percent(a.best.asr)}`), left: true, wide: 200, hint: "the highest mean DER of any defense that has all seeds; oracles and no defense left out" },
    ...["asr", "acc", "rc"].map(before),
    { title: "poison ratio", value: (a) => a.poison_ratio ?? undefined, show: (a) => ratio(a.poison_ratio) },
    { title: "labels", value: (a) => a.kind.labels, words: true },
    { title: "kind", value: (a) => a.kind.family.replaceAll("-", " "), words: true },
    { title: "what it is", value: (a) => a.kind.summary, words: true },
  ];
  return h("section", {}, h("h2", {}, section.title),
    h("p", { class: "note" }, "Hardest first: by the ASR that defenses with complete rows leave on average. Models that nothing poisoned stand last."),
    grid(columns, rows, { name: `attacks${section.place}` }));
}

const metricColumn = (metric) => ({
  title: TITLES[metric], value: (e) => e.metrics[metric]?.mean, show: (e) => interval(e.metrics[metric]), wide: 130,
});

function drawAll(sections) {
  const entries = sections.flatMap(({ section, attacks, defenses }) => attacks.flatMap((a) => defenses.map((d) => section.entry(a, d)))).filter(shownEntry);
  const detecting = Object.entries(DETECTION).filter(([name]) => entries.some((e) => e.detection[name] !== undefined));
  const bystanders = entries.some((e) => e.metrics.false_activation);
  const columns = [
    { title: "defense", value: (e) => e.defense.label, show: (e) => h("button", { type: "button", class: "link" }, e.defense.label), words: true, frozen: innerWidth > 700, wide: 110 },
    { title: "attack", value: (e) => e.attack.label, words: true, wide: 110 },
    ...(sections.length > 1 ? [{ title: "table", value: (e) => e.section.title, words: true }] : []),
    { title: "family", value: (e) => FAMILIES[e.defense.kind.family], words: true },
    { title: "status", value: statusWords, show: (e) => h("span", { class: "status", data: { status: statusOf(e) } }, statusWords(e)), words: true },
    { title: "checked", value: (e) => DATA.levels.indexOf(e.trust), show: (e) => (e.measured ? e.trust : ""), words: true },
    ...["acc", "asr", "rc", "der"].map(metricColumn),
    ...(bystanders ? [metricColumn("false_activation")] : []),
    ...detecting.map(([name, title]) => ({ title, value: (e) => e.detection[name], show: (e) => (name === "auroc" ? e.detection[name]?.toFixed(3) : e.detection[name] === undefined ? "" : percent(e.detection[name])) })),
    { title: "seeds", value: (e) => e.measured / e.expected, show: (e) => `${e.measured}/${e.expected}` },
    { title: "images", value: (e) => e.images.clean + e.images.triggered, show: (e) => (e.measured ? `${e.images.clean} + ${e.images.triggered}` : "") },
    ...costColumns((e) => e.cost || undefined),
  ];
  return h("section", {}, h("p", { class: "note" }, `${counted(entries.length, "entry", "entries")}, each an attack met by a defense over its seeds. A row opens.`),
    grid(columns, entries, { name: "all", open: (e) => change({ cell: nameOf(e) }, true), tall: true }));
}
