"use strict";
// Drawing on canvases; every function is told all it needs.

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const sideNames = ["left", "right"];

// The canvas at the screen's resolution, cleared; sizes in CSS pixels.
function prepared(canvas, height) {
  const ratio = devicePixelRatio || 1, width = canvas.clientWidth || 300;
  if (height) canvas.style.height = `${height}px`;
  else height = canvas.clientHeight || 176;
  canvas.width = Math.round(width * ratio), canvas.height = Math.round(height * ratio);
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  context.font = "12px system-ui, 'DejaVu Sans', sans-serif";
  return { context, width, height };
}

function short(value) {
  if (!Number.isFinite(value)) return "not finite";
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size < 0.001 || size >= 10000) return value.toExponential(0);
  return String(+value.toPrecision(2));
}

// The value below which a share of them lies.
const quantile = (quantiles, share) => quantiles[Math.round(share * (quantiles.length - 1))];

// The mass between neighbouring quantiles is spread evenly between them.
function histogram(quantiles, low, high, bins) {
  const counts = new Float64Array(bins), width = (high - low) / bins, mass = 1 / (quantiles.length - 1);
  for (let i = 0; i + 1 < quantiles.length; ++i) {
    const a = quantiles[i], b = quantiles[i + 1];
    if (!(b >= low && a < high)) continue;
    if (b - a < width / 8) {
      const bin = Math.floor(((a + b) / 2 - low) / width);
      if (bin >= 0 && bin < bins) counts[bin] += mass;
      continue;
    }
    for (let bin = Math.max(0, Math.floor((a - low) / width)); bin < bins && low + bin * width < b; ++bin) {
      const overlap = Math.min(b, low + (bin + 1) * width) - Math.max(a, low + bin * width);
      if (overlap > 0) counts[bin] += mass * overlap / (b - a);
    }
  }
  return counts;
}

// The axis for some layers' values: from the 2nd to the 98th percentile at the frames given, with a margin.
function rangeOf(layers) {
  let low = Infinity, high = -Infinity;
  for (const quantiles of layers) {
    const a = quantile(quantiles, 0.02), b = quantile(quantiles, 0.98);
    if (Number.isFinite(a) && a < low) low = a;
    if (Number.isFinite(b) && b > high) high = b;
  }
  if (low > high) return [-1, 1];
  if (high - low < 1e-6 * Math.max(Math.abs(low), Math.abs(high), 1e-6)) low -= 0.5 * Math.abs(low) + 1e-6, high += 0.5 * Math.abs(high) + 1e-6;
  const margin = 0.06 * (high - low);
  return [low - margin, high + margin];
}

// One row per layer: bands of percentiles over the steps, and the histogram at one frame. `rows` are lists of
// quantiles, one for each frame; `at` is the frame looked at.
function drawLayers(canvas, { rows, ranges, at, steps, side }) {
  const rowHeight = Math.max(44, Math.min(84, 420 / rows.length)), top = 4, bottom = 18;
  const { context, width } = prepared(canvas, rows.length * rowHeight + top + bottom);
  const narrow = width < 260, axis = narrow ? 30 : 58, histogramWidth = Math.round(width * 0.26), bandWidth = width - axis - histogramWidth - 8;
  const last = steps[steps.length - 1] || 1;
  const x = (frame) => axis + bandWidth * steps[frame] / last;
  rows.forEach((frames, layer) => {
    const [low, high] = ranges[layer];
    const base = top + (layer + 1) * rowHeight - 6, height = rowHeight - 12;
    const y = (value) => base - height * Math.min(1, Math.max(0, (value - low) / (high - low)));
    context.strokeStyle = color("line");
    context.strokeRect(axis, base - height, bandWidth, height);
    context.strokeRect(axis + bandWidth + 8, base - height, histogramWidth - 1, height);
    context.fillStyle = color("faint");
    context.textAlign = "right";
    context.fillText(short(high), axis - 4, base - height + 9);
    context.fillText(short(low), axis - 4, base);
    context.textAlign = "left";
    if (height > 30) context.fillText(`${narrow ? "" : "layer "}${layer + 1}`, 0, base - height / 2 + 4);
    if (low < 0 && high > 0) {
      context.beginPath(), context.moveTo(axis, y(0)), context.lineTo(width, y(0)), context.stroke();
    }
    context.fillStyle = context.strokeStyle = color(side);
    const finite = frames.map((q, i) => i).filter((i) => Number.isFinite(frames[i][0]));
    for (const [from, to, alpha] of [[0.05, 0.95, 0.25], [0.25, 0.75, 0.45]]) {
      context.globalAlpha = alpha;
      context.beginPath();
      for (const i of finite) context.lineTo(x(i), y(quantile(frames[i], to)));
      for (const i of finite.slice().reverse()) context.lineTo(x(i), y(quantile(frames[i], from)));
      context.fill();
    }
    context.globalAlpha = 1;
    context.lineWidth = 1.5;
    context.beginPath();
    for (const i of finite) context.lineTo(x(i), y(quantile(frames[i], 0.5)));
    context.stroke();
    context.lineWidth = 1;
    const bins = Math.floor(height / 2), counts = histogram(frames[at], low, high, bins);
    const most = Math.max(...counts, 1e-9);
    for (let bin = 0; bin < bins; ++bin) {
      context.fillRect(axis + bandWidth + 8, base - (bin + 1) * height / bins, (histogramWidth - 4) * counts[bin] / most, height / bins);
    }
    if (!Number.isFinite(frames[at][0])) context.fillText("not finite", axis + bandWidth + 12, base - height / 2 + 4);
    context.strokeStyle = color("text");
    context.beginPath(), context.moveTo(x(at), base - height), context.lineTo(x(at), base), context.stroke();
  });
  context.fillStyle = color("faint");
  const under = top + rows.length * rowHeight + 12;
  context.fillText(narrow ? "0" : "step 0", axis, under);
  context.textAlign = "right";
  context.fillText(String(last), axis + bandWidth, under);
  context.fillText(narrow ? "" : `at step ${steps[at]}`, width, under);
}

