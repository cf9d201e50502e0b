// Finds a meter by a part of its name: a combobox, as the ARIA practices have it.

import { byId, h } from "./dom.js";
import { count } from "./format.js";

const PAUSE_MS = 120;

/** `go(id)` opens a meter. */
export function search(go) {
  const form = byId("find");
  const input = byId("find-text");
  const list = byId("find-list");
  let timer = 0;
  let asking = null;
  let at = -1;

  const options = () => [...list.querySelectorAll('[role="option"]')];
  const close = () => {
    clearTimeout(timer);
    asking?.abort();
    list.hidden = true;
    at = -1;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  };
  const choose = (id) => {
    close();
    input.value = "";
    go(id);
  };
  const mark = (to) => {
    const all = options();
    if (all.length === 0) return;
    at = (to + all.length) % all.length;
    all.forEach((option, i) => option.setAttribute("aria-selected", i === at ? "true" : "false"));
    all[at].scrollIntoView({ block: "nearest" });
    input.setAttribute("aria-activedescendant", all[at].id);
  };
  const show = ({ meters, total }) => {
    at = -1;
    input.removeAttribute("aria-activedescendant");
    const found = meters.map((meter, i) => {
      const option = h("li", { role: "option", id: `find-${i}`, "aria-selected": "false", "data-id": meter.id }, h("span", {}, meter.id), h("small", {}, meter.region));
      // Before the input loses the focus, which would close the list.
      option.addEventListener("pointerdown", (event) => { event.preventDefault(); choose(meter.id); });
      return option;
    });
    const more = total > meters.length ? h("li", { class: "more", role: "presentation" }, `${count(total - meters.length)} more: type on`) : null;
    const none = total === 0 ? h("li", { class: "more", role: "option", "aria-disabled": "true", "aria-selected": "false" }, "No meter has that in its name") : null;
    list.replaceChildren(...[...found, more, none].filter(Boolean));
    list.hidden = false;
    input.setAttribute("aria-expanded", "true");
  };
  const ask = async () => {
    asking?.abort();
    asking = new AbortController();
    try {
      const response = await fetch(`/api/meters?find=${encodeURIComponent(input.value.trim())}`, { signal: asking.signal });
      const answer = await response.json();
      if (response.ok) show(answer);
      else close();
    } catch { /* the next letter asks again, and the page says when the connection is lost */ }
  };

  input.addEventListener("input", () => {
    clearTimeout(timer);
    if (input.value.trim() === "") close();
    else timer = setTimeout(ask, PAUSE_MS);
  });
  input.addEventListener("blur", close);
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (list.hidden) ask();
      else mark(event.key === "ArrowDown" ? at + 1 : at < 0 ? -1 : at - 1);
    } else if (event.key === "Escape") {
      if (list.hidden) input.value = "";
      close();
    }
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const all = options();
    const chosen = all[at]?.dataset.id ?? (all.length === 1 ? all[0].dataset.id : undefined) ?? input.value.trim();
    if (chosen) choose(chosen);
  });
}
