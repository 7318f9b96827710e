// Sortable tables by Tabulator. Every cell is an element made here, so that no text from a result is taken for HTML.

// Columns: `title`, `value(thing)` to sort by, `show(thing)` as text or element (default: the value), `words` for texts,
// `wide` for a least width, `narrow` for no more than that, `hint` for what the title means.
function grid(columns, things, { name, open, tall = false }) {
  const holder = h("div", { class: "grid", data: { grid: name } });
  whenShown(() => buildGrid(holder, columns, things, { name, open, tall }));
  return holder;
}

const SEARCHABLE = 500;
// Rows up to which all are on the page.

function buildGrid(holder, columns, things, { name, open, tall }) {
  const data = things.map((thing, id) => Object.fromEntries([["id", id], ...columns.map((column, place) => [`c${place}`, column.value(thing)])]));
  const [sortName, sortField, sortWay] = state.sort.split(" ");
  const table = new Tabulator(holder, {
    data,
    columns: columns.map((column, place) => gridColumn(column, place, things)),
    layout: "fitDataFill",
    height: tall ? "min(72vh, 60rem)" : undefined,
    columnDefaults: { headerSortTristate: true, resizable: false, vertAlign: "middle" },
    initialSort: sortName === name ? [{ column: sortField, dir: sortWay }] : [],
    renderVertical: things.length < SEARCHABLE ? "basic" : "virtual", // the browser's own search finds rows that are there
    renderVerticalBuffer: 600,
    printAsHtml: true, // as a plain table, so that paper has the rows that are out of sight, too
    printRowRange: "all",
    placeholder: "nothing is left by the filters",
  });
  table.on("tableBuilt", () => {
    built.push(table);
    for (const header of holder.querySelectorAll(".tabulator-col.tabulator-sortable")) {
      header.tabIndex = 0;
      header.addEventListener("keydown", (e) => (e.key === "Enter" || e.key === " ") && (e.preventDefault(), header.querySelector(".tabulator-col-content").click()));
    }
    table.on("dataSorted", ([sorter]) => change({ sort: sorter ? `${name} ${sorter.field} ${sorter.dir}` : "" }));
  });
  if (open) table.on("rowClick", (e, row) => open(things[row.getData().id]));
}

// Tables that are on the page; they watch its size, so they have to be told when they leave it.
const built = [];
const destroyGrids = () => built.splice(0).forEach((table) => table.destroy());

function gridColumn({ title, show, words, left = words, wide, narrow, hint, frozen, wrap }, place, things) {
  return {
    title,
    field: `c${place}`,
    frozen,
    minWidth: wide ?? 40,
    width: narrow ? wide : undefined,
    hozAlign: left ? "left" : "right",
    headerHozAlign: left ? "left" : "right",
    headerTooltip: hint ?? false,
    headerWordWrap: true,
    cssClass: wrap ? "wrapped" : undefined,
    sorter: blanksLast,
    formatter: (cell) => {
      const content = show ? show(things[cell.getData().id]) : cell.getValue();
      return content instanceof Node ? content : h("span", {}, content === undefined ? "" : String(content));
    },
  };
}

function blanksLast(a, b, rowA, rowB, column, way) {
  const [noA, noB] = [a === undefined || a === null, b === undefined || b === null];
  if (noA || noB) return noA && noB ? 0 : noA === (way === "asc") ? 1 : -1;
  return typeof a === "string" ? a.localeCompare(b, "en", { numeric: true }) : a - b;
}

// Work to be done once what was drawn is in the document, where it has a size.
const waiting = [];
const whenShown = (work) => waiting.push(work);
const nowShown = () => waiting.splice(0).forEach((work) => work());

// A figure, and below it in small what belongs to it.
const stacked = (figure, below) => h("span", { class: "stacked" }, figure instanceof Node ? figure : h("span", {}, figure), below && h("small", { class: "quiet" }, below));

// A share with a bar as long as it.
const barred = (share, kind) => h("span", { class: `barred ${kind}`, css: { "--share": share ?? 0 } }, percent(share));
