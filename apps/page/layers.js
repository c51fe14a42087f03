// What the looks at a run's layers say of how signal and gradient go through them: the text, what it comes to where it is true of
// all runs, and the source.
const layerFindings = group => {
  const {records = []} = group.layers_over_time ?? {}, {format} = page;
  const all = records.length ? records[records.length - 1].layers : [];
  const found = [], times = ratio => format(Number(ratio.toPrecision(2)));
  // The looks at which a ratio of the layers' figures is above the limit: at which steps and how far, and whether the last is among them.
  // If it isn't, another limit counts: much passes that is there at first.
  const above = (limit, limitBefore, figure, ratio) => {
    const looks = records.map(({step, layers}) => ({step, ratio: ratio(layers.filter(layer => "input" in layer).map(layer => layer[figure]).filter(value => value > 0))}));
    const lasts = looks.length > 0 && looks[looks.length - 1].ratio > limit;
    const over = looks.filter(look => look.ratio > (lasts ? limit : limitBefore));
    if (!over.length) return null;
    const ends = [over[0], over[over.length - 1]].map(look => `step ${format(look.step)}`);
    return {lasts, largest: times(Math.max(...over.map(look => look.ratio))),
            when: over.length === 1 ? `at ${ends[0]}` : `at looks from ${ends[0]} to ${ends[1]}`};
  };
  const signal = above(10, 100, "input_spread", spreads => spreads.length > 2 ? spreads[1] / spreads[spreads.length - 1] : 0);
  if (signal)
    found.push([`the signal ${signal.lasts ? "vanishes" : "vanished at first"}. What arrives at the last layer differs between samples up to ${signal.largest} times less than what arrives `
                + `at the second, ${signal.when} (see “Spread between samples”): its last layers can hardly tell samples apart${signal.lasts ? "" : " then"}.`,
                `the signal ${signal.lasts ? "vanishes" : "vanished at first"}: what arrives at the last layer differs over ${signal.lasts ? 10 : 100} times less between samples than what arrives at the second (see “Spread between samples”).`,
                "Glorot & Bengio 2010"]);
  const gradient = above(1000, 1000, "gradient_norm", norms => norms.length > 1 ? Math.max(...norms) / Math.min(...norms) : 0);
  if (gradient)
    found.push([`the largest gradient norm of a layer is up to ${gradient.largest} times the smallest, ${gradient.when} (see “Gradient norm by layer”): `
                + "layers of small gradients hardly learn.",
                `gradient norms of the layers differ over 1,000 times${gradient.lasts ? "" : " at first"} (see “Gradient norm by layer”): layers of small gradients hardly learn.`,
                "Glorot & Bengio 2010"]);
  const dead = all.flatMap(({dead_units}, i) => {
    const {path, layer} = group.layers_over_time.about.layers[i];
    const weighted = all.slice(0, i).filter(layer => "input" in layer).length;
    return dead_units > 0.1 ? [`${Math.round(100 * dead_units)} % of the units of ${path}: ${layer} after layer of weights ${weighted}`] : [];
  });
  if (dead.length)
    found.push([`at the last look ${dead.join(", ")} are dead (see “Dead units”): a lower learning rate, a norm before the ReLU or another activation keeps them alive.`,
                "at the last look over 10 % of the units of a layer are dead (see “Dead units”).",
                "Lu, Shin, Su & Karniadakis 2020, arXiv:1903.06733"]);
  return found;
};

