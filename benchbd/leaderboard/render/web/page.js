// The page: tabs, filters, the view that is chosen, and the section of a cell above it.

const DRAWERS = { matrix: drawMatrix, defenses: drawDefenses, attacks: drawAttacks, families: drawFamilies, tradeoffs: drawTradeoffs, seeds: drawSeeds };
const AT_ONCE = 3;
// Tables that are drawn at once; the others follow while nothing else is to be done, or when somebody comes near.

const bar = filterBar();
const view = h("main", { id: "view", tabindex: "-1" });

function draw() {
  const sections = shown();
  waiting.length = arrangements.length = 0;
  destroyGrids();
  hideTip();
  const nothing = h("p", { class: "nothing" }, DATA.sections.length ? "Nothing is left by these filters." : "There is no result yet. `benchbd matrix` makes some.");
  const whole = { overview: drawOverview, across: drawAcross, cells: drawAll }[state.view];
  const content = !sections.length ? nothing : whole ? whole(sections) : sections.map(lazily);
  replaceContent(view, state.view === "matrix" && sections.length > 0 && matrixLegend(), content);
  view.dataset.view = state.view;
  for (const tab of tabs.querySelectorAll("[role=tab]")) {
    tab.setAttribute("aria-selected", tab.dataset.view === state.view);
    tab.tabIndex = tab.dataset.view === state.view ? 0 : -1;
    if (tab.dataset.view === state.view) tabs.scrollLeft = Math.max(0, tab.offsetLeft - tabs.offsetLeft - 60);
  }
  bar.refresh();
  bar.element.hidden = state.view === "overview"; // the entrance speaks of all results
  nowShown();
}

// A board of many tables draws those further down later, so that it opens at once; all are drawn soon, so that the browser's own search finds their rows.
function lazily(part, order) {
  const drawer = DRAWERS[state.view];
  if (order < AT_ONCE) return drawer(part);
  const holder = h("section", { class: "later" }, h("h2", {}, part.section.title));
  const observer = new IntersectionObserver((seen) => seen.some((each) => each.isIntersecting) && now(), { rootMargin: "600px" });
  const now = () => {
    observer.disconnect();
    if (!holder.isConnected) return;
    holder.replaceWith(drawer(part));
    nowShown();
  };
  observer.observe(holder);
  setTimeout(now, LATER * (order - AT_ONCE + 1));
  return holder;
}

const LATER = 150;
// Milliseconds between one table and the next.

const tabs = h("div", { class: "tabs", role: "tablist", "aria-label": "Views" }, Object.entries(VIEWS).map(([name, title]) =>
  h("button", { type: "button", role: "tab", data: { view: name }, "aria-controls": "view", on: { click: () => change({ view: name, sort: "" }, state.view !== name) } }, title)));

tabs.addEventListener("keydown", (e) => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[e.key];
  if (!step) return;
  const all = [...tabs.children];
  const next = all[(all.indexOf(document.activeElement) + step + all.length) % all.length];
  next.focus();
  next.click();
});

function tools() {
  const csv = h("button", { type: "button", class: "small", id: "csv", on: { click: () => download("leaderboard-view.csv", csvOf(shown())) } }, "CSV of this view");
  const latex = h("button", { type: "button", class: "small", id: "latex", on: { click: () => download("leaderboard-view.tex", latexOf(shown()), "application/x-tex") } }, "LaTeX");
  return h("div", { class: "tools" }, csv, latex, copyLink(), themeButton());
}

const copyLink = () => h("button", { type: "button", class: "small", id: "link", on: { click: (e) => copy(location.href, e.currentTarget) } }, "copy link");

function themeButton() {
  const next = { "": "dark", dark: "light", light: "" };
  const words = { "": "auto", dark: "dark", light: "light" };
  let theme = remembered("theme");
  const show = (button) => {
    document.documentElement.style.colorScheme = theme;
    button.textContent = `theme: ${words[theme] ?? "auto"}`;
  };
  const button = h("button", { type: "button", class: "small", id: "theme", on: { click: () => {
    theme = next[theme] ?? "dark";
    remember("theme", theme);
    show(button);
  } } });
  show(button);
  return button;
}

// Pages from disk may have no storage; then the choice lasts as long as the page.
function remembered(name) {
  try {
    return localStorage.getItem(name) ?? "";
  } catch {
    return "";
  }
}

function remember(name, value) {
  try {
    localStorage.setItem(name, value);
  } catch {
    return;
  }
}

