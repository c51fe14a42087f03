#pragma once

#include <string>

namespace ballast::app {

/// Writes a page to look at in a browser: one HTML file that holds all it needs (style, scripts, Chart.js)
/// and never asks a network. The figures are in `json`, and a script of this folder draws them:
/// `pages[kind]`. Pages are light or dark, fit wide and narrow windows, and can be used by keyboard; each
/// plot has its figures as a table behind it. What isn't a finite number is null. Throws FileError WRITE.
///
/// The kinds:
///
///   "sections"  whatever the JSON lists (see below); sections.js
///   "runs"      the report of one run of `ballast train`, or of several; runs.js
///
/// A page of sections is an object
///
///   {"summary": TEXT, "sections": [{"title": TEXT, "text": TEXT, "blocks": [BLOCK, ...]}, ...]}
///
/// in which `summary` and `text` may be missing. A text may have several paragraphs, with an empty line
/// between them. A block is one of
///
///   {"type": "text", "text": TEXT}
///   {"type": "facts", "facts": [[NAME, VALUE], ...]}
///   {"type": "lines", "title": TEXT, "x": AXIS, "y": AXIS, "series": [SERIES, ...], "note": TEXT}
///   {"type": "table", "title": TEXT, "columns": [NAME, ...], "rows": [[CELL, ...], ...], "note": TEXT}
///   {"type": "matrix", "title": TEXT, "rows": [NAME, ...], "columns": [NAME, ...], "row_label": TEXT,
///    "column_label": TEXT, "values": [[NUMBER, ...], ...], "note": TEXT}   shaded by the share of its row
///   {"type": "images", "title": TEXT, "images": [{"src": DATA_URI, "text": TEXT}, ...]}
///
///   AXIS    {"label": "time, s", "log": false, "whole": false, "min": 0, "max": 1}   the label has the unit;
///           the rest may be missing; whole has ticks at whole numbers only
///   SERIES  {"name": TEXT, "x": [NUMBER, ...], "y": [NUMBER or null, ...], "low": [...], "high": [...],
///           "points": false, "scatter": false, "dashed": false, "color": INDEX}   a line and, from low to
///           high, a band such as the deviation over seeds; points marks each value, scatter without a line.
///           Colours and dashes follow the order of the series, unless `color` names another place in the
///           palette. A series without x has x = 0, 1, ...
///   CELL    TEXT, NUMBER or {"text": TEXT, "verdict": "better", "worse" or "unclear"}, which has a sign as
///           well as a colour
void write_page(const std::string& path, const std::string& kind, const std::string& title,
                const std::string& json);

}  // namespace ballast::app
