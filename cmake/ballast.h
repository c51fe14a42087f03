#pragma once

// All of Ballast.

#include <ballast/core/freeze.h>
#include <ballast/core/module.h>
#include <ballast/core/ops.h>
#include <ballast/core/parallel.h>
#include <ballast/core/predict.h>
#include <ballast/core/random.h>
#include <ballast/data/checkpoint.h>
#include <ballast/data/dataset.h>
#include <ballast/data/evaluate.h>
#include <ballast/data/loader.h>
#include <ballast/layers/activation.h>
#include <ballast/layers/advice.h>
#include <ballast/layers/batch_norm.h>
#include <ballast/layers/conv1d.h>
#include <ballast/layers/conv2d.h>
#include <ballast/layers/dropout.h>
#include <ballast/layers/flatten.h>
#include <ballast/layers/fold.h>
#include <ballast/layers/group_norm.h>
#include <ballast/layers/init.h>
#include <ballast/layers/instance_norm.h>
#include <ballast/layers/layer_norm.h>
#include <ballast/layers/linear.h>
#include <ballast/layers/lipschitz.h>
#include <ballast/layers/pooling.h>
#include <ballast/layers/probe.h>
#include <ballast/layers/recalibrate.h>
#include <ballast/layers/residual.h>
#include <ballast/layers/sequential.h>
#include <ballast/optim/adam.h>
#include <ballast/optim/schedule.h>
#include <ballast/optim/sgd.h>
