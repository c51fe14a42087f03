// The worker: trains in slices between which it hears what the page asks for. A frame is what one step showed.
let framework, step = 0, until = Infinity, speed = 0, running = false, generation = 0, nextTest = 0;

// The test is taken often at first, and then every 50 steps.
function sendFrame(evaluates) {
  const sides = framework.record();
  const test = evaluates || step >= nextTest ? framework.testAccuracy() : null;
  if (test) nextTest = step + Math.min(50, 1 + Math.floor(step / 10));
  postMessage({ kind: "frame", generation, step, sides, test });
}

// Steps per second; 0: as many as possible. A negative speed is slow at first, where most happens, and then faster and faster.
const rate = () => (speed < 0 ? 4 + step / 5 : speed);

function trainSteps(count) {
  framework.train(count, true);
  step += count;
}

// As many steps as fit into 25 ms, of which the last is recorded; where a speed is set, as many as are due in 33 ms, at least one.
function slice() {
  if (!running) return;
  const begin = performance.now();
  const perSecond = rate(), due = Math.max(1, Math.floor(perSecond / 30));
  if (perSecond > 0) {
    trainSteps(Math.min(due, until - step));
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
  sendFrame(ends);
  if (ends) {
    running = false;
    postMessage({ kind: "ended", generation, step });
  } else {
    setTimeout(slice, perSecond > 0 ? Math.max(0, 1000 * due / perSecond - (performance.now() - begin)) : 0);
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
    step = nextTest = 0;
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
