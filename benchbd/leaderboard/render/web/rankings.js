// Rankings of defenses and of attacks, and every entry as a row.

// A metric over attacks: the mean with the worst below it, or the other way round.
function overAttacks(metric) {
  const worst = state.aggregate === "worst";
  const small = ({ mean, worst: least, worst_attack: attack }) => (worst ? `mean ${percent(mean)}` : `${percent(least)} ${attack}`);
  return {
    title: `${TITLES[metric]} ${worst ? "worst" : "mean"}`, wide: 104, narrow: true,
    hint: "over attacks, each the mean of its seeds; the worst attack or the mean in small",
    value: (d) => d.figures[metric]?.[worst ? "worst" : "mean"],
    show: (d) => d.figures[metric] && stacked(barred(d.figures[metric][worst ? "worst" : "mean"], metric), small(d.figures[metric])),
  };
}

// A figure with a few words behind it, so that the figures of a column stand below each other.
const withNote = (figure, words) => h("span", { class: "with-note" }, h("span", {}, figure), words && h("small", { class: "quiet" }, words));

// A method with its family, the year of its paper, what came out beside its reference code, and how much of it was measured.
function defenseName(d) {
  const { measured, expected } = d.standing;
  const few = measured < expected && `${measured}/${expected} cells`;
  return stacked(h("span", {}, h("b", {}, d.label), d.oracle && h("span", { class: "badge oracle" }, "oracle")), h("span", {}, joined([few, yearOf(d), FAMILIES[d.kind.family], verdictOf(d)])));
}

// The year of a method's paper, which leads to the paper.
function yearOf(thing) {
  const { paper, authors, year, url } = thing.kind.source;
  return year && (url ? h("a", { href: url, rel: "noreferrer", target: "_blank", title: `${authors}: ${paper}` }, year) : String(year));
}

// The first words of what came out beside the reference code; all of them when the pointer rests there.
function verdictOf(thing) {
  const { verdict } = thing.kind.source;
  return verdict && h("span", { class: "verdict", title: `beside the reference code: ${verdict}` }, `code: ${verdict.split(/[;:,]/)[0]}`);
}

const costColumns = (cost) => [
  { title: "time", wide: 66, narrow: true, value: (d) => cost(d)?.seconds, show: (d) => seconds(cost(d)?.seconds) },
  { title: "peak memory", wide: 76, narrow: true, value: (d) => cost(d)?.peak_bytes ?? cost(d)?.bytes, show: (d) => megabytes(cost(d)?.peak_bytes ?? cost(d)?.bytes) },
  { title: "clean images", wide: 66, narrow: true, value: (d) => cost(d)?.clean_samples ?? cost(d)?.clean },
];

// How much a defense hangs on its hyper-parameters: the mean over them, below it the one that matters most.
const sensitivityColumn = {
  title: "sensitivity", wide: 92, narrow: true,
  hint: "by how many points ACC and ASR change on average when a hyper-parameter takes another value: the mean over hyper-parameters; in small the one that matters most. As stated by who studied it.",
  value: (d) => d.sensitivity?.mean,
  show: (d) => d.sensitivity && h("span", { title: sensitivityWords(d.sensitivity) }, stacked(percent(d.sensitivity.mean), mostSensitive(d.sensitivity))),
};

const byScore = ({ scores }) => Object.entries(scores).sort(([, a], [, b]) => b - a);

function mostSensitive(sensitivity) {
  const [name, score] = byScore(sensitivity)[0];
  return `${name} ${percent(score)}`;
}

const sensitivityWords = (found) => `against ${found.attacks.join(", ")}, seeds ${found.seeds.join(", ")}: ${byScore(found).map(([name, score]) => `${name} ${percent(score)}`).join(", ")}`;

function drawDefenses({ section, defenses }) {
  const [complete, incomplete] = [[], []];
  for (const d of defenses) (d.standing.measured === d.standing.expected ? complete : incomplete).push(d);
  const columns = (first) => [
    { title: "defense", value: (d) => d.label, show: defenseName, words: true, frozen: innerWidth > 700, wide: 182, narrow: true },
    first,
    ...["der", "asr", "acc", "rc"].map(overAttacks),
    { title: "ACC on sound models", value: (d) => d.standing.clean_acc ?? undefined, show: (d) => percent(d.standing.clean_acc), wide: 84, narrow: true, hint: "what it leaves of a model that was never attacked" },
    ...costColumns((d) => ({ ...d.cost, clean_samples: d.cleanImages })),
    ...(defenses.some((d) => d.sensitivity) ? [sensitivityColumn] : []),
  ];
  const rank = { title: "rank", value: (d) => d.standing.line, show: (d) => h("span", { class: "place" }, d.standing.ranks ? ranks(d.standing.ranks) : d.standing.place), wide: 78, narrow: true, hint: "the ranks that the tests leave open; sorts by mean DER" };
  const test = { title: "against the first", value: (d) => d.against?.adjusted, show: (d) => compared(d.against), left: true, wide: 128, narrow: true, hint: "difference in mean DER and Holm-corrected p" };
  const with_ = (key) => (d) => ({ ...d, figures: d.standing[key] });
  return h("section", {}, h("h2", {}, section.title), h("p", { class: "note" }, section.note, " Filters hide rows; they change no rank and no figure."),
    chosenFrom(`aggregate${section.place}`, "over attacks:", [["", "mean"], ["worst", "worst attack"]], state.aggregate, (value) => change({ aggregate: value, sort: "" })),
    complete.length > 0 && grid([...columns(rank), test], complete.map(with_("aggregates")), { name: `defenses${section.place}`, tall: complete.length > 60 }),
    incomplete.length > 0 && [
      h("h3", {}, "Incomplete rows, imputed worst case"),
      h("p", { class: "note imputed" }, DATA.imputed),
      grid(columns({ title: "place", value: (d) => d.standing.place, words: true }), incomplete.map(with_("imputed")), { name: `incomplete${section.place}` }),
    ]);
}

