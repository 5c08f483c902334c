"use strict";
// The page of opclock explore. `data` is what report/explorer.py wrote into the page; all times are in seconds.
const data = JSON.parse(document.getElementById("data").textContent);
const HOST = "host";
const LEVELS = 2; // of modules that the treemap shows at once
const MODULE_COLOUR = "#e9edf2", OTHER_COLOUR = "#888888";
const MAX_ROWS = 300; // of one table: more are slow to draw, and nobody reads them
const state = { sides: [0, data.second], module: null, words: [], sort: "kernel_s", ascending: false };
const place = (id) => document.getElementById(id);
const shownSides = () => state.sides.filter((number) => number !== null).map((number) => data.sides[number]);

// Numbers as in opclock's tables: three digits and a suitable unit.
function scaled(value, unit, prefixes) {
  if (value === null || value === undefined) return "";
  if (value === 0) return `0 ${unit}`.trim();
  let chosen = prefixes[0];
  for (const one of prefixes) if (Math.abs(value) >= one[1] * 0.9995) chosen = one;
  const number = value / chosen[1];
  const decimals = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(number)) + 1e-9));
  return `${number.toFixed(Math.min(decimals, 6))} ${chosen[0]}${unit}`.trim();
}
const seconds = (value) => scaled(value, "s", [["n", 1e-9], ["µ", 1e-6], ["m", 1e-3], ["", 1]]);
const count = (value) => (value < 1000 ? String(value) : scaled(value, "", [["", 1], ["k", 1e3], ["M", 1e6], ["G", 1e9], ["T", 1e12]]));
const signed = (value) => (value > 0 ? "+" : "") + seconds(value);
// Plotly reads some tags in labels.
const plain = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

