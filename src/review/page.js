// The review: a card a fix, ticks, and the plan with the ticks in it.

const fixes = data.fixes;
const cards = [];
const ticked = fixes.map((fix) => fix.selected && !fix.reason);
let shown = new Uint8Array(fixes.length).fill(1);
let current = 0;
let isUnified = false;
/** Whether ticks changed since the plan was exported last. */
let isDirty = false;

const narrow = matchMedia("(max-width: 56rem)");
const list = document.getElementById("fixes");
const part = (id) => document.getElementById(id);
/** `apply` decides by this as well: an unsafe fix is not applied unless it is ticked. */
const OUTCOMES = { safe: "safe", unsafe: "unsafe", none: "cannot be applied" };
const outcome = (fix) => (fix.reason ? OUTCOMES.none : OUTCOMES[fix.outcome]);

/* Cards. The diff of one is made when it comes near. */

const near = new IntersectionObserver(
  (entries) => entries.filter((entry) => entry.isIntersecting).forEach((entry) => draw(entry.target.number)),
  { rootMargin: "1200px 0px" },
);

function card(fix, number) {
  const box = make("input", {
    type: "checkbox",
    checked: ticked[number],
    disabled: Boolean(fix.reason),
    "aria-label": `Apply fix ${number + 1}: ${fix.message}`,
    onchange: () => tick(number, box.checked),
  });
  const notice = make("p", { class: "notice", hidden: true });
  const article = make(
    "article",
    { class: ticked[number] ? "fix ticked" : "fix", id: `fix-${number}`, tabIndex: -1, "aria-labelledby": `title-${number}`, onfocusin: () => (current = number) },
    make(
      "div",
      { class: "top" },
      make("label", { class: "tick" }, box),
      make(
        "div",
        { class: "words" },
        make("h2", { id: `title-${number}` }, prose(fix.message)),
        make(
          "p",
          { class: "meta" },
          make("span", { class: "place mono" }, `${fix.path}:${fix.line}`),
          make("span", null, `${fix.before} → ${fix.after}`),
          fix.owners.length ? make("span", null, fix.owners.join(" ")) : null,
        ),
        make(
          "p",
          { class: "meta" },
          make("span", { class: `chip ${fix.reason ? "wrong" : fix.outcome}` }, outcome(fix)),
          make("span", { class: "chip" }, fix.codemod),
          make("span", { class: "print mono", title: "the fingerprint of the finding" }, fix.fingerprint),
        ),
      ),
    ),
    fix.reason ? make("p", { class: "notice" }, "This fix cannot be applied: ", prose(fix.reason), ".") : null,
    notice,
    fix.hazards.length ? make("ul", { class: "hazards", "aria-label": "What could change" }, fix.hazards.map(hazard), fix.unlisted ? make("li", null, `and ${fix.unlisted} more of these kinds`) : null) : null,
  );
  article.number = number;
  cards.push({ article, box, notice, item: make("li", null, article), diff: null });
  const lines = fix.files.flatMap((file) => file.hunks).reduce((sum, hunk) => sum + hunk.length, 0);
  article.style.containIntrinsicSize = `auto ${110 + 20 * lines + 30 * fix.hazards.length}px`;
  near.observe(article);
  return cards[number].item;
}

function hazard(found) {
  const place = found.place ? make("span", { class: "place mono" }, ` ${found.place}`) : null;
  return make("li", null, make("b", null, found.kind), " ", prose(found.message), place);
}

/* Diffs */

function draw(number) {
  const fix = fixes[number];
  const side = isUnified || narrow.matches ? "unified" : "split";
  const own = cards[number];
  if (own.diff?.dataset.side === side || !fix.files.length) return;
  const parts = fix.files.flatMap((file) => [
    fix.files.length > 1 || file.path !== fix.path ? make("p", { class: "file" }, file.path) : null,
    table(file, side),
  ]);
  const diff = make("div", { class: "diff" }, parts);
  diff.dataset.side = side;
  if (own.diff) own.diff.replaceWith(diff);
  else own.article.append(diff);
  own.diff = diff;
}

