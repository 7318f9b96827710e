// What is shown as comma-separated values, shares in [0, 1]: one row for each entry.

function csvOf(sections) {
  const parts = ["", "_low", "_high"];
  const header = [
    "table", "protocol", "dataset", "model", "attack", "poison_ratio", "labels", "defense", "family", "provider", "place", "best_rank", "worst_rank", "status", "measured", "expected", "seeds",
    ...FIGURES.flatMap((name) => parts.map((part) => name + part)), ...Object.keys(DETECTION), "seconds", "peak_bytes", "clean_samples", "oracle", "stale", "trust", "keys",
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
    ...figures, ...Object.keys(DETECTION).map((name) => entry.detection[name]), entry.cost?.seconds, entry.cost?.bytes, entry.cost?.clean,
    entry.oracle, entry.stale, entry.trust, ok.map((cell) => cell.key).join(" "),
  ];
}

// A text that a spreadsheet would take for a formula gets a quote before it.
function csvField(value) {
  if (value === undefined || value === null) return "";
  const words = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
  return /[",\r\n]/.test(words) ? `"${words.replaceAll('"', '""')}"` : words;
}

function download(name, content) {
  const address = URL.createObjectURL(new Blob([content], { type: "text/csv" }));
  h("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
