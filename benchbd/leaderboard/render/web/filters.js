// Which rows, columns and cells are shown. Filters hide; they change no aggregate, no rank and no front.

const FILTERS = [
  { name: "in", title: "Table", of: "section", value: (section) => section.title },
  { name: "protocol", title: "Protocol", of: "section", value: (section) => section.protocol },
  { name: "dataset", title: "Data set", of: "section", value: (section) => section.dataset },
  { name: "model", title: "Model", of: "section", value: (section) => section.model },
  { name: "ratio", title: "Poison ratio", of: "attack", value: (attack) => ratio(attack.poison_ratio) },
  { name: "labels", title: "Label mode", of: "attack", value: (attack) => attack.kind.labels },
  { name: "family", title: "Family", of: "defense", value: (defense) => FAMILIES[defense.kind.family] },
  { name: "clean", title: "Clean data", of: "defense", value: (defense) => (defense.kind.clean_data ? "needed" : "not needed") },
  { name: "images", title: "Clean images", of: "defense", value: (defense) => cleanImages(defense) },
  { name: "year", title: "Year", of: "defense", value: (defense) => String(defense.kind.source.year ?? "not stated") },
  { name: "oracle", title: "Oracle", of: "defense", value: (defense) => (defense.oracle ? "oracle" : "no oracle") },
  { name: "provider", title: "Provider", of: "defense", value: (defense) => defense.method.provider },
  { name: "status", title: "Status", of: "entry", value: (entry) => statusOf(entry) },
  { name: "trust", title: "Checked", of: "entry", value: (entry) => trustOf(entry) },
  { name: "device", title: "Device", of: "entry", value: (entry) => (entry.raw.length ? text(entry.raw[0][8]) : "not run") },
];

// How many clean images a defense was handed at most, in steps that a reader thinks in.
function cleanImages(defense) {
  const most = defense.cleanImages;
  if (!most) return "none";
  return most <= 100 ? "1 to 100" : most <= 500 ? "101 to 500" : "more than 500";
}

const trustOf = (entry) => (entry.measured ? entry.trust : "nothing to recompute");

const byEntry = () => FILTERS.some((filter) => filter.of === "entry" && state.filters[filter.name]);

const THINGS = {
  section: () => SECTIONS,
  attack: () => SECTIONS.flatMap((section) => section.attacks),
  defense: () => SECTIONS.flatMap((section) => section.defenses),
  entry: () => SECTIONS.flatMap((section) => section.entries),
};

const passes = (of, thing) =>
  FILTERS.every((filter) => filter.of !== of || !state.filters[filter.name] || state.filters[filter.name].has(filter.value(thing)));

const shownEntry = (entry) => passes("entry", entry);

const named = (thing) => {
  const words = state.find.toLowerCase().split(/[\s,]+/).filter(Boolean);
  return !words.length || words.some((word) => thing.label.toLowerCase().includes(word));
};

// The sections with what is shown of each. A word that fits attacks narrows attacks, one that fits defenses narrows these.
function shown() {
  return SECTIONS.filter((section) => passes("section", section))
    .map((section) => {
      let attacks = section.attacks.filter((attack) => passes("attack", attack));
      let defenses = section.defenses.filter((defense) => passes("defense", defense));
      if (state.find.trim()) {
        const found = [attacks.filter(named), defenses.filter(named)];
        if (found[0].length || !found[1].length) attacks = found[0];
        if (found[1].length || !found[0].length) defenses = found[1];
      }
      if (byEntry()) {
        const any = (as, ds) => as.some((a) => ds.some((d) => shownEntry(section.entry(a, d))));
        [attacks, defenses] = [attacks.filter((a) => any([a], defenses)), defenses.filter((d) => any(attacks, [d]))];
      }
      return { section, attacks, defenses };
    })
    .filter(({ attacks, defenses }) => attacks.length && defenses.length);
}

function filterBar() {
  const find = h("input", {
    type: "search", id: "find", placeholder: "find attack or defense", "aria-label": "Find attacks or defenses by name",
    on: { input: (e) => change({ find: e.target.value }) },
  });
  const menus = FILTERS.map(filterMenu).sort((a, b) => a.single - b.single);
  const reset = h("button", { type: "button", class: "small", id: "reset", on: { click: () => change({ filters: {}, find: "" }) } }, "show all");
  const bar = h("div", { class: "filters", role: "search" }, find, menus.map((menu) => menu.element), reset);
  const refresh = () => {
    if (find.value !== state.find) find.value = state.find;
    menus.forEach((menu) => menu.refresh());
    reset.hidden = !state.find && !Object.keys(state.filters).length;
  };
  bar.addEventListener("keydown", (e) => e.key === "Escape" && closeMenus());
  document.addEventListener("click", (e) => closeMenus(e.target.closest?.(".filters details")));
  return { element: bar, refresh };
}

const closeMenus = (except) => document.querySelectorAll(".filters details[open]").forEach((menu) => menu === except || (menu.open = false));

// A menu of check boxes. Those that have but one come last and are paler: there is nothing to choose.
function filterMenu(filter) {
  const counts = new Map();
  for (const thing of THINGS[filter.of]()) counts.set(filter.value(thing), (counts.get(filter.value(thing)) ?? 0) + 1);
  const values = [...counts.keys()].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  const label = h("summary", {});
  const boxes = values.map((value) => h("input", { type: "checkbox", value, on: { change: () => choose() } }));
  const choose = () => {
    const chosen = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
    const filters = { ...state.filters, [filter.name]: chosen };
    if (!chosen.size || chosen.size === values.length) delete filters[filter.name];
    change({ filters });
  };
  const rows = boxes.map((box, place) => h("label", {}, box, h("span", {}, values[place]), h("small", {}, counts.get(values[place]))));
  const refresh = () => {
    const chosen = state.filters[filter.name];
    boxes.forEach((box) => (box.checked = chosen?.has(box.value) ?? false));
    const words = chosen ? [...chosen].join(", ") : values.length === 1 ? values[0] : "all";
    replaceContent(label, h("span", { class: "what" }, filter.title), " ", h("b", {}, words));
    element.classList.toggle("active", !!chosen);
  };
  const element = h("details", { data: { filter: filter.name }, class: values.length === 1 ? "single" : undefined }, label, h("div", { class: "menu" }, rows));
  return { element, refresh, single: values.length < 2 };
}
