// What is shown, kept in the part of the address behind `#`, so that a view can be sent and comes back on reload.

const VIEWS = { overview: "Overview", matrix: "Matrix", defenses: "Defenses", attacks: "Attacks", families: "By family", tradeoffs: "Trade-offs", seeds: "Seeds", across: "Across tables", cells: "All results" };
const DEFAULTS = { view: "overview", find: "", against: "", metric: "asr", cost: "seconds", compact: "", order: "", sort: "", aggregate: "", key: "", table: "" };
// What opens the section of a cell, which is laid over the view and changes nothing of it.
const OVERLAID = ["key", "table"];

const state = { ...DEFAULTS, filters: {} };
const listeners = [];

function readAddress() {
  const words = new URLSearchParams(location.hash.slice(1));
  for (const name of Object.keys(DEFAULTS)) state[name] = words.get(name) ?? DEFAULTS[name];
  if (!(state.view in VIEWS)) state.view = DEFAULTS.view;
  state.filters = {};
  for (const { name } of FILTERS) if (words.has(name)) state.filters[name] = new Set(words.getAll(name));
}

function address() {
  const words = new URLSearchParams();
  for (const [name, value] of Object.entries(DEFAULTS)) if (state[name] !== value) words.set(name, state[name]);
  for (const [name, chosen] of Object.entries(state.filters)) for (const value of [...chosen].sort()) words.append(name, value);
  return `#${words}`;
}

// Takes changes over, notes them in the address, and draws again. A step is what "back" undoes: another view, a cell that is opened.
function change(changes, step = false) {
  Object.assign(state, changes);
  const to = address();
  if (to !== (location.hash || "#")) history[step ? "pushState" : "replaceState"](step ? { opened: !!state.key } : history.state, "", to);
  for (const listener of listeners) listener(Object.keys(changes));
}
