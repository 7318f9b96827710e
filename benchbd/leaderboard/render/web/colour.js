// ASR as a colour: blue where the backdoor is gone, orange where it works, which readers of all kinds tell apart.

function painted(element, asr) {
  if (asr === undefined) return element;
  const away = Math.abs(asr - 0.5) * 2;
  element.style.setProperty("--end", asr < 0.5 ? "var(--gone)" : "var(--works)");
  element.style.setProperty("--much", `${(100 * away).toFixed(1)}%`);
  element.classList.add("painted");
  return element;
}

// One mark for each family, told apart by shape and colour.
const MARKS = {
  repair: (r) => s("circle", { r }),
  "robust-training": (r) => s("rect", { x: -r, y: -r, width: 2 * r, height: 2 * r, rx: 1 }),
  "data-filter": (r) => s("path", { d: `M0 ${-1.3 * r}L${1.2 * r} ${0.9 * r}H${-1.2 * r}Z` }),
  "input-detector": (r) => s("path", { d: `M0 ${-1.4 * r}L${1.4 * r} 0L0 ${1.4 * r}L${-1.4 * r} 0Z` }),
  "model-detector": (r) => s("path", { d: `M${-r} ${-r}L${r} ${r}M${-r} ${r}L${r} ${-r}`, class: "cross" }),
  unknown: (r) => s("circle", { r, class: "hollow" }),
};

function mark(family, r = 5.5) {
  const drawn = MARKS[family](r);
  drawn.classList.add("mark", family);
  return drawn;
}

const markLegend = (families) =>
  h("p", { class: "legend" }, families.map((family) =>
    h("span", {}, s("svg", { viewBox: "-9 -9 18 18", width: 16, height: 16, "aria-hidden": "true" }, mark(family)), FAMILIES[family]),
  ));