function footer() {
  const cite = `@misc{backdoor-leaderboard-${DATA.digest},\n  title = {Backdoor leaderboard, board ${DATA.digest}},${DATA.newest && `\n  year = {${DATA.newest.slice(0, 4)}},`}\n  note = {${DATA.summary} Made with benchbd from stored results; every cell can be run again by its key}\n}`;
  const faults = DATA.faults.length > 0 && h("details", {}, h("summary", {}, `${counted(DATA.faults.length, "file")} not believed`), h("ul", {}, DATA.faults.map((fault) => h("li", {}, fault))));
  return h("footer", {},
    h("details", { open: innerWidth > 900 }, h("summary", {}, "How to read this"), h("p", { class: "note" }, DATA.about),
      h("dl", {}, h("dt", {}, "as stated"), h("dd", {}, "the numbers are their author's word"), h("dt", {}, "recomputed"), h("dd", {}, "the metrics follow from the stored predictions, which are their author's word"), h("dt", {}, "reproduced by another"), h("dd", {}, "somebody else ran the cell again with the same outcome")),
      h("p", { class: "note" }, "Keys: arrows move in the matrix and between tabs, Enter opens a cell, Escape closes it, a title sorts.")),
    faults,
    h("details", { id: "news" }, h("summary", {}, "What is new"), whatIsNew()),
    h("details", {}, h("summary", {}, "Cite this board"), h("pre", {}, cite), copyButton(cite, "copy BibTeX")),
    h("p", { class: "quiet" }, `Board ${DATA.digest}${DATA.newest && `, newest result of ${DATA.newest}`}. One file, which asks nothing of any server. Tables by Tabulator (MIT).`));
}

// What changed since the last version, and the days on which results were finished, the newest first.
function whatIsNew() {
  const days = DATA.days;
  const rows = days.slice(0, 10).map(([day, count]) => [h("dt", {}, day), h("dd", {}, counted(count, "cell"))]);
  return [DATA.since && sinceThen(DATA.since),
    h("h3", {}, "Results by the day on which they were finished"), h("dl", {}, rows), h("p", { class: "note" }, days.length > 10 && `${counted(days.length - 10, "earlier day")} not shown. `, "Every cell that came, went or changed since any other board: ", h("code", {}, "benchbd leaderboard diff EARLIER/leaderboard.json leaderboard"), ".")];
}

const cameWords = ([came, went, changed]) => `${counted(came, "cell")} came, ${went.toLocaleString("en")} went, ${changed.toLocaleString("en")} changed`;

function sinceThen({ name, board, newest, total, tables, moved }) {
  const head = h("p", {}, `Since ${name} (board ${board}${newest && `, newest result of ${newest}`}): ${cameWords(total)}. A cell stands in each of its tables.`);
  const counts = h("dl", {}, tables.map(([title, count]) => [h("dt", {}, title), h("dd", {}, cameWords(count))]));
  const cells = moved.map(([title, attack, defense, seed, before, after]) => h("li", {}, h("b", {}, `${defense} against ${attack}`), `, seed ${seed}, ${title}: ${before} before, ${after} now`));
  return [head, counts, cells.length > 0 && [h("h3", {}, "Whose ASR moved most"), h("ul", {}, cells)]];
}

function start() {
  readAddress();
  const app = document.getElementById("app");
  listeners.push((names) => {
    if (names.some((name) => ![...OVERLAID, "sort", "order"].includes(name))) draw();
    if (names.includes("order")) arrangements.forEach((arrange) => arrange());
    if (names.some((name) => OVERLAID.includes(name))) showCell();
  });
  const beneath = () => JSON.stringify({ ...state, key: "", table: "", filters: Object.entries(state.filters).map(([name, chosen]) => [name, ...chosen]) });
  const again = () => {
    const before = beneath();
    readAddress();
    if (beneath() !== before) draw();
    showCell();
  };
  addEventListener("hashchange", again);
  addEventListener("popstate", again);
  let width = innerWidth, timer;
  addEventListener("resize", () => {
    clearTimeout(timer);
    timer = setTimeout(() => innerWidth !== width && ((width = innerWidth), draw()), 150);
  });
  addEventListener("scroll", hideTip, { passive: true, capture: true });
  app.append(h("div", { class: "top" }, tabs, tools()), bar.element, view, footer(), dialog, tip);
  const summary = document.getElementById("summary");
  if (DATA.newest) summary.append(` Newest result: ${DATA.newest}.`);
  if (DATA.since) summary.append(` Since ${DATA.since.name}: ${cameWords(DATA.since.total)}.`);
  draw();
  app.hidden = false;
  document.documentElement.classList.add("drawn");
  showCell();
}

start();
