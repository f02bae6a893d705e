// Filters the rows of a page's tables. The page is complete without it: it makes its own controls, and only if there is much to
// filter. It reads and hides what is there, loads nothing, and keeps its state in the address.
"use strict";
(() => {
  const main = document.querySelector("main");
  const boxes = [...main.querySelectorAll(".scroll")].filter((box) => !box.closest("details"));
  const rows = boxes.flatMap((box) => [...box.querySelectorAll("tbody tr")]).map((row) => ({
    row,
    words: row.textContent.toLowerCase(),
    states: [...row.querySelectorAll(".state")].map((state) => state.classList[1].replaceAll("-", " ")),
  }));
  if (rows.length < 12) return;

  const make = (tag, attributes, ...children) => {
    const made = Object.assign(document.createElement(tag), attributes);
    made.append(...children);
    return made;
  };
  const states = [...new Set(rows.flatMap((one) => one.states))].sort();
  const words = make("input", { type: "search", autocomplete: "off", spellcheck: false });
  const state = make("select", {}, make("option", { value: "", textContent: "any" }),
    ...states.map((name) => make("option", { value: name, textContent: name })));
  const count = make("output", {});
  const bar = make("div", { className: "filter" }, make("label", {}, "Find in the tables ", words));
  if (states.length > 1) bar.append(make("label", {}, "State ", state));
  bar.append(count);
  bar.setAttribute("role", "search");
  const before = main.querySelector(".lead") ?? main.querySelector("h1");
  (main.querySelector(":scope > .verdict") ?? before).after(bar);

  const parts = [...main.children].filter((part) => !part.matches("h1, .lead, .filter"));
  const isHeading = (part) => /^H[2-6]$/.test(part.tagName);
  const show = () => {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    const isOn = Boolean(wanted.length || state.value);
    let shown = 0;
    for (const one of rows) {
      const fits = wanted.every((word) => one.words.includes(word)) && (!state.value || one.states.includes(state.value));
      one.row.hidden = !fits;
      shown += fits;
    }
    for (const box of boxes) box.hidden = !box.querySelector("tbody tr:not([hidden])");
    // Between the tables that have rows left, only their headings stay.
    const left = new Set(boxes.filter((box) => !box.hidden).flatMap((box) => parts.filter((part) => part.contains(box))));
    parts.forEach((part, place) => {
      const rest = parts.slice(place + 1);
      const end = rest.findIndex((other) => isHeading(other) && other.tagName <= part.tagName);
      const own = isHeading(part) ? rest.slice(0, end < 0 ? rest.length : end) : [part];
      part.hidden = isOn && !own.some((other) => left.has(other));
    });
    count.textContent = `${shown.toLocaleString("en")} of ${rows.length.toLocaleString("en")} rows`;
  };
  const keep = () => {
    const kept = new URLSearchParams();
    if (words.value) kept.set("find", words.value);
    if (state.value) kept.set("state", state.value);
    history.replaceState(null, "", kept.size ? `#?${kept}` : location.pathname + location.search);
  };
  const restore = () => {
    // A link to a place on the page shows all rows, or the place could be hidden.
    const kept = new URLSearchParams(location.hash.startsWith("#?") ? location.hash.slice(2) : "");
    words.value = kept.get("find") ?? "";
    state.value = states.includes(kept.get("state")) ? kept.get("state") : "";
    show();
    if (location.hash && !location.hash.startsWith("#?")) document.getElementById(location.hash.slice(1))?.scrollIntoView();
  };
  for (const control of [words, state]) control.addEventListener("input", () => { show(); keep(); });
  addEventListener("hashchange", restore);
  restore();
})();
