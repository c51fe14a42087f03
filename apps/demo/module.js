"use strict";
// The framework in WebAssembly, for the worker and for tests in node: settings by name in, records of steps out.
const quantileCount = 65;

async function loadFramework(bytes) {
  const module = await WebAssembly.compile(bytes);
  const imports = {};  // of the system; all that is asked of it is the time, and to be told where memory has grown
  for (const { module: from, name } of WebAssembly.Module.imports(module)) (imports[from] ??= {})[name] = () => 0;
  const { exports: wasm } = await WebAssembly.instantiate(module, imports);
  wasm._initialize();

  const text = (at) => {
    const bytes = new Uint8Array(wasm.memory.buffer, at);
    return new TextDecoder().decode(bytes.slice(0, bytes.indexOf(0)));
  };
  const checked = (at) => {
    const message = text(at);
    if (message) throw new Error(message);
  };
  const all = text(wasm.demo_setting_names()).split(" ").map((word) => word.split("="));
  const names = all.map(([name]) => name);
  const choices = Object.fromEntries(all.filter((word) => word[1]).map(([name, values]) => [name, values.split(",")]));
  const number = (name, value) => {
    const found = typeof value === "number" ? value : choices[name].indexOf(value);
    if (found < 0) throw new Error(`${name} can't be ${value}; it is one of ${choices[name].join(", ")}`);
    return found;
  };
  let depth = 0;

  return {
    choices,
    start(settings) {
      for (const name of Object.keys(settings)) if (!names.includes(name)) throw new Error(`there is no setting ${name}`);
      new Float64Array(wasm.memory.buffer, wasm.demo_settings(), names.length).set(names.map((name) => {
        if (!(name in settings)) throw new Error(`the setting ${name} is missing`);
        return number(name, settings[name]);
      }));
      depth = settings.depth;
      checked(wasm.demo_start());
    },
    train(steps, records = false) { checked(wasm.demo_train(steps, records ? 1 : 0)); },
    setLearningRate(lr) { checked(wasm.demo_set_lr(lr)); },
    // Of each side: loss, accuracy, and for each layer [norms of gradient and weight, spreads of inputs and outputs over the images,
    // quantiles of inputs, quantiles of outputs].
    record() {
      const perLayer = 4 + 2 * quantileCount, perSide = 2 + depth * perLayer;
      const all = new Float32Array(wasm.memory.buffer, wasm.demo_record(), 2 * perSide).slice();
      return [0, 1].map((side) => {
        const values = all.subarray(side * perSide, (side + 1) * perSide);
        const layers = Array.from({ length: depth }, (_, i) => {
          const layer = values.subarray(2 + i * perLayer, 2 + (i + 1) * perLayer);
          return { gradient: layer[0], weight: layer[1], spread: { inputs: layer[2], outputs: layer[3] },
                   inputs: layer.subarray(4, 4 + quantileCount), outputs: layer.subarray(4 + quantileCount) };
        });
        return { loss: values[0], accuracy: values[1], layers };
      });
    },
    testAccuracy() { return [0, 1].map((side) => wasm.demo_test_accuracy(side)); },
    classify(pixels) {
      new Float32Array(wasm.memory.buffer, wasm.demo_image(), 784).set(pixels);
      return [0, 1].map((side) => Array.from(new Float32Array(wasm.memory.buffer, wasm.demo_classify(side), 10)));
    },
    testImage(index) {
      const label = wasm.demo_test_image(index);
      return { label, pixels: new Float32Array(wasm.memory.buffer, wasm.demo_image(), 784).slice() };
    },
    hashes() { return [0, 1].map((side) => text(wasm.demo_hash(side))); },
  };
}
