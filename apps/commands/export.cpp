#include <fmt/format.h>

#include <filesystem>
#include <map>

#include <ballast/data/checkpoint.h>
#include <ballast/data/npy.h>

#include "commands/command.h"
#include "options/options.h"
#include "output.h"
#include "trainer/trained.h"

namespace ballast::app {
namespace {

struct ExportOptions {
  std::string path, out;
  Given given;
};

std::map<std::string, NpyArray> arrays_of(const Parts& model) {
  std::map<std::string, NpyArray> arrays;
  const auto add = [&](const std::string& name, const auto& part) {
    const Shape& shape = part.shape();
    arrays[name] = npy_array({shape.begin(), shape.end()}, part.value().values());
  };
  for_each_parameter(model, add);
  for_each_buffer(model, add);
  for_each_counter(model, [&](const std::string& name, const Counter& c) {
    arrays[name] = npy_array({}, std::span(&c.value, 1));
  });
  return arrays;
}

int run(const ExportOptions& options) {
  const std::string extension = std::filesystem::path(options.out).extension();
  check<ValueError>(
      extension == ".npz" || extension == ".safetensors",
      "--out {}: give the name of an .npz or a .safetensors file; summary --pytorch writes code that "
      "reads these into PyTorch",
      options.out);
  const std::string path = checkpoint_of(options.path);
  Trained trained = load_trained(path, {}, {});
  check<ValueError>(trained.described,
                    "{}: it says nothing of its model; only what ballast wrote is exported", path);
  const std::string out = new_file(options.out, path, "", extension);
  if (extension == ".npz")
    write_npz(out, arrays_of(trained.model));
  else
    save(out, trained.model, to_metadata(trained.info, out));
  say("written: {}\n", out);
  return 0;
}

OptionList list(ExportOptions& o) {
  return {path_option(o.path, true),
          {.name = "out",
           .value = &o.out,
           .help = "file to write, a new one: .npz for NumPy, .safetensors for PyTorch",
           .placeholder = "FILE",
           .required = true}};
}

}  // namespace

extern const Command export_weights;
const Command export_weights{
    "export", "write a trained network's weights for other programs",
    "Writes the weights and running statistics of a trained network, of a run that of its best epoch, under\n"
    "PyTorch's names: as arrays of NumPy, or as a safetensors file, which stays a checkpoint of ballast's.\n"
    "ballast summary RUN --pytorch prints the network that takes them.",
    "Examples:\n"
    "  ballast export runs/a --out a.npz                           numpy.load(\"a.npz\")[\"0.weight\"]\n"
    "  ballast export runs/a/best.safetensors --out a.safetensors  model.load_state_dict(load_file(...))",
    invocation(list, run)};

}  // namespace ballast::app
