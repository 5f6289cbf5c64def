// What the pages share: language, theme, the key, requests, figures.
const TEXTS = {
  ru: {
    playground: "Песочница", dashboard: "Показатели", docs: "API", theme: "Тема", language: "English", key: "Ключ",
    speed: "Скорость", project: "Проект", none: "нет", auto: "авто", fast: "быстро", balanced: "сбалансированно", accurate: "точно",
    answer: "Ответ", latency: "Время", network: "С сетью", confidence: "Уверенность", context: "Прочитано", written: "Написано", used: "Скорость", stop: "Конец",
    shares: "Кто подсказал", level1: "уровень 1", level2: "уровень 2", level3: "уровень 3", corpus: "корпус", partProject: "проект", file: "файл", nearest: "похожие места", names: "имена метаданных", ms: "мс", choose: "Выбрать папку…", left: "осталось, с", perSecond: "фрагментов в секунду", level: "Уровень",
    keys: "Tab — принять, Ctrl+→ — одно слово, Esc — убрать, Ctrl+Пробел — предложить", learn: "Выучить папку", learnHint: "Бросьте папку на страницу или выберите её: модули .bsl и .os станут проектом сервера.", foreseen: "Доля угаданных фрагментов в модулях, которые учатся последними",
    learned: "выучено файлов", learning: "учу…", nothing: "нечего предложить", needKey: "Нужен ключ: впишите его сверху.",
    latencyBySpeed: "Время дополнения, мс", requests: "Дополнений в секунду", queue: "Очередь", running: "в работе", waiting: "ждут", accepted: "Принято", acceptedChars: "символов принято", ratio: "доля кода от дополнений",
    retained: "Осталось от принятого", online: "Точность на том, что печатают", memory: "Память", cpu: "Процессор", projects: "Проекты", files: "файлов", pieces: "фрагментов", training: "Обучение и изучение", outcomes: "Чем кончилось", errors: "Ошибки", loading: "жду данных…", perMinute: "за последнюю минуту", seconds: "с", tokens: "фрагментов", connections: "соединений", sharesOf: "Доли уровней и счётчиков", job: "задание", state: "состояние", progress: "ход", loss: "потери", noJobs: "заданий нет", levelAll: "все", level0: "счётчики",
    answered: "предложено", empty: "нечего предложить", cancelled: "клиент ушёл", superseded: "сменилось новым", rejected: "очередь полна", late: "опоздало", failed: "сбой",
    rule: "правило", end_of_text: "конец текста", max_tokens: "предел длины", deadline: "срок", prose: "текст для людей", nothing_fits: "ничего не подходит",
  },
  en: {
    playground: "Playground", dashboard: "Dashboard", docs: "API", theme: "Theme", language: "Русский", key: "Key",
    speed: "Speed", project: "Project", none: "none", auto: "auto", fast: "fast", balanced: "balanced", accurate: "accurate",
    answer: "Answer", latency: "Time", network: "With network", confidence: "Confidence", context: "Read", written: "Written", used: "Speed", stop: "End",
    shares: "Who said it", level1: "level 1", level2: "level 2", level3: "level 3", corpus: "corpus", partProject: "project", file: "file", nearest: "similar places", names: "names of metadata", ms: "ms", choose: "Choose a folder…", left: "seconds left", perSecond: "pieces a second", level: "Level",
    keys: "Tab accepts, Ctrl+→ one word, Esc dismisses, Ctrl+Space asks", learn: "Learn a folder", learnHint: "Drop a folder on the page or choose one: its .bsl and .os modules become a project of the server.", foreseen: "Share of pieces foreseen in modules that are learned last",
    learned: "files learned", learning: "learning…", nothing: "nothing to offer", needKey: "A key is needed: enter it above.",
    latencyBySpeed: "Time of a completion, ms", requests: "Completions a second", queue: "Queue", running: "running", waiting: "waiting", accepted: "Accepted", acceptedChars: "characters accepted", ratio: "share of code from completions",
    retained: "Left of what was accepted", online: "Accuracy on what users type", memory: "Memory", cpu: "Processor", projects: "Projects", files: "files", pieces: "pieces", training: "Training and learning", outcomes: "Outcomes", errors: "Errors", loading: "waiting for data…", perMinute: "over the last minute", seconds: "s", tokens: "pieces", connections: "connections", sharesOf: "Shares of levels and counts", job: "job", state: "state", progress: "progress", loss: "loss", noJobs: "no jobs", levelAll: "all", level0: "counts",
    answered: "offered", empty: "nothing to offer", cancelled: "client went away", superseded: "replaced by a newer one", rejected: "queue full", late: "too late", failed: "failed",
    rule: "rule", end_of_text: "end of text", max_tokens: "limit of length", deadline: "deadline", prose: "text for people", nothing_fits: "nothing fits",
  },
};
const store = {
  get(name) { try { return localStorage.getItem("nestor-" + name); } catch { return null; } },
  set(name, value) { try { localStorage.setItem("nestor-" + name, value); } catch { /* A private window keeps nothing. */ } },
};
export const language = store.get("language") || ((navigator.language || "en").startsWith("ru") ? "ru" : "en");
export const t = (key) => TEXTS[language][key] ?? key;
export const partName = (part) => t(part === "project" ? "partProject" : part);
export function number(value, digits = 0) {
  return Number.isFinite(value) ? value.toLocaleString(language, { minimumFractionDigits: digits, maximumFractionDigits: digits }) : "–";
}
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") element.textContent = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}
export function header(current) {
  document.documentElement.lang = language;
  if (store.get("theme")) document.documentElement.dataset.theme = store.get("theme");
  const link = (page) => make("a", page === current ? { href: "/" + page, "aria-current": "page", text: t(page) } : { href: "/" + page, text: t(page) });
  const isDark = () => (document.documentElement.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const key = make("input", { type: "password", placeholder: t("key"), size: 14, "aria-label": t("key"), autocomplete: "off", value: sessionKey() });
  key.addEventListener("change", () => { try { sessionStorage.setItem("nestor-key", key.value.trim()); } catch { /* It holds for this page alone then. */ } held = key.value.trim(); document.dispatchEvent(new Event("key")); });
  document.body.prepend(make("header", {}, make("strong", { text: "Nestor" }), make("nav", {}, link("playground"), link("dashboard"), link("docs")), key,
    make("button", { type: "button", id: "theme", text: t("theme"), onclick: () => { const theme = isDark() ? "light" : "dark"; store.set("theme", theme); document.documentElement.dataset.theme = theme; } }),
    make("button", { type: "button", id: "language", text: t("language"), onclick: () => { store.set("language", language === "ru" ? "en" : "ru"); location.reload(); } })));
  for (const element of document.querySelectorAll("[data-t]")) element.textContent = t(element.dataset.t);
  document.title = "Nestor: " + t(current);
}
let held = null;
function sessionKey() {
  if (held !== null) return held;
  try { return sessionStorage.getItem("nestor-key") || ""; } catch { return ""; }
}
export async function ask(path, options = {}) {
  const headers = { ...(options.body ? { "Content-Type": "application/json" } : {}) };
  if (sessionKey()) headers.Authorization = "Bearer " + sessionKey();
  const response = await fetch(path, { ...options, headers });
  const text = await response.text();
  const isJson = (response.headers.get("content-type") || "").includes("json");
  const body = isJson && text ? JSON.parse(text) : text;
  if (!response.ok) {
    const error = new Error(response.status === 401 ? t("needKey") : body?.error?.message || response.statusText);
    error.status = response.status;
    throw error;
  }
  return body;
}
// Figures in Prometheus' text format as a list of {name, labels, value}.
export function figures(text) {
  const found = [];
  for (const line of text.split("\n")) {
    const match = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/.exec(line);
    if (!match) continue;
    const labels = {};
    for (const label of (match[2] || "").matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) labels[label[1]] = label[2].replace(/\\(.)/g, "$1");
    found.push({ name: match[1], labels, value: Number(match[3]) });
  }
  return found;
}
