// The insights' page: asks for its pictures, and says of each how it stands.

import { byId, h, say } from "/page/dom.js";

const bodies = [...document.querySelectorAll("[data-insight]")];
const asked = new URLSearchParams(location.search);
const done = new Set();

/** What the address says, as the server takes it. */
function question(more = {}) {
  const parameters = new URLSearchParams();
  for (const name of ["from", "to", "zone"]) if (asked.get(name)) parameters.set(name, asked.get(name));
  for (const [name, value] of Object.entries(more)) parameters.set(name, value);
  const text = parameters.toString();
  return text ? `?${text}` : "";
}

async function load(body) {
  const name = body.dataset.insight;
  done.delete(name);
  body.setAttribute("aria-busy", "true");
  body.replaceChildren(h("p", { class: "loading" }, "The picture is being made …"));
  try {
    const response = await fetch(`/insights/api/${name}${question()}`, { headers: { accept: "application/json" } });
    const answer = await response.json();
    if (!response.ok) throw new Error(answer.error ?? `The answer is ${response.status}.`);
    body.replaceChildren(...shown(answer));
    if (answer.period) presets(answer.period);
  } catch (error) {
    const words = error instanceof TypeError ? "The process does not answer: is it still running?" : error.message;
    const again = h("button", { type: "button" }, "Try again");
    again.addEventListener("click", () => load(body));
    body.replaceChildren(h("div", { class: "failed" }, h("span", {}, words), again));
  }
  body.removeAttribute("aria-busy");
  done.add(name);
  say(byId("news"), done.size === bodies.length ? "All pictures are there." : "");
}

function shown({ name, picture, notes, sheets }) {
  if (!picture) return [h("p", { class: "empty" }, notes.join(" ")), ...sheets.map(statement)];
  const drawn = new DOMParser().parseFromString(picture, "image/svg+xml").documentElement;
  const title = byId(`${name}-heading`).textContent;
  const files = [
    h("li", {}, h("a", { href: `/insights/file/${name}.svg${question()}`, download: `${name}.svg` }, "Picture as SVG")),
    ...sheets.map((sheet) => h("li", {}, h("a", { href: `/insights/file/${name}.csv${question({ sheet: sheet.name })}`, download: true }, `${capital(sheet.name)} as CSV`))),
  ];
  return [
    h("figure", { tabindex: "0", role: "region", "aria-label": `${title}: picture` }, document.importNode(drawn, true)),
    h("ul", { class: "notes" }, notes.map((note) => h("li", {}, note))),
    h("ul", { class: "files" }, files),
    ...sheets.map(statement),
    ...sheets.map((sheet) => values(title, sheet)),
  ];
}

function statement({ name, sql }) {
  return h("details", { class: "sql" }, h("summary", {}, `SQL of ${name}`),
    h("pre", { tabindex: "0", role: "region", "aria-label": `SQL of ${name}` }, h("code", {}, sql)));
}

function values(title, { name, columns, rows, total }) {
  const head = columns.map((column) => h("th", { scope: "col", class: column.number ? "n" : null }, column.name));
  const cells = (row) => row.map((cell, i) => h(i === 0 ? "th" : "td", { scope: i === 0 ? "row" : null, class: columns[i].number ? "n" : null }, cell));
  const table = h("table", {}, h("caption", { class: "unseen" }, `${title}: ${name}`), h("thead", {}, h("tr", {}, head)), h("tbody", {}, rows.map((row) => h("tr", {}, cells(row)))));
  const which = rows.length < total ? `${capital(name)} as a table (the first ${rows.length} of ${total})` : `${capital(name)} as a table`;
  return h("details", {}, h("summary", {}, which), h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `${title}: ${name}` }, table));
}

const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/** Shorter periods up to the last day that is shown; made once, when that day is known. */
function presets({ from, to, zone }) {
  if (!byId("from").value) byId("from").value = from;
  if (!byId("to").value) byId("to").value = to;
  const place = byId("presets");
  if (place.childElementCount > 0) return;
  const before = (days) => new Date(Date.parse(to) - (days - 1) * 86400000).toISOString().slice(0, 10);
  const link = (words, begin) => {
    const parameters = new URLSearchParams(begin ? { from: begin, to, zone } : { zone });
    return h("a", { href: `/insights?${parameters}` }, words);
  };
  place.append(link("All readings", ""), link("Last 365 days", before(365)), link("Last 30 days", before(30)), link("Last 7 days", before(7)));
}

for (const name of ["from", "to", "zone"]) if (asked.get(name)) byId(name).value = asked.get(name);
byId("zones").append(...(Intl.supportedValuesOf?.("timeZone") ?? []).map((zone) => h("option", { value: zone })));
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  byId("content").focus();
});
for (const body of bodies) load(body);
