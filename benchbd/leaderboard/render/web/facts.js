// The page's data as objects. What the lists mean stands in inline.py.

const DATA = JSON.parse(document.getElementById("facts").textContent);
const FIGURES = DATA.figures;
const text = (place) => DATA.texts[place];

// Without an interval there are the values of the two seeds, if there are two.
const summaryOf = (list) => (list ? { mean: list[0], low: list[1] ?? undefined, high: list[2] ?? undefined, values: list.slice(3) } : undefined);

function byFigure(list, read = (value) => value ?? undefined) {
  return Object.fromEntries(FIGURES.map((name, place) => [name, read(list[place])]).filter(([, value]) => value !== undefined));
}

function cellOf([seed, code, key, shares, [seconds, attackSeconds, bytes, clean], marks, reason, stage, device, made, curves]) {
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
  };
}

function entryOf([codes, metrics, detection, cost, images, [oracle, stale, trust], cells, doubts], section, attack, defense) {
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
    .map((defense, row) => ({ ...defense, row, standing: standings.get(defense.label), against: stated.against[defense.label] }))
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

// A name for an entry that stays the same when others come and go.
const nameOf = (entry) => [entry.section.title, entry.attack.label, entry.defense.label].map(encodeURIComponent).join("/");

function entryNamed(name) {
  const [title, attack, defense] = name.split("/").map(decodeURIComponent);
  const section = SECTIONS.find((each) => each.title === title);
  const found = [section?.attacks.find((a) => a.label === attack), section?.defenses.find((d) => d.label === defense)];
  return found.every(Boolean) ? section.entry(...found) : undefined;
}
