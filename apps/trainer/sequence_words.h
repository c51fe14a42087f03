#pragma once

#include <vector>

#include "trainer/model_words.h"

namespace ballast::app {

/// The words for sequences (N, L, E): to and from them, recurrent layers, attention.
std::vector<Word> sequence_words();

}  // namespace ballast::app
