// Live figures: reads /metrics every two seconds and shows the last minute.
import { ask, figures, header, make, number, partName, t } from "./shared.js";

const EVERY_MS = 2000;
const KEPT = 31;
const SPEEDS = ["fast", "balanced", "accurate"];
const id = (name) => document.getElementById(name);
const samples = [];

const matches = (figure, name, labels) => figure.name === name && Object.entries(labels).every(([key, value]) => figure.labels[key] === value);
const value = (sample, name, labels = {}) => sample.figures.filter((figure) => matches(figure, name, labels)).reduce((sum, figure) => sum + figure.value, 0);
const first = () => samples[0];
const last = () => samples[samples.length - 1];
const since = (name, labels) => value(last(), name, labels) - value(first(), name, labels);

// The quantile of a histogram's growth over the samples, between two borders by a straight line; null without growth.
function quantile(name, labels, share) {
  const buckets = last().figures.filter((figure) => matches(figure, name + "_bucket", labels)).map((figure) => ({
    border: figure.labels.le === "+Inf" ? Infinity : Number(figure.labels.le),
    count: figure.value - value(first(), name + "_bucket", { ...labels, le: figure.labels.le }),
  })).sort((a, b) => a.border - b.border);
  const total = buckets.length ? buckets[buckets.length - 1].count : 0;
  if (total <= 0) return null;
  let before = 0;
  let from = 0;
  for (const { border, count } of buckets) {
    if (count >= share * total) {
      if (border === Infinity) return from;
      return from + (border - from) * ((share * total - before) / Math.max(count - before, 1e-9));
    }
    before = count;
    from = border;
  }
  return from;
}

function line(svg, values) {
  const top = Math.max(...values, 1e-9);
  const points = values.map((one, idx) => `${(idx / Math.max(KEPT - 1, 1)) * 100},${44 - (one / top) * 42}`);
  const polyline = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
  polyline.setAttribute("points", points.join(" "));
  svg.replaceChildren(polyline);
}

function table(element, head, rows) {
  const row = (cells, tag) => make("tr", {}, ...cells.map((cell) => make(tag, { text: cell })));
  element.replaceChildren(make("thead", {}, row(head, "th")), make("tbody", {}, ...rows.map((cells) => row(cells, "td"))));
}

const percent = (part, whole) => (whole > 0 ? number((part / whole) * 100, 1) + " %" : "–");
const bytes = (n) => number(n / 1e6, 0) + " MB";
const ms = (seconds) => (seconds === null ? "–" : number(seconds * 1e3, 1));

