"use strict";
// The page: settings, playback, and what is shown of the frames that the worker sends.

const $ = (id) => document.getElementById(id);
const { defaults, stories } = JSON.parse($("stories-data").textContent);

// Controls of both networks. A slider's value is its position, or on a logarithmic scale 10 to it.
const controls = [
  { name: "depth", label: "Depth (hidden layers)", min: 1, max: 10 },
  { name: "width", label: "Width (units of each layer)", min: 10, max: 200, step: 10 },
  { name: "activation", label: "Activation", values: { relu: "ReLU", sigmoid: "sigmoid", tanh: "tanh", gelu: "GELU" } },
  { name: "placement", label: "Place of the norm", values: { before: "before the activation", after: "after the activation" } },
  { name: "scale", label: "Scale of initial weights", min: -1, max: 1, step: 0.05, logarithmic: true },
  { name: "lr", label: "Learning rate", min: -3, max: 1, step: 0.05, logarithmic: true },
  { name: "batch_size", label: "Batch size", min: 2, max: 256 },
  { name: "test_order", label: "Test images", values: { mixed: "mixed", sorted: "sorted by class" } },
  { name: "seed", label: "Seed of weights and order", min: 1, max: 20 },
];
const sideControls = [
  { name: "norm", label: "Norm", values: { none: "none", batch: "batch", layer: "layer", group: "group", rms: "RMS", weight: "weight" } },
  { name: "dropout", label: "Dropout of half the values", values: { none: "none", before_norms: "on the way into each norm", after_last_norm: "once, after the last layer" } },
  { name: "evaluation", label: "Batch norm is evaluated by", values: { running: "running statistics", batch: "the test batch" } },
];

const state = { settings: { ...defaults }, story: null, frames: [], stride: 1, at: 0, follows: true, generation: 0, test: [0, 0], untrained: [0, 0], running: false, ended: false, asTold: true };
const mostFrames = 1200;

// ---- The worker ----

const worker = new Worker(URL.createObjectURL(new Blob([$("worker-code").textContent], { type: "text/javascript" })));
const ask = (kind, rest = {}) => worker.postMessage({ kind, ...rest });

