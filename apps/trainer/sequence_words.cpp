#include "trainer/sequence_words.h"

#include <ballast/layers/attention.h>
#include <ballast/layers/embedding.h>
#include <ballast/layers/recurrent.h>
#include <ballast/layers/sequence.h>

namespace ballast::app {
namespace {

using Kind = Argument::Kind;

/// The width E of the sequence (N, L, E) that the word gets.
int64_t width_of(const Place& place) {
  check<ShapeError>(
      place.shape().rank() == 3,
      "it is for sequences (N, L, E); put rows or patches before it, which make them of images");
  return place.shape()[2];
}

template <class Layer>
void recurrent(Place& place) {
  const int64_t in = width_of(place);
  place.add(Layer(in, *place.whole("UNITS"),
                  {.layers = place.whole("layers").value_or(1),
                   .bidirectional = place.whole("bidirectional").value_or(0) != 0,
                   .dropout = place.number("dropout").value_or(place.options().dropout),
                   .layer_norm = place.whole("layer_norm").value_or(0) != 0}));
}

template <class Layer>
Word recurrent_word(const char* name, const char* help) {
  return {.name = name,
          .help = help,
          .arguments = {{.name = "UNITS", .help = "size of the state", .required = true},
                        {.name = "layers", .help = "one on top of the other [1]", .most = 100},
                        {.name = "bidirectional",
                         .help = "true or false: also from the end to the beginning [false]",
                         .kind = Kind::flag},
                        {.name = "layer_norm",
                         .help = "true or false: layer normalization inside the cells [false]",
                         .kind = Kind::flag},
                        {.name = "dropout",
                         .help = "between layers [that of --dropout]",
                         .kind = Kind::number,
                         .least = 0,
                         .most = 1}},
          .make = recurrent<Layer>,
          .options = {"dropout"}};
}

void encoder(Place& place) {
  const int64_t width = width_of(place);
  place.add(TransformerEncoderLayer(width, *place.whole("HEADS"),
                                    {.feedforward = place.whole("ff").value_or(4 * width),
                                     .dropout = place.number("dropout").value_or(place.options().dropout),
                                     .gelu = place.whole("gelu").value_or(0) != 0,
                                     .norm_first = place.whole("norm_first").value_or(0) != 0,
                                     .causal = place.whole("causal").value_or(0) != 0}));
}

const Argument heads = {.name = "HEADS", .help = "parts of E that attend separately", .required = true};
const Argument causal = {
    .name = "causal", .help = "true or false: a position sees none after it [false]", .kind = Kind::flag};

}  // namespace

std::vector<Word> sequence_words() {
  return {
      {.name = "rows",
       .help = "the rows of images as a sequence, (N, C, H, W) -> (N, H, C W)",
       .make = [](Place& place) { place.add(Rows()); }},
      {.name = "patches",
       .help = "square patches of images as a sequence, (N, C, H, W) -> (N, L, C SIZE SIZE)",
       .arguments = {{.name = "SIZE", .help = "pixels along an edge", .required = true}},
       .make = [](Place& place) { place.add(Patches(*place.whole("SIZE"))); }},
      {.name = "embed",
       .help = "a vector for each word, where the values are whole numbers 0 ... WORDS - 1, (N, L) -> (N, L, "
               "WIDTH)",
       .arguments = {{.name = "WORDS", .help = "how many there are", .required = true},
                     {.name = "WIDTH", .help = "of the vectors", .required = true}},
       .make = [](Place& place) { place.add(Embedding(*place.whole("WORDS"), *place.whole("WIDTH"))); }},
      {.name = "project",
       .help = "the same linear layer at each position, (N, L, E) -> (N, L, WIDTH)",
       .arguments = {{.name = "WIDTH", .help = "number of outputs", .required = true}},
       .make = [](Place& place) { place.add(Linear(width_of(place), *place.whole("WIDTH"))); }},
      {.name = "positions",
       .help = "adds a learned vector to each position",
       .make = [](Place& place) { place.add(PositionEmbedding(place.shape()[1], width_of(place))); }},
      recurrent_word<RNN>("rnn", "plain recurrent layer, (N, L, E) -> (N, L, UNITS)"),
      recurrent_word<GRU>("gru", "gated recurrent units, (N, L, E) -> (N, L, UNITS)"),
      recurrent_word<LSTM>("lstm", "long short-term memory, (N, L, E) -> (N, L, UNITS)"),
      {.name = "attention",
       .help = "multi-head self-attention, (N, L, E) -> (N, L, E)",
       .arguments = {heads, causal},
       .make =
           [](Place& place) {
             place.add(MultiheadAttention(width_of(place), *place.whole("HEADS"),
                                          {.causal = place.whole("causal").value_or(0) != 0}));
           }},
      {.name = "encoder",
       .help =
           "layer of a transformer's encoder, with layer normalization of its own, (N, L, E) -> (N, L, E)",
       .arguments =
           {heads,
            {.name = "ff", .help = "width of the layer between [4 E]"},
            {.name = "norm_first",
             .help = "true or false: normalize before attention, not after [false]",
             .kind = Kind::flag},
            {.name = "gelu", .help = "true or false: instead of ReLU [false]", .kind = Kind::flag},
            causal,
            {.name = "dropout", .help = "[that of --dropout]", .kind = Kind::number, .least = 0, .most = 1}},
       .make = encoder,
       .options = {"dropout"}},
      {.name = "last",
       .help = "the last position, (N, L, E) -> (N, E)",
       .make = [](Place& place) { place.add(LastPosition()); }},
      {.name = "average",
       .help = "the mean over the positions, (N, L, E) -> (N, E)",
       .make = [](Place& place) { place.add(MeanPosition()); }},
  };
}

}  // namespace ballast::app
