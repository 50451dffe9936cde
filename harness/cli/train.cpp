#include <fmt/format.h>

#include "harness/cli/commands.h"
#include "harness/core/files.h"
#include "harness/core/interrupt.h"
#include "harness/core/paths.h"
#include "harness/sweep/plan.h"
#include "harness/train/recipe.h"

namespace assay::cli {

void add_train(CLI::App& app, const Common&) {
  struct Options {
    std::string recipe, output;
    std::vector<std::string> only;
    size_t jobs = 1;
  };
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("train", "train the checkpoints of a recipe");
  command->footer(R"(Up-to-date checkpoints are kept.
Example: assay train recipes/digits.json --only base-weak expert-mnist-012)");
  command->add_option("RECIPE", options->recipe, "recipe file (JSON)")->required();
  CLI::Option* output =
      command->add_option("-o,--output", options->output,
                          "folder for the checkpoints (default: out/models/RECIPE); an existing "
                          "checkpoint is replaced only if a recipe made it");
  command->add_option("--only", options->only, "names of the checkpoints to train (default: all)");
  command
      ->add_option("--jobs", options->jobs,
                   "checkpoints to train at a time (default: 1); their bytes do not depend on it")
      ->check(CLI::Range(size_t{1}, size_t{256}));
  command->callback([options, output] {
    const Recipe recipe = Recipe::read(find_file(options->recipe));
    const fs::path folder =
        output->empty() ? models_folder(recipe.name()) : resolve_output(options->output);
    std::vector<std::string> names = options->only;
    if (names.empty())
      for (const CheckpointRecipe& checkpoint : recipe.checkpoints())
        names.push_back(checkpoint.name);
    set_interrupt_note(
        "finished checkpoints are kept, and the state of unfinished ones as of the last save; the "
        "same command continues");
    for (const std::string& name : names) {  // reports errors before any training
      recipe.at(name);
      if (!find_checkpoint(recipe, name, folder)) check_destination(folder / name);
    }
    for (const auto& checkpoint : ensure_checkpoints(recipe, names, folder, options->jobs))
      fmt::print("{}  {}\n", checkpoint->content_hash(), checkpoint->label());
  });
}

}  // namespace assay::cli