async function unpack() {
  const packed = Uint8Array.from(atob($("framework-data").textContent.trim()), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

const heard = {
  loaded() { tell(stories[0]); askExample(); },
  started({ test }) { state.test = state.untrained = test; draw(); classify(); },
  frame(frame) {
    state.test = frame.test ?? state.test;
    measureRate(frame.step);
    state.frames.push({ step: frame.step, sides: frame.sides, test: state.test, tested: Boolean(frame.test) });
    thin();
    if (state.follows) state.at = state.frames.length - 1;
    drawSoon();
    if (frame.test) classify();
  },
  ended() {
    setRunning(false);
    state.ended = true;
    showEnd();
    drawSoon();
  },
  answers({ answers }) { showAnswers(answers); },
  example({ label, pixels }) { $("label").textContent = `A test image: a ${label}.`; fromExample = true; pad.set(pixels); fromExample = false; },
  problem({ message }) { setRunning(false); $("problem").hidden = false; $("problem").textContent = message; },
};
worker.onmessage = ({ data }) => {
  if (data.generation === undefined || data.generation === state.generation) heard[data.kind](data);
};

// How fast it goes, over the last second or so.
function measureRate(step) {
  const now = performance.now(), { since } = state;
  if (!state.running || !since || step < since.step) state.since = { step, now };
  else if (now - since.now > 1000) {
    $("rate").textContent = `${Math.round(1000 * (step - since.step) / (now - since.now))} steps/s`;
    state.since = { step, now };
  }
}

// Of many frames every other one goes, but never the latest.
function thin() {
  if (state.frames.length <= mostFrames) return;
  const last = state.frames.length - 1;
  state.frames = state.frames.filter((_, i) => i % 2 === 0 || i === last);
  state.at = Math.min(state.at >> 1, state.frames.length - 1);
}

// ---- Starting and playing ----

function start(until) {
  const asTold = !changes().length;
  Object.assign(state, { frames: [], at: 0, follows: true, generation: state.generation + 1, ended: false, asTold });
  $("problem").hidden = true;
  showStory();
  ask("start", { settings: state.settings, generation: state.generation, until });
}

function tell(story) {
  state.story = story;
  state.settings = { ...defaults, ...story.settings };
  showSettings();
  start(story.steps);
  play();
}

// The settings that aren't the story's: name, value, and the story's own value.
function changes() {
  const told = { ...defaults, ...state.story?.settings };
  return Object.keys(told).filter((name) => told[name] !== state.settings[name]).map((name) => [name, state.settings[name], told[name]]);
}

// A setting that was changed by hand: what the story says no longer holds.
function change(name, value) {
  state.settings[name] = value;
  showOptions();
  if (name === "lr" && state.frames.length) {
    state.asTold = false;
    showStory();
    return ask("lr", { lr: value });
  }
  const was = state.running;
  start();
  if (was) play();
  else setRunning(false);
}

function setRunning(running) {
  state.running = running;
  if (!running) state.since = null, $("rate").textContent = "";
  $("play").textContent = running ? "Pause" : "Play";
}
function play() {
  setRunning(true);
  state.follows = true;
  ask("run", { speed: Number($("speed").value) });
}
function pause() {
  setRunning(false);
  ask("pause");
}

$("play").onclick = () => (state.running ? pause() : play());
$("one").onclick = () => { pause(); state.follows = true; ask("one"); };
$("again").onclick = () => {
  start(state.story?.steps);
  play();
};
$("speed").onchange = () => ask("speed", { speed: Number($("speed").value) });
$("time").oninput = () => {
  state.at = Number($("time").value);
  state.follows = state.at === state.frames.length - 1;
  draw();
};

// ---- Controls ----

function labelled(control, name, onChange) {
  const label = document.createElement("label");
  const id = name.replace(".", "-");
  if (control.values) {
    const select = document.createElement("select");
    for (const [value, text] of Object.entries(control.values)) select.add(new Option(text, value));
    select.id = id;
    select.onchange = () => onChange(select.value);
    label.append(control.label, select);
    return { label, show: (value) => { select.value = value; } };
  }
  const input = Object.assign(document.createElement("input"), { type: "range", id, min: control.min, max: control.max, step: control.step ?? 1 });
  const output = document.createElement("output");
  const value = () => (control.logarithmic ? Number((10 ** input.value).toPrecision(2)) : Number(input.value));
  input.oninput = () => { output.textContent = value(); input.setAttribute("aria-valuetext", value()); };
  input.onchange = () => onChange(value());
  label.append(control.label, output, input);
  return { label, show: (v) => { input.value = control.logarithmic ? Math.log10(v) : v; output.textContent = v; input.setAttribute("aria-valuetext", v); } };
}

const shows = {};
function makeControls() {
  for (const control of controls) {
    const made = labelled(control, control.name, (value) => change(control.name, value));
    $("settings").append(made.label);
    shows[control.name] = made.show;
  }
  sideNames.forEach((side, index) => {
    const article = $(side);
    article.innerHTML = `<h3></h3><div class="score"></div><div class="choices"></div><canvas class="layers" role="img"></canvas>`;
    for (const control of sideControls) {
      const name = `${side}.${control.name}`;
      const made = labelled(control, name, (value) => {
        change(name, value);
        title(side);
        showCube(state.settings[name.replace(/\..*/, ".norm")]);
      });
      const select = made.label.querySelector("select");
      const words = Object.assign(document.createElement("label"), { htmlFor: select.id, textContent: control.label });
      article.querySelector(".choices").append(words, select);
      shows[name] = made.show;
    }
    $("answers").insertAdjacentHTML("beforeend", `<div class="side ${side}"><h3></h3><p class="answer"></p><div class="bars"></div></div>`);
  });
  for (const story of stories) {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: story.name });
    button.onclick = () => tell(story);
    $("stories").append(button);
  }
  for (const [name, text] of Object.entries(normNames)) $("cube-norm").add(new Option(text, name));
  $("cube-norm").onchange = () => showCube($("cube-norm").value);
  $("shown").onchange = $("scale-of").onchange = () => draw();
  for (const [id, caption, text] of plots)
    $("plots").insertAdjacentHTML("beforeend", `<figure><figcaption>${caption}</figcaption><canvas id="${id}" role="img"></canvas><p class="note">${text}</p></figure>`);
}

const plots = [
  ["spreads", "Spread over the images, by layer", "Standard deviation of a unit's values over the batch, mean over the units: how well the layer can tell images apart."],
  ["gradients", "Length of the gradient, by layer", "Of each layer's weights: how strongly the step moves them, before the learning rate."],
  ["weights", "Length of the weights, by layer", "Root of the sum of their squares. The axis is as long as the training so far needs."],
  ["loss", "Loss of the training batch, by step", "Cross-entropy, in nats: of each batch (faint), and the mean of the latest ones."],
  ["accuracy", "Test images right, by step", "Of 500 images that aren't trained on; taken every few steps."],
];

