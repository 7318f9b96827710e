// The entrance: what the results say to who asks which defense to take, and each table in a line. The sentences are made in overview.py.

function drawOverview() {
  const { main, answers, lines, subjects, terms } = DATA.overview;
  const section = SECTIONS[main];
  const told = answers.map(([question, sentences]) => h("div", {}, h("h3", {}, question), sentences.map((words) => h("p", {}, whole(words)))));
  const explained = h("dl", { class: "terms" }, terms.map(([name, words]) => [h("dt", {}, name), h("dd", {}, words)]));
  return h("div", { class: "overview" },
    section && h("section", {}, h("h2", {}, `In short: ${section.title}`),
      h("p", { class: "note" }, `Of the tables about repairs the one in which most attacks took: ${counted(section.defenses.length, "defense")}, ${counted(section.attacks.length, "attack")}, ${counted(section.seeds.length, "seed")}. What holds here need not hold on other data.`),
      h("div", { class: "answers" }, h("div", { class: "told" }, told), h("figure", {}, h("figcaption", {}, h("b", {}, "What defenses leave of the attacks that took"), ", best mean DER first: the dot is the mean ASR, the line ends at the worst attack. Blue names are not shown to be worse than the first."), pricePicture(section), exports("in-short")))),
    h("h3", {}, "What the figures mean, in percent"), explained,
    h("h2", {}, "The tables"), h("ul", { class: "tables" }, SECTIONS.map((each, place) => h("li", { data: { subject: subjects[place] } }, tableLink(each), " ", whole(lines[place])))));
}

// A figure and its sign stay in one line.
const whole = (words) => words.replaceAll(" %", "\u00a0%");

const onlyTable = (section) => ({ view: "matrix", filters: { in: new Set([section.title]) }, find: "" });

const tableLink = (section) => h("button", { type: "button", class: "link", on: { click: () => change(onlyTable(section), true) } }, section.title);

const MOST_ROWS = 12;

// Rows of the defenses that somebody could use, with what they leave and what they cost.
function pricePicture(section) {
  const width = plotWidth(640);
  const all = section.defenses.filter((d) => d.standing.place === "ranked" && d.standing.aggregates.asr);
  const none = all.find((d) => d.method.name === "none");
  const rows = [...(none ? [none] : []), ...all.filter((d) => d !== none).slice(0, MOST_ROWS)];
  const [left, right] = width < 480 ? [92, 140] : [130, 230];
  const at = [0.22, 0.56, 1].map((share) => width - right + share * (right - 4));
  const X = linear([0, 1], [left, width - right - 8]);
  const height = 44 + 24 * rows.length;
  const heads = ["ACC", "time", width < 480 ? "clean" : "clean images"];
  const title = h("title", {}, "");
  title.textContent = `Mean and worst ASR, ACC, time and clean images of ${rows.length} defenses on ${section.title}`;
  return s("svg", { class: "plot price", viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": title.textContent },
    s("text", { x: left, y: 12, class: "axis" }, "ASR %"), heads.map((words, place) => s("text", { x: at[place], y: 12, "text-anchor": "end", class: "axis" }, words)),
    ticks([0, 1], 4).map((value) => s("g", { transform: `translate(${X(value)} 0)` }, s("line", { class: "rule", y1: 20, y2: height - 20 }), s("text", { y: height - 5, "text-anchor": "middle" }, inPercent(value)))),
    rows.map((d, place) => priceRow(d, d === none, 34 + 24 * place, { left, at, X })));
}

function priceRow(d, none, y, { left, at, X }) {
  const { asr, acc } = d.standing.aggregates;
  const close = d.standing.line === 0 || DATA.overview.tied.includes(d.label);
  const cut = Math.floor((left - 10) / 6.6);
  const name = none ? "no defense" : d.label.length > cut ? `${d.label.slice(0, cut - 1)}…` : d.label;
  const figures = [percent(acc.mean), none ? "" : seconds(d.cost.seconds), none ? "" : d.cleanImages || "none"];
  return s("g", { transform: `translate(0 ${y})`, class: none ? "no-defense" : close ? "close" : undefined },
    s("text", { class: "name", x: left - 10, dy: "0.32em", "text-anchor": "end" }, name),
    s("line", { class: "to-worst", x1: X(asr.mean), x2: X(asr.worst) }), s("line", { class: "to-worst", x1: X(asr.worst), x2: X(asr.worst), y1: -4, y2: 4 }),
    s("circle", { class: "dot", cx: X(asr.mean), r: 5 }),
    figures.map((words, place) => s("text", { x: at[place], dy: "0.32em", "text-anchor": "end" }, words)));
}
