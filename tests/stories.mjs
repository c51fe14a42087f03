// node stories.mjs BALLAST.WASM: each story of the page that trains live ends as its text says.
import fs from "node:fs";

const folder = new URL("../apps/demo/", import.meta.url);
const load = new Function(fs.readFileSync(new URL("module.js", folder), "utf8") + "; return loadFramework;")();
const { defaults, stories } = JSON.parse(fs.readFileSync(new URL("stories.json", folder), "utf8"));
const framework = await load(fs.readFileSync(process.argv[2]));

let failed = false;
for (const story of stories) {
  for (const run of [story, ...(story.besides ?? [])]) {
    framework.start({ ...defaults, ...story.settings, ...run.settings });
    framework.train(run.steps ?? story.steps);
    const accuracy = framework.testAccuracy();
    const ends = run.ends.every(({ side, at_least = 0, at_most = 1 }) => {
      const reached = accuracy[side === "left" ? 0 : 1];
      return at_least <= reached && reached <= at_most;
    });
    console.log(`${ends ? "as told" : "NOT AS TOLD"}: ${story.name}${run === story ? "" : " " + JSON.stringify(run.settings)}: ` +
                accuracy.map((a) => `${(100 * a).toFixed(1)} %`).join(" and "));
    failed ||= !ends;
  }
}
process.exit(failed ? 1 : 0);
