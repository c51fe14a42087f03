#pragma once

#include <ballast/layers/functional/attention.h>
#include <ballast/layers/functional/conv.h>
#include <ballast/layers/functional/dropout.h>
#include <ballast/layers/functional/linear.h>
#include <ballast/layers/functional/norm.h>
#include <ballast/layers/functional/pooling.h>
#include <ballast/layers/functional/recurrent.h>
#include <ballast/layers/functional/then.h>
#include <ballast/layers/functional/upsample.h>
#include <ballast/layers/functional/weight_norm.h>
