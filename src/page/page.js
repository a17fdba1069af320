"use strict";

// What all pages share. Text gets into the page as text only: nothing here reads HTML.

const data = JSON.parse(document.getElementById("data").textContent);

const numbers = new Intl.NumberFormat("en");

/** An element. `properties` are those of the element, `on...` handlers and attributes; children may be text. */
function make(name, properties, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key === "class") element.className = value;
    else if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key in element && !key.includes("-")) element[key] = value;
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** `1 fix`, `2 fixes` */
function plural(count, one, many) {
  return `${numbers.format(count)} ${count === 1 ? one : many}`;
}

/** A message, whose code stands in backticks. */
function prose(text) {
  const parts = text.split("`");
  // Backticks that do not pair are text.
  if (parts.length % 2 === 0) return [text];
  return parts.map((part, index) => (index % 2 ? make("code", null, part) : part)).filter((part) => part !== "");
}

/** Tell users of screen readers, too. */
function say(text) {
  document.getElementById("said").textContent = text;
}

/** Whether keys are meant for the control that has the focus. */
function isTyping(event) {
  return event.target.matches("input[type=search], select, textarea, dialog *");
}

/**
 * The filters in the element `place`: a text, and facets of which each may have several values ticked.
 *
 * `facets` have a `title` and `values(item)`, a list of texts; `words(item)` is what the text is looked for in, and
 * `changed(shown)` is told which items pass. A count says how many would be shown of a value under the other filters.
 */
function filter(place, items, hint, words, facets, changed) {
  const haystacks = items.map((item) => words(item).toLowerCase());
  const text = make("input", {
    type: "search", id: "filter", autocomplete: "off", spellcheck: false, placeholder: hint.placeholder,
  });
  place.append(make("div", null, make("label", { class: "legend", htmlFor: "filter" }, hint.label), text));
  const shelves = facets.map((facet) => {
    const rows = new Map();
    const ofItem = items.map((item) => facet.values(item));
    const totals = new Map();
    for (const value of ofItem.flat()) totals.set(value, (totals.get(value) || 0) + 1);
    const order = facet.order || [];
    const rank = (value) => (order.includes(value) ? order.indexOf(value) : order.length);
    const values = [...totals.keys()].sort(
      (a, b) => rank(a) - rank(b) || totals.get(b) - totals.get(a) || (a < b ? -1 : 1),
    );
    const list = make("div", { class: "values" });
    for (const value of values) {
      const box = make("input", { type: "checkbox", value, onchange: update });
      const count = make("span", { class: "count" });
      const label = make("label", null, box, make("span", null, value), count);
      rows.set(value, { box, count, label });
      list.append(label);
    }
    const shelf = { chosen: new Set(), ofItem, rows };
    if (values.length > 1) place.append(make("fieldset", null, make("legend", null, facet.title), list));
    return shelf;
  });
  const clear = make("button", { type: "button", onclick: reset }, "Clear filters");
  place.append(make("div", null, clear));
  text.addEventListener("input", update);

  function reset() {
    text.value = "";
    for (const shelf of shelves) for (const row of shelf.rows.values()) row.box.checked = false;
    update();
  }

  function update() {
    const wanted = text.value.trim().toLowerCase();
    for (const shelf of shelves) {
      shelf.chosen.clear();
      shelf.counts = new Map();
      for (const [value, row] of shelf.rows) if (row.box.checked) shelf.chosen.add(value);
    }
    const shown = new Uint8Array(items.length);
    for (let index = 0; index < items.length; index++) {
      if (wanted && !haystacks[index].includes(wanted)) continue;
      // Which one facet, if only one, leaves the item out: its counts do not depend on itself.
      let failing = null;
      let failures = 0;
      for (const shelf of shelves) {
        if (shelf.chosen.size && !shelf.ofItem[index].some((value) => shelf.chosen.has(value))) {
          failing = shelf;
          failures++;
        }
      }
      shown[index] = failures === 0 ? 1 : 0;
      for (const shelf of shelves) {
        if (failures === 0 || (failures === 1 && failing === shelf)) {
          for (const value of shelf.ofItem[index]) shelf.counts.set(value, (shelf.counts.get(value) || 0) + 1);
        }
      }
    }
    let isFiltered = wanted !== "";
    for (const shelf of shelves) {
      isFiltered ||= shelf.chosen.size > 0;
      for (const [value, row] of shelf.rows) {
        const count = shelf.counts.get(value) || 0;
        row.count.textContent = numbers.format(count);
        row.label.classList.toggle("none", count === 0);
      }
    }
    clear.hidden = !isFiltered;
    changed(shown);
  }

  /** Tick `value` alone in the facet with this number. */
  function only(facet, value) {
    const shelf = shelves[facet];
    for (const [other, row] of shelf.rows) row.box.checked = other === value && !shelf.chosen.has(value);
    update();
  }

  const open = document.getElementById("open-filters");
  open.addEventListener("click", () => {
    open.setAttribute("aria-expanded", String(place.classList.toggle("open")));
  });
  return {
    update,
    only,
    /** Put the cursor into the text, wherever it is. */
    focus() {
      place.classList.add("open");
      open.setAttribute("aria-expanded", "true");
      text.focus();
      text.select();
    },
    /** The text's element, for keys that leave it. */
    text,
  };
}
