// The colours, before anything is drawn: as the system has them unless the reader has chosen.
"use strict";
(() => {
  const key = "hurtig.theme";
  let chosen = "auto";
  try { chosen = localStorage.getItem(key) ?? "auto"; } catch { /* a browser that keeps nothing */ }
  const apply = (theme) => {
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
  };
  apply(chosen);
  document.addEventListener("DOMContentLoaded", () => {
    for (const radio of document.querySelectorAll('input[name="theme"]')) {
      radio.checked = radio.value === chosen;
      radio.addEventListener("change", () => {
        apply(radio.value);
        try { localStorage.setItem(key, radio.value); } catch { /* then until it is loaded again */ }
      });
    }
  });
})();
