// The page: tabs, filters, the view that is chosen, and the section of a cell above it.

const DRAWERS = { matrix: drawMatrix, defenses: drawDefenses, attacks: drawAttacks, families: drawFamilies, tradeoffs: drawTradeoffs, seeds: drawSeeds };
const AT_ONCE = 3;
// Tables that are drawn before somebody scrolls to them.

const bar = filterBar();
const view = h("main", { id: "view", tabindex: "-1" });

function draw() {
  const sections = shown();
  waiting.length = arrangements.length = 0;
  destroyGrids();
  hideTip();
  const nothing = h("p", { class: "nothing" }, DATA.sections.length ? "Nothing is left by these filters." : "There is no result yet. `benchbd matrix` makes some.");
  const content = !sections.length ? nothing : state.view === "cells" ? drawAll(sections) : sections.map(lazily);
  replaceContent(view, state.view === "matrix" && sections.length > 0 && matrixLegend(), content);
  view.dataset.view = state.view;
  for (const tab of tabs.querySelectorAll("[role=tab]")) {
    tab.setAttribute("aria-selected", tab.dataset.view === state.view);
    tab.tabIndex = tab.dataset.view === state.view ? 0 : -1;
    if (tab.dataset.view === state.view) tabs.scrollLeft = Math.max(0, tab.offsetLeft - tabs.offsetLeft - 60);
  }
  bar.refresh();
  nowShown();
}

// A board of many tables draws those further down only when they come near.
function lazily(part, order) {
  const drawer = DRAWERS[state.view];
  if (order < AT_ONCE) return drawer(part);
  const holder = h("section", { class: "later" }, h("h2", {}, part.section.title));
  new IntersectionObserver((seen, observer) => {
    if (!seen.some((each) => each.isIntersecting)) return;
    observer.disconnect();
    holder.replaceWith(drawer(part));
    nowShown();
  }, { rootMargin: "600px" }).observe(holder);
  return holder;
}

const tabs = h("div", { class: "tabs", role: "tablist", "aria-label": "Views" }, Object.entries(VIEWS).map(([name, title]) =>
  h("button", { type: "button", role: "tab", data: { view: name }, "aria-controls": "view", on: { click: () => change({ view: name, sort: "" }) } }, title)));

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
  return h("div", { class: "tools" }, csv, copyLink(), themeButton());
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
  const cite = `@misc{backdoor-leaderboard-${DATA.digest},\n  title = {Backdoor leaderboard, board ${DATA.digest}},\n  note = {${DATA.summary} Made with benchbd from stored results; every cell can be run again by its key}\n}`;
  const faults = DATA.faults.length > 0 && h("details", {}, h("summary", {}, `${counted(DATA.faults.length, "file")} not believed`), h("ul", {}, DATA.faults.map((fault) => h("li", {}, fault))));
  return h("footer", {},
    h("details", { open: innerWidth > 900 }, h("summary", {}, "How to read this"), h("p", { class: "note" }, DATA.about),
      h("dl", {}, h("dt", {}, "as stated"), h("dd", {}, "the numbers are their author's word"), h("dt", {}, "recomputed"), h("dd", {}, "the metrics follow from the stored predictions, which are their author's word"), h("dt", {}, "reproduced by another"), h("dd", {}, "somebody else ran the cell again with the same outcome")),
      h("p", { class: "note" }, "Keys: arrows move in the matrix and between tabs, Enter opens a cell, Escape closes it, a title sorts.")),
    faults,
    h("details", {}, h("summary", {}, "Cite this board"), h("pre", {}, cite), copyButton(cite, "copy BibTeX")),
    h("p", { class: "quiet" }, `Board ${DATA.digest}. One file, which asks nothing of any server. Tables by Tabulator (MIT).`));
}

function start() {
  readAddress();
  const app = document.getElementById("app");
  listeners.push((names) => {
    if (names.some((name) => !["cell", "sort", "order"].includes(name))) draw();
    if (names.includes("order")) arrangements.forEach((arrange) => arrange());
    if (names.includes("cell")) showCell();
  });
  const again = () => {
    readAddress();
    draw();
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
  draw();
  app.hidden = false;
  document.documentElement.classList.add("drawn");
  showCell();
}

start();