function table(file, side) {
  const isSplit = side === "split";
  const columns = isSplit ? ["number", "", "number", ""] : ["number", "number", ""];
  const heads = isSplit ? ["Old line", "Before", "New line", "After"] : ["Old line", "New line", "Code"];
  const body = make("tbody");
  file.hunks.forEach((hunk, index) => {
    if (index) body.append(make("tr", { class: "gap" }, make("td", { colSpan: columns.length }, "⋯")));
    body.append(...(isSplit ? splitRows(hunk) : unifiedRows(hunk)));
  });
  return make(
    "table",
    { class: side, "aria-label": `Changes in ${file.path}` },
    make("colgroup", null, columns.map((name) => make("col", { class: name }))),
    make("thead", { class: "away" }, make("tr", null, heads.map((head) => make("th", { scope: "col" }, head)))),
    body,
  );
}

/** Runs of lines that stay, and of lines that are removed and added in one place. */
function runs(hunk) {
  const found = [];
  for (const [old, now, text] of hunk) {
    const isSame = old !== null && now !== null;
    let last = found[found.length - 1];
    if (!last || last.isSame !== isSame) found.push((last = { isSame, removed: [], added: [] }));
    if (old !== null) last.removed.push({ number: old, text });
    if (now !== null) last.added.push({ number: now, text });
  }
  for (const run of found) {
    // Only lines that stand in each other's place are compared.
    const isPaired = !run.isSame && run.removed.length === run.added.length;
    run.removed.forEach((line, index) => {
      if (isPaired) [line.mark, run.added[index].mark] = marks(line.text, run.added[index].text);
    });
  }
  return found;
}

/** What differs between two lines: all but what they start and end with alike. */
function marks(before, after) {
  const most = Math.min(before.length, after.length);
  let start = 0;
  while (start < most && before[start] === after[start]) start++;
  let end = 0;
  while (end < most - start && before.at(-1 - end) === after.at(-1 - end)) end++;
  // Lines that have little in common are not marked.
  if (start + end < most / 3) return [null, null];
  return [[start, before.length - end], [start, after.length - end]];
}

function code(line, kind) {
  if (!line) return make("td", { class: "code nothing" });
  const cell = make("td", { class: `code ${kind}` });
  cell.dataset.sign = { added: "+", removed: "−" }[kind] || " ";
  const [start, end] = line.mark || [0, 0];
  if (start < end) {
    cell.append(line.text.slice(0, start), make("mark", null, line.text.slice(start, end)), line.text.slice(end));
  } else {
    cell.append(line.text);
  }
  return cell;
}

function number(line, kind) {
  return make("td", { class: `number ${line ? kind : "nothing"}` }, line ? String(line.number) : "");
}

function splitRows(hunk) {
  const rows = [];
  for (const { isSame, removed, added } of runs(hunk)) {
    const [left, right] = isSame ? ["", ""] : ["removed", "added"];
    for (let index = 0; index < Math.max(removed.length, added.length); index++) {
      const [old, now] = [removed[index], added[index]];
      rows.push(make("tr", null, number(old, left), code(old, left), number(now, right), code(now, right)));
    }
  }
  return rows;
}

function unifiedRows(hunk) {
  const rows = [];
  const none = (kind) => make("td", { class: `number ${kind}` });
  for (const { isSame, removed, added } of runs(hunk)) {
    if (isSame) {
      removed.forEach((old, index) => {
        rows.push(make("tr", null, number(old, ""), number(added[index], ""), code(old, "")));
      });
      continue;
    }
    for (const line of removed) rows.push(make("tr", null, number(line, "removed"), none("removed"), code(line, "removed")));
    for (const line of added) rows.push(make("tr", null, none("added"), number(line, "added"), code(line, "added")));
  }
  return rows;
}