const compared = (against) =>
  against ? stacked(percent(-against.difference), `p ${against.adjusted < 0.001 ? against.adjusted.toExponential(1) : against.adjusted.toFixed(3)}`) : "";

function drawAttacks({ section, attacks }) {
  const rows = attacks.map((attack) => ({ ...attack, best: section.best[attack.label] })).sort((a, b) => a.healthy - b.healthy || (b.survival ?? -1) - (a.survival ?? -1));
  const before = (metric) => ({ title: `${TITLES[metric]} undefended`, value: (a) => a.baseline[metric]?.mean, show: (a) => a.baseline[metric] && measured(shareOf(a.baseline[metric])), wide: 96, narrow: true });
  const name = (a) => stacked(h("b", {}, a.label), h("span", {}, joined([yearOf(a), a.kind.family.replaceAll("-", " "), a.kind.labels, verdictOf(a)])));
  const columns = [
    { title: "attack", value: (a) => a.label, show: name, words: true, wide: 210 },
    { title: "ASR left by defenses", value: (a) => a.survival ?? undefined, show: (a) => barred(a.survival, "asr"), hint: "mean over the cells of complete rows; oracles and no defense left out", wide: 100, narrow: true },
    { title: "best against it (DER)", value: (a) => a.best?.der, show: (a) => a.best && stacked(percent(a.best.der), `${a.best.defense}, ASR ${percent(a.best.asr)}`), wide: 150, narrow: true, hint: "the highest mean DER of any defense that has all seeds; oracles and no defense left out" },
    ...["asr", "acc", "rc"].map(before),
    { title: "poison ratio", value: (a) => a.poison_ratio ?? undefined, show: (a) => ratio(a.poison_ratio), wide: 70, narrow: true },
    { title: "what it is", value: (a) => a.kind.summary, words: true, wide: 300, narrow: true, wrap: true },
  ];
  return h("section", {}, h("h2", {}, section.title),
    h("p", { class: "note" }, "Hardest first: by the ASR that defenses with complete rows leave on average. Models that nothing poisoned stand last."),
    grid(columns, rows, { name: `attacks${section.place}` }));
}

// A mean with its interval, or the values of two seeds, below it.
const measured = (summary) => summary && stacked(percent(summary.mean), summary.values?.length ? summary.values.map(percent).join(", ") : summary.low !== undefined && `${percent(summary.low)}–${percent(summary.high)}`);

const metricColumn = (metric) => ({ title: TITLES[metric], value: (e) => e.metrics[metric]?.mean, show: (e) => measured(e.metrics[metric]), wide: 88, narrow: true });

const detectionWords = (e) => Object.entries(DETECTION).filter(([name]) => name !== "auroc" && e.detection[name] !== undefined).map(([name, title]) => `${title} ${percent(e.detection[name])}`).join(" · ");

function drawAll(sections) {
  const entries = sections.flatMap(({ section, attacks, defenses }) => attacks.flatMap((a) => defenses.map((d) => section.entry(a, d)))).filter(shownEntry);
  const detecting = entries.some((e) => e.detection.auroc !== undefined || e.detection.tpr !== undefined);
  const metrics = FIGURES.filter((metric) => entries.some((e) => e.metrics[metric]));
  const columns = [
    { title: "defense", value: (e) => e.defense.label, show: (e) => stacked(h("button", { type: "button", class: "link" }, e.defense.label), FAMILIES[e.defense.kind.family]), words: true, frozen: innerWidth > 700, wide: 120 },
    { title: "attack", value: (e) => e.attack.label, show: (e) => stacked(e.attack.label, sections.length > 1 && e.section.title), words: true, wide: 134, narrow: true, wrap: true },
    { title: "status", value: statusWords, show: (e) => stacked(h("span", { class: "status", data: { status: statusOf(e) } }, statusWords(e)), e.measured > 0 && e.trust), words: true, wide: 100 },
    ...metrics.map(metricColumn),
    ...(detecting ? [{ title: "AUROC", value: (e) => e.detection.auroc, show: (e) => stacked(e.detection.auroc?.toFixed(3) ?? "", detectionWords(e)), wide: 120, narrow: true, wrap: true }] : []),
    { title: "seeds", value: (e) => e.measured / e.expected, show: (e) => `${e.measured}/${e.expected}`, wide: 56, narrow: true },
    ...costColumns((e) => e.cost ? { ...e.cost, clean: e.defense.kind.clean_data ? e.cost.clean : 0 } : undefined).filter(({ title }) => title !== "peak memory"),
  ];
  return h("section", {}, h("p", { class: "note" }, `${counted(entries.length, "entry", "entries")}, each an attack met by a defense over its seeds. A row opens.`),
    grid(columns, entries, { name: "all", open: (e) => change(linkTo(e), true), tall: true }));
}
