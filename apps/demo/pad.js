"use strict";
// A pad of 28 x 28 pixels to draw on, by pointer or by keyboard; calls `changed(pixels)`, values from 0 to 1.
function drawingPad(canvas, changed) {
  const side = 28, context = canvas.getContext("2d");
  let pixels = new Float32Array(side * side), pen = [14, 14], last = null, drawn = false, given = false;

  function show() {
    const image = context.createImageData(side, side);
    pixels.forEach((value, i) => image.data.set([255 * value, 255 * value, 255 * value, 255], 4 * i));
    if (document.activeElement === canvas) image.data.set([255, 160, 0, 255], 4 * (Math.floor(pen[1]) * side + Math.floor(pen[0])));
    context.putImageData(image, 0, 0);
  }
  function dot(x, y) {
    for (let py = 0; py < side; ++py) {
      for (let px = 0; px < side; ++px) {
        const ink = Math.min(1, Math.max(0, 1.9 - Math.hypot(px + 0.5 - x, py + 0.5 - y)));
        pixels[py * side + px] = Math.max(pixels[py * side + px], ink);
      }
    }
  }
  function line(to) {
    if (given) pixels = new Float32Array(side * side), given = false;  // not over an image that was put here
    const from = last ?? to, pieces = Math.ceil(2 * Math.hypot(to[0] - from[0], to[1] - from[1])) + 1;
    for (let i = 0; i <= pieces; ++i) dot(from[0] + (to[0] - from[0]) * i / pieces, from[1] + (to[1] - from[1]) * i / pieces);
    last = to;
    drawn = true;
    show();
    changed(pixels);
  }
  const place = (event) => [event.offsetX * side / canvas.clientWidth, event.offsetY * side / canvas.clientHeight];
  canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); last = null; line(place(event)); });
  canvas.addEventListener("pointermove", (event) => { if (event.buttons) line(place(event)); });
  canvas.addEventListener("pointerup", () => { last = null; });
  canvas.addEventListener("focus", show);
  canvas.addEventListener("blur", show);

  let down = false;
  canvas.addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (event.key === " ") {
      if (!down) down = true, last = null, line(pen);
    } else if (event.key === "Delete" || event.key === "Backspace") {
      pad.clear();
    } else if (moves[event.key]) {
      pen = pen.map((v, i) => Math.min(side - 1, Math.max(0, v + moves[event.key][i])));
      if (down) line(pen); else show();
    } else {
      return;
    }
    event.preventDefault();
  });
  canvas.addEventListener("keyup", (event) => { if (event.key === " ") down = false, last = null; });

  const pad = {
    clear() { pixels = new Float32Array(side * side); drawn = given = false; show(); changed(pixels); },
    set(image) { pixels = Float32Array.from(image); drawn = given = true; show(); changed(pixels); },
    get pixels() { return drawn ? pixels : null; },
  };
  show();
  return pad;
}