/** Make the diffs again that have been made, for another width or view. */
function redraw() {
  cards.forEach((own, number) => own.diff && draw(number));
}

/* Ticks */

const rivalsOf = (number) => fixes[number].rivals.filter((other) => ticked[other]);

function tick(number, isOn) {
  if (fixes[number].reason) {
    say("This fix cannot be applied.");
    return;
  }
  set(number, isOn);
  const rivals = isOn ? rivalsOf(number) : [];
  say(
    rivals.length
      ? `Ticked, but it wants the same place as ${plural(rivals.length, "other ticked fix", "other ticked fixes")}.`
      : isOn ? "Ticked." : "Not ticked any more.",
  );
  tally();
}

function set(number, isOn) {
  if (ticked[number] !== isOn) isDirty = true;
  ticked[number] = isOn;
  for (const one of [number, ...fixes[number].rivals]) show(one);
}

/** Show the tick of a fix, and which ticked fixes want its place. */
function show(number) {
  const { article, box, notice } = cards[number];
  box.checked = ticked[number];
  const rivals = ticked[number] ? rivalsOf(number) : [];
  article.classList.toggle("ticked", ticked[number]);
  article.classList.toggle("rival", rivals.length > 0);
  notice.hidden = !rivals.length;
  const links = rivals.flatMap((other, index) => [
    index ? ", " : "",
    make("button", { type: "button", class: "link", onclick: () => go(other) }, name(other)),
  ]);
  notice.replaceChildren(
    ...(links.length ? ["This wants the same place as ", ...links, ". Only one of them can be applied: untick the others."] : []),
  );
}

const name = (number) => `${fixes[number].codemod} at ${fixes[number].path}:${fixes[number].line}`;

/** Tick all fixes that are shown, or none. Of several that want the same place the first gets it. */
function tickShown(isOn) {
  let left = 0;
  let changed = 0;
  fixes.forEach((fix, number) => {
    if (!shown[number] || fix.reason || ticked[number] === isOn) return;
    if (isOn && rivalsOf(number).length) {
      left++;
      return;
    }
    set(number, isOn);
    changed++;
  });
  const rest = left ? ` ${plural(left, "wants", "want")} the place of a ticked one and ${left === 1 ? "was" : "were"} left out.` : "";
  const text = `${isOn ? "Ticked" : "Unticked"} ${plural(changed, "fix", "fixes")}.${rest}`;
  tally();
  part("shown").textContent += ` ${text}`;
  say(text);
}

function tally() {
  const count = ticked.filter(Boolean).length;
  part("tally").textContent = `${numbers.format(count)} of ${plural(fixes.length, "fix", "fixes")} ticked`;
  const overlapping = fixes.filter((_, number) => ticked[number] && rivalsOf(number).length).length;
  part("overlaps").hidden = !overlapping;
  part("overlaps").textContent = overlapping
    ? `${plural(overlapping, "ticked fix wants", "ticked fixes want")} the place of another: of such fixes only the first is applied.`
    : "";
  const visible = shown.reduce((sum, isShown) => sum + isShown, 0);
  part("shown").textContent =
    visible === fixes.length ? `${plural(visible, "fix", "fixes")}.` : `${numbers.format(visible)} of ${plural(fixes.length, "fix", "fixes")} shown.`;
  part("empty").hidden = visible > 0;
  part("empty").textContent = fixes.length ? "No fix passes the filters." : "The plan has no fixes.";
}

/** The plan as it was given, with `selected` as the ticks are: no other byte of it changes. */
function exported() {
  let number = 0;
  // Only a key stands at this depth: quotes inside of texts are escaped.
  const text = data.plan.replace(/^ {6}"selected": (?:true|false),$/gm, () => `      "selected": ${ticked[number++]},`);
  if (number !== fixes.length) throw new Error("the plan does not have the fixes of the page");
  return text;
}

