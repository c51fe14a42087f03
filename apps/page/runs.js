// The report of a run, or of several groups of runs that lie over one another. A group has runs that differ in their seed
// alone; its curves are their means, with a band from the least to the largest.
pages.runs = data => {
  const {groups} = data, one = groups.length === 1 ? groups[0] : null;
  const {format} = page;
  const percent = value => value === null || value === undefined ? null : 100 * value;
  const spread = (value, factor = 1, digits = 2) => {
    if (!value || value.mean === null) return "–";
    const text = (factor * value.mean).toFixed(digits);
    return value.deviation === null ? text : `${text} ± ${(factor * value.deviation).toFixed(digits)}`;
  };
  const classifies = groups[0].task === "classes";
  const duration = seconds => seconds < 120 ? `${format(Math.round(seconds * 10) / 10)} s` : `${format(Math.round(seconds / 6) / 10)} min`;

  function sentence(group) {
    const test = group.test, seeds = group.runs.length;
    const time = `${duration(group.results.seconds.mean)} of training`;
    if (!test) return `The run has no test figures yet; ${time} so far.`;
    const score = classifies ? `${spread(group.results.test_score, 100)} % of the test part right`
                             : `R² ${spread(group.results.test_score, 1, 4)} on the test part`;
    const epoch = group.results.epoch.mean;
    return `${group.data}: ${score}${seeds > 1 ? ` (mean ± standard deviation of ${seeds} seeds)` : ""}, by the network after epoch `
        + `${format(epoch)} of ${group.planned_epochs}; ${time}.`;
  }

  // Curves over epochs.

  const scaled = (curve, factor) => Object.fromEntries(Object.entries(curve).map(
      ([name, values]) => [name, values.map(value => value === null ? null : factor * value)]));
  const known = page.hasValues;

  // A line for each group and figure; of one group the figures have colours, of several the groups, and training is dashed.
  function series(figures, factor) {
    return groups.flatMap((group, g) => figures.filter(([key]) => known(group.curves[key])).map(([key, name], f) => ({
      name: one ? name : figures.length > 1 ? `${group.name}, ${name}` : group.name,
      x: group.curves.epoch, ...scaled(group.curves[key], factor), points: group.curves.epoch.length < 25,
      color: one ? f : g, dashed: one ? undefined : key.startsWith("train")})));
  }

  // What a network gets that doesn't look at the sample: each class as likely as another, or the mean of the training part.
  const classes = groups.find(group => group.test?.classes)?.test.classes.length;
  const ends = [1, Math.max(...groups.map(group => group.curves.epoch.length))];
  const guessing = (name, value) => [{name, x: ends, y: [value, value], color: 6, dashed: undefined}];
  // Whether a curve comes near to guessing, so that it is worth the place: within a factor of two.
  const near = (keys, value, isWorse) => value !== undefined && ends[1] > 1
      && groups.some(group => keys.some(key => group.curves[key].y.some(y => y !== null && isWorse(y, value))));

  const epochs = {label: "epoch", whole: true};
  const lossUnit = classifies ? "cross-entropy, nats" : "squared error / target variance";

  const bands = groups.some(group => group.runs.length > 1) ? " Of several seeds the line is the mean, and the band goes from the least to the largest." : "";

  function learning() {
    const part = page.section("Learning", one ? "" : "Lines of training are dashed, those of validation solid.");
    const loss = classifies ? classes && Math.log(classes) : 1;
    const bad = near(["val_loss", "train_loss"], loss, (y, guess) => y > guess / 2);
    const named = classifies ? `guessing, ln ${classes} = ${format(Number(Math.log(classes ?? 1).toFixed(2)))}` : "always the mean of the training part";
    page.lines(part, {title: "Loss", x: epochs, y: {label: lossUnit, log: true},
                      series: [...series([["val_loss", "validation"], ["train_loss", "training"]], 1), ...(bad ? guessing(named, loss) : [])],
                      note: "Training loss is the mean over the epoch while the network changes, with dropout and augmentation if there "
                          + "are any; validation loss is measured after the epoch. Training may therefore be above validation."
                          + (bad || !classes ? "" : ` Not drawn, since far above: ${named}.`) + bands});
    const poor = classes && near(["val_accuracy", "train_accuracy"], 1 / classes, (y, guess) => y < 2 * guess);
    if (classifies)
      page.lines(part, {title: "Accuracy", x: epochs, y: {label: "samples that are right, %", min: poor ? 0 : undefined},
                        series: [...series([["val_accuracy", "validation"], ["train_accuracy", "training"]], 100),
                                 ...(poor ? guessing(`guessing, 1 of ${classes}`, 100 / classes) : [])],
                        note: [poor ? "" : "The axis doesn't begin at 0.", bands].filter(Boolean).join(" ")});
    const schedule = group => JSON.stringify(group.learning_rate);
    const rates = groups.filter((group, g) => group.learning_rate.step.length && groups.findIndex(o => schedule(o) === schedule(group)) === g);
    if (rates.length)
      page.lines(part, {title: "Learning rate", x: {label: "step"}, y: {label: "learning rate"},
                        note: [one || rates.length === groups.length ? ""
                                   : rates.length === 1 ? "The same for all runs." : "Runs that aren't drawn have one of these, too.",
                               ...rates.filter(group => group.curves.epoch.length < group.planned_epochs).map(
                                   group => `${one ? "The run" : group.name} ended after ${group.curves.epoch.length} of ${group.planned_epochs} epochs, for which its schedule was made.`)]
                                  .filter(Boolean).join(" "),
                        series: rates.map(group => ({name: group.name, x: group.learning_rate.step, y: group.learning_rate.lr,
                                                     color: groups.indexOf(group)}))});
    if (!one)
      page.lines(part, {title: "Validation loss over time", x: {label: "time, s"}, y: {label: lossUnit, log: true},
                        series: groups.filter(group => known(group.curves.val_loss)).map(group => ({
                          name: group.name, x: group.curves.seconds, y: group.curves.val_loss.y, points: true,
                          dashed: false, color: groups.indexOf(group)})),
                        note: "Time on the machine that each run was trained on, with whatever else ran there."});
  }

  // Student's t that 5 % exceed in size, for 1, 2, ... degrees of freedom, and for more.
  const studentT = [12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23], studentBeyond = 2.2;

  // The best group first. Groups whose means are less than t standard errors apart can't be told apart.
  function table() {
    const best = groups.reduce((a, b) => (b.results.test_score.mean ?? -1) > (a.results.test_score.mean ?? -1) ? b : a);
    // The variance of a group's mean: by its seeds or, of a single run, that of a share of so many samples.
    const error = group => {
      const {mean, deviation} = group.results.test_score;
      if (deviation !== null) return deviation ** 2 / group.runs.length;
      return classifies && group.test?.labels ? mean * (1 - mean) / group.test.labels : NaN;
    };
    const verdict = group => {
      if (group === best || group.results.test_score.mean === null) return group === best ? "the highest" : "–";
      const distance = best.results.test_score.mean - group.results.test_score.mean;
      const freedom = best.runs.length + group.runs.length - 2;
      const chance = (freedom > 0 ? studentT[freedom - 1] ?? studentBeyond : 2) * Math.sqrt(error(best) + error(group));
      const text = classifies ? `${(100 * distance).toFixed(2)} points below` : `${distance.toFixed(4)} below`;
      if (Number.isNaN(chance)) return text;
      return distance > chance ? {text, verdict: "worse"} : {text: `${text}, within chance`, verdict: "unclear"};
    };
    const part = page.section("Results", sharedText());
    const several = groups.some(group => group.runs.length > 1), single = groups.some(group => group.runs.length === 1);
    const columns = [
      ["", group => group.name],
      [classifies ? "test accuracy, %" : "test R²", group => spread(group.results.test_score, classifies ? 100 : 1, classifies ? 2 : 4)],
      ["against the best", verdict],
      [classifies ? "validation accuracy, %" : "validation loss",
       group => classifies ? spread(group.results.val_accuracy, 100) : spread(group.results.val_loss, 1, 4)],
      ["best epoch", group => spread(group.results.epoch, 1, group.runs.length > 1 ? 1 : 0)],
      ["time, s", group => spread(group.results.seconds, 1, 1)],
      ...(several ? [["seeds", group => group.runs.length]] : []),
      ["parameters", group => format(group.parameters)]];
    const sorted = [...groups].sort((a, b) => (b.results.test_score.mean ?? -1) - (a.results.test_score.mean ?? -1));
    const samples = groups[0].test?.labels;
    page.table(part, {title: "", columns: columns.map(([name]) => name), rows: sorted.map(group => columns.map(([, of]) => of(group))),
                      note: [several ? "Of several seeds: mean ± standard deviation. Within chance: less than t standard errors of the difference, with Student's t "
                                       + "for 95 % (4.3 for two seeds each, 2.8 for three)." : "",
                             single && classifies && samples ? `With a single seed, only the choice of the ${format(samples)} test samples counts as chance: within chance is a difference of `
                                       + "less than two of its standard errors. Another seed may differ by more; ballast compare trains several of each with its option seeds." : "",
                             "What is tested is the network of the epoch that was best on the validation part."].filter(Boolean).join(" ")});
    const list = findings();
    if (list.length) page.add(part, page.element("figure", {}, page.element("figcaption", {}, "What stands out"), ...list), "all");
  }

  // What all runs share, and what they differ in.
  function sharedText() {
    const value = (group, name) => group.config.find(option => option[0] === name)?.[1];
    const names = groups[0].config.map(([name]) => name).filter(name => !["data", "model", "threads", "seed", "norm-groups"].includes(name));
    const same = name => groups.every(group => value(group, name) === value(groups[0], name));
    const named = ["norm", "act", "optimizer", "lr", "schedule", "batch-size", "epochs"];  // said even if they are the defaults
    const own = name => groups.some(group => group.config.some(([other, , standard]) => other === name && !standard));
    const told = names.filter(name => same(name) && (named.includes(name) || own(name)) && value(groups[0], name) !== "");
    const differ = ["data", "model", ...names].filter(name => !same(name));
    const common = [same("model") ? `Model ${value(groups[0], "model")}` : "", same("data") ? `Data ${groups[0].data}` : ""].filter(Boolean);
    return `${common.map(text => `${text}. `).join("")}Of the options of ballast train the runs differ in ${differ.length ? differ.join(", ") : "seed"}; `
        + `all have ${told.map(name => `${name} ${value(groups[0], name)}`).join(", ")}.`;
  }

  // What was looked for, where there is nothing to say.
  function nothingFound() {
    const looked = groups.filter(group => group.layers_over_time?.records.length);
    const fine = [...(groups.every(group => group.results.val_loss.mean !== null) ? [`the validation loss is below that of ${classifies ? "guessing" : "always giving the mean"}`] : []),
                  ...(looked.length ? ["from the second layer to the last the signal fades less than 10 times at the last look and less than 100 before", "gradient norms of layers are within a factor of 1,000",
                                       "at the last look no layer has over 10 % dead units"] : [])];
    const unseen = looked.length === groups.length ? "" : `${looked.length ? "Not all runs" : "No layers"} were looked at (ballast train --probe 50).`;
    return [fine.length ? `Nothing stands out: ${fine.join(", ")}.` : "", unseen].filter(Boolean).join(" ");
  }

  // What a reader should know before the plots, computed from the figures.
  function findings() {
    const list = [];
    const say = (text, source) => list.push(page.element("p", {class: "advice"}, text, source ? page.element("span", {class: "note"}, ` [${source}]`) : undefined));
    const found = groups.map(layerFindings);
    const guess = classifies ? classes && Math.log(classes) : 1;
    // What is true of all runs is said once.
    const shared = one ? [] : found[0].map(([, brief]) => brief).filter(brief => found.every(list => list.some(finding => finding[1] === brief)));
    groups.forEach((group, i) => {
      const name = one ? "The network" : group.name;
      if (guess && group.results.val_loss.mean > 0.95 * guess)
        say(`${name} hasn't learned: its validation loss of ${format(group.results.val_loss.mean)} is that of guessing, ${guess.toFixed(2)}. `
            + (group.layers_over_time ? "Below, its drift, angle and condition number are those of a network that goes nowhere, and neither good nor bad." : ""));
      for (const [text, brief, source] of found[i])
        if (!shared.includes(brief)) say(one ? text[0].toUpperCase() + text.slice(1) : `${name}: ${text}`, source);
    });
    for (const [, brief, source] of found[0]) if (shared.includes(brief)) say(`All runs: ${brief}`, source);
    if (!list.length) list.push(page.element("p", {class: "note nothing"}, nothingFound()));
    return list;
  }

  function testPart(group) {
    const {test} = group, ofPositions = test.mean_iou !== undefined, unit = ofPositions ? "positions" : "samples";
    const part = page.section("On the test part", "Samples that took no part in training nor in choosing the epoch.");
    if (test.confusion && test.confusion.length <= 30) {
      const names = test.classes.map(c => c.name);
      page.matrix(part, {title: "Confusion matrix", rows: names, columns: names, row_label: "the true class",
                         column_label: "what was predicted", values: test.confusion,
                         note: `Numbers of ${unit}; the shade is the share of the row. What is off the diagonal was mistaken.`});
    }
    if (test.classes)
      page.table(part, {title: "Each class", columns: ["class", "precision, %", "recall, %", "F1, %", ...(ofPositions ? ["IoU, %"] : []), unit],
                        rows: test.classes.map(c => [c.name, ...[c.precision, c.recall, c.f1, ...(ofPositions ? [c.iou] : [])].map(v => Number((100 * v).toFixed(2))), c[unit]]),
                        note: "Precision: of those predicted as the class, the share that is of it. Recall: of the class, the share that was found. "
                            + (ofPositions ? "IoU, intersection over union: of those that are of the class or predicted as it, the share that is both; "
                                + `the mean over the classes is ${(100 * test.mean_iou).toFixed(2)} %. ` : "")
                            + `Expected calibration error: ${(100 * test.expected_calibration_error).toFixed(2)} % between probability and accuracy.`});
    for (const {name, targets, outputs} of test.values ?? [])
      page.lines(part, {note: test.mean_absolute_error === undefined ? "" : `Mean absolute error ${format(test.mean_absolute_error)}, root mean squared error `
                            + `${format(test.root_mean_squared_error)}, in the units of ${name}.`,
                        title: `${name}: predicted and true`, x: {label: `true ${name}`}, y: {label: `predicted ${name}`},
                        series: [{name: "a sample", x: targets, y: outputs, points: true, scatter: true},
                                 {name: "predicted = true", x: [Math.min(...targets), Math.max(...targets)],
                                  y: [Math.min(...targets), Math.max(...targets)]}]});
    if (!test.mistakes?.length) return;
    const title = "The most confident mistakes";
    const text = m => `${m.label}, taken for ${m.prediction} (${(100 * m.probability).toFixed(1)}\u00a0%)`;
    if (test.mistakes[0].image) page.images(part, {title, images: test.mistakes.map(m => ({src: m.image, text: text(m)}))});
    else page.table(part, {title, columns: ["sample", "class", "predicted", "probability, %"],
                           rows: test.mistakes.map(m => [m.index, m.label, m.prediction, Number((100 * m.probability).toFixed(1))])});
  }

  function network(group) {
    const part = page.section("The network", `Input ${group.input}; ${format(group.parameters)} parameters, `
        + `${format(group.multiply_adds)} multiply-adds for each sample.`);
    const figure = page.table(part, {title: "Layers", columns: ["", "layer", "output", "parameters", "multiply-adds"],
                                     rows: group.layers.map(l => [l.path, l.layer, l.output, l.parameters, l.multiply_adds])});
    figure.append(...page.advice(group));
    for (const norm of group.norms) boxOf(part, norm, group.norms);
  }

  // What a norm averages over, for the first of those that are alike. A box has fewer cells than there are values.
  const kind = norm => JSON.stringify([norm.over_batch, cellsTogether(norm), norm.over_positions, norm.positions > 1]);
  const cells = 6;
  const cellsTogether = norm => norm.channels_together === 1 ? 1
      : Math.max(2, Math.floor(cells * norm.channels_together / norm.channels));
  function boxOf(part, norm, norms) {
    const alike = norms.filter(other => kind(other) === kind(norm));
    if (norm !== alike[0]) return;
    const positions = norm.positions > 1 ? 4 : 1, samples = 4;
    const together = (n, c, p) => (norm.over_batch || n === samples - 1) && c < cellsTogether(norm) && (norm.over_positions || p === 0);
    const figure = page.add(part, page.element("figure", {}, page.element("figcaption", {}, alike.length === 1 ? `What layer ${norm.path} averages over` : `What the layers ${alike.map(o => o.path).join(", ")} average over`)));
    const box = page.element("div", {class: "box"});
    box.innerHTML = cubeSvg({samples, channels: cells, positions, names: ["samples", "channels", "positions"], together, color: "rgb(var(--shade))",
                             label: `A box of samples by channels by positions, in which those values are marked that share a mean`});
    figure.append(box, ...alike.map(o => page.element("p", {class: "note"}, `${o.path} ${o.layer}: ${o.text}.`)));
    if (norm === norms[0])
      figure.append(page.element("p", {class: "note"}, "Marked are the values that share a mean and a variance with one of them; each other set that could be marked likewise has its own. "
                      + "The box has fewer cells than there are values (after Wu & He 2018, figure 2)."));
  }

  function origin(group) {
    const part = page.section("Where it comes from");
    const own = group.config.filter(([, , standard]) => !standard), {machine = {}} = group.summary ?? {};
    page.facts(part, {title: "Options that aren't the defaults", facts: own.map(([name, value]) => [`--${name}`, value])});
    page.facts(part, {title: "Machine and time", facts: [
      ["processor", machine.processor], ["instruction set", machine.instruction_set], ["threads", machine.threads],
      ["ballast", machine.ballast], ["time", duration(group.results.seconds.mean)],
      ["samples per second", Math.round(group.results.images_per_s.mean)], ["folder", group.runs.join(", ")]]});
    const all = page.table(part, {title: "All options", columns: ["option", "value"], rows: group.config.map(([name, value]) => [`--${name}`, value])});
    all.replaceChildren(page.element("details", {}, page.element("summary", {}, "All options"), ...all.children));
  }

  if (one) {
    page.summary(sentence(one));
    document.querySelector("main").append(...findings());
  } else {
    table();
  }
  learning();
  if (one?.test) testPart(one);
  layersOverTime(groups);
  if (one?.layers.length) network(one);
  for (const group of one ? groups : []) origin(group);
};

