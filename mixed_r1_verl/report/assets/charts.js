// Small multiples: one SVG chart a metric, a line for each source or reward, the second run dashed.

const CHART = { height: 190, left: 48, right: 12, top: 10, bottom: 24 };
const GROUPS = { validation: "Validation", train: "Training", trainer: "Trainer" };
const COLOURS = 8;
const FEW_POINTS = 24; // a line of at most that many points has dots; one of more has its mean over nearby steps
const HELP = { // what stands under a chart's name; docs/curves.md says more
  score: "training reward, 0 to 1",
  acc: "task reward alone, 0 to 1: the one to watch",
  format: "reward of the format alone, 0 to 1",
  error: "share of samples that could not be scored",
  timeout: "share whose scoring was ended for time",
  malformed: "share of responses without the full format",
  truncated: "share that reached the length limit",
  zero_variance: "share of groups that score all alike and teach nothing",
  gradient_share: "share of the policy gradient",
  advantage_share: "share of the sum of all |advantages|",
  "score group_std": "spread of the score within a group",
  response_length: "tokens, mean",
  entropy: "of the policy, nats a token",
  "clipped tokens": "share of tokens whose update was clipped",
  "rollout and actor agree": "correlation of vLLM's and the trainer's probabilities; near 1",
};
let chartsBy = "reward";
const hiddenLines = new Set();

function chartNames(by) {
  const names = new Set();
  for (const curve of store.meta.curves) if (curve.by === by) curve.lines.forEach((line) => names.add(line.name));
  return [...names].sort();
}

function drawCharts() {
  const { curves } = store.meta;
  const choices = [["reward", "By reward"], ["source", "By source"]].filter(([by]) => curves.some((curve) => curve.by === by));
  if (!choices.some(([by]) => by === chartsBy)) chartsBy = choices[0]?.[0] ?? "";
  byId("by").replaceChildren(
    ...choices.map(([by, text]) =>
      make("button", { "aria-pressed": String(by === chartsBy), onclick: () => { chartsBy = by; drawCharts(); } }, text)),
  );
  const names = chartNames(chartsBy);
  byId("chart-legend").replaceChildren(
    ...names.map((name, i) =>
      make("button", { class: `key c${i % COLOURS}`, "aria-pressed": String(!hiddenLines.has(name)), title: "Show or hide", onclick: () => {
        if (!hiddenLines.delete(name)) hiddenLines.add(name);
        drawCharts();
      } }, make("i"), name || "(none)")),
    ...(store.meta.runs.length > 1
      ? store.meta.runs.map((run, i) => make("span", { class: `key run${i}` }, make("i"), run.name)) : []),
  );
  const target = byId("charts");
  target.replaceChildren();
  for (const [group, title] of Object.entries(GROUPS)) {
    const metrics = new Map();
    for (const curve of curves) {
      if (curve.group !== group || (curve.by && curve.by !== chartsBy)) continue;
      if (!metrics.has(curve.metric)) metrics.set(curve.metric, []);
      curve.lines.forEach((line) => metrics.get(curve.metric).push({ ...line, run: curve.run, by: curve.by }));
    }
    if (!metrics.size) continue;
    const grid = make("div", { class: "grid" });
    for (const [metric, lines] of metrics) grid.append(chart(metric, lines, names));
    target.append(make("h2", {}, title), grid);
  }
  if (!target.childElementCount) target.append(make("p", { class: "dim" }, "This run has no curves."));
}

function ticks(low, high, count) {
  const rough = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough);
  const found = [];
  for (let tick = Math.ceil(low / step) * step; tick <= high + step * 1e-6; tick += step) found.push(Math.abs(tick) < step * 1e-6 ? 0 : tick);
  return found;
}

// The mean over a window of a twelfth of the line around each point, cut off at both ends.
function smoothed(points) {
  const half = Math.ceil(points.length / 24);
  const sums = [0];
  for (const point of points) sums.push(sums[sums.length - 1] + point[1]);
  return points.map(([step], i) => {
    const from = Math.max(0, i - half), to = Math.min(points.length, i + half + 1);
    return [step, (sums[to] - sums[from]) / (to - from)];
  });
}

