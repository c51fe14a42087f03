// Figures of classes.
#include "trainer/report.h"

#include <doctest/doctest.h>

#include <cmath>

#include <ballast/layers/dropout.h>
#include <ballast/layers/sequential.h>

using namespace ballast;
using namespace ballast::app;

TEST_CASE("report: confusion, precision, recall, F1 and calibration error, computed by hand") {
  // The samples are logits, ln p, of three classes: the probabilities are p.
  const std::vector<std::vector<double>> p = {
      {0.7, 0.2, 0.1}, {0.7, 0.2, 0.1}, {0.1, 0.8, 0.1}, {0.3, 0.3, 0.4}};
  Tensor x({4, 3});
  for (size_t n = 0; n < 4; ++n)
    for (size_t k = 0; k < 3; ++k) x.data()[n * 3 + k] = static_cast<real>(std::log(p[n][k]));
  Labels y(4);
  y[0] = 0, y[1] = 1, y[2] = 1, y[3] = 0;
  Sequential model{Dropout(0.5)};  // the identity in evaluation
  Dataset data = from_tensors(x, y);
  data.classes = 3;
  const ClassReport report = report_on(model, data, 3);
  CHECK(report.confusion == std::vector<int64_t>{1, 0, 1, 1, 1, 0, 0, 0, 0});
  CHECK(report.total.correct == 2);
  CHECK(report.total.size == 4);
  CHECK(report.total.loss == doctest::Approx(evaluate(model, data).loss));
  // In the bin of 0.7 half is right, in that of 0.8 all, in that of 0.4 nothing.
  CHECK(report.calibration_error == doctest::Approx((2 * 0.2 + 0.2 + 0.4) / 4).epsilon(1e-5));
  REQUIRE(report.mistakes.size() == 2);  // the more confident first
  CHECK(report.mistakes[0].index == 1);
  CHECK(report.mistakes[0].label == 1);
  CHECK(report.mistakes[0].prediction == 0);
  CHECK(report.mistakes[0].probability == doctest::Approx(0.7).epsilon(1e-5));
  CHECK(report.mistakes[1].index == 3);  // of the second batch
  const ClassFigures zero = report.of(0), one = report.of(1), two = report.of(2);
  CHECK(zero.precision() == 0.5);
  CHECK(zero.recall() == 0.5);
  CHECK(one.precision() == 1);
  CHECK(one.recall() == 0.5);
  CHECK(one.f1() == doctest::Approx(2.0 / 3));
  CHECK(one.samples() == 2);
  CHECK(two.precision() == 0);
  CHECK(two.f1() == 0);  // of nothing
  const std::string text = report_text(report, {"a", "b", "c"});
  CHECK(text.find("expected calibration error 25.00 % (15 bins)\n") == 0);
  CHECK(text.find("b         1.0000  0.5000  0.6667        2\n") != std::string::npos);
  CHECK(text.find("a       1   0   1\nb       1   1   0\nc       0   0   0\n") != std::string::npos);
}

TEST_CASE("report: ignored labels are in no figure") {
  // The samples are logits: of classes 0, 1, 1, 0 by their largest.
  const Tensor x = tensor({{2, 0}, {0, 2}, {0, 3}, {1, 0}});
  Sequential model{Dropout(0.5)};
  const ClassReport some = report_on(model, from_tensors(x, Labels{0, ignored_label, 0, 1}), 2);
  const ClassReport rest =
      report_on(model, from_tensors(tensor({{2, 0}, {0, 3}, {1, 0}}), Labels{0, 0, 1}), 3);
  CHECK(some.confusion == std::vector<int64_t>{1, 1, 1, 0});
  CHECK(some.total.size == 3);
  CHECK(some.total.correct == 1);
  CHECK(some.total.loss == doctest::Approx(rest.total.loss));
  CHECK(some.calibration_error == doctest::Approx(rest.calibration_error));
  REQUIRE(some.mistakes.size() == 2);
  CHECK(some.mistakes[0].index == 2);  // of the data set, ignored samples counted
  CHECK(some.mistakes[1].index == 3);
}

TEST_CASE("report: intersection over union of a class for each position, computed by hand") {
  // Three samples of 2 x 2 positions; the logits are the samples. Of class 3 there is nothing.
  const std::vector<int> truth = {0, 0, 1, 1, 0, 1, 1, 2, 2, 2, 0, 0},
                         guess = {0, 1, 1, 1, 0, 0, 1, 2, 1, 2, 0, 0};
  constexpr size_t classes = 4;
  Tensor x = zeros({3, classes, 2, 2});
  Labels y(12);
  for (size_t i = 0; i < truth.size(); ++i) {
    y[static_cast<int64_t>(i)] = truth[i];
    x.data()[(i / 4 * classes + static_cast<size_t>(guess[i])) * 4 + i % 4] = 5;
  }
  Dataset data;
  data.sample_shape = {classes, 2, 2};
  data.size = 3;
  data.classes = classes;
  data.kind = TargetKind::positions;
  data.target_shape = {2, 2};
  data.read = [&](const Reading& reading, real* sample, Target target) {
    std::copy_n(x.data() + reading.index * 16, 16, sample);
    for (int64_t i = 0; i < 4; ++i) target.labels()[i] = y[reading.index * 4 + i];
  };
  Sequential model{Dropout(0.5)};  // the identity in evaluation
  const ClassReport report = report_on(model, data, 2);
  CHECK(report.confusion == std::vector<int64_t>{4, 1, 0, 0, 1, 3, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0});
  CHECK(report.total.correct == 9);
  CHECK(report.total.size == 12);
  CHECK(report.total.loss == doctest::Approx(evaluate(model, data).loss));
  CHECK(report.mistakes.empty());
  CHECK(report.of(0).iou() == 4.0 / 6);
  CHECK(report.of(1).iou() == 3.0 / 6);
  CHECK(report.of(2).iou() == 2.0 / 3);
  CHECK(report.mean_iou() == doctest::Approx((4.0 / 6 + 3.0 / 6 + 2.0 / 3) / 3));
  const std::string text = report_text(report, {"a", "b", "c", "d"});
  CHECK(text.find("mean intersection over union 0.6111\n") != std::string::npos);
  CHECK(text.find("b         0.6000  0.7500  0.6667  0.5000           4\n") != std::string::npos);
}
