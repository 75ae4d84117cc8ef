// Text that a policy wrote: always text nodes, never markup. What the eye would miss is shown by name.

// Controls, zero-width and bidirectional characters, separators that end a line in scripts, lone surrogates, tags.
const UNSEEN =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]|[\u{e0000}-\u{e0fff}]/gu;
const MAX_SHOWN = 20000;

function plainText(parent, text) {
  let end = 0;
  for (const match of text.matchAll(UNSEEN)) {
    parent.append(text.slice(end, match.index));
    const code = match[0].codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
    parent.append(make("span", { class: "unseen", title: "a character that is not seen" }, `U+${code}`));
    end = match.index + match[0].length;
  }
  parent.append(text.slice(end));
  return parent;
}

// A snippet of one line for the list.
function snippet(text, length = 160) {
  return text.slice(0, length * 2).replace(UNSEEN, "·").replace(/\s+/g, " ").trim().slice(0, length);
}

const TAG = /<\/?(?:think|answer)>/g;

// A response with its thinking and its answer marked. Only </think> ends thinking, as for the rewards, so an answer
// within thinking does not look like one; its tags are shown as tags all the same.
function responseText(text) {
  const body = make("div", { class: "response", dir: "ltr" });
  const cut = text.length > MAX_SHOWN;
  const read = cut ? text.slice(0, MAX_SHOWN) : text;
  let part = null;
  let end = 0;
  const add = (until) => {
    if (until > end) body.append(plainText(make("span", { class: part ?? "outside" }), read.slice(end, until)));
  };
  for (const match of read.matchAll(TAG)) {
    add(match.index);
    const name = match[0].replace(/[</>]/g, "");
    body.append(make("span", { class: `tag ${name}` }, match[0]));
    if (part !== "think" || match[0] === "</think>") part = match[0].startsWith("</") ? null : name;
    end = match.index + match[0].length;
  }
  add(read.length);
  if (cut) {
    const rest = (text.length - MAX_SHOWN).toLocaleString("en");
    const button = make("button", { type: "button" }, `Show ${rest} more characters`);
    button.addEventListener("click", () => button.replaceWith(plainText(make("span", { class: "outside" }), text.slice(MAX_SHOWN))));
    body.append(button);
  }
  if (!text) body.append(make("span", { class: "dim" }, "empty"));
  return body;
}
