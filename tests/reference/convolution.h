#pragma once

#include <vector>

#include <ballast/core/tensor.h>
#include <ballast/layers/functional/conv.h>

namespace ballast::inline BALLAST_PRECISION::reference {

/// The convolution as its formula says, tap by tap, in double: its result and, for the gradient dy of that,
/// the three gradients, in the order of their tensors' elements.
struct Convolution {
  std::vector<double> y, dx, dweight, dbias;

  Convolution(const Tensor& x, const Tensor& weight, const Tensor& bias, const ConvOptions& options,
              const Tensor& dy)
      : y(size(dy)), dx(size(x)), dweight(size(weight)), dbias(static_cast<size_t>(weight.size(0))) {
    const int64_t channels = weight.size(1), filters = weight.size(0) / options.groups;
    for (int64_t n = 0; n < dy.size(0); ++n)
      for (int64_t o = 0; o < dy.size(1); ++o)
        for (int64_t oh = 0; oh < dy.size(2); ++oh)
          for (int64_t ow = 0; ow < dy.size(3); ++ow) {
            const size_t out = index(dy, n, o, oh, ow);
            const double g = dy.data()[out];
            if (!bias.empty()) y[out] = bias(o);
            dbias[static_cast<size_t>(o)] += g;
            for (int64_t channel = 0; channel < channels; ++channel)
              for (int64_t kh = 0; kh < weight.size(2); ++kh)
                for (int64_t kw = 0; kw < weight.size(3); ++kw) {
                  const int64_t h = oh * options.stride.h - options.padding.h + kh * options.dilation.h;
                  const int64_t w = ow * options.stride.w - options.padding.w + kw * options.dilation.w;
                  if (h < 0 || h >= x.size(2) || w < 0 || w >= x.size(3)) continue;
                  const size_t in = index(x, n, o / filters * channels + channel, h, w);
                  const size_t tap = index(weight, o, channel, kh, kw);
                  y[out] += double{weight.data()[tap]} * x.data()[in];
                  dx[in] += g * weight.data()[tap];
                  dweight[tap] += g * x.data()[in];
                }
          }
  }

 private:
  static size_t size(const Tensor& t) { return static_cast<size_t>(t.count()); }
  static size_t index(const Tensor& t, int64_t a, int64_t b, int64_t c, int64_t d) {
    return static_cast<size_t>(((a * t.size(1) + b) * t.size(2) + c) * t.size(3) + d);
  }
};

}  // namespace ballast::inline BALLAST_PRECISION::reference