function element(name, text = "", attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

const inside = (module, path) => path === null || path === "" || module === path || module.startsWith(`${path}.`);

/** The op calls of a side that fit the filter; those of the chosen module only, where asked for. */
function chosen(side, inModule) {
  return side.parts.filter((part) => {
    const text = `${part.module} ${part.operator} ${part.operator_class} ${part.op_call} ${part.source} ${part.validity}`.toLowerCase();
    return state.words.every((word) => text.includes(word)) && (!inModule || inside(part.module, state.module));
  });
}

/** Nodes of the treemap: the chosen module, LEVELS of modules inside it, and in them the time of each operator class. */
function nodes(side) {
  const base = state.module || "";
  const found = new Map([[base, { label: base || side.model, parent: null, value: 0, colour: MODULE_COLOUR }]]);
  const add = (module, group, value) => {
    if (!(value > 0)) return;
    const rest = module === base ? [] : module.slice(base === "" ? 0 : base.length + 1).split(".").slice(0, LEVELS);
    let path = base;
    found.get(base).value += value;
    for (const part of rest) {
      const inner = path === "" ? part : `${path}.${part}`;
      if (!found.has(inner)) found.set(inner, { label: part, parent: path, value: 0, colour: MODULE_COLOUR });
      found.get(inner).value += value;
      path = inner;
    }
    const leaf = `${path}\n${group}`;
    if (!found.has(leaf)) found.set(leaf, { label: group, parent: path, value: 0, colour: data.colours[group] || OTHER_COLOUR });
    found.get(leaf).value += value;
  };
  for (const part of chosen(side, true)) {
    add(part.module, part.operator_class, part.kernel_s);
    add(part.module, HOST, part.host_s);
  }
  if (base === "" && state.words.length === 0) add("", HOST, side.host_tail_s);
  return [...found.entries()];
}

/** Draw a figure as wide as its column, which may have changed since it was drawn last. */
function plot(target, traces, layout) {
  Plotly.react(target, traces, { ...layout, width: target.clientWidth }, { displayModeBar: false });
}

function drawTreemap(side, target) {
  const found = nodes(side);
  const share = (value) => (side.total_s > 0 ? `${((100 * value) / side.total_s).toFixed(1)} %` : "");
  plot(target, [{
    type: "treemap", branchvalues: "total", tiling: { pad: 2 }, pathbar: { visible: false },
    ids: found.map(([id]) => `/${id}`),
    parents: found.map(([, node]) => (node.parent === null ? "" : `/${node.parent}`)),
    labels: found.map(([, node]) => plain(node.label)),
    values: found.map(([, node]) => node.value),
    text: found.map(([, node]) => `${seconds(node.value)}, ${share(node.value)}`),
    hovertext: found.map(([id, node]) => plain(`${id.replace("\n", " · ") || side.model}: ${seconds(node.value)}, ${share(node.value)}`)),
    hoverinfo: "text", textinfo: "label+text",
    marker: { colors: found.map(([, node]) => node.colour), line: { width: 1, color: "#ffffff" } },
  }], { margin: { l: 0, r: 0, t: 4, b: 0 }, height: 420 });
  if (!target.dataset.ready) {
    target.dataset.ready = "yes";
    target.on("plotly_treemapclick", (event) => {
      const module = event.points[0].id.slice(1).split("\n")[0];
      // A click on the chosen module leads out of it.
      choose(module === (state.module || "") ? module.split(".").slice(0, -1).join(".") : module);
      return false; // the page draws what is chosen
    });
  }
}

/** One group of dots for each operator class and side. x takes a part and gives null where it has no place. */
function dots(x, hover) {
  const groups = new Map();
  shownSides().forEach((side, number) => {
    for (const part of chosen(side, true)) {
      const at = x(part);
      if (at === null || !(part.kernel_s > 0)) continue;
      const key = `${number} ${part.operator_class}`;
      if (!groups.has(key)) {
        groups.set(key, {
          type: "scatter", mode: "markers", x: [], y: [], text: [], customdata: [], hoverinfo: "text",
          name: plain(part.operator_class), legendgroup: part.operator_class, showlegend: ![...groups.values()].some((one) => one.legendgroup === part.operator_class),
          marker: { color: data.colours[part.operator_class] || OTHER_COLOUR, size: 8, opacity: 0.75, symbol: number === 0 ? "circle" : "x" },
        });
      }
      const group = groups.get(key);
      group.x.push(at);
      group.y.push(part.kernel_s);
      group.customdata.push(part.module);
      group.text.push(plain(`${side.name}: ${part.module || side.model}`) + `<br>${plain(part.op_call || part.operator)}<br>` + plain(hover(part)));
    }
  });
  return [...groups.values()];
}

function drawDots(target, traces, xaxis, empty) {
  const layout = {
    margin: { l: 70, r: 10, t: 10, b: 50 }, height: 380, hovermode: "closest", legend: { font: { size: 11 } },
    xaxis: { type: "log", ...xaxis }, yaxis: { type: "log", title: { text: "time of the kernel (s)" }, tickformat: "~s" },
    annotations: traces.some((one) => one.mode === "markers") ? [] : [{ text: empty, showarrow: false, xref: "paper", yref: "paper", x: 0.5, y: 0.5 }],
  };
  plot(target, traces, layout);
  if (!target.dataset.ready) {
    target.dataset.ready = "yes";
    target.on("plotly_click", (event) => event.points[0].customdata !== undefined && choose(event.points[0].customdata));
  }
}

function drawRoofline() {
  const traces = dots(
    (part) => (part.roofline_s > 0 ? part.roofline_s : null),
    (part) => `${seconds(part.kernel_s)} is ${part.over.toFixed(part.over < 100 ? 1 : 0)} times the ${seconds(part.roofline_s)} of the roofline`
  );
  const all = traces.flatMap((one) => one.x);
  if (all.length > 0) {
    const ends = [all.reduce((a, b) => Math.min(a, b)), all.reduce((a, b) => Math.max(a, b))];
    traces.push({ type: "scatter", mode: "lines", x: ends, y: ends, name: "roofline", line: { color: "#b3261e", dash: "dash" }, hoverinfo: "skip" });
  }
  drawDots(place("roofline"), traces, { title: { text: "shortest time by the roofline (s)" }, tickformat: "~s" },
    "no roofline: run 'opclock ceilings' with this profile");
}

function drawMacs() {
  const counts = shownSides().flatMap((side) => chosen(side, true)).map((part) => part.macs).filter((macs) => macs > 0);
  const least = counts.reduce((a, b) => Math.min(a, b), 1e6);
  const most = counts.reduce((a, b) => Math.max(a, b), least);
  const none = 10 ** (Math.floor(Math.log10(least)) - 1); // where op calls without MACs are drawn
  const ticks = [none];
  for (let exponent = Math.floor(Math.log10(least)); exponent <= Math.ceil(Math.log10(most)); exponent++) ticks.push(10 ** exponent);
  const traces = dots((part) => (part.macs > 0 ? part.macs : none), (part) => `${part.macs > 0 ? count(part.macs) : "no"} MACs in ${seconds(part.kernel_s)}`);
  drawDots(place("macs"), traces, { title: { text: "MACs of the op call" }, tickvals: ticks, ticktext: ticks.map((one, index) => (index === 0 ? "none" : count(one))) },
    "no op call fits the filter");
}

const COLUMNS = [
  { key: "position", name: "#", text: (part) => String(part.position), number: true },
  { key: "module", name: "module", text: (part) => part.module || "(model)" },
  { key: "op_call", name: "op call", text: (part) => part.op_call || part.operator },
  { key: "operator_class", name: "class", text: (part) => part.operator_class },
  { key: "macs", name: "MACs", text: (part) => count(part.macs), number: true },
  { key: "kernel_s", name: "kernel", text: (part) => seconds(part.kernel_s), number: true },
  { key: "kernel_low_s", name: "95 % interval", text: (part) => (part.kernel_low_s === null ? "" : `[${seconds(part.kernel_low_s)}, ${seconds(part.kernel_high_s)}]`), number: true },
  { key: "observed_s", name: "observed", text: (part) => seconds(part.observed_s), number: true },
  { key: "host_s", name: "host before", text: (part) => seconds(part.host_s), number: true },
  { key: "over", name: "over roofline", text: (part) => (part.over === null ? "" : `${part.over.toFixed(part.over < 100 ? 1 : 0)}x`), number: true },
  { key: "source", name: "source", text: (part) => part.source },
  { key: "validity", name: "validity", text: (part) => part.validity },
];

function sorted(parts) {
  const order = state.ascending ? 1 : -1;
  const value = (part) => part[state.sort] ?? (typeof part[state.sort] === "string" ? "" : -Infinity);
  return [...parts].sort((one, two) => (value(one) < value(two) ? -order : value(one) > value(two) ? order : one.position - two.position));
}

function drawTable(side, target) {
  const parts = chosen(side, true);
  const columns = COLUMNS.filter((column) => parts.some((part) => part[column.key] !== null && part[column.key] !== undefined));
  const kernels = parts.reduce((sum, part) => sum + (part.kernel_s || 0), 0);
  const host = parts.reduce((sum, part) => sum + part.host_s, 0);
  const heading = element("h3", `${side.name}: ${state.module || "all modules"}`);
  const about = element("p", `${parts.length} op calls, kernels ${seconds(kernels)}, host ${seconds(host)}` +
    (parts.length > MAX_ROWS ? `; the first ${MAX_ROWS} are shown` : ""), { class: "about" });
  const table = element("table");
  const head = table.appendChild(element("tr"));
  for (const column of columns) {
    const mark = column.key === state.sort ? (state.ascending ? " ▲" : " ▼") : "";
    const cell = element("th", column.name + mark, { "data-key": column.key, ...(column.number ? { class: "number" } : {}) });
    cell.onclick = () => { state.ascending = state.sort === column.key ? !state.ascending : !column.number; state.sort = column.key; draw(); };
    head.append(cell);
  }
  for (const part of sorted(parts).slice(0, MAX_ROWS)) {
    const row = table.appendChild(element("tr"));
    for (const column of columns) row.append(element("td", column.text(part), column.number ? { class: "number" } : {}));
  }
  const wide = element("div", "", { class: "wide" });
  wide.append(table);
  target.replaceChildren(heading, about, wide);
}

/** The modules one level below the chosen one, in both sides: where the difference is. */
function drawDifference() {
  const target = place("difference");
  const [first, second] = shownSides();
  if (!second) return target.replaceChildren();
  const depth = state.module ? state.module.split(".").length + 1 : 1;
  const sums = new Map();
  [first, second].forEach((side, number) => {
    for (const part of chosen(side, true)) {
      const path = part.module.split(".").slice(0, depth).join(".");
      if (!sums.has(path)) sums.set(path, [0, 0]);
      sums.get(path)[number] += (part.kernel_s || 0) + part.host_s;
    }
  });
  const table = element("table");
  const head = table.appendChild(element("tr"));
  for (const name of ["module", first.name, second.name, "change"]) head.append(element("th", name, name === "module" ? {} : { class: "number" }));
  const rows = [...sums.entries()].sort((one, two) => Math.abs(two[1][1] - two[1][0]) - Math.abs(one[1][1] - one[1][0]));
  for (const [path, [one, two]] of rows.slice(0, MAX_ROWS)) {
    const row = table.appendChild(element("tr", "", { class: "link", "data-module": path }));
    row.onclick = () => choose(path);
    row.append(element("td", path || "(model)"), element("td", seconds(one), { class: "number" }), element("td", seconds(two), { class: "number" }),
      element("td", signed(two - one), { class: "number" }));
  }
  const wide = element("div", "", { class: "wide" });
  wide.append(table);
  target.replaceChildren(element("h2", "Where they differ"), wide);
}

function drawAbout(side, target) {
  const interval = side.ci_low_s === null ? "" : ` [${seconds(side.ci_low_s)}, ${seconds(side.ci_high_s)}]`;
  const lines = [`${side.about}: estimated ${seconds(side.total_s)}${interval}`];
  if (side.measured_s !== null) lines.push(`measured ${seconds(side.measured_s)}: the estimate is ${(100 * (side.total_s / side.measured_s - 1)).toFixed(1)} % off`);
  lines.push(...side.flags);
  target.replaceChildren(element("h2", side.name), ...lines.map((line) => element("p", line, { class: "about" })));
}

function choose(module) {
  state.module = module === "" ? null : module;
  draw();
}

function draw() {
  const sides = shownSides();
  for (const number of [0, 1]) place(`side${number}`).hidden = place(`calls${number}`).hidden = number >= sides.length;
  sides.forEach((side, number) => {
    drawAbout(side, place(`about${number}`));
    drawTreemap(side, place(`treemap${number}`));
    drawTable(side, place(`calls${number}`));
  });
  place("module").textContent = state.module || "all modules";
  place("symbols").hidden = sides.length < 2;
  place("all").hidden = state.module === null;
  drawRoofline();
  drawMacs();
  drawDifference();
}

for (const number of [0, 1]) {
  const menu = place(`menu${number}`);
  if (number === 1) menu.append(element("option", "nothing", { value: "" }));
  data.sides.forEach((side, index) => menu.append(element("option", side.name, { value: index })));
  menu.value = state.sides[number] === null ? "" : state.sides[number];
  menu.onchange = () => { state.sides[number] = menu.value === "" ? null : Number(menu.value); choose(""); };
}
place("filter").oninput = (event) => { state.words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean); draw(); };
window.onresize = draw;
place("all").onclick = () => choose("");
for (const side of data.sides) for (const part of side.parts) part.over = part.kernel_s > 0 && part.roofline_s > 0 ? part.kernel_s / part.roofline_s : null;
draw();