const nameOf = (side) => `${side === "left" ? "Left" : "Right"}: ${normNames[state.settings[`${side}.norm`]]}`;
function title(side) {
  $(side).querySelector("h3").textContent = nameOf(side);
  $("answers").querySelector(`.${side} h3`).textContent = nameOf(side);
}
function showSettings() {
  for (const [name, show] of Object.entries(shows)) show(state.settings[name]);
  sideNames.forEach(title);
  showOptions();
  showCube(state.settings["right.norm"]);
}
// Only batch norm has two ways to be evaluated.
function showOptions() {
  for (const side of sideNames) $(`${side}-evaluation`).disabled = state.settings[`${side}.norm`] !== "batch";
}
// Which values of the box share a mean.
const averages = {
  none: { text: "Nothing is averaged.", together: () => false },
  batch: { text: "One unit over all images of the batch (and, of images in a convolutional network, all positions). The result for one image depends on the others: evaluation needs running statistics instead.", together: (n, c) => c === 0 },
  layer: { text: "All units of one image. No batch takes part, so training and evaluation are the same.", together: (n) => n === 3 },
  group: { text: "A group of the units of one image: between layer norm (one group) and instance norm (groups of one). In this page's networks there are five groups if five divides the width, else one.", together: (n, c) => n === 3 && c < 3 },
  instance: { text: "One unit of one image, over its positions. A fully connected network, like those on this page, has a single position: each value would be its own mean, and nothing but 0 would be left. That is why you can't choose it above.", together: (n, c) => n === 3 && c === 0 },
  rms: { text: "All units of one image, as in layer norm; but no mean is subtracted, the values are only divided by the root of their mean square.", together: (n) => n === 3 },
  weight: { text: "No activations at all: each unit's vector of weights is divided by its length, and a learned number gives it another one.", together: () => false },
};
const normNames = { none: "no norm", batch: "batch norm", layer: "layer norm", group: "group norm", instance: "instance norm", rms: "RMS norm", weight: "weight norm" };

function showStory() {
  [...$("stories").children].forEach((button, i) => button.setAttribute("aria-pressed", String(state.asTold && stories[i] === state.story)));
  $("watch").textContent = state.asTold ? state.story.watch
    : `An experiment of your own: ${state.story.name} with ${changes().map(inWords).join(", ") || "another learning rate on the way"}. Choose a story to go back to it.`;
  $("end").hidden = $("to-end").hidden = true;
}
// A change as the controls name it.
function inWords([name, value, told]) {
  const [side, own] = name.includes(".") ? name.split(".") : [null, name];
  const { label, values } = [...controls, ...sideControls].find((control) => control.name === own);
  const text = (of) => values?.[of] ?? of;
  return `${side ? `${side}, ` : ""}${label.toLowerCase()}: ${text(value)} (was ${text(told)})`;
}
function showEnd() {
  const scores = state.test.map((share) => `${(100 * share).toFixed(1)} %`);
  $("end").hidden = $("to-end").hidden = false;
  $("end").textContent = state.asTold ? `${state.story.end} (Test images right: left ${scores[0]}, right ${scores[1]}.)`
    : `After ${state.frames[state.frames.length - 1].step} steps ${scores[0]} of the test images are right on the left, ${scores[1]} on the right.`;
}
function showCube(norm) {
  $("cube-norm").value = norm;
  const {text, together} = averages[norm];
  $("cube").innerHTML = cubeSvg({samples: 4, channels: 6, positions: 4, names: ["images of the batch", "units", "positions"], together,
    color: "var(--left)", label: `A box of images by units by positions. Marked for ${normNames[norm]}: ${text}`});
  const name = normNames[norm];
  $("cube-text").innerHTML = `<p><strong>${name[0].toUpperCase() + name.slice(1)}.</strong> ${text}</p>` +
    `<p class="note">The values in a layer form a block: images by units by positions. Those marked share a mean and a standard deviation; every other one that you could mark likewise has its own.</p>`;
}

// ---- Drawing ----

let scheduled = false;
function drawSoon() {
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(() => { scheduled = false; draw(); });
}

