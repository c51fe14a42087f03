#pragma once

#include <ballast/core/ops/activation.h>
#include <ballast/core/ops/elementwise.h>
#include <ballast/core/ops/loss.h>
#include <ballast/core/ops/matmul.h>
#include <ballast/core/ops/movement.h>
#include <ballast/core/ops/reduce.h>
