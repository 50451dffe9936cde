// make_models FOLDER: three models with random weights, for the sweep.
#include "harness/checkpoint/writer.h"
#include "models.h"

int main(int, char** arguments) {
  const auto network = assay::make_architecture(assay::JsonReader(small_llama(), "the model"));
  const std::filesystem::path folder = arguments[1];
  uint64_t seed = 0;
  for (const char* name : {"base", "one", "two"})
    assay::write_checkpoint(folder / name, network->initial_weights(seed++),
                            {small_llama(), {}, {}, {}}, false);
}