// Points [step, mean], weighted by an exponential that forgets over a twentieth of the steps so far.
function latestMeans(points) {
  let mean = NaN, before = 0;
  return points.map(([step, value]) => {
    const kept = Math.exp(-(step - before) / (1 + step / 20));
    mean = Number.isFinite(mean) && Number.isFinite(value) ? kept * mean + (1 - kept) * value : value;
    before = step;
    return [step, mean];
  });
}

// Two curves, one for each side, the right one dashed. `curves` are lists of [x, y], with `marks` a square at each; a line stands at
// x = `mark` and a dotted one at y = `guess`. `ticks` are those of the y axis, `places` those of the x axis. `smooth` draws the curves faint and their means over the latest steps.
function drawCurves(canvas, { curves, mark, guess, low, high, ticks, places, last, marks = false, smooth = false }) {
  const { context, width, height } = prepared(canvas);
  const left = Math.max(...ticks.map((tick) => context.measureText(tick.text).width)) + 8, bottom = height - 18, top = 8;
  const x = (v) => left + (width - left - 8) * (v / (last || 1));
  const y = (v) => bottom - (bottom - top) * Math.min(1, Math.max(0, (v - low) / (high - low)));
  context.strokeStyle = color("line"), context.fillStyle = color("faint");
  context.textAlign = "right";
  for (const tick of ticks) {
    context.beginPath(), context.moveTo(left, y(tick.at)), context.lineTo(width, y(tick.at)), context.stroke();
    context.fillText(tick.text, left - 4, y(tick.at) + 4);
  }
  context.textAlign = "center";
  for (const place of places) context.fillText(place.text, Math.min(x(place.at), width - context.measureText(place.text).width / 2), height - 4);
  if (guess !== undefined) {
    context.strokeStyle = color("faint");
    context.setLineDash([2, 3]);
    context.beginPath(), context.moveTo(left, y(guess)), context.lineTo(width, y(guess)), context.stroke();
  }
  curves.forEach((curve, side) => {
    context.strokeStyle = context.fillStyle = color(sideNames[side]);
    context.lineWidth = 2;
    const line = (points) => {
      context.beginPath();
      for (const [px, py] of points) if (Number.isFinite(py)) context.lineTo(x(px), y(py));
      context.stroke();
    };
    if (smooth) {
      context.globalAlpha = 0.25, context.lineWidth = 1;
      line(curve);
      context.globalAlpha = 1, context.lineWidth = 2;
    }
    context.setLineDash(side ? [6, 3] : []);
    line(smooth ? latestMeans(curve) : curve);
    context.setLineDash([]);
    if (marks) for (const [px, py] of curve) if (Number.isFinite(py)) context.fillRect(x(px) - 3, y(py) - 3, 6, 6);
  });
  context.lineWidth = 1;
  if (mark !== undefined) {
    context.strokeStyle = color("text");
    context.beginPath(), context.moveTo(x(mark), top), context.lineTo(x(mark), bottom), context.stroke();
  }
}
