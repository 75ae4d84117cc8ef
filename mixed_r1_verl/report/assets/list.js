// The list of rollouts: filtered and sorted numbers of rows, of which only those on the screen are elements.

const ROW = 58;
const filters = { run: "", split: "", source: "", kind: "", outcome: "", from: "", to: "", least: "", most: "", text: "", sort: "", down: false };
let order = []; // rows that pass the filters, sorted
let selected = -1; // a row, not a place in the order
let filtering = 0;

const OUTCOMES = {
  right: ["right (acc 1)", (row) => value(row, "acc") === 1],
  partial: ["partly right", (row) => value(row, "acc") > 0 && value(row, "acc") < 1],
  wrong: ["wrong (acc 0)", (row) => value(row, "acc") === 0],
  malformed: ["malformed", (row) => value(row, "format") !== null && value(row, "format") < 1],
  error: ["error", (row) => value(row, "error") > 0],
};

function buildFilters() {
  const { meta } = store;
  const options = (names) => names.map((name, i) => [String(i), name || "(none)"]);
  const choices = byId("choices");
  const select = (name, label, entries) => {
    const element = make("select", { id: `filter-${name}` }, ...entries.map(([key, text]) => make("option", { value: key }, text)));
    element.addEventListener("change", () => { filters[name] = element.value; applyFilters(); });
    return make("label", {}, make("span", {}, label), element);
  };
  const number = (name, label, step) => {
    const element = make("input", { id: `filter-${name}`, type: "number", step, inputmode: "decimal", placeholder: label, "aria-label": `${label} (${name})` });
    element.addEventListener("input", () => { filters[name] = element.value; applyFilters(); });
    return element;
  };
  const range = (label, low, high, step) =>
    make("div", { class: "range", role: "group", "aria-label": label }, make("span", {}, label), number(low, "from", step), number(high, "to", step));
  const all = ["", "all"];
  const sorts = [["", "run order"], ["step", "step"], ...meta.components.map((name) => [`v:${name}`, name]), ["length", "length"], ["source", "source"], ["kind", "reward"], ["prompt", "prompt"]];
  choices.append(
    ...(meta.runs.length > 1 ? [select("run", "Run", [all, ...options(meta.runs.map((run) => run.name))])] : []),
    select("split", "Split", [all, ...options(meta.splits)]),
    select("source", "Source", [all, ...options(meta.sources)]),
    select("kind", "Reward", [all, ...options(meta.kinds)]),
    select("outcome", "Outcome", [["", "any"], ...Object.entries(OUTCOMES).map(([key, [text]]) => [key, text])]),
    range("Step", "from", "to", "1"),
    range("Score", "least", "most", "any"),
    select("sort", "Sort by", sorts),
  );
  const direction = make("button", { type: "button", id: "direction", "aria-pressed": "false", "aria-label": "Largest first" }, "↑");
  direction.addEventListener("click", () => {
    filters.down = !filters.down;
    direction.textContent = filters.down ? "↓" : "↑";
    direction.setAttribute("aria-pressed", String(filters.down));
    applyFilters();
  });
  const reset = make("button", { type: "button", id: "reset" }, "Reset");
  reset.addEventListener("click", clearFilters);
  choices.append(direction, reset);
}

function clearFilters() {
  for (const name of Object.keys(filters)) filters[name] = name === "down" ? false : "";
  for (const element of byId("filters").querySelectorAll("select, input")) element.value = "";
  byId("direction").textContent = "↑";
  byId("direction").setAttribute("aria-pressed", "false");
  applyFilters();
}

function passes(row) {
  const { columns } = store;
  for (const name of ["run", "split", "source", "kind"])
    if (filters[name] !== "" && columns[name][row] !== Number(filters[name])) return false;
  if (filters.from !== "" && columns.step[row] < Number(filters.from)) return false;
  if (filters.to !== "" && columns.step[row] > Number(filters.to)) return false;
  if (filters.least !== "" && !(value(row, "score") >= Number(filters.least))) return false;
  if (filters.most !== "" && !(value(row, "score") <= Number(filters.most))) return false;
  return !filters.outcome || OUTCOMES[filters.outcome][1](row);
}

function contains(row, text) {
  for (const name of ["response", "prediction"]) if (textOf(row, name)?.toLowerCase().includes(text)) return true;
  return reasonOf(row).toLowerCase().includes(text);
}

