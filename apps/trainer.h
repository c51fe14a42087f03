#pragma once

// What a program of your own takes from the trainer: `find_package(Ballast REQUIRED COMPONENTS trainer)`,
// ballast::trainer.

#include "program.h"
#include "trainer/divergence.h"
#include "trainer/fit.h"
#include "trainer/lr_range.h"
#include "trainer/model_words.h"
#include "trainer/predictor.h"
