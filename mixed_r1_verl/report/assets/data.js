// The data of the page: unpacked once, columns first, responses in blocks behind them.

const store = { meta: null, columns: null, prompts: null, texts: [], loaded: 0 };

async function unpack(name) {
  const element = document.getElementById(`data-${name}`);
  const packed = atob(element.textContent);
  element.remove();
  const bytes = new Uint8Array(packed.length);
  for (let i = 0; i < packed.length; i++) bytes[i] = packed.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

const pause = () => new Promise((resume) => setTimeout(resume));

async function loadColumns() {
  [store.meta, store.columns, store.prompts] = await Promise.all(["meta", "columns", "prompts"].map(unpack));
}

// Blocks in the order of the run; `onBlock` after each, so that what is on the screen can be completed.
async function loadTexts(onBlock) {
  const blocks = Math.ceil(store.meta.rows / store.meta.blockRows);
  for (let block = 0; block < blocks; block++) {
    store.texts[block] = await unpack(`texts-${block}`);
    store.loaded = Math.min((block + 1) * store.meta.blockRows, store.meta.rows);
    onBlock();
    await pause();
  }
}

function textOf(row, name) {
  const block = store.texts[Math.floor(row / store.meta.blockRows)];
  return block ? block[name][row % store.meta.blockRows] : null;
}

const value = (row, name) => store.columns.values[name]?.[row] ?? null;
const promptOf = (row) => store.prompts[store.columns.prompt[row]];
const sourceName = (row) => store.meta.sources[store.columns.source[row]];
const kindOf = (row) => store.meta.kinds[store.columns.kind[row]];
const splitOf = (row) => store.meta.splits[store.columns.split[row]];
const reasonOf = (row) => store.meta.reasons[store.columns.reason[row]];

// Rows by prompt or by group, made when they are first asked for.
const rowsBy = {};
function siblings(row, column) {
  if (!rowsBy[column]) {
    rowsBy[column] = new Map();
    store.columns[column].forEach((key, i) => {
      const rows = rowsBy[column].get(key);
      if (rows) rows.push(i);
      else rowsBy[column].set(key, [i]);
    });
  }
  return rowsBy[column].get(store.columns[column][row]);
}

// --- document ---

function make(tag, attributes = {}, ...children) {
  const svg = tag.startsWith("svg:");
  const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag.slice(4)) : document.createElement(tag);
  for (const [name, given] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), given);
    else if (given !== null && given !== undefined && given !== false) element.setAttribute(name, given === true ? "" : given);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const byId = (id) => document.getElementById(id);

function shown(number) {
  if (number === null || number === undefined) return "–";
  if (Number.isInteger(number)) return number.toLocaleString("en");
  const size = Math.abs(number);
  return size >= 1000 ? Math.round(number).toLocaleString("en") : size >= 10 ? number.toFixed(1) : size >= 0.001 ? number.toFixed(3) : number.toExponential(1);
}
