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
