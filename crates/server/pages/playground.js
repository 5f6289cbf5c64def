// An editor with ghost text: asks /v1/complete as one types and shows how each answer came about.
import { ask, header, make, number, partName, t } from "./shared.js";

const SAMPLE = "// Заполняет табличную часть по остаткам на складе.\nПроцедура ЗаполнитьПоОстаткам(Склад) Экспорт\n\n\tЗапрос = Новый Запрос;\n\tЗапрос.Текст =\n\t\"ВЫБРАТЬ\n\t|\tОстатки.Номенклатура КАК Номенклатура\n\t|ИЗ\n\t|\tРегистрНакопления.ТоварыНаСкладах.Остатки КАК Остатки\";\n\t\nКонецПроцедуры\n";
const KEYWORDS = "если тогда иначе иначеесли конецесли для каждого из по цикл пока конеццикла прервать продолжить процедура конецпроцедуры функция конецфункции возврат перем экспорт знач новый попытка исключение вызватьисключение конецпопытки и или не истина ложь неопределено null асинх ждать выполнить добавитьобработчик удалитьобработчик перейти if then else elsif endif for each in to do while enddo break continue procedure endprocedure function endfunction return var export val new try except raise endtry and or not true false undefined async await execute goto".split(" ");
const WORDS = new Set(KEYWORDS);
const TOKEN = /(\/\/[^\n]*)|("(?:[^"\n]|"")*(?:\n[ \t]*\|(?:[^"\n]|"")*)*"?)|('[^'\n]*'?)|([&#][\p{L}\p{N}_]*)|(\p{N}[\p{N}.]*)|([\p{L}_][\p{L}\p{N}_]*)/gu;

const text = document.getElementById("text");
const shown = document.getElementById("shown");
const id = (name) => document.getElementById(name);
let ghost = null;
let asking = null;
let timer = 0;

function highlight(source) {
  const parts = [];
  let end = 0;
  for (const match of source.matchAll(TOKEN)) {
    const [, comment, string, date, directive, digits, word] = match;
    const kind = comment ? "c" : string || date ? "s" : directive ? "d" : digits ? "n" : WORDS.has(word.toLowerCase()) ? "k" : "";
    if (!kind) continue;
    parts.push(document.createTextNode(source.slice(end, match.index)), make("span", { class: "tok-" + kind, text: match[0] }));
    end = match.index + match[0].length;
  }
  parts.push(document.createTextNode(source.slice(end)));
  return parts;
}

function draw() {
  const at = text.selectionStart;
  const parts = highlight(text.value.slice(0, at));
  if (ghost) parts.push(make("span", { class: "ghost", id: "ghost", text: ghost.text }));
  parts.push(...highlight(text.value.slice(at)), document.createTextNode("\n"));
  shown.replaceChildren(...parts);
  shown.scrollTop = text.scrollTop;
  shown.scrollLeft = text.scrollLeft;
}

function tell(event) {
  ask("/v1/events", { method: "POST", body: JSON.stringify({ events: [event] }) }).catch(() => {});
}

function dismiss(rejected) {
  if (ghost && rejected) tell({ event: "rejected", id: ghost.id });
  ghost = null;
}

function schedule(delay) {
  clearTimeout(timer);
  timer = setTimeout(complete, delay);
}

function request(max_tokens) {
  const body = { path: "CommonModules/Playground/Ext/Module.bsl", text: text.value, offset: text.selectionStart, speed: id("speed").value, max_tokens, session };
  if (id("project").value) body.project = id("project").value;
  return body;
}

async function complete() {
  if (text.selectionStart !== text.selectionEnd) return;
  asking?.abort();
  const mine = (asking = new AbortController());
  const body = request(48);
  const started = performance.now();
  try {
    const answer = await ask("/v1/complete", { method: "POST", body: JSON.stringify(body), signal: mine.signal });
    if (mine.signal.aborted || body.text !== text.value || body.offset !== text.selectionStart) return;
    show(answer, performance.now() - started);
    ghost = answer.text ? { id: answer.id, text: answer.text, taken: 0 } : null;
    if (ghost) tell({ event: "shown", id: ghost.id, characters: ghost.text.length });
    draw();
  } catch (error) {
    if (error.name === "AbortError" || error.status === 409) return;
    id("problem").textContent = error.message;
  }
}

function show(answer, network) {
  id("problem").textContent = answer.text ? "" : t("nothing");
  id("latency").textContent = number(answer.timings.total_ms, 1) + " " + t("ms");
  id("network").textContent = number(network, 1) + " " + t("ms");
  id("confidence").textContent = number(answer.confidence * 100) + " %";
  id("used").textContent = t(answer.speed);
  id("context").textContent = number(answer.context_tokens);
  id("written").textContent = number(answer.tokens.length);
  id("stop").textContent = t(answer.stop);
  const parts = [...answer.contributions].sort((a, b) => b.share - a.share);
  id("shares").replaceChildren(...parts.map((part) => {
    const span = make("span", { class: "part-" + part.part, title: partName(part.part) });
    span.style.width = part.share * 100 + "%";
    return span;
  }));
  id("legend").replaceChildren(...parts.flatMap((part) => [make("span", { class: "dot part-" + part.part }), make("span", { text: partName(part.part) }), make("span", { text: number(part.share * 100) + " %" })]));
}

function insert(part) {
  const at = text.selectionStart;
  text.setRangeText(part, at, at, "end");
}

function accept() {
  insert(ghost.text);
  const characters = ghost.taken + ghost.text.length;
  tell({ event: "accepted", id: ghost.id, characters });
  watch(ghost.id, ghost.text);
  ghost = null;
  draw();
  schedule(0);
}

function acceptWord() {
  const word = /^\s*(?:[\p{L}\p{N}_]+|[^\p{L}\p{N}_\s]+)/u.exec(ghost.text)?.[0] ?? ghost.text;
  if (word.length >= ghost.text.length) return accept();
  insert(word);
  ghost.taken += word.length;
  ghost.text = ghost.text.slice(word.length);
  tell({ event: "partly_accepted", id: ghost.id, characters: ghost.taken });
  draw();
}

// What is left of an accepted completion some time later: the longest part of it that still stands in the text.
function watch(completion, accepted) {
  for (const after_seconds of [30, 90, 180, 360]) {
    setTimeout(() => {
      let retained = accepted.length;
      while (retained > 0 && !text.value.includes(accepted.slice(0, retained))) retained -= 1;
      tell({ event: "retained", id: completion, after_seconds, accepted: accepted.length, retained });
    }, after_seconds * 1000);
  }
}

text.addEventListener("keydown", (event) => {
  const plain = !event.ctrlKey && !event.altKey && !event.metaKey;
  if (event.key === "Tab" && plain && !event.shiftKey) {
    event.preventDefault();
    if (ghost) return accept();
    insert("\t");
    changed(1);
  } else if (event.key === "ArrowRight" && (event.ctrlKey || event.metaKey) && ghost) {
    event.preventDefault();
    acceptWord();
  } else if (event.key === "Escape" && ghost) {
    event.preventDefault();
    dismiss(true);
    draw();
  } else if (event.key === " " && event.ctrlKey) {
    event.preventDefault();
    schedule(0);
  }
});

function changed(characters) {
  // Typing along the ghost keeps it.
  dismiss(false);
  draw();
  if (characters > 0) tell({ event: "typed", characters });
  schedule(60);
}

text.addEventListener("input", (event) => {
  const typed = event.data ?? "";
  if (ghost && typed && ghost.text.startsWith(typed)) {
    ghost.text = ghost.text.slice(typed.length);
    if (!ghost.text) ghost = null;
    draw();
    tell({ event: "typed", characters: typed.length });
    schedule(60);
    return;
  }
  changed(typed.length);
});
text.addEventListener("scroll", () => { shown.scrollTop = text.scrollTop; shown.scrollLeft = text.scrollLeft; });
text.addEventListener("click", () => {
  dismiss(false);
  draw();
  // Where the cursor rests something will be asked: what is read until then need not be waited for.
  ask("/v1/complete", { method: "POST", body: JSON.stringify(request(0)) }).catch(() => {});
});

async function projects(chosen) {
  let names = [];
  try { names = (await ask("/v1/projects")).projects.map((project) => project.name); } catch (error) { id("problem").textContent = error.message; }
  id("project").replaceChildren(make("option", { value: "", text: t("none") }), ...names.map((name) => make("option", { value: name, text: name })));
  if (chosen) id("project").value = chosen;
}

id("folder").addEventListener("change", () => learn([...id("folder").files].map((file) => ({ path: file.webkitRelativePath || file.name, file }))));

// A folder that is dropped anywhere on the page.
document.addEventListener("dragover", (event) => { event.preventDefault(); id("drop").classList.add("over"); });
document.addEventListener("dragleave", () => id("drop").classList.remove("over"));
document.addEventListener("drop", async (event) => {
  event.preventDefault();
  id("drop").classList.remove("over");
  const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  learn((await Promise.all(entries.map(filesOf))).flat());
});

async function filesOf(entry) {
  if (entry.isFile) return [{ path: entry.fullPath.slice(1), file: await new Promise((resolve, reject) => entry.file(resolve, reject)) }];
  const reader = entry.createReader();
  const inside = [];
  // A reader tells a hundred entries at a time.
  for (let some = [null]; some.length; inside.push(...some)) some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
  return (await Promise.all(inside.map(filesOf))).flat();
}

// Files learned, and the share of pieces of some files that are learned last that would have been foreseen: by all levels, and by the counts alone.
let points = [];
let isLearning = false;

async function learn(all) {
  const files = all.filter(({ path }) => /\.(bsl|os)$/i.test(path)).sort((a, b) => (a.path < b.path ? -1 : 1));
  if (isLearning || !files.length) return;
  isLearning = true;
  const name = id("name").value.trim();
  const bar = id("progress");
  bar.hidden = false;
  id("rise").replaceChildren();
  points = [];
  let done = 0;
  const read = async ({ path, file }) => ({ path, text: await file.text() });
  const teach = async (batch) => {
    await ask(`/v1/projects/${encodeURIComponent(name)}/learn`, { method: "POST", body: JSON.stringify({ root: "playground", files: batch }) });
    done += batch.length;
    bar.value = done / files.length;
    id("learned").textContent = `${t("learned")}: ${number(done)} / ${number(files.length)}`;
  };
  try {
    id("learned").textContent = t("learning");
    const held = heldBack(files);
    const scored = await Promise.all(held.map(read));
    const rest = files.filter((file) => !held.includes(file));
    await score(null, scored, 0);
    // Few at first, where each teaches most.
    for (let start = 0, size = 4; start < rest.length; size = Math.min(size * 2, 128)) {
      let bytes = 0;
      const fitting = rest.slice(start, start + size).filter(({ file }, at) => (bytes += file.size) < 4e6 || at === 0);
      await teach(await Promise.all(fitting.map(read)));
      start += fitting.length;
      await score(name, scored, done);
    }
    if (scored.length) await teach(scored);
    await projects(name);
    schedule(0);
  } catch (error) { id("learned").textContent = error.message; }
  isLearning = false;
}

// Files all over the folder that are learned last; none of a folder with too few to learn from.
function heldBack(files) {
  const fit = files.filter(({ file }) => file.size > 600 && file.size < 400_000);
  const n = Math.min(6, Math.floor(fit.length / 4));
  return Array.from({ length: n }, (_, at) => fit[Math.floor((fit.length * (2 * at + 1)) / (2 * n))]);
}

async function score(project, files, done) {
  if (!files.length) return;
  const { levels } = await ask("/v1/score", { method: "POST", body: JSON.stringify({ files, ...(project && { project }) }) });
  const share = (level) => { const found = levels.find((one) => one.level === level); return found?.pieces ? found.hits / found.pieces : NaN; };
  points.push({ done, all: share("all"), counts: share("0") });
  plot();
}

function plot() {
  const width = 300;
  const height = 90;
  const most = Math.max(...points.map((point) => point.done), 1);
  // Half of the width for the first quarter of the files, where most happens.
  const x = (done) => 4 + (width - 8) * Math.sqrt(done / most);
  const y = (share) => height - 4 - (height - 8) * share;
  const svg = (tag, attributes) => { const element = document.createElementNS("http://www.w3.org/2000/svg", tag); for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value); return element; };
  const line = (key, part) => svg("polyline", { class: "line-" + part, points: points.map((point) => `${x(point.done)},${y(point[key])}`).join(" ") });
  const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": t("foreseen") });
  picture.append(...[0, 0.5, 1].map((share) => svg("line", { class: "rule", x1: 0, x2: width, y1: y(share), y2: y(share) })), line("counts", "counts"), line("all", "all"));
  const first = points[0];
  const last = points[points.length - 1];
  const row = (key, label, part) => [make("span", { class: "dot line-" + part }), make("span", { text: t(label) }), make("span", { text: `${number(first[key] * 100)} → ${number(last[key] * 100)} %` })];
  id("rise").replaceChildren(make("p", { class: "dim", text: t("foreseen") }), picture, make("div", { class: "legend" }, ...row("all", "levelAll", "all"), ...row("counts", "level0", "counts")));
}

const session = Math.random().toString(36).slice(2);
header("playground");
id("speed").replaceChildren(...["auto", "fast", "balanced", "accurate"].map((speed) => make("option", { value: speed, text: t(speed) })));
id("speed").value = "balanced";
for (const name of ["speed", "project"]) id(name).addEventListener("change", () => schedule(0));
document.addEventListener("key", () => { projects(); schedule(0); });
text.value = SAMPLE;
const start = SAMPLE.lastIndexOf("\t\nКонец") + 1;
text.setSelectionRange(start, start);
text.focus();
draw();
projects();
schedule(0);
