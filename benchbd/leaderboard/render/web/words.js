// Figures and names as words.

// Rounded as Python rounds, half to even, so that the page and the other files say the same.
function percent(share) {
  if (share === undefined || share === null) return "–";
  const value = 100 * share;
  return (value % 1 === 0.25 ? Math.floor(value) + 0.2 : value).toFixed(1);
}

function interval(summary) {
  if (!summary) return "–";
  if (summary.values?.length) return summary.values.map(percent).join(" and ");
  return summary.low === undefined ? percent(summary.mean) : `${percent(summary.mean)} [${percent(summary.low)}, ${percent(summary.high)}]`;
}

function seconds(value) {
  if (value === undefined) return "–";
  if (value < 1) return `${Math.round(1000 * value)} ms`;
  if (value < 100) return `${value.toFixed(1)} s`;
  return value < 6000 ? `${(value / 60).toFixed(1)} min` : `${(value / 3600).toFixed(1)} h`;
}

const megabytes = (bytes) => (bytes ? `${Math.round(bytes / 1e6).toLocaleString("en")} MB` : "–");

const TITLES = { acc: "ACC", asr: "ASR", rc: "RC", der: "DER", b: "b", false_activation: "false activation" };

const statusWords = (entry) =>
  entry.counts.length === 1 ? entry.counts[0][0] : entry.counts.map(([code, count]) => `${code} ${count}`).join(", ");

// The status by which an entry is filtered and drawn: what most keeps it from being measured.
function statusOf(entry) {
  if (entry.measured === entry.expected) return "ok";
  if (entry.measured) return "partly";
  return entry.counts.map(([code]) => code).find((code) => code !== "missing") ?? "missing";
}

const FAMILIES = {
  repair: "repair",
  "robust-training": "robust training",
  "data-filter": "data filter",
  "input-detector": "input detector",
  "model-detector": "model detector",
  unknown: "family not stated",
};

const ratio = (value) => (value === null ? "none stated" : `${percent(value).replace(/\.0$/, "")} %`);

const counted = (number, thing, many = `${thing}s`) => `${number.toLocaleString("en")} ${number === 1 ? thing : many}`;

// What there is of several parts, with dots between.
const joined = (parts) => parts.filter(Boolean).flatMap((part, place) => (place ? [" · ", part] : [part]));

// The ranks that the tests leave open.
const ranks = ([best, worst]) => (best === worst ? `${best}` : `${best}–${worst}`);

const UTILITY = {
  least_accuracy: "least accuracy of a class",
  attacked_recall: "recall of the attacked class",
  attacked_recall_before: "recall of it undefended",
  agreement: "agreement with the undefended model",
};

const rankWords = (standing) => (standing.ranks ? `rank ${ranks(standing.ranks)}` : standing.place);

const reproduceCommand = (cell) => `benchbd reproduce ${cell.key}`;
