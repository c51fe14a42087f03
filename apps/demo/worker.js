// The worker: trains in slices between which it hears what the page asks for. A frame is what one step showed.
let framework, step = 0, until = Infinity, speed = 0, running = false, generation = 0;
let lastTest = -Infinity, lastSlice = 0;

function sendFrame(evaluates) {
  const sides = framework.record();
  const test = evaluates ? framework.testAccuracy() : null;
  if (evaluates) lastTest = performance.now();
  postMessage({ kind: "frame", generation, step, sides, test });
}

function trainSteps(count) {
  framework.train(count, true);
  step += count;
}

// As many steps as fit into 25 ms, of which the last is recorded; or one, where a speed is set.
function slice() {
  if (!running) return;
  const begin = performance.now();
  if (speed > 0) {
    trainSteps(1);
  } else {
    let count = 0;
    do {
      ++count;
      const last = step + 1 >= until || performance.now() - begin > 20;
      framework.train(1, last);
      ++step;
      if (last) break;
    } while (count < 1000);
  }
  const ends = step >= until;
  sendFrame(ends || speed > 0 && speed <= 5 || begin - lastTest > 500);
  if (ends) {
    running = false;
    postMessage({ kind: "ended", generation, step });
  } else {
    setTimeout(slice, speed > 0 ? Math.max(0, 1000 / speed - (performance.now() - begin)) : 0);
  }
}

const orders = {
  async load({ bytes }) {
    framework = await loadFramework(bytes);
    postMessage({ kind: "loaded", choices: framework.choices });
  },
  start(order) {
    running = false;
    generation = order.generation;
    step = 0;
    until = order.until ?? Infinity;
    framework.start(order.settings);
    postMessage({ kind: "started", generation, test: framework.testAccuracy() });
  },
  run(order) {
    speed = order.speed;
    if (step >= until) until = Infinity;  // on, after the end of a story
    if (!running) running = true, setTimeout(slice, 0);
  },
  pause() { running = false; },
  speed(order) { speed = order.speed; },
  one() {
    running = false;
    trainSteps(1);
    sendFrame(true);
  },
  lr({ lr }) { framework.setLearningRate(lr); },
  classify({ pixels }) { postMessage({ kind: "answers", answers: framework.classify(pixels) }); },
  example({ index }) { postMessage({ kind: "example", ...framework.testImage(index) }); },
};

onmessage = async ({ data }) => {
  try {
    await orders[data.kind](data);
  } catch (error) {
    running = false;
    postMessage({ kind: "problem", message: error.message });
  }
};