// Layers over time, from what --probe has written: of one run its layers over one another; of several groups of runs one
// layer, the first run of each group over one another.
const layersOverTime = allGroups => {
  const groups = allGroups.filter(group => group.layers_over_time?.records.length);
  if (!groups.length) return;
  const one = allGroups.length === 1, {element, format} = page;
  const recordsOf = group => group.layers_over_time.records;
  const stepsOf = group => recordsOf(group).map(record => record.step);
  const last = group => recordsOf(group)[recordsOf(group).length - 1];
  const {about} = groups[0].layers_over_time;

  // Indices of a group's layers for which a figure was measured.
  const having = (group, key) => last(group).layers.map((layer, i) => key in layer ? i : -1).filter(i => i >= 0);
  const weighted = group => having(group, "input");
  const nameOf = (group, i) => `${group.layers_over_time.about.layers[i].path}: ${group.layers_over_time.about.layers[i].layer}`;
  const over = (group, i, figure) => recordsOf(group).map(record => figure(record.layers[i]) ?? null);

  // Of one run at most eight layers are drawn over one another, since more colours can't be told apart: layers with weights, evenly
  // spaced, and of norms and activations those that follow one of these, in its colour.
  const spaced = list => list.length <= 8 ? list : [...Array(8).keys()].map(k => list[Math.round(k * (list.length - 1) / 7)]);
  const colored = one ? spaced(weighted(groups[0])) : [];
  const leader = i => weighted(groups[0]).filter(w => w <= i).pop() ?? weighted(groups[0])[0];
  const colorOf = i => colored.indexOf(leader(i));
  const drawnOf = key => {
    const all = having(groups[0], key), weights = all.filter(i => leader(i) === i), list = weights.length ? weights : all;
    return list.filter((i, k) => colorOf(i) >= 0 && list.findIndex(other => leader(other) === leader(i)) === k);
  };

  const [firstStep, secondStep = firstStep] = stepsOf(groups[0]);
  const part = page.section("Layers over time",
      `Every ${secondStep === firstStep ? "so many" : format(secondStep - firstStep)} steps (--probe) a copy of the network with the weights of that step was given a batch of ${about.samples} training samples, `
      + "always the same one, forward and backward; that is a look. The slider chooses the look whose plots say “at the step”"
      + (one ? ". " : ", and the list the layer of weights at which runs are compared. ")
      + (allGroups.some(group => group.runs.length > 1) && !one ? "Of runs that differ in their seed the first is drawn. " : "")
      + `Percentiles and histograms are of up to ${format(about.values)} values of each tensor, from all over it.`);
  part.id = "layers";

  // Controls: which step, which layer.
  const slider = element("input", {type: "range", min: 0, max: recordsOf(groups[0]).length - 1, value: 0, step: 1,
                                   id: "step", "aria-label": "step of training"});
  const play = element("button", {type: "button", id: "play"}, "▶ Play");
  const now = element("output", {for: "step"});
  const most = Math.max(...groups.map(group => weighted(group).length));
  const commonName = k => {
    const names = new Set(groups.map(group => group.layers_over_time.about.layers[weighted(group)[k]]?.layer));
    return names.size === 1 ? `: ${[...names][0]}` : "";
  };
  const choices = one ? having(groups[0], "output").map(i => [i, nameOf(groups[0], i)])
                      : [...Array(most).keys()].map(k => [k, `layer of weights ${k + 1} of ${most}${commonName(k)}`]);
  // Whether a norm follows a layer of weights before the next one.
  const normFollows = (group, i) => {
    const {layers} = group.layers_over_time.about, next = weighted(group).find(other => other > i) ?? layers.length;
    return layers.slice(i, next).some(({layer}) => /Norm/.test(layer));
  };
  // Of groups first the layer nearest to the middle that a norm follows in one of them, since most figures change there.
  const middle = Math.floor(most / 2), byMiddle = [...Array(most).keys()].sort((a, b) => Math.abs(a - middle) - Math.abs(b - middle));
  const normed = byMiddle.find(k => groups.some(group => k < weighted(group).length && normFollows(group, weighted(group)[k])));
  const preferred = one ? weighted(groups[0])[1] ?? weighted(groups[0])[0] : normed ?? middle;
  const select = element("select", {id: "layer", "aria-label": "layer"}, ...choices.map(
      ([value, name]) => element("option", {value, selected: value === preferred ? "" : undefined}, name)));
  part.querySelector(".blocks").before(element("div", {class: "controls"}, play, slider, now, select));

  // What is drawn of a group: its layer that is chosen. Of groups the one with that number among those with weights.
  const chosen = group => one ? Number(select.value) : weighted(group)[Math.min(Number(select.value), weighted(group).length - 1)];
  // The layer that a figure is of: the chosen one or, where it has no such figure, the next that has, as its norm or ReLU.
  const nearest = (group, key) => having(group, key).find(i => i >= chosen(group)) ?? chosen(group);
  const place = group => one ? 0 : allGroups.indexOf(group);
  // Of groups a line is told by its colour and marks; dashes say what it is of.
  const solid = one ? {} : {dashed: false, points: "some"};
  const redraws = {step: [], layer: []};

  // The record of a group that is nearest to the step of the slider.
  const recordAt = group => {
    const step = recordsOf(groups[0])[Number(slider.value)].step;
    return recordsOf(group).reduce((a, b) => Math.abs(b.step - step) < Math.abs(a.step - step) ? b : a);
  };

  const step = {label: "step"};
  // Draws what `plot()` says now, and again whenever the step or the layer is another.
  const live = (plot, ...causes) => {
    const figure = page.lines(part, plot());
    const draw = () => {
      const drawn = plot();
      figure.hidden = drawn.series.every(({y}) => y.every(value => value === null));
      figure.show(drawn);
    };
    for (const cause of causes) redraws[cause].push(draw);
    draw();
    return figure;
  };

  // Distributions of the chosen layer.

  const range = key => {
    const bounds = groups.flatMap(group => recordsOf(group).map(record => record.layers[chosen(group)][key]?.percentiles).filter(Boolean));
    return bounds.length ? {min: Math.min(...bounds.map(b => b[0])), max: Math.max(...bounds.map(b => b[b.length - 1]))} : {};
  };

  const density = stats => {
    if (!stats?.percentiles.length) return {x: [], y: []};
    const low = stats.percentiles[0], width = (stats.percentiles[stats.percentiles.length - 1] - low) / stats.histogram.length;
    const all = stats.histogram.reduce((a, b) => a + b, 0);
    if (!width || !all) return {x: [], y: []};
    const y = stats.histogram.map(count => count / all / width);
    return {x: [...y, 0].map((_, i) => low + i * width), y: [...y, y[y.length - 1]]};
  };

  // Of one run the unit of the layer's name; the key is output, input or gradient.
  function distribution(key, what, note) {
    const high = () => 1.15 * Math.max(...groups.flatMap(group => recordsOf(group).map(
        record => [...density(record.layers[chosen(group)][key]).y].sort((a, b) => b - a)[2] ?? 0)));
    live(() => ({title: `${what}: histogram at the step`, x: {label: `${what.toLowerCase()} (no unit)`, ...range(key)},
                 y: {label: "density, share per unit", min: 0, max: high() || undefined},
                 series: groups.map(group => ({name: one ? what : group.name, ...density(recordAt(group).layers[chosen(group)][key]),
                                               dashed: false, stepped: true, filled: true, color: place(group)})),
                 note: `${note} The middle 98 % of the values. Axes are the same for all steps; a bar that leaves the plot above is `
                     + "a value that very many have, such as 0 after a ReLU."}), "step", "layer");
    const quantile = (group, q) => over(group, chosen(group), layer => layer[key]?.percentiles[q] ?? null);
    live(() => ({title: `${what}: percentiles over time`, x: step, y: {label: `${what.toLowerCase()} (no unit)`},
                 series: one
                     ? [{name: "1 to 99 %", x: stepsOf(groups[0]), y: quantile(groups[0], 2), low: quantile(groups[0], 0),
                         high: quantile(groups[0], 4), scatter: true, color: 5},
                        {name: "median, and 25 to 75 %", x: stepsOf(groups[0]), y: quantile(groups[0], 2), low: quantile(groups[0], 1),
                         high: quantile(groups[0], 3), color: 0}]
                     : groups.map(group => ({name: `${group.name}: median, and 1 to 99 %`, x: stepsOf(group), y: quantile(group, 2),
                                             low: quantile(group, 0), high: quantile(group, 4), ...solid, color: place(group)})),
                 note: key === "gradient" ? "" : "A band holds the differences between channels as well as those between samples, which “Spread between samples” has alone."}),
         "layer");
  }

  // Figures over time: of one run a line for each layer, of groups a line for each group at the chosen layer.

  // `only(group, i)` says of which layers it means something.
  function overTime(key, title, label, note, {log = true, figure = layer => layer[key], rules = [], factor = 1, only = () => true} = {}) {
    const value = layer => figure(layer) === undefined || figure(layer) === null ? null : factor * figure(layer);
    const layers = one ? drawnOf(key).filter(i => only(groups[0], i)) : [];
    if (one ? !layers.length : !groups.some(group => having(group, key).length)) return null;
    const plot = () => ({
      title, note, x: step, y: {label, log, min: log ? undefined : 0},
      series: one ? layers.map(i => ({name: nameOf(groups[0], i), x: stepsOf(groups[0]), y: over(groups[0], i, value), color: colorOf(i)}))
                  : groups.map(group => ({name: group.name, x: stepsOf(group), color: place(group), ...solid,
                                            y: over(group, nearest(group, key), only(group, nearest(group, key)) ? value : () => null)}))});
    // On a logarithmic axis 0 has no place.
    const positive = made => ({...made, series: made.series.map(s => ({...s, y: s.y.map(y => log && y !== null && y <= 0 ? null : y)}))});
    const drawn = live(() => positive(plot()), ...(one ? [] : ["layer"]));
    const others = one ? having(groups[0], key).filter(i => !layers.includes(i) && only(groups[0], i)) : [];
    if (others.length)
      drawn.append(element("p", {class: "note"}, `Measured as well, but not drawn: ${others.length > 1 ? "layers" : "layer"} ${others.map(i => groups[0].layers_over_time.about.layers[i].path).join(", ")}.`));
    if (one) drawn.append(...page.advice(groups[0], rules));
    return drawn;
  }

  if (!one) spreadProfile(), gradientProfile();
  if (one) distribution("output", "Output of the layer", "What the layer gives.");
  else distribution("input", "Input of the layer", "What arrives at the layer, from the layers before it.");
  if (one) distribution("gradient", "Gradient of the weights", "Of the loss of that batch.");
  else gradientSpread();
  if (one) profile(), spreadProfile(), gradientProfile();
  overTime("gradient_norm", "Gradient norm over time", "norm of the gradient (no unit)",
                             "Layers whose gradients are smaller by orders of magnitude hardly learn; gradients that grow from layer to layer explode.",
                             {rules: ["bias-before-norm"]});
  const median = " The median over the channels that vary: half of them have moved less.";
  overTime("input_mean_drift", "Median drift of the inputs' means", "standard deviations per look",
           "How far the means of what arrives at the layer have moved since the look before: what a layer learns has to "
           + "follow. Ioffe & Szegedy (2015) call this internal covariate shift. The unit is the inputs' own deviation: where samples hardly differ, "
           + "a small move is a large drift." + median, {rules: ["small-batch", "dropout-before-norm"]});
  overTime("input_variance_drift", "Median drift of the inputs' variances", "share of the variance per look",
           "How far the variances have moved since the look before, as a share of what they were." + median);
  condition();
  overTime("dead_units", "Dead units", "dead units, %",
                        "Of the ReLU that follows. A unit (of images: a channel) that is 0 for every sample of the batch passes no gradient on.", {log: false, factor: 100});
  overTime("half_active_units", "Half-active units", "half-active units, %",
           "Units that are 0 for a quarter to three quarters of the samples and positions: they tell samples apart best; a unit that is never 0 is linear.", {log: false, factor: 100});
  overTime("effective_lr", "Effective learning rate", "learning rate / |w|² (no unit)",
           "Where a norm follows, the length of the weights w doesn't matter to the result, and this is the rate at which their direction learns: "
           + "it falls as they grow, and with the learning rate (van Laarhoven 2017, on plain SGD). Weights that no norm follows are left out.", {rules: ["decayed-norm"], only: normFollows});
  overTime("angle", "Angle moved", "degrees since the last look", "The angle between a layer's weights, as one vector, and what they were at the look before: how far they have turned in between, whatever their length. To turn isn't yet to learn.", {factor: 180 / Math.PI});
  overTime("gamma_over_sigma", "Scale of norms in evaluation, γ/σ", "mean of γ/σ (no unit)",
           "What a norm with running statistics multiplies its inputs by in evaluation: its weight γ divided by the running standard deviation σ of its inputs; 1 at step 0. "
           + "Where it is large, small inputs are amplified, and noise with them.",
           {figure: layer => layer.gamma_over_sigma?.[1]});

  // All layers at the step of the slider.
  function profile() {
    const layers = having(groups[0], "output");
    const quantile = q => layers.map(i => recordAt(groups[0]).layers[i].output?.percentiles[q] ?? null);
    live(() => ({title: "Outputs of all layers at the step", x: {label: "layer, by its number in the table of layers", whole: true},
                 y: {label: "output (no unit)"},
                 series: [{name: "1 to 99 %", x: layers, y: quantile(2), low: quantile(0), high: quantile(4), scatter: true, color: 5},
                          {name: "median, and 25 to 75 %", x: layers, y: quantile(2), low: quantile(1), high: quantile(3),
                           points: true, color: 0}],
                 note: "Where the spread of the outputs grows or shrinks from layer to layer, so do the gradients."}), "step");
  }

  // Gradients of groups may differ by orders of magnitude: their size is drawn on a logarithmic axis, and their shape in its unit.
  function gradientSpread() {
    const statsOf = (group, record) => record.layers[chosen(group)].gradient;
    const shape = stats => {
      const drawn = density(stats);
      return stats?.deviation ? {x: drawn.x.map(x => x / stats.deviation), y: drawn.y.map(y => y * stats.deviation)} : {x: [], y: []};
    };
    live(() => ({title: "Gradient of the weights: shape of the histogram at the step", x: {label: "gradient / its standard deviation", min: -4, max: 4},
                 y: {label: "density", min: 0},
                 series: groups.map(group => ({name: group.name, dashed: false, ...shape(statsOf(group, recordAt(group))), stepped: true, filled: true, color: place(group)})),
                 note: "Each run in units of the standard deviation of its own gradient, whose size is in the next plot. The middle 98 % of the values."}),
         "step", "layer");
    live(() => ({title: "Gradient of the weights: spread over time", x: step, y: {label: "1st to 99th percentile (no unit)", log: true},
                 series: groups.map(group => ({...solid, name: group.name, x: stepsOf(group), color: place(group), y: recordsOf(group).map(record => {
                   const percentiles = statsOf(group, record)?.percentiles ?? [];
                   return percentiles[percentiles.length - 1] - percentiles[0] || null;
                 })})),
                 note: "The distance from the 1st to the 99th percentile of the gradient's values."}), "layer");
  }

  // All layers with weights at the step of the slider: whether a figure fades from layer to layer.
  function byLayer(title, label, name, figure, note) {
    if (Math.max(...groups.map(group => weighted(group).length)) < 2) return;
    const value = (record, i) => figure(record.layers[i]) > 0 ? figure(record.layers[i]) : null;
    const all = groups.flatMap(group => recordsOf(group).flatMap(record => weighted(group).map(i => value(record, i)))).filter(v => v !== null);
    if (!all.length) return;
    live(() => ({title, x: {label: one ? "layer, by its number in the table of layers" : "layer of weights, from the input on", whole: true},
                 y: {label, log: true, min: Math.min(...all) / 1.5, max: Math.max(...all) * 1.5},
                 series: groups.map(group => ({name: one ? name : group.name, x: weighted(group).map((i, k) => one ? i : k + 1), ...solid,
                                               y: weighted(group).map(i => value(recordAt(group), i)), points: true, color: place(group)})), note}), "step");
  }
  function spreadProfile() {
    byLayer("Spread between samples by layer at the step", "standard deviation (no unit)", "spread", layer => layer.input_spread,
            "Of what arrives at the layer: the standard deviation of a channel over samples and positions, mean over the channels. Where it falls by orders of "
            + "magnitude from the first layer (left) to the last, the signal vanishes: the layers get nearly the same for every sample. What arrives after a ReLU or sigmoid are its outputs. "
            + "The slider begins at the last look; the first one shows how the signal goes before anything is learned.");
  }
  function gradientProfile() {
    byLayer("Gradient norm by layer at the step", "norm of the gradient (no unit)", "gradient norm", layer => layer.gradient_norm,
            "Backward, gradients go from the last layer (right) to the first (left). Where they fall by orders of magnitude on "
            + "the way, they vanish and the first layers hardly learn; where they grow, they explode.");
  }

  // Covariance against correlation: what arrives, and what a batch norm would make of it.
  function condition() {
    const note = `The largest eigenvalue divided by the smallest, of ${about.channels} channels at most. The larger, the slower gradient descent is in some `
        + "directions (LeCun et al. 1998). A batch norm brings the covariance (solid) to the correlation (dashed): where the two are far "
        + "apart, one here would help; where they lie on one another, as they do where a norm has been, it would change nothing. It doesn't measure success: pure noise has the best one, 1, and the run that learns may have the larger one.";
    const pair = (name, group, i, color) => [["covariance", "condition", false], ["correlation", "correlation_condition", true]].map(
        ([kind, key, dashed]) => ({name: `${name}, ${kind}`, x: stepsOf(group), y: over(group, i, layer => layer[key]), dashed, color, points: one ? undefined : "some"}));
    live(() => ({title: "Condition number of the inputs", note, x: step, y: {label: "condition number (no unit)", log: true},
                 series: groups.flatMap(group => pair(one ? "input" : group.name, group, chosen(group), place(group)))}), "layer");
  }

  // Slider, player, choice.
  const redraw = cause => {
    now.textContent = `step ${format(recordsOf(groups[0])[Number(slider.value)].step)}`;
    for (const draw of redraws[cause]) draw();
  };
  let timer = null;
  const stop = () => {
    clearInterval(timer);
    timer = null;
    play.textContent = "▶ Play";
  };
  play.addEventListener("click", () => {
    if (timer) return stop();
    if (slider.value === slider.max) slider.value = 0;
    play.textContent = "⏸ Pause";
    timer = setInterval(() => {
      slider.value = Number(slider.value) + 1;
      redraw("step");
      if (slider.value === slider.max) stop();
    }, 150);
  });
  slider.addEventListener("input", () => redraw("step"));
  select.addEventListener("change", () => redraw("layer"));
  slider.value = slider.max;
  redraw("step");
};

