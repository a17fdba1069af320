// The merged report: tables that can be sorted, and the findings that pass the filters, a part at a time.

const { repositories, findings } = data;
const part = (id) => document.getElementById(id);
const OUTCOMES = ["safe", "unsafe", "withheld"];
/** How many findings are put on the page at once. */
const STEP = 150;

/** The facets, in this order; a table's names filter by one of them. */
const FACETS = [
  { title: "Repository", values: (found) => [repositories[found.repository]] },
  { title: "Outcome", values: (found) => [found.outcome], order: OUTCOMES },
  { title: "Codemod", values: (found) => [found.codemod] },
  { title: "Withheld by", values: (found) => found.reasons },
];

const OF_OUTCOMES = [...OUTCOMES, "files"];
const TABLES = [
  { title: "Repositories", facet: 0, columns: OF_OUTCOMES, names: repositories },
  { title: "Codemods", facet: 2, columns: OF_OUTCOMES, names: [] },
  { title: "What withholds", facet: 3, columns: ["findings", "repositories"], names: [] },
].map((table) => ({ ...table, sort: table.facet === 3 ? 1 : 0, isUp: table.facet !== 3 }));

/** The rows of a table: a name and its numbers, of the findings in `list`. */
function rows(table, list) {
  const sums = new Map();
  const sum = (name) => {
    if (!sums.has(name)) sums.set(name, { counts: new Map(), distinct: new Set() });
    return sums.get(name);
  };
  // A repository without findings is a result, too; under a filter it is none.
  if (list.length === findings.length) table.names.forEach(sum);
  const all = { counts: new Map(), distinct: new Set() };
  for (const found of list) {
    for (const one of [...FACETS[table.facet].values(found).map(sum), all]) {
      const column = table.facet === 3 ? "findings" : found.outcome;
      one.counts.set(column, (one.counts.get(column) || 0) + 1);
      one.distinct.add(table.facet === 3 ? found.repository : `${found.repository}\n${found.path}`);
    }
  }
  const cells = ({ counts, distinct }) =>
    table.columns.map((column) => (["files", "repositories"].includes(column) ? distinct.size : counts.get(column) || 0));
  const found = [...sums].map(([name, one]) => [name, ...cells(one)]);
  const by = table.sort;
  found.sort((a, b) => {
    const order = a[by] < b[by] ? -1 : a[by] > b[by] ? 1 : 0;
    return (table.isUp ? order : -order) || (a[0] < b[0] ? -1 : 1);
  });
  return { rows: found, total: table.facet === 3 ? null : ["total", ...cells(all)] };
}

function draw(table, list) {
  const { rows: found, total } = rows(table, list);
  const cell = (value) => make("td", { class: value === 0 ? "zero" : null }, numbers.format(value));
  const heads = [{ 0: "repository", 2: "codemod", 3: "hazard" }[table.facet], ...table.columns];
  const head = heads.map((name, column) => {
    const sort = table.sort === column ? (table.isUp ? "ascending" : "descending") : null;
    const order = () => {
      // Names start with the first, numbers with the largest.
      table.isUp = table.sort === column ? !table.isUp : column === 0;
      table.sort = column;
      draw(table, list);
      table.node.querySelectorAll("thead button")[column].focus();
    };
    return make("th", { scope: "col", "aria-sort": sort }, make("button", { type: "button", onclick: order }, name));
  });
  const body = found.map(([name, ...values]) => {
    const pick = () => filters.only(table.facet, name);
    const isEmpty = values.every((value) => value === 0);
    const label = isEmpty ? name : make("button", { type: "button", class: "link", title: "Filter by this, or no longer", onclick: pick }, name);
    return make("tr", null, make("th", { scope: "row" }, label), values.map(cell));
  });
  const foot = total ? make("tfoot", null, make("tr", null, make("th", { scope: "row" }, total[0]), total.slice(1).map(cell))) : null;
  const node = make(
    "table",
    { hidden: !found.length },
    make("caption", null, table.title),
    make("thead", null, make("tr", null, head)),
    make("tbody", null, body),
    foot,
  );
  if (table.node) table.node.replaceWith(node);
  else part("sums").append(node);
  table.node = node;
}

/* Findings, a part at a time */

let listed = [];
let drawn = 0;

function item(found) {
  const why = found.hazards.map((hazard) =>
    make("p", { class: "why" }, make("b", null, hazard.kind), " ", prose(hazard.message), hazard.place ? make("span", { class: "mono" }, ` ${hazard.place}`) : null),
  );
  return make(
    "li",
    null,
    make("p", { class: "message" }, prose(found.message)),
    make(
      "p",
      { class: "meta" },
      make("span", null, repositories[found.repository]),
      make("span", { class: "place mono" }, `${found.path}:${found.line}`),
      make("span", { class: `chip ${found.outcome}` }, found.outcome),
      make("span", null, found.codemod),
      found.before ? make("span", null, `${found.before} → ${found.after}`) : null,
      make("span", { class: "mono", title: "the fingerprint of the finding" }, found.fingerprint),
    ),
    why,
  );
}

function more() {
  const next = listed.slice(drawn, drawn + STEP);
  part("findings").append(...next.map(item));
  drawn += next.length;
  // An observer tells changes only: ask again while the end stays near.
  end.unobserve(part("more"));
  if (drawn < listed.length) end.observe(part("more"));
}

const end = new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && more(), {
  rootMargin: "1500px 0px",
});

addEventListener("keydown", (event) => {
  if (event.target === filters.text && event.key === "Escape") {
    filters.text.blur();
  } else if (event.key === "/" && !isTyping(event) && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    filters.focus();
  }
});

part("name").textContent = plural(repositories.length, "repository", "repositories");
const filters = filter(
  part("filters"),
  findings,
  { label: "Text", placeholder: "path or message" },
  (found) => [repositories[found.repository], `${found.path}:${found.line}`, found.message, found.fingerprint].join("\n"),
  FACETS,
  (passing) => {
    listed = findings.filter((_, index) => passing[index]);
    TABLES.forEach((table) => draw(table, listed));
    part("findings").replaceChildren();
    drawn = 0;
    more();
    const all = plural(findings.length, "finding", "findings");
    const text = listed.length === findings.length ? all : `${numbers.format(listed.length)} of ${all}`;
    part("tally").textContent = text;
    part("shown").textContent = `${text}, by repository, file and line.`;
    part("empty").hidden = listed.length > 0 || !findings.length;
  },
);
filters.update();
