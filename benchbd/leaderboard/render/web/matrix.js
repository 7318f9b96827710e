// The matrix: defenses down, attacks across, the colour by ASR, ACC and RC in the cell.

function drawMatrix({ section, attacks, defenses }) {
  const table = h("table", { class: "matrix", role: "grid", "aria-label": `ASR, ACC and RC: ${section.title}` });
  const compact = isCompact(attacks);
  const heads = attacks.map((attack) => matrixTitle(section, attack));
  const corner = h("th", { class: "corner", scope: "col" }, h("span", {}, "defense"), h("span", { class: "quiet" }, "ASR / ACC · RC"));
  const head = h("tr", {}, corner, heads);
  const rows = defenses.map((defense) => h("tr", {}, matrixName(section, defense), attacks.map((attack) => matrixCell(section.entry(attack, defense), compact))));
  const body = h("tbody", {}, rows);
  table.append(h("thead", {}, head), body);
  const cells = rows.map((row) => [...row.cells]);
  const arrange = () => arrangeMatrix({ section, attacks, defenses, head, heads, body, rows, cells });
  arrange();
  arrangements.push(arrange);
  table.querySelector("td")?.setAttribute("tabindex", "0");
  table.addEventListener("click", (e) => openFrom(e.target));
  table.addEventListener("keydown", moveInMatrix);
  tipFor(table, "td[data-entry]", (td) => entryTip(section.entries[td.dataset.entry]));
  const frame = h("div", { class: `matrix-frame ${compact ? "compact" : attacks.length < 9 ? "roomy" : ""}`, tabindex: "-1" }, table);
  return h("section", { data: { section: section.place } }, h("h2", {}, section.title), matrixNote(section, defenses, attacks), frame);

  function openFrom(target) {
    const td = target.closest("td[data-entry]");
    if (td) change(linkTo(section.entries[td.dataset.entry]), true);
  }
}

const NAME_WIDTH = 210, CELL_WIDTH = 87; // what a matrix takes that is not compact, in pixels

// Unless somebody chose, a matrix is compact where it would not fit into the window; a phone scrolls.
function isCompact(attacks) {
  if (state.compact) return state.compact === "yes";
  return innerWidth > 700 && NAME_WIDTH + CELL_WIDTH * attacks.length > document.documentElement.clientWidth - 64;
}

// What brings each matrix that is drawn into the order of the state. Rows and cells are moved, not made again.
const arrangements = [];

function arrangeMatrix({ section, attacks, defenses, head, heads, body, rows, cells }) {
  const order = orderOf(section);
  const held = body.parentElement.contains(document.activeElement) ? document.activeElement : null; // moving a node takes its focus
  heads.forEach((th, place) => {
    const mine = order.by === "column" && order.label === attacks[place].label;
    if (mine) th.setAttribute("aria-sort", order.falling ? "descending" : "ascending");
    else th.removeAttribute("aria-sort");
  });
  defenses.forEach((defense, place) => {
    const mine = order.by === "row" && order.label === defense.label;
    if (mine) cells[place][0].setAttribute("aria-sort", order.falling ? "descending" : "ascending");
    else cells[place][0].removeAttribute("aria-sort");
  });
  const columns = sortedColumns(section, attacks, defenses, order).map((attack) => attacks.indexOf(attack));
  if (columns.some((from, to) => head.cells[to + 1] !== heads[from])) {
    head.append(...columns.map((place) => heads[place]));
    rows.forEach((row, place) => row.append(...columns.map((column) => cells[place][column + 1])));
  }
  body.append(...sortedRows(section, attacks, defenses, order).map((defense) => rows[defenses.indexOf(defense)]));
  held?.focus({ preventScroll: true });
}

function matrixNote(section, rows, columns) {
  const hidden = section.defenses.length - rows.length + section.attacks.length - columns.length;
  const lost = section.lost.length ? ` No defense has numbers for ${section.lost.map(([attack, seed]) => `${attack} seed ${seed}`).join(", ")}.` : "";
  return h("p", { class: "note" },
    `${counted(section.defenses.length, "defense")} against ${counted(section.attacks.length, "attack")}, `,
    `${counted(section.seeds.length, "seed")}, clean budget ${percent(section.clean_budget)} %.`,
    hidden ? ` ${counted(hidden, "row or column", "rows and columns")} hidden by filters.` : "", lost);
}

// `order` is "row:LABEL" or "column:LABEL" of one section: the row or column by whose ASR the others are sorted, "-" before it for falling.
function orderOf(section) {
  const [, place, falling, by, label] = /^(\d+)(-?)(row|column):(.*)$/s.exec(state.order) ?? [];
  return Number(place) === section.place ? { by, label, falling: !!falling } : {};
}

function toggled(section, by, label) {
  const now = orderOf(section);
  if (now.by !== by || now.label !== label) return `${section.place}${by}:${label}`;
  return now.falling ? "" : `${section.place}-${by}:${label}`;
}

function sortedRows(section, attacks, defenses, { by, label, falling }) {
  const attack = by === "column" && section.attacks.find((each) => each.label === label);
  return attack ? sortedBy(defenses, (defense) => section.entry(attack, defense).metrics.asr?.mean, falling) : defenses;
}

function sortedColumns(section, attacks, defenses, { by, label, falling }) {
  const defense = by === "row" && section.defenses.find((each) => each.label === label);
  return defense ? sortedBy(attacks, (attack) => section.entry(attack, defense).metrics.asr?.mean, falling) : attacks;
}

