#pragma once

#include <ballast/core/ops/activation.h>
#include <ballast/core/ops/attention.h>
#include <ballast/core/ops/conv.h>
#include <ballast/core/ops/dropout.h>
#include <ballast/core/ops/elementwise.h>
#include <ballast/core/ops/linear.h>
#include <ballast/core/ops/loss.h>
#include <ballast/core/ops/movement.h>
#include <ballast/core/ops/norm.h>
#include <ballast/core/ops/pooling.h>
#include <ballast/core/ops/recurrent.h>
#include <ballast/core/ops/reduce.h>
#include <ballast/core/ops/upsample.h>
#include <ballast/core/ops/weight_norm.h>
