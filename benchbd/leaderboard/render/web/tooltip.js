// What a mark or a cell of the matrix says when the pointer rests on it or the keyboard reaches it.

const tip = h("div", { class: "tip", role: "tooltip", id: "tip", hidden: true });

function tipFor(container, selector, contentOf) {
  const open = (e) => {
    const target = e.target.closest?.(selector);
    if (target && container.contains(target)) showTip(target, contentOf(target));
  };
  container.addEventListener("pointerover", open);
  container.addEventListener("focusin", open);
  container.addEventListener("pointerout", (e) => e.relatedTarget?.closest?.(selector) || hideTip());
  container.addEventListener("focusout", hideTip);
}

function showTip(target, content) {
  if (!content) return hideTip();
  replaceContent(tip, content);
  tip.hidden = false;
  const box = target.getBoundingClientRect();
  const { width, height } = tip.getBoundingClientRect();
  const left = Math.min(Math.max(8, box.left + box.width / 2 - width / 2), innerWidth - width - 8);
  const above = box.top - height - 8;
  tip.style.left = `${Math.max(8, left)}px`;
  tip.style.top = `${above > 8 ? above : Math.min(box.bottom + 8, innerHeight - height - 8)}px`;
}

const hideTip = () => (tip.hidden = true);

function entryTip(entry) {
  const rows = FIGURES.filter((name) => entry.metrics[name]).map((name) => {
    const values = entry.cells.filter((cell) => cell.code === "ok").map((cell) => percent(cell.figures[name]));
    return h("tr", {}, h("th", {}, TITLES[name]), h("td", {}, interval(entry.metrics[name])), h("td", { class: "quiet" }, values.length > 1 && values.slice(0, 8).join("  ")));
  });
  const detecting = Object.entries(DETECTION).filter(([name]) => entry.detection[name] !== undefined);
  const reason = entry.cells.find((cell) => cell.reason)?.reason;
  return [
    h("strong", {}, `${entry.defense.label} against ${entry.attack.label}`),
    h("p", {}, `${statusWords(entry)} · ${entry.measured} of ${counted(entry.expected, "seed")} · ${entry.trust}${entry.oracle ? " · oracle" : ""}${entry.stale ? " · stale" : ""}`),
    rows.length > 0 && h("table", {}, rows),
    entry.measured > 0 && h("p", { class: "quiet" }, `n = ${entry.images.clean} clean, ${entry.images.triggered} triggered images a seed`),
    entry.utility.agreement !== undefined && h("p", { class: "quiet" }, `${UTILITY.agreement} ${percent(entry.utility.agreement)} · ${UTILITY.least_accuracy} ${percent(entry.utility.least_accuracy)}`),
    detecting.length > 0 && h("p", {}, detecting.map(([name, title]) => `${title} ${name === "auroc" ? entry.detection[name].toFixed(3) : percent(entry.detection[name])}`).join(" · ")),
    entry.cost && h("p", {}, `${seconds(entry.cost.seconds)} · ${megabytes(entry.cost.bytes)} · ${counted(entry.cost.clean, "clean sample")}`),
    [entry.attack, entry.defense].filter((each) => each.kind.source.page).map((each) => h("p", { class: "quiet" }, `${each.method.name}: ${originWords(each.kind.source)}`)),
    reason && h("p", { class: "quiet" }, reason.length > 220 ? `${reason.slice(0, 220)}…` : reason),
  ];
}

const originWords = ({ paper, authors, year, verdict }) => [paper && `${authors} ${year ?? ""}`, verdict && `beside the reference code ${verdict}`].filter(Boolean).join("; ");

const DETECTION = { auroc: "AUROC", tpr_at_1_fpr: "TPR at 1 % FPR", tpr_at_5_fpr: "TPR at 5 % FPR", tpr: "TPR", fpr: "FPR" };
