// Uses a page as its reader does and writes what it sees into the title, which browser_test.sh reads.
const errors = [];
addEventListener("error", event => errors.push(event.message));
addEventListener("securitypolicyviolation", event => errors.push(`asks the network: ${event.blockedURI}`));
addEventListener("load", async () => {
  const pause = ms => new Promise(done => setTimeout(done, ms));
  const pixels = () => [...document.querySelectorAll("canvas")].map(canvas => canvas.toDataURL());
  const changed = (a, b) => a.filter((x, i) => x !== b[i]).length;
  const check = (holds, what) => { if (!holds) errors.push(what); };
  const key = (element, name) => element.dispatchEvent(new KeyboardEvent("keydown", {key: name, bubbles: true}));
  try {
    for (const blocks of document.querySelectorAll(".blocks")) {
      const cells = [...blocks.children].filter(block => !block.hidden && !block.matches(".all, .wide")).length;
      const columns = getComputedStyle(blocks).gridTemplateColumns.split(" ").length;
      check(blocks.querySelector(":scope > .wide") || columns < 3 || cells % columns !== 1, `${cells} blocks in ${columns} columns`);
    }
    const slider = document.getElementById("step"), now = document.querySelector("output"), play = document.getElementById("play");
    let before = pixels();
    slider.value = 0;
    slider.dispatchEvent(new Event("input"));
    check(now.textContent === "step 0", `the slider at 0 says "${now.textContent}"`);
    check(changed(before, pixels()) >= 2, "the slider changes no plot");
    before = pixels();
    play.click();
    await pause(700);
    play.click();
    check(Number(slider.value) >= 1, "nothing plays");
    check(changed(before, pixels()) >= 2, "playing changes no plot");
    const at = slider.value;
    await pause(400);
    check(slider.value === at, "it plays on after a pause");
    before = pixels();
    const button = document.querySelector(".legend button");
    button.click();
    check(button.getAttribute("aria-pressed") === "false" && changed(before, pixels()) === 1, "a curve can't be switched off");
    const select = document.getElementById("layer");
    before = pixels();
    select.selectedIndex = select.selectedIndex ? 0 : 1;
    select.dispatchEvent(new Event("change"));
    check(changed(before, pixels()) >= 2, "another layer changes no plot");
    before = pixels();
    document.getElementById("theme").click();
    check(changed(before, pixels()) >= before.length / 2, "light and dark are alike");
    for (const chart of Object.values(Chart.instances)) chart.data.datasets.forEach((set, i) => {
      const mark = chart.getDatasetMeta(i).data[0];
      check(!mark || mark.options.backgroundColor === set.borderColor, `the marks of ${set.label} have another colour than its line`);
    });
    const figure = document.querySelector("figure:has(canvas)"), canvas = figure.querySelector("canvas");
    key(canvas, "End");
    check(/^epoch \d+: /.test(figure.querySelector(".value").textContent), "arrow keys say nothing");
    figure.querySelector("details").open = true;
    await pause(50);
    check(figure.querySelectorAll("details tbody tr").length > 0, "a plot has no table");
    for (const each of document.querySelectorAll("canvas"))
      check(each.getAttribute("aria-label") && each.tabIndex === 0, "a plot without text or out of the keyboard's reach");
    for (const image of document.querySelectorAll("img")) check(image.alt && image.naturalWidth > 0, "a picture without text or pixels");
    check(document.querySelector(".advice, .nothing"), "the page says neither what stands out nor that nothing does");
    const network = [...document.querySelectorAll("h2")].find(each => each.textContent === "The network")?.parentElement;
    if (network && /Norm/.test(network.querySelector("table").textContent)) {
      const box = network.querySelector(".box svg");
      check(box?.getAttribute("aria-label"), "no box of what a norm averages over");
      // Batch norm: of 4 samples and 6 channels the first one, over 4 positions: 16 cells in front, 4 above, 4 at the side.
      check(box?.querySelectorAll('polygon[fill^="rgb"]').length === 24, "the box marks other cells");
    }
    const {groups} = JSON.parse(document.getElementById("data").textContent);
    const titled = title => Object.values(Chart.instances).find(chart => chart.canvas.closest("figure").querySelector("figcaption").textContent === title);
    // Curves are told from guessing, and gradients are compared from layer to layer; both from the page's data.
    const guess = titled("Loss").data.datasets.at(-1).data[0].y;
    check(Math.abs(guess - Math.log(10)) < 1e-9, `guessing has a loss of ${guess}`);
    const profile = titled("Gradient norm by layer at the step").data.datasets;
    groups.forEach((group, g) => {
      const record = group.layers_over_time.records[slider.value];
      const norms = record.layers.filter(layer => "input" in layer).map(layer => layer.gradient_norm);
      check(String(profile[g].data.map(point => point.y)) === String(norms), "gradient norms by layer are others");
    });
    // A layer has the same colour in every plot, and every name in a legend has a line.
    const colors = new Map();
    for (const chart of Object.values(Chart.instances)) for (const {label, borderColor, data} of chart.data.datasets) {
      if (/^\d+: /.test(label) && colors.has(label)) check(colors.get(label) === borderColor, `${label} has several colours`);
      colors.set(label, borderColor);
      const shown = [...chart.canvas.closest("figure").querySelectorAll(".legend button:not([hidden])")].some(each => each.textContent === label);
      check(!shown || data.some(point => !Number.isNaN(point.y)), `${label} has a name and no line`);
    }
    const results = document.querySelector("table.many");
    check(!results || results.scrollWidth <= results.parentElement.clientWidth, "the table of results is cut");
    check(document.documentElement.scrollWidth <= innerWidth, `wider than its window: ${document.documentElement.scrollWidth}`);
    for (const chart of Object.values(Chart.instances))
      for (const axis of ["x", "y"]) check(chart.options.scales[axis].title.text, "an axis without a label");
  } catch (error) {
    errors.push(String(error));
  }
  document.title = errors.length ? `FAILED: ${errors.join("; ")}` : "all well";
});
