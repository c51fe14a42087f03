#include "trainer/models.h"

#include <fmt/format.h>

#include "commands/command.h"
#include "output.h"
#include "trainer/model_words.h"

namespace ballast::app {
namespace {

struct ModelsOptions {
  Given given;
};

void print_presets() {
  say("Presets, and their lines:\n");
  for (const Choice<LineMaker>& preset : presets()) {
    ModelOptions example{.model = preset.name == "resnet-N" ? "resnet-20" : preset.name};
    say("\n  {:<13}{}\n", preset.name, preset.help);
    if (example.model != preset.name) say("               {}:\n", example.model);
    say("               {}\n", preset.make(example));
  }
}

void print_words() {
  say("\nWords of a line. Values in capitals are given by their place, the others as NAME=VALUE; those in\n"
      "brackets may be left out. 3x(LINE) repeats the words in the parentheses. A layer that a norm "
      "directly\n"
      "follows has no bias.\n\n");
  for (const Word& word : words()) {
    say("  {}\n      {}\n", usage(word), word.help);
    for (const Argument& argument : word.arguments) say("      {:<13}  {}\n", argument.name, argument.help);
  }
}

int run(const ModelsOptions&) {
  print_presets();
  print_words();
  return 0;
}

OptionList list(ModelsOptions&) { return {}; }

}  // namespace

extern const Command models;
const Command models{
    "models", "list the presets and the words of --model",
    "Lists what --model takes: presets, with the line that each stands for, and the words that a line is\n"
    "made of, with their values. Shapes follow from the data: each word is told what the one before it\n"
    "gives.",
    "Examples:\n"
    "  ballast models\n"
    "  ballast summary --model \"conv 16 3 pad=1, norm, act, maxpool 2, flatten, linear\"    a line of your "
    "own\n"
    "  ballast train --model resnet-20                                                     a preset",
    invocation(list, run)};

}  // namespace ballast::app
