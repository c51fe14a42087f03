#include <ballast/layers/analysis/recalibrate.h>

#include <fmt/format.h>

#include <ballast/data/checkpoint.h>
#include <ballast/data/evaluate.h>
#include <ballast/data/loader.h>

#include "commands.h"
#include "models.h"
#include "text.h"
#include "trained.h"

namespace ballast::inline BALLAST_PRECISION {

int recalibrate(const RewriteOptions& options) {
  use_threads(options.threads);
  Trained trained = load_trained(checkpoint_of(options.path), options);
  const std::string out = new_file(options.out, trained.path, "recalibrated");
  const Split data = data_for(trained, Needs::all);
  const int64_t least = least_batch(trained.model, trained.info.sample_shape, options.batch_size);
  Loader loader(data.train, {.batch_size = options.batch_size, .min_batch = least});

  const Evaluation before = evaluate(trained.model, data.test);
  recalibrate(trained.model, loader);
  const Evaluation after = evaluate(trained.model, data.test);
  trained.info.test_loss = after.loss;
  trained.info.test_accuracy = after.accuracy();
  save(out, trained.model, to_metadata(trained.info));

  fmt::print("{}: running statistics from {} batches of up to {} images\n", trained.path, loader.batches(),
             options.batch_size);
  fmt::print("before: test accuracy {}, loss {:.4f}\n", accuracy_text(before.correct, before.size),
             before.loss);
  fmt::print("after:  test accuracy {}, loss {:.4f}\n", accuracy_text(after.correct, after.size), after.loss);
  fmt::print("written: {}\n", out);
  return 0;
}

}  // namespace ballast::inline BALLAST_PRECISION
