// The page that trains live, without its framework: what it says of frames that this script makes up. Writes what it finds into the
// title, which browser_test.sh reads.
const errors = [];
addEventListener("error", event => errors.push(event.message));
addEventListener("load", async () => {
  const check = (holds, what) => { if (!holds) errors.push(what); };
  const says = id => document.getElementById(id).textContent;
  const set = (id, value) => {
    const control = document.getElementById(id);
    control.value = value;
    control.dispatchEvent(new Event("change"));
  };
  const pressed = () => [...document.querySelectorAll("#stories button")].filter(each => each.getAttribute("aria-pressed") === "true").map(each => each.textContent);
  // Training that comes to the end of the story at once.
  const trained = () => {
    const layer = {inputs: [-2, 0, 2], outputs: [0, 0, 2], spread: {inputs: 1, outputs: 1}, gradient: 0.1, weight: 10};
    const side = {loss: 1, layers: [layer, layer, layer]};
    heard.frame({step: 400, sides: [side, side], test: [0.9, 0.2]});
    heard.ended();
  };
  try {
    await new Promise(done => setTimeout(done, 200));  // the page has said that there is no framework
    worker.postMessage = () => {};
    const story = stories.find(each => each.name === "Evaluated by the batch");
    tell(story);
    check(says("watch") === story.watch && pressed().join() === story.name, "a story that was chosen isn't told");
    check(document.getElementById("end").hidden, "the end comes before the training");
    trained();
    check(says("end").startsWith(story.end) && says("end").includes("left 90.0 %, right 20.0 %"), "the end of a story isn't told");
    check(!document.getElementById("to-end").hidden, "no link to the end");

    set("right-norm", "layer");
    check(says("watch").includes("right, norm: layer (was batch)") && !pressed().length, `after a change the page says: ${says("watch")}`);
    check(document.getElementById("right-evaluation").disabled && !document.getElementById("left-evaluation").disabled, "how layer norm is evaluated can be chosen");
    document.getElementById("again").click();
    trained();
    check(!says("end").includes(story.end) && says("end").includes("90.0 %"), `the end of what isn't the story says: ${says("end")}`);
    set("right-norm", "batch");
    check(says("watch") === story.watch && pressed().join() === story.name, "with the story's settings it isn't told again");

    // The learning rate changes on the way: what was trained isn't the story, even with its rate again.
    trained();
    set("lr", 0);
    set("lr", -1);
    check(state.settings.lr === defaults.lr, "the slider gives another rate");
    check(!pressed().length && says("end") !== story.end, "a change of the rate on the way is still the story");
    document.getElementById("again").click();
    check(says("watch") === story.watch, "from the start with the story's rate isn't the story");

    // An answer that arrives after the pad was cleared is of what is gone.
    const answers = [0, 1].map(() => [0.91, ...Array(9).fill(0.01)]);
    pad.set(new Float32Array(784).fill(1));
    showAnswers(answers);
    check(says("answers").includes("A 0, says the left network: 91 %."), "the answer isn't said");
    document.getElementById("clear").click();
    showAnswers(answers);
    check(!says("answers").includes("%"), `an empty pad is answered: ${says("answers")}`);

    check(endsOf([10, 20]).map(v => Math.round(10 ** v)).join() === "5,50", `the axis for 10 to 20 goes from ${endsOf([10, 20]).map(v => 10 ** v)}`);
    // Play, step and look back stay in view, in one row on a narrow screen, while any figure of the training is looked at.
    for (const figure of document.querySelectorAll("canvas.layers, .plots canvas")) {
      figure.scrollIntoView({block: "center"});
      for (const control of ["play", "one", "time"]) {
        const {top, bottom} = document.getElementById(control).getBoundingClientRect();
        check(top >= 0 && bottom <= 70, `${control} is from ${top} to ${bottom} while a figure is in view`);
      }
    }
    check(document.documentElement.scrollWidth <= innerWidth, `wider than its window: ${document.documentElement.scrollWidth}`);
  } catch (error) {
    errors.push(String(error));
  }
  document.title = errors.length ? `FAILED: ${errors.join("; ")}` : "all well";
});