function draw() {
  const { frames, at } = state;
  $("time").max = Math.max(0, frames.length - 1);
  $("time").value = at;
  const frame = frames[at];
  $("now").textContent = frame ? `step ${frame.step}` : "step 0";
  $("time").setAttribute("aria-valuetext", $("now").textContent);
  sideNames.forEach((side, i) => {
    const right = (frame?.test ?? state.test)[i];
    $(side).querySelector(".score").innerHTML = `${(100 * right).toFixed(1)} % <small>of test images right; loss of the training batch ${frame ? short(frame.sides[i].loss) : "-"}</small>`;
  });
  if (!frame) return;
  drawSides(frame);
  drawPlots(frame);
  if ($("figures").closest("details").open) tabulate(frame);
}

function drawSides(frame) {
  const key = $("shown").value, depth = frame.sides[0].layers.length;
  const rows = [0, 1].map((i) => Array.from({ length: depth }, (_, layer) => state.frames.map((f) => f.sides[i].layers[layer][key])));
  const some = (row) => row.filter((_, i) => i % Math.ceil(row.length / 40) === 0).concat([row[state.at]]);
  const all = { layer: (i, layer) => some(rows[i][layer]), side: (i) => rows[i].flatMap(some), both: () => rows.flat().flatMap(some) }[$("scale-of").value];
  sideNames.forEach((side, i) => {
    const common = $("scale-of").value === "layer" ? null : rangeOf(all(i));
    const ranges = rows[i].map((_, layer) => common ?? rangeOf(all(i, layer)));
    const canvas = $(side).querySelector("canvas");
    drawLayers(canvas, { rows: rows[i], ranges, at: state.at, steps: state.frames.map((f) => f.step), side });
    const words = frame.sides[i].layers.map((layer, l) =>
      `layer ${l + 1} from ${short(quantile(layer[key], 0.05))} to ${short(quantile(layer[key], 0.95))}`).join(", ");
    canvas.setAttribute("aria-label", `${nameOf(side)}, step ${frame.step}, 5th to 95th percentile: ${words}`);
  });
}

function drawPlots(frame) {
  const { frames } = state, last = frames[frames.length - 1].step;
  const ends = [{ at: 0, text: "0" }, { at: last, text: String(last) }];
  const losses = [0, 1].map((i) => frames.map((f) => [f.step, f.sides[i].loss]));
  drawCurves($("loss"), { curves: losses, smooth: true, mark: frame.step, low: 0, high: 3, last, places: ends, guess: Math.log(10),
    ticks: [0, 1, 2, 3].map((v) => ({ at: v, text: v === 3 ? "≥ 3" : String(v) })) });
  $("loss").setAttribute("aria-label", `Loss at step ${frame.step}: left ${short(frame.sides[0].loss)}, right ${short(frame.sides[1].loss)}`);
  const tested = [0, 1].map((i) => [[0, state.untrained[i]], ...frames.filter((f) => f.tested).map((f) => [f.step, f.test[i]])]);
  drawCurves($("accuracy"), { curves: tested, mark: frame.step, low: 0, high: 1, last, places: ends, guess: 0.1,
    ticks: [0, 0.5, 1].map((v) => ({ at: v, text: `${100 * v} %` })) });
  $("accuracy").setAttribute("aria-label", `Test images right: left ${short(100 * frame.test[0])} %, right ${short(100 * frame.test[1])} %`);
  drawByLayer(frame, "spreads", "Spread over the images", (layer) => layer.spread[$("shown").value], -4, 1);
  drawByLayer(frame, "gradients", "Length of the gradient", (layer) => layer.gradient, -8, 2);
  drawByLayer(frame, "weights", "Length of the weights", (layer) => layer.weight, ...endsOf(frames.flatMap((f) => f.sides.flatMap((s) => s.layers.map((layer) => layer.weight)))));
}

// The ends of a logarithmic axis, as exponents of 10: 1, 2 or 5 times a power of ten, by a factor of at least 1.2 beyond the values.
function endsOf(values) {
  const real = values.filter((v) => v > 0 && Number.isFinite(v)).map(Math.log10);
  if (!real.length) return [0, 3];
  const margin = Math.log10(1.2), low = real.reduce((a, b) => Math.min(a, b)) - margin, high = real.reduce((a, b) => Math.max(a, b)) + margin;
  const ticks = ticksBetween(Math.floor(low), Math.ceil(high), [1, 2, 5]);
  return [ticks.findLast((v) => v <= low), ticks.find((v) => v >= high)];
}
// The exponents of these digits times the powers of ten from 10^low to 10^high.
function ticksBetween(low, high, digits) {
  const powers = Array.from({ length: Math.ceil(high) - Math.floor(low) + 1 }, (_, i) => Math.floor(low) + i);
  return powers.flatMap((power) => digits.map((digit) => power + Math.log10(digit))).filter((v) => v >= low - 1e-9 && v <= high + 1e-9);
}