function draw() {
  const seconds = Math.max((last().at - first().at) / 1000, 1e-3);
  const rates = samples.slice(1).map((sample, idx) => {
    const before = samples[idx];
    return (value(sample, "nestor_completion_duration_seconds_count") - value(before, "nestor_completion_duration_seconds_count")) / ((sample.at - before.at) / 1000);
  });
  id("rate").textContent = number(since("nestor_completion_duration_seconds_count") / seconds, 1);
  line(id("rate-line"), rates.length ? rates : [0]);
  const waiting = value(last(), "nestor_queue_depth");
  id("queue").textContent = `${number(waiting)} / ${number(value(last(), "nestor_queue_capacity"))}`;
  id("queue-about").textContent = `${t("running")}: ${number(value(last(), "nestor_completions_running"))} / ${number(value(last(), "nestor_workers"))}, ${t("connections")}: ${number(value(last(), "nestor_http_connections"))}`;
  line(id("queue-line"), samples.map((sample) => value(sample, "nestor_queue_depth")));
  const shown = value(last(), "nestor_suggestions_total", { event: "shown" });
  const taken = value(last(), "nestor_suggestions_total", { event: "accepted" });
  const characters = value(last(), "nestor_suggestion_characters_total", { event: "accepted" });
  const typed = value(last(), "nestor_typed_characters_total");
  id("accepted").textContent = percent(taken, shown);
  id("accepted-about").textContent = `${t("acceptedChars")}: ${number(characters)}; ${t("ratio")}: ${percent(characters, characters + typed)}`;
  id("memory").textContent = bytes(value(last(), "process_resident_memory_bytes"));
  id("cpu").textContent = `${t("cpu")}: ${number((since("process_cpu_seconds_total") / seconds) * 100)} %`;
  line(id("memory-line"), samples.map((sample) => value(sample, "process_resident_memory_bytes")));
  table(id("latency"), ["", "p50", "p95", "p99", "n"], SPEEDS.map((speed) => {
    const of = (share) => ms(quantile("nestor_completion_duration_seconds", { speed }, share));
    return [t(speed), of(0.5), of(0.95), of(0.99), number(since("nestor_completion_duration_seconds_count", { speed }))];
  }));
  table(id("online"), [t("level"), "%", t("tokens")], ["0", "1", "2", "3", "all"].map((level) => {
    const all = value(last(), "nestor_online_tokens_total", { level });
    const name = level === "0" ? t("level0") : level === "all" ? t("levelAll") : level;
    return [name, percent(value(last(), "nestor_online_correct_tokens_total", { level }), all), number(all)];
  }));
  table(id("retained"), [t("seconds"), "%", "n"], ["30", "90", "180", "360"].map((after_seconds) => {
    const all = value(last(), "nestor_accepted_characters_checked_total", { after_seconds });
    return [after_seconds, percent(value(last(), "nestor_retained_characters_total", { after_seconds }), all), number(all)];
  }));
  const parts = last().figures.filter((figure) => figure.name === "nestor_part_tokens_total" && figure.value > 0);
  const whole = parts.reduce((sum, part) => sum + part.value, 0);
  id("parts").replaceChildren(...parts.map((part) => {
    const span = make("span", { class: "part-" + part.labels.part, title: partName(part.labels.part) });
    span.style.width = (part.value / whole) * 100 + "%";
    return span;
  }));
  id("parts-legend").replaceChildren(...parts.flatMap((part) => [make("span", { class: "dot part-" + part.labels.part }), make("span", { text: partName(part.labels.part) }), make("span", { text: percent(part.value, whole) })]));
  const outcomes = new Map();
  for (const figure of last().figures) {
    if (figure.name === "nestor_completions_total") outcomes.set(figure.labels.outcome, (outcomes.get(figure.labels.outcome) || 0) + figure.value);
  }
  table(id("outcomes"), ["", "n"], [...outcomes].map(([outcome, n]) => [t(outcome), number(n)]));
  const projects = last().figures.filter((figure) => figure.name === "nestor_project_tokens");
  if (!projects.length) return id("projects").replaceChildren(make("tbody", {}, make("tr", {}, make("td", { class: "dim", text: t("none") }))));
  table(id("projects"), ["", t("files"), t("pieces")], projects.map((figure) => [figure.labels.project, number(value(last(), "nestor_project_files", figure.labels)), number(figure.value)]));
}

function drawJobs(jobs) {
  if (!jobs.length) return id("jobs").replaceChildren(make("tbody", {}, make("tr", {}, make("td", { class: "dim", text: t("noJobs") }))));
  const levels = (job) => (job.validation.length ? job.validation : job.levels).map((level) => `${level.level}: ${number(level.top1 * 100, 1)} %`).join("  ");
  table(id("jobs"), [t("job"), t("state"), t("progress"), t("left"), t("perSecond"), t("loss"), t("level")], jobs.map((job) => [`${job.id} ${job.name}`, job.state, job.progress === null ? "–" : number(job.progress * 100) + " %", job.seconds_left === null ? "–" : number(job.seconds_left), job.tokens_per_s === null ? "–" : number(job.tokens_per_s), job.loss === null ? "–" : number(job.loss, 3), levels(job)]));
}

async function look() {
  try {
    const [text, jobs] = await Promise.all([ask("/metrics"), ask("/v1/jobs")]);
    samples.push({ at: performance.now(), figures: figures(text) });
    if (samples.length > KEPT) samples.shift();
    id("problem").textContent = "";
    draw();
    drawJobs(jobs);
  } catch (error) {
    id("problem").textContent = error.message;
  }
  setTimeout(look, EVERY_MS);
}

header("dashboard");
look();
