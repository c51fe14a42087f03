"use strict";

// What pages are made of. `pages[kind]` draws the data of a page with the functions of `page`, which take the section
// that a block is added to and what page.h says of the block.
const pages = {};

const page = (() => {
  // Colours by Okabe & Ito (2008), which the colour-blind can tell apart, darker on white and lighter on black; the dashes
  // tell series apart without colours.
  const palette = {
    light: ["#0072b2", "#d55e00", "#00805c", "#b3528a", "#9a6a00", "#2b8cc4", "#555555", "#7a3e9d"],
    dark: ["#56b4e9", "#ff8a3d", "#2fc79a", "#e394c0", "#f0c342", "#9fd4f5", "#bbbbbb", "#c9a0e6"],
  };
  const dashes = [[], [7, 3], [2, 3], [9, 3, 2, 3], [12, 4], [4, 4], [1, 2], [9, 2, 2, 2, 2, 2]];
  const marks = ["circle", "rect", "triangle", "rectRot", "cross", "star", "crossRot", "dash"];
  const charts = [];

  const theme = () => document.documentElement.classList.contains("dark") ? "dark" : "light";
  const variable = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const color = index => palette[theme()][index % palette.light.length];

  const element = (tag, attributes = {}, ...children) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes))
      if (value !== undefined && value !== null) made.setAttribute(name, value);
    made.append(...children.filter(child => child !== undefined && child !== null));
    return made;
  };

  const format = value => {
    if (value === null || value === undefined) return "–";
    if (typeof value !== "number") return String(value);
    const size = Math.abs(value);
    if (Number.isInteger(value) && size < 1e9) return value.toLocaleString("en");
    if (size !== 0 && (size < 1e-4 || size >= 1e6)) return value.toExponential(2);
    return String(Number(value.toPrecision(4)));
  };

  const add = (parent, child, wide) => {
    if (wide) child.classList.add(wide === "all" ? "all" : "wide");
    (parent.querySelector(":scope > .blocks") ?? parent).append(child);
    return child;
  };

  const paragraphs = (text, kind) => (text ?? "").split("\n\n").filter(p => p).map(p => element("p", {class: kind}, p));

  function summary(text) { document.querySelector("main").append(...paragraphs(text, "summary")); }

  function section(title, text) {
    const part = element("section", {}, element("h2", {}, title), ...paragraphs(text), element("div", {class: "blocks"}));
    document.querySelector("main").append(part);
    return part;
  }

  function text(parent, block) {
    return add(parent, element("div", {}, ...paragraphs(block.text)), "all");
  }

  function facts(parent, block) {
    const list = element("dl", {}, ...block.facts.flatMap(
        ([name, value]) => [element("dt", {}, name), element("dd", {}, format(value))]));
    const caption = block.title && element("figcaption", {}, block.title);
    return add(parent, element("figure", {}, caption, list));
  }

  const signs = {better: "▲ ", worse: "▼ ", unclear: "≈ "};

  function cell(content) {
    if (content !== null && typeof content === "object")
      return element("td", {class: content.verdict}, (signs[content.verdict] ?? "") + content.text);
    return element("td", {class: isNumber(content) || content === null ? "number" : undefined}, format(content));
  }

  // A number, or a text of one with its deviation.
  const isNumber = content => typeof content === "number" || (typeof content === "string" && /^[\d.,]+( ± [\d.,]+)?$/.test(content));

  function grid(columns, rows, label) {
    const number = i => rows.some(row => isNumber(row[i]));
    const head = columns.map((name, i) => element("th", {scope: "col", class: number(i) ? "number" : undefined}, name));
    const body = rows.map(row => element("tr", {}, ...row.map(cell)));
    // On a narrow screen the cells of a wide table stand below one another, each with its column's name.
    const many = columns.length > 6;
    if (many) for (const row of body) [...row.children].forEach((each, i) => { each.dataset.column = columns[i]; });
    const table = element("table", {class: many ? "many" : undefined}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...body));
    return element("div", {class: "scroll", tabindex: 0, role: "region", "aria-label": label}, table);
  }

  const note = block => block.note && element("p", {class: "note"}, block.note);

  function table(parent, block) {
    const caption = block.title && element("figcaption", {}, block.title);
    return add(parent, element("figure", {}, caption, grid(block.columns, block.rows, block.title ?? "table"), note(block)),
               block.columns.length > 6 ? "all" : block.columns.length > 4);
  }

  // Rows of numbers, each shaded by its share of the row.
  function matrix(parent, block) {
    const head = element("tr", {}, element("th", {}), ...block.columns.map(name => element("th", {scope: "col"}, name)));
    const body = block.values.map((row, r) => {
      const sum = row.reduce((a, b) => a + b, 0);
      const cells = row.map((value, c) => {
        const share = sum > 0 ? value / sum : 0;
        return element("td", {style: value ? `background: rgba(var(--shade), ${(0.08 + 0.5 * share).toFixed(2)})` : undefined,
                              class: r === c ? "diagonal" : undefined,
                              title: `${block.rows[r]} → ${block.columns[c]}: ${format(value)}, ${(100 * share).toFixed(1)} % of its row`},
                       value ? format(value) : "·");
      });
      return element("tr", {}, element("th", {scope: "row"}, block.rows[r]), ...cells);
    });
    const caption = element("caption", {}, `rows: ${block.row_label}; columns: ${block.column_label}`);
    const made = element("table", {class: "matrix"}, caption, element("thead", {}, head), element("tbody", {}, ...body));
    const scroll = element("div", {class: "scroll", tabindex: 0, role: "region", "aria-label": block.title}, made);
    return add(parent, element("figure", {}, element("figcaption", {}, block.title), scroll, note(block)),
               block.columns.length > 6);
  }

  function images(parent, block) {
    const all = block.images.map(({src, text}) =>
        element("div", {}, element("img", {src, alt: text}), element("span", {}, text)));
    return add(parent, element("figure", {}, element("figcaption", {}, block.title), element("div", {class: "images"}, ...all),
                               note(block)), "all");
  }

  // Lines.

  const at = (series, i) => series.x ? series.x[i] : i;

  const dashOf = (series, place) => series.dashed ? [6, 4] : series.dashed === false ? [] : dashes[place % dashes.length];

  const points = (series, values) => values.map((y, i) => ({x: at(series, i), y: y ?? NaN}));

  // Marks at all values, at about eight of them ("some"), or at none.
  const radius = series => series.points === "some" && series.y.length > 12
      ? context => context.dataIndex % Math.ceil(series.y.length / 8) === 0 ? 3 : 0
      : series.points || series.y.length === 1 ? 3 : 0;

  // A series as data sets of Chart.js: the line, and before it the two sides of its band.
  function datasets(series, index) {
    const own = series.color ?? index;
    const line = {label: series.name, data: points(series, series.y), borderWidth: 2, place: own, series: index,
                  stepped: series.stepped ? "before" : false,
                  borderDash: dashOf(series, own), pointStyle: marks[own % marks.length],
                  pointRadius: radius(series), pointHitRadius: 8, showLine: !series.scatter,
                  fill: series.filled ? "origin" : false};
    if (!series.low) return [line];
    const side = (values, fill) => ({label: series.name, data: points(series, values), borderWidth: 0, pointRadius: 0, fill,
                                     place: own, band: true, series: index});
    return [side(series.low, false), side(series.high, "-1"), line];
  }

  function paint(chart) {
    for (const set of chart.data.datasets) {
      set.borderColor = set.pointBackgroundColor = color(set.place);
      set.backgroundColor = set.fill ? color(set.place) + "33" : color(set.place);
    }
    for (const axis of Object.values(chart.options.scales)) {
      axis.grid.color = axis.grid.borderColor = variable("--line");
      axis.ticks.color = axis.title.color = variable("--text");
    }
    chart.update();  // in mode "none" marks would keep the colours they had
  }

  const leading = value => value / 10 ** Math.floor(Math.log10(value) + 1e-9);
  const digits = log => log.max / log.min > 1000 ? [1] : log.max / log.min > 100 ? [1, 5] : [1, 2, 5];

  // A logarithmic axis has a tick at each power of ten or, where it spans few of them, also at five times or at twice and five times these.
  function thinTicks(scale) {
    scale.ticks = scale.ticks.filter(tick => digits(scale).some(digit => Math.abs(leading(tick.value) - digit) < 1e-6));
  }

  // The least and the largest value of a logarithmic axis that doesn't say them: as near to what is drawn as leaves it two ticks.
  function ends(axis, series) {
    if (!axis.log || axis.min) return axis;
    const all = series.flatMap(each => [each.y, each.low ?? [], each.high ?? []].flat()).filter(value => value > 0);
    if (!all.length) return axis;
    const near = [-1, 0, 1].flatMap(more => [1, 2, 5].map(digit => digit * 10 ** more));
    const tick = (value, fits) => near.map(factor => factor * 10 ** Math.floor(Math.log10(value))).filter(fits);
    const least = Math.min(...all), largest = Math.max(...all);
    if (largest / least > 100) return {...axis, min: least / 1.3, max: largest * 1.3};
    return {...axis, min: Math.max(...tick(least, found => found < least)), max: Math.min(...tick(largest, found => found > largest))};
  }

  // 0.001, but 10⁻⁴ and 2·10⁻⁵.
  function power(value) {
    if (value >= 0.0009 && value < 9e5) return format(value);
    const exponent = Math.floor(Math.log10(value) + 1e-9), digit = Math.round(leading(value));
    return (digit === 1 ? "" : `${digit}·`) + "10" + [...String(exponent)].map(each => "⁰¹²³⁴⁵⁶⁷⁸⁹"[each] ?? "⁻").join("");
  }

  function axisOptions(axis) {
    return {type: axis.log ? "logarithmic" : "linear", min: axis.min ?? undefined, max: axis.max ?? undefined,
            title: {display: true, text: axis.label + (axis.log ? ", log" : "")}, grid: {}, afterBuildTicks: axis.log ? thinTicks : undefined,
            ticks: {callback: value => axis.log ? power(value) : format(value), maxRotation: 0, includeBounds: false, autoSkipPadding: 12,
                    precision: axis.whole ? 0 : undefined}};
  }

  function chartOf(canvas, plot) {
    const chart = new Chart(canvas, {
      type: "line",
      data: {datasets: plot.series.flatMap(datasets)},
      options: {
        animation: false, maintainAspectRatio: false, parsing: false,
        interaction: {mode: "nearest", axis: "x", intersect: false},
        scales: {x: axisOptions(plot.x), y: axisOptions(ends(plot.y, plot.series))},
        plugins: {
          legend: {display: false},
          tooltip: {filter: item => !item.dataset.band,
                    callbacks: {title: items => items.length ? `${plot.x.label}: ${format(items[0].parsed.x)}` : "",
                                label: item => `${item.dataset.label}: ${format(item.parsed.y)}`}},
        },
      },
    });
    paint(chart);
    charts.push(chart);
    return chart;
  }

  function colored(part) {
    for (const use of ["stroke", "fill"]) part.setAttribute(use, color(part.dataset.place));
  }

  function swatch(series, index) {
    const own = series.color ?? index;
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", "0 0 30 10");
    svg.setAttribute("aria-hidden", "true");
    const draw = (tag, attributes) => {
      const part = document.createElementNS("http://www.w3.org/2000/svg", tag);
      for (const [name, value] of Object.entries(attributes)) part.setAttribute(name, value);
      svg.append(part);
    };
    if (series.low || series.filled) draw("rect", {x: 0, y: 0, width: 30, height: 10, "fill-opacity": 0.3, "stroke-opacity": 0});
    if (!series.scatter) draw("line", {x1: 0, x2: 30, y1: 5, y2: 5, "stroke-width": 3, "stroke-dasharray": dashOf(series, own).join(" ")});
    const cross = "14,0 16,0 16,4 20,4 20,6 16,6 16,10 14,10 14,6 10,6 10,4 14,4";
    const corners = {cross, star: cross, rect: "11,1 19,1 19,9 11,9", triangle: "15,0 20,9 10,9", rectRot: "15,0 20,5 15,10 10,5"}[marks[own % marks.length]];
    if (series.points && corners) draw("polygon", {points: corners});
    else if (series.points) draw("circle", {cx: 15, cy: 5, r: 4});
    for (const part of svg.children) {
      part.dataset.place = own;
      colored(part);
    }
    return svg;
  }

  // Buttons that switch series on and off.
  function legend(plot, chart) {
    const buttons = plot.series.map((series, index) => {
      const button = element("button", {type: "button", "aria-pressed": true}, swatch(series, index), series.name);
      button.addEventListener("click", () => {
        const shown = button.getAttribute("aria-pressed") !== "true";
        button.setAttribute("aria-pressed", shown);
        chart.data.datasets.forEach((set, i) => { if (set.series === index) chart.setDatasetVisibility(i, shown); });
        chart.update("none");
      });
      return button;
    });
    return element("div", {class: "legend", role: "group", "aria-label": "lines to show"}, ...buttons);
  }

  const hasValues = series => series.y.some(value => value !== null && value !== undefined);

  const places = plot =>
      [...new Set(plot.series.flatMap(series => series.y.map((_, i) => at(series, i))))].sort((a, b) => a - b);

  function rowsOf(plot) {
    const found = plot.series.map(series => new Map(series.y.map((y, i) => [at(series, i), i])));
    return places(plot).map(x => [x, ...plot.series.map((series, s) => {
      const i = found[s].get(x);
      if (i === undefined) return null;
      return series.low ? `${format(series.y[i])} (${format(series.low[i])} to ${format(series.high[i])})` : series.y[i];
    })]);
  }

  // Arrow keys go from value to value of the focused plot, and say it.
  function readable(canvas, chart, plot, live) {
    let place = -1;
    canvas.addEventListener("keydown", event => {
      const step = {ArrowRight: 1, ArrowLeft: -1, PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity}[event.key];
      if (step === undefined) return;
      event.preventDefault();
      const all = places(plot);
      place = Math.min(Math.max(place + step, 0), all.length - 1);
      const active = [];
      chart.data.datasets.forEach((set, datasetIndex) => {
        const index = set.data.findIndex(point => point.x === all[place]);
        if (index >= 0 && !set.band && chart.isDatasetVisible(datasetIndex)) active.push({datasetIndex, index});
      });
      chart.setActiveElements(active);
      chart.tooltip.setActiveElements(active, {x: 0, y: 0});
      chart.update("none");
      live.textContent = `${plot.x.label} ${format(all[place])}: ` + active.map(({datasetIndex, index}) =>
          `${chart.data.datasets[datasetIndex].label} ${format(chart.data.datasets[datasetIndex].data[index].y)}`).join(", ");
    });
  }

  function describe(plot) {
    const ends = plot.series.map(series => {
      const known = series.y.filter(y => y !== null && y !== undefined);
      return known.length ? `${series.name} from ${format(known[0])} to ${format(known[known.length - 1])}` : `${series.name}: none`;
    });
    return `Plot: ${plot.title}; ${plot.y.label} over ${plot.x.label}. ${ends.join("; ")}. Arrow keys read values.`;
  }

  // Returns the figure; its `show(plot)` draws other values in the same axes.
  function lines(parent, block) {
    let plot = block;
    const canvas = element("canvas", {tabindex: 0, role: "img", "aria-label": describe(plot)});
    const live = element("p", {class: "value", "aria-live": "polite"});
    const behind = element("details", {}, element("summary", {}, "the figures as a table"));
    const fill = () => {
      behind.querySelector(".scroll")?.remove();
      if (behind.open) behind.append(grid([plot.x.label, ...plot.series.map(s => s.name)], rowsOf(plot), plot.title));
    };
    behind.addEventListener("toggle", fill);
    const figure = element("figure", {}, element("figcaption", {}, plot.title));
    const box = element("div", {class: "plot"}, canvas);
    figure.append(box, live, ...[note(plot)].filter(Boolean), behind);
    add(parent, figure, plot.wide);
    const chart = chartOf(canvas, plot);
    const names = plot.series.length > 1 && legend(plot, chart);
    if (names) box.before(names);
    const absent = element("p", {class: "note"});
    behind.before(absent);
    // What has no line has no place in the legend, and is named below.
    const sayAbsent = () => {
      plot.series.forEach((series, i) => { if (names) names.children[i].hidden = !hasValues(series); });
      const none = plot.series.filter(series => !hasValues(series)).map(series => series.name);
      absent.hidden = !none.length;
      absent.textContent = `Without a line${plot.y.log ? " (not measured, or 0, which a logarithmic axis doesn't have)" : ""}: ${none.join(", ")}.`;
    };
    sayAbsent();
    readable(canvas, chart, plot, live);
    figure.show = next => {
      plot = next;
      const sets = plot.series.flatMap(datasets);
      chart.data.datasets.forEach((set, i) => { set.data = sets[i].data; });
      Object.assign(chart.options.scales.x, {min: plot.x.min, max: plot.x.max});
      const {min, max} = ends(plot.y, plot.series);
      Object.assign(chart.options.scales.y, {min, max});
      canvas.setAttribute("aria-label", describe(plot));
      chart.update("none");
      sayAbsent();
      fill();
    };
    return figure;
  }

  // Advice that applies to a run, of these rules or of all.
  const advice = (run, rules) => run.advice.filter(({rule}) => !rules || rules.includes(rule)).map(({rule, text, source}) =>
      element("p", {class: "advice"}, element("strong", {}, `${rule}: `), text, element("span", {class: "note"}, ` [${source}]`)));

  // Light and dark: as the system says, until the button does.
  function setTheme(dark) {
    document.documentElement.classList.toggle("dark", dark);
    document.getElementById("theme").textContent = dark ? "Light" : "Dark";
    Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
    document.querySelectorAll(".legend [data-place]").forEach(colored);
    for (const chart of charts) {
      paint(chart);
    }
  }
  const system = matchMedia("(prefers-color-scheme: dark)");
  setTheme(system.matches);
  system.addEventListener("change", () => setTheme(system.matches));
  document.getElementById("theme").addEventListener("click", () => setTheme(theme() === "light"));

  return {element, format, hasValues, advice, add, paragraphs, summary, section, text, facts, table, matrix, images, lines};
})();