// What has no figure comes last, whichever way the others are sorted.
function sortedBy(things, figure, falling) {
  const value = (thing) => figure(thing) ?? Infinity;
  return [...things].sort((a, b) => {
    const [first, second] = [value(a), value(b)];
    if (first === second) return 0;
    if (first === Infinity || second === Infinity) return first === Infinity ? 1 : -1;
    return falling ? second - first : first - second;
  });
}

function matrixTitle(section, attack) {
  const undefended = attack.baseline.asr ? `ASR ${percent(attack.baseline.asr.mean)}` : "";
  return h("th", { scope: "col", class: attack.healthy ? "healthy" : undefined },
    h("button", { type: "button", class: "sort", title: `${attack.label}: ${attack.kind.summary || "sort by its ASR"}`, on: { click: () => change({ order: toggled(section, "column", attack.label) }) } }, breakable(attack.label)),
    h("small", {}, attack.healthy ? "no attack: ACC" : undefended));
}

// A name that may be broken behind its underscores.
const breakable = (name) => name.split(/(?<=_)/).flatMap((part, place) => (place ? [h("wbr"), part] : [part]));

function matrixName(section, defense) {
  const { ranks: open, measured, expected } = defense.standing;
  const stand = h("span", { class: `place${defense.oracle ? " oracle" : ""}`, title: `${rankWords(defense.standing)}, ${measured}/${expected} cells` }, open ? ranks(open) : defense.oracle ? "O" : "–");
  return h("th", { scope: "row" },
    h("button", { type: "button", class: "sort", title: `${defense.label}: ${defense.kind.summary || "sort attacks by ASR"}`, on: { click: () => change({ order: toggled(section, "row", defense.label) }) } }, defense.label),
    h("small", {}, stand, badges(defense)));
}

function badges(defense) {
  const { place: where, measured, expected } = defense.standing;
  return [
    where === "incomplete" && h("b", {}, `${measured}/${expected} cells`),
    defense.oracle && h("span", { class: "badge oracle" }, "oracle"),
    FAMILIES[defense.kind.family],
  ].filter(Boolean).flatMap((each, index) => (index ? [" ", each] : [each]));
}

function matrixCell(entry, compact) {
  const index = entry.attack.column * entry.section.entries.length / entry.section.attacks.length + entry.defense.row;
  if (!shownEntry(entry)) return h("td", { class: "hidden-cell", "aria-label": "hidden by the filter on status" });
  const td = h("td", { tabindex: "-1", data: { entry: index, status: statusOf(entry) } });
  if (!entry.measured) return filled(td, { class: "unmeasured" }, [h("span", {}, statusOf(entry))]);
  if (entry.attack.healthy) return soundCell(td, entry, compact);
  const asr = entry.metrics.asr?.mean;
  painted(td, asr);
  const few = entry.measured < entry.expected && h("em", {}, `${entry.measured}/${entry.expected}`);
  const b = entry.metrics.b?.mean;
  const ruined = b !== undefined && asr > DATA.doubtful.asr && b > asr * DATA.doubtful.share;
  const marks = [few, entry.stale && h("em", {}, "stale"), ruined && h("em", { class: "ruined" }, `b ${percent(b)}`)];
  return filled(td, {}, [
    h("b", {}, compact && asr !== undefined ? Math.round(100 * asr) : percent(asr)), marks,
    !compact && h("span", {}, h("i", { class: "word" }, "ACC "), percent(entry.metrics.acc.mean), h("i", {}, " · "), h("i", { class: "word" }, "RC "), percent(entry.metrics.rc?.mean))]);
}

// Where nothing is poisoned there is no backdoor to colour: what is left of ACC stands alone.
function soundCell(td, entry, compact) {
  const acc = entry.metrics.acc.mean;
  return filled(td, { class: "sound" }, [h("b", {}, compact ? Math.round(100 * acc) : percent(acc)), !compact && h("span", {}, "ACC")]);
}

const STEPS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

// Arrows move, Home and End go to the ends of the row, Enter and the space bar open.
function moveInMatrix(e) {
  const td = e.target.closest("td");
  if (!td) return;
  if (e.key === "Enter" || e.key === " ") {
    e.preventDefault();
    return td.click();
  }
  const row = td.parentElement;
  const [down, right] = STEPS[e.key] ?? [0, 0];
  const cells = [...row.cells];
  let to;
  if (e.key === "Home") to = row.cells[1];
  else if (e.key === "End") to = cells.at(-1);
  else if (right) to = row.cells[td.cellIndex + right];
  else if (down) to = row.parentElement.rows[row.sectionRowIndex + down]?.cells[td.cellIndex];
  if (to?.tagName !== "TD") return;
  e.preventDefault();
  td.closest("table").querySelector("td[tabindex='0']")?.setAttribute("tabindex", "-1");
  to.setAttribute("tabindex", "0");
  to.focus();
  to.scrollIntoView({ block: "nearest", inline: "nearest" });
}

function matrixLegend() {
  const sample = (status, words) => h("span", {}, h("i", { class: "sample", data: { status } }), words);
  const compact = h("input", { type: "checkbox", id: "compact", on: { change: (e) => change({ compact: e.target.checked ? "yes" : "no" }) } });
  compact.checked = shown().some(({ attacks }) => isCompact(attacks));
  return h("div", { class: "legend" },
    h("span", { class: "scale" }, "ASR 0, backdoor gone", h("i", { class: "ramp" }), "100, backdoor works"),
    sample("n/a", "does not apply"), sample("failed", "failed, out of memory, out of time"), sample("missing", "not run"),
    h("label", {}, compact, "compact"));
}
