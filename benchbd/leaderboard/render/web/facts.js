// The page's data as objects. What the lists mean stands in inline.py.

const DATA = JSON.parse(document.getElementById("facts").textContent);
const FIGURES = DATA.figures;
const text = (place) => DATA.texts[place];

// Without an interval there are the values of the two seeds, if there are two.
const summaryOf = (list) => (list ? { mean: list[0], low: list[1] ?? undefined, high: list[2] ?? undefined, values: list.slice(3) } : undefined);

function byFigure(list, read = (value) => value ?? undefined) {
  return Object.fromEntries(FIGURES.map((name, place) => [name, read(list[place])]).filter(([, value]) => value !== undefined));
}

const utilityOf = (list) => (list ? Object.fromEntries([...DATA.utility, "least_class"].map((name, place) => [name, list[place] ?? undefined])) : {});

function cellOf([seed, code, key, shares, [seconds, attackSeconds, bytes, clean], marks, reason, stage, device, made, curves, utility]) {
  return {
    seed,
    code: text(code),
    key,
    figures: byFigure(shares),
    cost: { seconds, attackSeconds, bytes, clean },
    oracle: !!marks[0],
    stale: !!marks[1],
    trust: DATA.levels[marks[2]],
    reason: text(reason),
    stage: text(stage),
    device: text(device),
    made: made.map(([name, value]) => [text(name), text(value)]),
    curves: curves || [],
    utility: utilityOf(utility),
  };
}

function entryOf([codes, metrics, detection, cost, images, [oracle, stale, trust], cells, doubts, utility], section, attack, defense) {
  const counts = codes.map(([code, count]) => [text(code), count]);
  const expected = counts.reduce((sum, [, count]) => sum + count, 0);
  const measured = counts.find(([code]) => code === "ok")?.[1] ?? 0;
  return {
    section, attack, defense, counts, expected, measured,
    metrics: byFigure(metrics, summaryOf),
    detection: detection || {},
    cost: cost && { seconds: cost[0], bytes: cost[1], clean: cost[2] },
    images: { clean: images[0], triggered: images[1] },
    oracle: !!oracle,
    stale: !!stale,
    trust: DATA.levels[trust],
    doubts: doubts.map(text),
    utility: utilityOf(utility),
    raw: cells,
    get cells() {
      return (this.unpacked ??= this.raw.map(cellOf));
    },
  };
}

function sectionOf(stated, place) {
  const standings = new Map(stated.standings.map((standing, line) => [standing.defense, { ...standing, line }]));
  const section = { ...stated, place, standings };
  section.attacks = stated.attacks.map((attack, column) => ({ ...attack, column, healthy: attack.poison_ratio === 0 }));
  section.defenses = stated.defenses
    .map((defense, row) => ({ ...defense, row, standing: standings.get(defense.label), against: stated.against[defense.label], cleanImages: defense.kind.clean_data ? defense.cost.clean_samples ?? 0 : 0 }))
    .sort((a, b) => a.standing.line - b.standing.line);
  const width = stated.defenses.length;
  const rows = new Map(section.defenses.map((defense) => [defense.row, defense]));
  section.entries = stated.entries.map((entry, index) =>
    entryOf(entry, section, section.attacks[Math.floor(index / width)], rows.get(index % width)),
  );
  section.entry = (attack, defense) => section.entries[attack.column * width + defense.row];
  section.picture = (attack) => DATA.pictures[stated.pictures[attack.label]];
  return section;
}

const SECTIONS = DATA.sections.map(sectionOf);

// Entries by the keys of their cells. A cell that stands in several tables leads to the first of them, unless the link says which.
const BY_KEY = new Map();
for (const section of SECTIONS) for (const entry of section.entries) for (const [, , key] of entry.raw) BY_KEY.set(key, [...(BY_KEY.get(key) ?? []), entry]);

const KEY_DIGITS = 12;

// What a link says of an entry: the key of its first cell, which never changes; of one without cells its labels, line by line.
function linkTo(entry) {
  const key = entry.raw[0]?.[2];
  if (!key) return { key: [entry.section.title, entry.attack.label, entry.defense.label].join("\n"), table: "" };
  return { key, table: BY_KEY.get(key)[0] === entry ? "" : entry.section.title };
}

function entryLinked(key, table) {
  const [title, attack, defense] = key.split("\n");
  const found = BY_KEY.get(key.slice(0, KEY_DIGITS)) ?? [];
  if (found.length) return found.find((entry) => entry.section.title === table) ?? found[0];
  const section = SECTIONS.find((each) => each.title === title);
  const parts = [section?.attacks.find((a) => a.label === attack), section?.defenses.find((d) => d.label === defense)];
  return parts.every(Boolean) ? section.entry(...parts) : undefined;
}