// A figure of each layer, on a logarithmic axis from 10^low to 10^high; what is less stands at its foot.
function drawByLayer(frame, id, what, figure, low, high) {
  const digits = (v) => [...String(v)].map((c) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[c] ?? "⁻").join("");
  const power = (v) => (v > 0 ? Math.max(low, Math.log10(v)) : Number.isFinite(v) ? low : NaN);
  const depth = frame.sides[0].layers.length, step = high - low > 6 ? 2 : 1;
  const ticks = high - low <= 2 ? ticksBetween(low, high, [1, 2, 5]) : ticksBetween(low, high, [1]).filter((v, i) => i % step === 0);
  drawCurves($(id), { curves: frame.sides.map((s) => s.layers.map((layer, l) => [l + 0.5, power(figure(layer))])), low, high, last: depth, marks: true,
    places: frame.sides[0].layers.map((_, l) => ({ at: l + 0.5, text: String(l + 1) })),
    ticks: ticks.map((v) => ({ at: v, text: (v === low && low < 0 ? "≤ " : "") + (v >= 0 && v < 3 ? short(10 ** v) : `10${digits(Math.round(v))}`) })) });
  $(id).setAttribute("aria-label", `${what}, by layer: ` + sideNames.map((side, i) => `${side} ${frame.sides[i].layers.map((layer) => short(figure(layer))).join(", ")}`).join("; "));
}

function tabulate(frame) {
  const key = $("shown").value;
  const head = "<tr><th>layer</th>" + sideNames.map((side) => `<th>${side}: 5 %</th><th>median</th><th>95 %</th><th>spread</th><th>gradient</th><th>weights</th>`).join("") + "</tr>";
  $("figures").innerHTML = head + frame.sides[0].layers.map((_, l) => `<tr><td>${l + 1}</td>` + frame.sides.map((s) => {
    const layer = s.layers[l], cell = (v) => `<td>${short(v)}</td>`;
    return [0.05, 0.5, 0.95].map((share) => cell(quantile(layer[key], share))).join("") + [layer.spread[key], layer.gradient, layer.weight].map(cell).join("");
  }).join("") + "</tr>").join("");
}

// ---- The drawn digit ----

let fromExample = false, example = 0;
function classify() { if (pad.pixels) ask("classify", { pixels: pad.pixels }); }
function showAnswers(answers) {
  if (!pad.pixels) return;  // cleared since it was asked
  answers.forEach((probabilities, i) => {
    const best = probabilities.indexOf(Math.max(...probabilities));
    const box = $("answers").querySelector(`.${sideNames[i]}`);
    box.querySelector(".answer").textContent = best < 0 ? "" : `A ${best}, says the ${sideNames[i]} network: ${(100 * probabilities[best]).toFixed(0)} %.`;
    box.querySelector(".bars").innerHTML = probabilities.map((p, digit) =>
      `<span>${digit}</span><span><span class="bar" style="display:block;width:${100 * p}%"></span></span><span>${(100 * p).toFixed(0)} %</span>`).join("");
  });
}
const pad = drawingPad($("pad"), () => {
  if (!fromExample) $("label").textContent = "";
  if (pad.pixels) return classify();
  for (const box of $("answers").children) box.querySelector(".answer").textContent = "Draw a digit.", box.querySelector(".bars").innerHTML = "";
});
$("clear").onclick = () => pad.clear();
function askExample() { ask("example", { index: (example += 37) }); }
$("example").onclick = askExample;

// ---- Beginning ----

function setTheme(dark) {
  document.documentElement.classList.toggle("dark", dark);
  $("theme").textContent = dark ? "Light" : "Dark";
}
$("theme").onclick = () => {
  setTheme(!document.documentElement.classList.contains("dark"));
  showCube($("cube-norm").value);
  draw();
};
$("figures").closest("details").ontoggle = () => draw();
addEventListener("resize", drawSoon);
setTheme(matchMedia("(prefers-color-scheme: dark)").matches);
makeControls();
showSettings();
unpack().then((bytes) => ask("load", { bytes })).catch((error) => heard.problem({ message: `This browser can't run the page: ${error.message}` }));
