// The page: views, theme, keys, and the order in which things appear.

const VIEWS = ["curves", "rollouts", "notes"];

function showView(name, focus = false) {
  for (const view of VIEWS) {
    byId(view).hidden = view !== name;
    const tab = byId(`tab-${view}`);
    tab.setAttribute("aria-selected", String(view === name));
    tab.tabIndex = view === name ? 0 : -1;
    if (focus && view === name) tab.focus();
  }
  document.body.classList.toggle("fixed", name === "rollouts");
  if (name === "rollouts") drawRows();
}

const THEMES = [["", "◐", "as the system"], ["light", "☀", "light"], ["dark", "☾", "dark"]];
let theme = 0;
function nextTheme() {
  theme = (theme + 1) % THEMES.length;
  const [name, sign, text] = THEMES[theme];
  if (name) document.documentElement.dataset.theme = name;
  else delete document.documentElement.dataset.theme;
  byId("theme").textContent = sign;
  byId("theme").setAttribute("aria-label", `Colour theme: ${text}`);
}

function showVerdict() {
  const { runs } = store.meta;
  const marks = { good: "✓", warning: "!", bad: "✗" };
  for (const { name, verdict: [[level, headline], ...findings] } of runs)
    byId("verdict").append(make("details", { class: level, open: level !== "good" },
      make("summary", {}, make("i", {}, marks[level]), plainText(make("b"), runs.length > 1 ? `${name}: ${headline}` : headline)),
      make("ul", {}, ...findings.map(([level, text]) => make("li", { class: level }, make("i", {}, marks[level]), plainText(make("span"), text))))));
}

function showNotes() {
  const keys = [["j k", "next and previous rollout"], ["/", "search"], ["Esc", "leave the search, close a rollout"], ["1 2 3", "curves, rollouts, notes"], ["← →", "steps of a chart that has the focus"]];
  byId("notes").append(
    ...store.meta.runs.flatMap((run) => [make("h2", {}, run.name), make("ul", {}, ...run.notes.map((note) => plainText(make("li"), note)))]),
    make("h2", {}, "Reading the page"),
    make("ul", {},
      make("li", {}, "Bands in charts are one standard error of the mean to each side, where single rollouts were dumped."),
      make("li", {}, "Boxes are drawn in the frame in which the reward read them."),
      make("li", {}, "Characters that are not seen, such as zero-width and direction marks, are shown as ", make("span", { class: "unseen" }, "U+202E"), ".")),
    make("h2", {}, "Keys"),
    make("dl", { class: "keys" }, ...keys.flatMap(([key, text]) => [make("dt", {}, ...key.split(" ").map((one) => make("kbd", {}, one))), make("dd", {}, text)])),
  );
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.matches("input, select, textarea");
  if (event.key === "Escape") {
    if (event.target.id === "search") {
      if (event.target.value) { event.target.value = ""; filters.text = ""; applyFilters(); }
      byId("list").focus();
    } else if (document.body.classList.contains("reading")) closeDetail();
    else if (typing) byId("list").focus();
    return;
  }
  if (typing) return;
  if (event.key === "/") { showView("rollouts"); byId("search").focus(); event.preventDefault(); }
  else if (VIEWS[event.key - 1]) showView(VIEWS[event.key - 1]);
  else if (!byId("rollouts").hidden) {
    const inList = event.target.id === "list";
    const by = { j: 1, k: -1, ...(inList && { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8, Home: -1e9, End: 1e9 }) }[event.key];
    if (by) { move(by); event.preventDefault(); }
    else if (inList && event.key === "Enter" && selected >= 0) { showDetail(selected, true); byId("detail").focus(); }
  }
}

function listen() {
  for (const view of VIEWS) byId(`tab-${view}`).addEventListener("click", () => showView(view));
  document.querySelector("nav").addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const at = VIEWS.findIndex((view) => event.target.id === `tab-${view}`);
    if (by && at >= 0) showView(VIEWS[(at + by + VIEWS.length) % VIEWS.length], true);
  });
  byId("theme").addEventListener("click", nextTheme);
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("more").addEventListener("click", () => {
    const open = byId("filters").classList.toggle("open");
    byId("more").setAttribute("aria-expanded", String(open));
  });
  let typed;
  byId("search").addEventListener("input", (event) => {
    clearTimeout(typed);
    typed = setTimeout(() => { filters.text = event.target.value.trim(); applyFilters(); }, 120);
  });
  byId("list").addEventListener("scroll", () => requestAnimationFrame(drawRows), { passive: true });
  byId("rows").addEventListener("click", clickRows);
  new ResizeObserver(drawRows).observe(byId("list"));
  document.addEventListener("keydown", onKey);
}

async function start() {
  await loadColumns();
  buildFilters();
  listen();
  showVerdict();
  showNotes();
  await applyFilters();
  if (store.meta.curves.length) drawCharts();
  showView(store.meta.curves.length ? "curves" : "rollouts");
  if (!store.meta.rows) byId("detail").append(make("p", { class: "dim" }, "No rollouts were dumped by this run; see Notes."));
  document.documentElement.dataset.ready = "interactive";
  await loadTexts(() => {
    showStatus();
    if (!byId("rollouts").hidden) drawRows();
    if (selected < 0 && order.length && matchMedia("(min-width: 820px)").matches) select(order[0], false);
    else if (selected >= 0 && byId("detail").querySelector(".card .dim")?.textContent.startsWith("Reading")) showDetail(selected);
  });
  if (filters.text) await applyFilters();
  document.documentElement.dataset.ready = "complete";
}

start().catch((error) => {
  byId("view").replaceChildren(make("p", { class: "noscript" }, `This page cannot be shown: ${error.message}. It needs a browser of 2023 or later.`));
  throw error;
});