// Prompts are searched once each, responses in slices, so that typing never waits.
async function applyFilters() {
  const mine = ++filtering;
  const text = filters.text.toLowerCase();
  let found = [];
  for (let row = 0; row < store.meta.rows; row++) if (passes(row)) found.push(row);
  if (text) {
    const prompts = store.prompts.map((prompt) => `${prompt.id}\n${prompt.text}\n${prompt.truth}`.toLowerCase().includes(text));
    const kept = [];
    let rest = performance.now() + 12;
    for (const row of found) {
      if (prompts[store.columns.prompt[row]] || contains(row, text)) kept.push(row);
      if (performance.now() > rest) {
        await pause();
        if (mine !== filtering) return;
        rest = performance.now() + 12;
      }
    }
    found = kept;
  }
  order = sortRows(found);
  byId("list").scrollTop = 0;
  showStatus();
  drawRows();
}

function sortRows(rows) {
  const { columns, meta } = store;
  if (!filters.sort) return filters.down ? rows.reverse() : rows;
  let key = columns[filters.sort];
  if (filters.sort.startsWith("v:")) key = columns.values[filters.sort.slice(2)];
  const names = { source: meta.sources, kind: meta.kinds }[filters.sort];
  const sign = filters.down ? -1 : 1;
  return rows.sort((a, b) => {
    const [left, right] = names ? [names[key[a]], names[key[b]]] : [key[a], key[b]];
    if (left === right) return a - b;
    if (left === null) return 1; // what was not recorded stands last either way
    if (right === null) return -1;
    return left < right ? -sign : sign;
  });
}

function showStatus() {
  const { rows } = store.meta;
  const loading = store.loaded < rows ? ` · reading responses, ${Math.floor((100 * store.loaded) / rows)} %` : "";
  byId("status").textContent = `${order.length.toLocaleString("en")} of ${rows.toLocaleString("en")} rollouts${loading}`;
}

function drawRows() {
  const list = byId("list");
  const first = Math.max(0, Math.floor(list.scrollTop / ROW) - 4);
  const last = Math.min(order.length, first + Math.ceil(list.clientHeight / ROW) + 8);
  const rows = byId("rows");
  rows.style.height = `${order.length * ROW}px`;
  rows.replaceChildren(...order.slice(first, last).map((row, i) => listRow(row, first + i)));
  const active = byId(`row-${selected}`);
  if (active) list.setAttribute("aria-activedescendant", active.id);
  else list.removeAttribute("aria-activedescendant");
}

function listRow(row, place) {
  const score = value(row, "score");
  const prompt = promptOf(row);
  const response = textOf(row, "response");
  const flags = value(row, "error") > 0 ? "error" : value(row, "format") !== null && value(row, "format") < 1 ? "malformed" : "";
  const outcome = ["right", "wrong"].find((key) => OUTCOMES[key][1](row)) ?? "";
  const element = make(
    "div",
    { id: `row-${row}`, class: "row", role: "option", "aria-selected": String(row === selected), "aria-posinset": place + 1, "aria-setsize": order.length },
    make("div", { class: "line" },
      store.meta.runs.length > 1 ? make("span", { class: `badge run${store.columns.run[row]}` }, "AB"[store.columns.run[row]]) : null,
      make("span", { class: "dim" }, `${splitOf(row) === "validation" ? "val" : splitOf(row)} ${store.columns.step[row]}`),
      make("b", {}, kindOf(row) || "–"),
      make("span", { class: "dim grow" }, sourceName(row)),
      flags ? make("span", { class: `flag ${flags}` }, flags) : null,
      meter(score)),
    make("div", { class: "line two" },
      make("span", { class: `grow clip ${outcome}` }, response === null ? "…" : snippet(textOf(row, "prediction") || response) || "(empty)"),
      make("span", { class: "dim clip gold" }, snippet(prompt.truth, 60))),
  );
  element.style.transform = `translateY(${place * ROW}px)`;
  return element;
}

// Rows are made anew while responses come in, so a click is told by where it was, not by what was there.
function clickRows(event) {
  const row = order[Math.floor((event.clientY - byId("rows").getBoundingClientRect().top) / ROW)];
  if (row !== undefined) select(row, true);
}

function meter(score) {
  const bar = make("span", { class: "fill" });
  bar.style.width = `${Math.round(100 * Math.max(0, Math.min(1, score ?? 0)))}%`;
  return make("span", { class: "meter", title: "score" }, make("span", { class: "track" }, bar), make("span", { class: "number" }, score === null ? "–" : score.toFixed(2)));
}

function move(by) {
  if (!order.length) return;
  const place = order.indexOf(selected);
  select(order[Math.max(0, Math.min(order.length - 1, place < 0 ? 0 : place + by))], false);
}

function select(row, open) {
  selected = row;
  const place = order.indexOf(row);
  const list = byId("list");
  if (place >= 0) {
    const top = place * ROW;
    if (top < list.scrollTop) list.scrollTop = top;
    else if (top + ROW > list.scrollTop + list.clientHeight) list.scrollTop = top + ROW - list.clientHeight;
  }
  drawRows();
  showDetail(row, open);
}