function download() {
  const address = URL.createObjectURL(new Blob([exported()], { type: "application/json" }));
  make("a", { href: address, download: "ormend-plan.json" }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
  isDirty = false;
  say("Exported the plan. Apply it with `ormend apply ormend-plan.json`.");
}

/* Moving about */

function go(number, block = "nearest") {
  const own = cards[number];
  // A fix that a filter hides is shown all the same when something leads to it.
  own.item.hidden = false;
  for (const near of [number - 1, number, number + 1]) if (fixes[near]) draw(near);
  current = number;
  own.article.focus({ preventScroll: true });
  const isTall = own.article.offsetHeight > innerHeight / 2;
  own.article.scrollIntoView({ block: isTall ? "start" : block });
}

/** The next fix that is shown, from `start` in steps of `step`. */
function seek(start, step) {
  let number = start;
  while (fixes[number] && !shown[number]) number += step;
  return fixes[number] ? number : null;
}

function move(step) {
  const isThere = cards[current]?.article.contains(document.activeElement) && shown[current];
  const next = isThere ? seek(current + step, step) : seek(current, step) ?? seek(current, -step);
  if (next !== null) go(next);
}

const KEYS = {
  j: () => move(1),
  ArrowDown: () => move(1),
  k: () => move(-1),
  ArrowUp: () => move(-1),
  Home: () => jump(seek(0, 1)),
  End: () => jump(seek(fixes.length - 1, -1)),
  x: () => toggle(),
  a: () => tickShown(true),
  n: () => tickShown(false),
  u: () => unify(),
  e: () => download(),
  "/": () => filters.focus(),
  "?": () => part("keys").showModal(),
};

function jump(number) {
  if (number !== null) go(number);
}

function toggle() {
  if (fixes[current] && shown[current]) tick(current, !ticked[current]);
}

function unify() {
  isUnified = !isUnified;
  part("unified").setAttribute("aria-pressed", String(isUnified));
  redraw();
}

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target === filters.text && (event.key === "Escape" || event.key === "Enter")) {
    event.preventDefault();
    const first = seek(0, 1);
    if (first === null) filters.text.blur();
    else go(first);
    return;
  }
  if (isTyping(event)) return;
  // A space presses the button or ticks the box that has the focus; on a card it ticks the card.
  const isSpace = event.key === " " && event.target.matches(".fix");
  const act = isSpace ? toggle : KEYS[event.key];
  // The arrows of a list of values stay with it.
  if (!act || (event.key.startsWith("Arrow") && event.target.closest(".filters"))) return;
  event.preventDefault();
  act();
});

part("tick").addEventListener("click", () => tickShown(true));
part("untick").addEventListener("click", () => tickShown(false));
part("unified").addEventListener("click", unify);
part("export").addEventListener("click", download);
part("help").addEventListener("click", () => part("keys").showModal());
narrow.addEventListener("change", redraw);
addEventListener("beforeunload", (event) => {
  if (isDirty) event.preventDefault();
});

/* Start */

document.title = `ormend review: ${data.name}`;
part("name").textContent = data.name;
list.append(...fixes.map(card));
fixes.forEach((fix, number) => fix.rivals.length && show(number));
const filters = filter(
  part("filters"),
  fixes,
  { label: "Text", placeholder: "path or message" },
  (fix) => [`${fix.path}:${fix.line}`, ...fix.files.map((file) => file.path), fix.message, fix.fingerprint].join("\n"),
  [
    { title: "Outcome", values: (fix) => [outcome(fix)], order: Object.values(OUTCOMES) },
    { title: "Codemod", values: (fix) => [fix.codemod] },
    { title: "Owner", values: (fix) => (fix.owners.length ? fix.owners : ["no owner"]) },
  ],
  (passing) => {
    shown = passing;
    cards.forEach((own, number) => (own.item.hidden = !passing[number]));
    tally();
  },
);
filters.update();