function chart(metric, allLines, names) {
  const lines = allLines.filter((line) => !line.by || !hiddenLines.has(line.name));
  const figure = make("figure", {}, make("figcaption", {}, metric === "characters" ? "response length in characters" : metric, make("small", {}, HELP[metric] ?? "")));
  const holder = make("div", { class: "plot", tabindex: "0", role: "img", "aria-label": described(metric, lines) });
  const tip = make("div", { class: "tip", hidden: true });
  figure.append(holder, tip);
  const points = lines.flatMap((line) => line.points.filter((point) => point[1] !== null));
  if (!points.length) {
    holder.append(make("p", { class: "dim" }, "nothing to draw"));
    return figure;
  }
  const steps = [...new Set(points.map((point) => point[0]))].sort((a, b) => a - b);
  let [low, high] = [Math.min(...points.map((p) => p[1])), Math.max(...points.map((p) => p[1]))];
  if (low >= 0 && high <= 1 && (high > 0.3 || low === high)) [low, high] = [0, 1];
  else if (low === high) [low, high] = [low - Math.abs(low || 1) / 2, high + Math.abs(high || 1) / 2];
  else [low, high] = [low - (high - low) * 0.05, high + (high - low) * 0.05];
  let [first, last] = [steps[0], steps[steps.length - 1]];
  if (first === last) [first, last] = [first - 1, last + 1];
  let width = 0;
  const x = (step) => CHART.left + ((step - first) / (last - first)) * (width - CHART.left - CHART.right);
  const y = (number) => CHART.top + ((high - number) / (high - low)) * (CHART.height - CHART.top - CHART.bottom);
  const colour = (line) => (line.by ? names.indexOf(line.name) % COLOURS : 0);

  function draw() {
    const svg = make("svg:svg", { width, height: CHART.height, "aria-hidden": "true" });
    for (const tick of ticks(low, high, 4)) {
      svg.append(
        make("svg:line", { class: "rule", x1: CHART.left, x2: width - CHART.right, y1: y(tick), y2: y(tick) }),
        make("svg:text", { class: "tick", x: CHART.left - 6, y: y(tick) + 4, "text-anchor": "end" }, short(tick)),
      );
    }
    for (const tick of ticks(first, last, Math.max(2, Math.floor(width / 90))).filter(Number.isInteger))
      svg.append(make("svg:text", { class: "tick", x: x(tick), y: CHART.height - 6, "text-anchor": "middle" }, short(tick)));
    svg.append(make("svg:text", { class: "tick", x: CHART.left - 6, y: CHART.height - 6, "text-anchor": "end" }, "step"));
    for (const line of lines) {
      const sound = line.points.filter((point) => point[1] !== null);
      const kind = `c${colour(line)} run${line.run}`;
      const banded = sound.filter((point) => point[2] !== null);
      if (banded.length > 1 && line.run === 0) {
        const edge = (sign) => banded.map((p) => `${x(p[0]).toFixed(1)},${y(Math.min(high, Math.max(low, p[1] + sign * p[2]))).toFixed(1)}`);
        svg.append(make("svg:polygon", { class: `band ${kind}`, points: [...edge(1), ...edge(-1).reverse()].join(" ") }));
      }
      const few = sound.length <= FEW_POINTS;
      if (sound.length > 1) {
        const drawn = (own, points) =>
          make("svg:polyline", { class: `${own} ${kind}`, points: points.map((p) => `${x(p[0]).toFixed(1)},${y(p[1]).toFixed(1)}`).join(" ") });
        if (!few) svg.append(drawn("line raw", sound));
        svg.append(drawn("line", few ? sound : smoothed(sound)));
      }
      if (few)
        for (const point of sound) svg.append(make("svg:circle", { class: `dot ${kind}`, cx: x(point[0]), cy: y(point[1]), r: 2.6 }));
    }
    const cursor = make("svg:line", { class: "cursor", y1: CHART.top, y2: CHART.height - CHART.bottom, visibility: "hidden" });
    svg.append(cursor);
    holder.replaceChildren(svg);
    return cursor;
  }

  let cursor = null;
  let at = -1;
  function show(index) {
    at = Math.max(0, Math.min(steps.length - 1, index));
    const step = steps[at];
    const rows = [];
    for (const line of lines) {
      const point = line.points.find((candidate) => candidate[0] === step);
      if (!point || point[1] === null) continue;
      const run = store.meta.runs.length > 1 ? ` · ${store.meta.runs[line.run].name}` : "";
      const spread = point[2] ? ` ± ${shown(point[2])}` : "";
      rows.push(make("li", { class: `c${colour(line)}` }, make("i"), `${line.name || metric}${run} `, make("b", {}, shown(point[1])), spread));
    }
    tip.replaceChildren(make("strong", {}, `step ${step}`), make("ul", {}, ...rows));
    tip.hidden = false;
    tip.style.left = `${Math.max(0, Math.min(x(step) + 8, width - tip.offsetWidth))}px`;
    cursor.setAttribute("x1", x(step));
    cursor.setAttribute("x2", x(step));
    cursor.setAttribute("visibility", "visible");
    holder.setAttribute("aria-label", `${metric}, ${tip.textContent}`);
  }
  function hide() {
    tip.hidden = true;
    cursor?.setAttribute("visibility", "hidden");
  }
  holder.addEventListener("pointermove", (event) => {
    const step = first + ((event.clientX - holder.getBoundingClientRect().left - CHART.left) / (width - CHART.left - CHART.right)) * (last - first);
    let nearest = 0;
    steps.forEach((candidate, i) => { if (Math.abs(candidate - step) < Math.abs(steps[nearest] - step)) nearest = i; });
    show(nearest);
  });
  holder.addEventListener("pointerleave", hide);
  holder.addEventListener("blur", hide);
  holder.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (move) { show(at < 0 ? (move > 0 ? 0 : steps.length - 1) : at + move); event.preventDefault(); }
  });
  new ResizeObserver(() => {
    if (holder.clientWidth && holder.clientWidth !== width) { width = holder.clientWidth; cursor = draw(); }
  }).observe(holder);
  return figure;
}

function short(number) {
  const size = Math.abs(number);
  return size >= 10000 || (size > 0 && size < 0.001) ? (+number.toPrecision(3)).toExponential() : String(+number.toFixed(4));
}

function described(metric, lines) {
  const ends = lines.slice(0, 12).map((line) => {
    const sound = line.points.filter((point) => point[1] !== null);
    return sound.length ? `${line.name} ${shown(sound[0][1])} to ${shown(sound[sound.length - 1][1])}` : "";
  });
  return `${metric}: ${ends.filter(Boolean).join(", ")}. Arrow keys read the steps.`;
}
