// One row for each defense, one column for each table: mean DER over the attacks that took there, and the ranks.

function drawAcross(parts) {
  const sections = parts.map(({ section }) => section).filter((section) => section.defenses.filter((d) => d.standing.aggregates.der).length > 1);
  const rows = new Map();
  for (const { section, defenses } of parts) {
    for (const d of sections.includes(section) ? defenses : []) {
      if (!d.standing.aggregates.der) continue;
      if (!rows.has(d.label)) rows.set(d.label, { label: d.label, first: d, found: new Map() });
      rows.get(d.label).found.set(section, d.standing);
    }
  }
  const columns = [
    { title: "defense", value: (row) => row.label, show: (row) => defenseName(row.first), words: true, wide: 150 },
    { title: "tables", value: (row) => row.found.size },
    ...sections.map((section) => ({
      title: section.title.replaceAll(" · ", " "), wide: 96, narrow: true, left: true, hint: section.title,
      value: (row) => row.found.get(section)?.aggregates.der.mean,
      show: (row) => standingCell(row.found.get(section)),
    })),
  ];
  return h("section", {}, h("h2", {}, "Across tables"),
    h("p", { class: "note" }, "Mean DER over the attacks that took in each table, and the ranks that the tests leave open there. Tables differ in attacks and models: compare down a column, never along a row. Rows without all cells of a table are left out of its column."),
    grid(columns, [...rows.values()].sort((a, b) => b.found.size - a.found.size || a.label.localeCompare(b.label)), { name: "across" }));
}

const standingCell = (standing) => standing ? stacked(barred(standing.aggregates.der.mean, "der"), standing.ranks ? `rank ${ranks(standing.ranks)}` : standing.place) : "";
