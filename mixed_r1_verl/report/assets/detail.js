// One rollout: picture with boxes, prompt, response, score components, and the other responses to its prompt.

let chosenOther = -1; // of the other run, when two are compared

function showDetail(row, open = false) {
  const detail = byId("detail");
  if (open) document.body.classList.add("reading");
  const prompt = promptOf(row);
  chosenOther = store.meta.runs.length > 1 ? nearestOther(row) : -1;
  const buttons = make("div", { class: "buttons" },
    make("button", { class: "back quiet", onclick: closeDetail }, "← List"),
    make("button", { class: "quiet", "aria-label": "Previous rollout", "aria-keyshortcuts": "k", onclick: () => move(-1) }, "↑ ", make("span", { class: "hint" }, "k")),
    make("button", { class: "quiet", "aria-label": "Next rollout", "aria-keyshortcuts": "j", onclick: () => move(1) }, "↓ ", make("span", { class: "hint" }, "j")));
  detail.replaceChildren(
    make("div", { class: "head" }, make("h2", {}, kindOf(row) || "rollout", make("span", { class: "dim" }, ` ${sourceName(row)}`)), buttons),
    make("div", { class: "task" }, picturesOf(row), promptPart(prompt)),
    cards(row),
    ...others(row),
  );
  detail.scrollTop = 0;
}

function closeDetail() {
  document.body.classList.remove("reading");
  byId("list").focus({ preventScroll: true });
}

function promptPart(prompt) {
  const part = make("div", { class: "prompt" });
  part.append(plainText(make("p", { class: "question" }), prompt.question || prompt.text || "The prompt was not recorded."));
  if (prompt.choices.length)
    part.append(make("ol", { type: "A" }, ...prompt.choices.map((choice) => plainText(make("li"), choice))));
  part.append(make("h3", {}, "Ground truth"), plainText(make("p", { class: "gold" }), prompt.truth));
  if (prompt.question && prompt.text) part.append(make("details", {}, make("summary", {}, "Whole prompt"), plainText(make("pre"), prompt.text)));
  if (prompt.id) part.append(plainText(make("p", { class: "dim id" }), prompt.id));
  return part;
}

// Boxes are in 1/10,000 of the picture's sides; the overlay has the same units, so it fits at any size.
function picturesOf(row) {
  const prompt = promptOf(row);
  const holder = make("div", { class: "pictures" });
  if (!prompt.pictures.length) {
    if (prompt.gold.length) holder.append(frame(null, row));
    else if (!prompt.joined) holder.append(make("p", { class: "dim none" }, "No picture: see Notes."));
  }
  prompt.pictures.forEach((picture, i) => holder.append(frame(picture, i === 0 ? row : -1)));
  return holder;
}

function frame(picture, row) {
  const prompt = row < 0 ? null : promptOf(row);
  const holder = make("figure", { class: "picture" });
  const box = make("div", { class: "canvas" });
  const [width, height] = prompt?.size ?? [0, 0];
  if (picture !== null) {
    box.append(make("img", { src: `data:image/webp;base64,${byId(`picture-${picture}`).textContent}`, alt: "picture of the prompt", width: width || null, height: height || null }));
  } else {
    box.classList.add("blank");
    box.style.aspectRatio = `${width} / ${height}`;
  }
  holder.append(box);
  if (!prompt || !(prompt.gold.length || textOf(row, "boxes")?.length)) return holder;
  const overlay = make("svg:svg", { viewBox: "0 0 10000 10000", preserveAspectRatio: "none", role: "img", "aria-label": "boxes" });
  const draw = (boxes, kind) => boxes.forEach(([x1, y1, x2, y2]) => {
    const sides = { x: Math.min(x1, x2), y: Math.min(y1, y2), width: Math.abs(x2 - x1), height: Math.abs(y2 - y1) };
    overlay.append(make("svg:rect", { class: kind, ...sides }));
  });
  const rows = chosenOther < 0 ? [row] : store.columns.run[row] === 0 ? [row, chosenOther] : [chosenOther, row];
  const predicted = rows.map((one) => textOf(one, "boxes") || []);
  draw([...prompt.gold, ...predicted.flat()], "halo"); // below all boxes, so that none hides another
  draw(prompt.gold, "box gold");
  predicted.forEach((boxes, i) => draw(boxes, `box predicted p${i}`));
  box.append(overlay);
  const keys = [["gold", "gold"], ...(chosenOther < 0 ? [["predicted p0", "predicted"]] : store.meta.runs.map((run, i) => [`predicted p${i}`, run.name]))];
  holder.append(make("figcaption", {}, ...keys.map(([kind, text]) => make("span", { class: `boxkey ${kind}` }, make("i"), text))));
  return holder;
}

