// Elements, made and renewed such that what has the focus keeps it.

const SVG = "http://www.w3.org/2000/svg";

/** An element with attributes and children; texts are texts, never HTML. */
export function h(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

/** The same, of SVG. */
export function s(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const byId = (id) => document.getElementById(id);

/** Sets a text only where it is another one: nothing is announced or drawn again without need. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Makes an element's children those that `make` gives, unless `key` says that nothing has changed. */
export function renew(element, key, make) {
  if (element.dataset.key === key) return;
  element.dataset.key = key;
  element.replaceChildren(...[make()].flat());
}

/** Rows by their keys: those that stay are the same elements, so a link that has the focus keeps it. */
export function rows(body, items, key, make, update) {
  const there = new Map([...body.children].map((row) => [row.dataset.key, row]));
  let place = body.firstElementChild;
  for (const item of items) {
    const name = key(item);
    let row = there.get(name);
    if (row) there.delete(name);
    else {
      row = make(item);
      row.dataset.key = name;
    }
    update(row, item);
    if (row === place) place = place.nextElementSibling;
    else body.insertBefore(row, place);
  }
  for (const row of there.values()) row.remove();
}

/** A table in a box that scrolls by itself, and that the keyboard can scroll. */
export function table(label, head, { caption = label, classes = "" } = {}) {
  const cells = head.map(([text, kind]) => h("th", { scope: "col", class: kind }, text));
  const body = h("tbody");
  const element = h("table", { class: classes }, h("caption", { class: "unseen" }, caption), h("thead", {}, h("tr", {}, cells)), body);
  return { box: h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label }, element), body };
}

/** Details with a table in it, which is made when it is opened and renewed while it is open. */
export class Values {
  constructor(label, head) {
    this.head = head;
    this.make = null;
    const { box, body } = table(label, head);
    this.body = body;
    this.element = h("details", { class: "values" }, h("summary", {}, "Values as a table"), box);
    this.element.addEventListener("toggle", () => this.draw());
  }

  /** `make` gives arrays of cells: texts, or elements. The first of each is its row's head. */
  set(key, make) {
    this.key = key;
    this.make = make;
    this.draw();
  }

  draw() {
    if (!this.element.open || !this.make) return;
    renew(this.body, this.key, () => this.make().map((cells) => h("tr", {}, cells.map((cell, i) =>
      i === 0 ? h("th", { scope: "row" }, cell) : h("td", { class: this.head[i][1] }, cell)))));
  }
}
