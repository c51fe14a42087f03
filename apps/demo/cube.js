"use strict";
// The cube of a layer's values, images x units x positions, in which those that share a mean are marked
// (after Wu & He 2018, figure 2).
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

function cubeSvg(norm) {
  const images = 4, units = 6, positions = 4, s = 30, dx = 17, dy = -12, x0 = 40, y0 = 95;
  const at = (n, c, p) => [x0 + n * s + c * dx, y0 + p * s + c * dy];
  const { together } = averages[norm];
  const face = (corners, marked) =>
    `<polygon points="${corners.map((corner) => corner.join(",")).join(" ")}" fill="${marked ? "var(--left)" : "var(--raised)"}" stroke="var(--faint)"/>`;
  let faces = "";
  for (let n = 0; n < images; ++n) for (let p = 0; p < positions; ++p) faces += face([at(n, 0, p), at(n + 1, 0, p), at(n + 1, 0, p + 1), at(n, 0, p + 1)], together(n, 0));
  for (let n = 0; n < images; ++n) for (let c = 0; c < units; ++c) faces += face([at(n, c, 0), at(n + 1, c, 0), at(n + 1, c + 1, 0), at(n, c + 1, 0)], together(n, c));
  for (let c = 0; c < units; ++c) for (let p = 0; p < positions; ++p) faces += face([at(images, c, p), at(images, c + 1, p), at(images, c + 1, p + 1), at(images, c, p + 1)], together(images - 1, c));
  const text = (x, y, words) => `<text x="${x}" y="${y}" fill="var(--text)" font-size="13">${words}</text>`;
  return `<svg viewBox="0 0 290 240" role="img" aria-label="A cube of images by units by positions. Marked for ${normNames[norm]}: ${averages[norm].text}">${faces}` +
    text(x0 + 20, y0 + positions * s + 18, "images of the batch") + text(x0 + images * s + 3.5 * dx, y0 + positions * s + 3.5 * dy + 24, "units") +
    `<text transform="translate(${x0 - 12} ${y0 + 95}) rotate(-90)" fill="var(--text)" font-size="13">positions</text></svg>`;
}