function cards(row) {
  if (store.meta.runs.length < 2) return make("div", { class: "cards" }, card(row));
  const both = store.columns.run[row] === 0 ? [row, chosenOther] : [chosenOther, row];
  return make("div", { class: "cards two" }, ...both.map((one, run) =>
    one >= 0 ? card(one, one === row ? null : row)
      : make("section", { class: "card" }, make("h3", {}, store.meta.runs[run].name), make("p", { class: "dim" }, "This run has no response to this prompt."))));
}

function card(row, comparedWith = null) {
  const { meta, columns } = store;
  const prediction = textOf(row, "prediction");
  const response = textOf(row, "response");
  const title = meta.runs.length > 1 ? make("span", { class: `badge run${columns.run[row]}` }, meta.runs[columns.run[row]].name) : null;
  const part = make("section", { class: "card", "data-row": row },
    make("h3", {}, title, `${splitOf(row)}, step ${columns.step[row]}`),
    scores(row));
  if (comparedWith !== null) part.append(otherChoice(row, comparedWith));
  if (response === null) part.append(make("p", { class: "dim" }, "Reading the response…"));
  else part.append(responseText(response));
  const facts = make("dl");
  if (prediction) facts.append(make("dt", {}, "prediction"), plainText(make("dd"), prediction));
  if (reasonOf(row)) facts.append(make("dt", {}, "reason"), plainText(make("dd"), reasonOf(row)));
  facts.append(make("dt", {}, "length"), make("dd", {}, `${columns.length[row].toLocaleString("en")} characters`));
  part.append(facts);
  return part;
}

function scores(row) {
  const table = make("div", { class: "scores" });
  for (const name of store.meta.components) {
    const number = value(row, name);
    if (number === null) continue;
    const bar = make("span", { class: "fill" });
    bar.style.width = `${100 * Math.max(0, Math.min(1, number))}%`;
    const unit = number >= 0 && number <= 1;
    table.append(make("div", { class: name === "error" && number > 0 ? "score bad" : "score" },
      make("span", {}, name), make("b", {}, shown(number)), unit ? make("span", { class: "track" }, bar) : null));
  }
  return table;
}

// --- other responses to the same prompt ---

function others(row) {
  const parts = [];
  const group = siblings(row, "group");
  if (group.length > 1) parts.push(make("h3", {}, `Group of ${group.length}`), chips(group, row, (one) => ""));
  const { columns } = store;
  const elsewhere = siblings(row, "prompt").filter((one) => columns.group[one] !== columns.group[row] && columns.run[one] === columns.run[row]);
  if (elsewhere.length) {
    const label = (one) => `${splitOf(one) === "validation" ? "val " : ""}${columns.step[one]}`;
    parts.push(make("h3", {}, promptOf(row).joined ? "Same prompt at other steps" : "Same question and ground truth at other steps"), chips(elsewhere.slice(0, 200), row, label));
  }
  return parts;
}

function chips(rows, current, label) {
  return make("div", { class: "chips" }, ...rows.map((one) => {
    const score = value(one, "score");
    const chip = make("button", { class: "chip", "aria-pressed": String(one === current), title: "score", onclick: () => select(one, false) },
      label(one) ? make("span", { class: "dim" }, label(one)) : null, score === null ? "–" : score.toFixed(2));
    chip.style.setProperty("--share", `${Math.round(100 * Math.max(0, Math.min(1, score ?? 0)))}%`);
    return chip;
  }));
}

function othersOf(row) {
  return siblings(row, "prompt").filter((one) => store.columns.run[one] !== store.columns.run[row]);
}

// Of the other run: the same split, the nearest step, and there the first response.
function nearestOther(row) {
  const { columns } = store;
  const distance = (one) => (columns.split[one] === columns.split[row] ? 0 : 1e9) + Math.abs(columns.step[one] - columns.step[row]);
  return othersOf(row).reduce((best, one) => (best < 0 || distance(one) < distance(best) ? one : best), -1);
}

function otherChoice(row, selectedRow) {
  const choice = make("select", { "aria-label": "Response of the other run" },
    ...othersOf(selectedRow).slice(0, 500).map((one) =>
      make("option", { value: one, selected: one === row }, `${splitOf(one)} ${store.columns.step[one]}, score ${shown(value(one, "score"))}`)));
  choice.addEventListener("change", () => {
    chosenOther = Number(choice.value);
    byId("detail").querySelector(".cards").replaceWith(cards(selectedRow));
    byId("detail").querySelector(".pictures").replaceWith(picturesOf(selectedRow));
  });
  return choice;
}
