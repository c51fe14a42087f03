// node wasm_hashes.mjs BALLAST.WASM: one line for each pair of networks, with the hashes of all their weights after 1,000 steps. The
// native program demo_hashes prints the same lines.
import fs from "node:fs";

const load = new Function(fs.readFileSync(new URL("../apps/demo/module.js", import.meta.url), "utf8") + "; return loadFramework;")();
const framework = await load(fs.readFileSync(process.argv[2]));
const settings = { depth: 3, width: 50, placement: "before", scale: 1, lr: 0.1, batch_size: 32, test_order: "mixed", seed: 1,
                   "left.dropout": "none", "left.evaluation": "running", "right.dropout": "after_last_norm", "right.evaluation": "running" };
for (const activation of ["relu", "sigmoid", "tanh", "gelu"]) {
  for (const [left, right] of [["none", "batch"], ["layer", "group"], ["rms", "weight"]]) {
    framework.start({ ...settings, activation, "left.norm": left, "right.norm": right });
    framework.train(1000);
    console.log(`${activation}: ${left} ${framework.hashes()[0]}, ${right} ${framework.hashes()[1]}, ` +
                framework.testAccuracy().map((a) => a.toFixed(4)).join(" and "));
  }
}
