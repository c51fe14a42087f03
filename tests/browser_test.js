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
    const figure = document.querySelector("figure:has(canvas)"), canvas = figure.querySelector("canvas");
    key(canvas, "End");
    check(/^epoch \d+: /.test(figure.querySelector(".value").textContent), "arrow keys say nothing");
    figure.querySelector("details").open = true;
    await pause(50);
    check(figure.querySelectorAll("details tbody tr").length > 0, "a plot has no table");
    for (const each of document.querySelectorAll("canvas"))
      check(each.getAttribute("aria-label") && each.tabIndex === 0, "a plot without text or out of the keyboard's reach");
    for (const image of document.querySelectorAll("img")) check(image.alt && image.naturalWidth > 0, "a picture without text or pixels");
    const network = [...document.querySelectorAll("h2")].find(each => each.textContent === "The network")?.parentElement;
    if (network && /Norm/.test(network.querySelector("table").textContent)) {
      const box = network.querySelector(".box svg");
      check(box?.getAttribute("aria-label"), "no box of what a norm averages over");
      // Batch norm: of 4 samples and 6 channels the first one, over 4 positions: 16 cells in front, 4 above, 4 at the side.
      check(box?.querySelectorAll('polygon[fill^="rgb"]').length === 24, "the box marks other cells");
    }
    check(document.documentElement.scrollWidth <= innerWidth, `wider than its window: ${document.documentElement.scrollWidth}`);
    for (const chart of Object.values(Chart.instances))
      for (const axis of ["x", "y"]) check(chart.options.scales[axis].title.text, "an axis without a label");
  } catch (error) {
    errors.push(String(error));
  }
  document.title = errors.length ? `FAILED: ${errors.join("; ")}` : "all well";
});
