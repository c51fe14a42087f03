// Segmentation: a label for each pixel, digit or background, by a small U-shaped network (Ronneberger et al.
// 2015) with group normalization, which doesn't mind small batches.
//
//   segmentation [IMAGES] [EPOCHS]
//
// Measured: 92.5 % of the pixels of new images right (22 s of processor time, 239 MB).
#include <ballast/ballast.h>
#include <fmt/format.h>

#include <cstdlib>

using namespace ballast;

struct UNet : Module {
  Conv2d down1{1, 16, 3, {.padding = 1, .bias = false}}, down2{16, 32, 3, {.padding = 1, .bias = false}};
  GroupNorm norm1{4, 16}, norm2{8, 32}, norm3{4, 16};
  ConvTranspose2d up{32, 16, 2, {.stride = 2}};
  Conv2d merge{32, 16, 3, {.padding = 1, .bias = false}}, classes{16, 11, 1};

  Tensor forward(Tensor x) override {
    const Tensor fine = norm1(down1(std::move(x)), then::relu);
    const Tensor coarse = norm2(down2(max_pool2d(fine, 2)), then::relu);
    return classes(norm3(merge(concat({fine, up(coarse)}, 1)), then::relu));
  }
  void visit(Visitor& v) override {
    v("down1", down1), v("norm1", norm1), v("down2", down2), v("norm2", norm2), v("up", up);
    v("merge", merge), v("norm3", norm3), v("classes", classes);
  }
};

// The class of a pixel is that of its digit + 1, and 0 for the background.
Dataset pixels_of(const Dataset& digits) {
  Dataset data = digits;
  data.classes = 11;
  data.kind = TargetKind::positions;
  data.target_shape = {28, 28};
  data.class_names = {};
  data.read = [read = digits.read](const Reading& reading, real* x, Target y) {
    int32_t digit = 0;
    read(reading, x, Target(&digit));
    for (int64_t i = 0; i < 28 * 28; ++i) y.labels()[i] = x[i] > real(0.3) ? digit + 1 : 0;
  };
  return data;
}

int main(int count, char** arguments) {
  const int64_t images = count > 1 ? std::atoll(arguments[1]) : 4000,
                epochs = count > 2 ? std::atoll(arguments[2]) : 6;
  const Split plain = digits(images, images / 4 + 1);
  const Dataset train = pixels_of(plain.train), test = pixels_of(plain.test);
  manual_seed(1);
  UNet net;
  AdamW optimizer(net, {.lr = 3e-3});
  Loader loader(train, {.batch_size = 16});
  for (int64_t epoch = 1; epoch <= epochs; ++epoch) {
    for (const Batch& batch : loader) {
      Tape tape;
      tape.backward(score(net(batch.x), batch).loss);
      optimizer.step();
    }
    const Evaluation found = evaluate(net, test);
    fmt::print("epoch {}: loss {:.4f}, {:.2f} % of the pixels right\n", epoch, found.loss,
               100 * found.accuracy());
  }
}
