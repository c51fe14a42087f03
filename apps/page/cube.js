"use strict";
// The box of a layer's values, samples x channels x positions, in which those that share a mean are marked (after Wu & He 2018,
// figure 2), for the report and for the page that trains live. `together(n, c, p)` says whether the value of sample n, channel c
// and position p is one of them, `names` are those of the three axes, `label` is the text for who can't see it.
function cubeSvg({samples, channels, positions, names, together, color, label}) {
  const s = 30, dx = 17, dy = -12, x0 = 40, y0 = 23 - channels * dy;
  const at = (n, c, p) => [x0 + n * s + c * dx, y0 + p * s + c * dy];
  const face = (corners, marked) =>
    `<polygon points="${corners.map((corner) => corner.join(",")).join(" ")}" fill="${marked ? color : "var(--raised)"}" stroke="var(--faint)"/>`;
  let faces = "";
  for (let n = 0; n < samples; ++n) for (let p = 0; p < positions; ++p) faces += face([at(n, 0, p), at(n + 1, 0, p), at(n + 1, 0, p + 1), at(n, 0, p + 1)], together(n, 0, p));
  for (let n = 0; n < samples; ++n) for (let c = 0; c < channels; ++c) faces += face([at(n, c, 0), at(n + 1, c, 0), at(n + 1, c + 1, 0), at(n, c + 1, 0)], together(n, c, 0));
  for (let c = 0; c < channels; ++c) for (let p = 0; p < positions; ++p) faces += face([at(samples, c, p), at(samples, c + 1, p), at(samples, c + 1, p + 1), at(samples, c, p + 1)], together(samples - 1, c, p));
  const text = (x, y, words) => `<text x="${x}" y="${y}" fill="var(--text)" font-size="13">${words}</text>`;
  const height = y0 + positions * s + 25;
  return `<svg viewBox="0 0 ${x0 + samples * s + channels * dx + 60} ${height}" role="img" aria-label="${label}">${faces}` +
    text(x0, y0 + positions * s + 18, names[0]) + text(x0 + samples * s + channels * dx / 2 + 11, y0 + positions * s - channels * 6 + 13, names[1]) +
    (positions > 1 ? `<text transform="translate(${x0 - 12} ${y0 + positions * s}) rotate(-90)" fill="var(--text)" font-size="13">${names[2]}</text>` : "") + "</svg>";
}
