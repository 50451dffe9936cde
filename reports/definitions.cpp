#include <fmt/format.h>

#include "harness/core/metrics.h"
#include "reports/internal/tables.h"

namespace assay {

std::vector<std::pair<std::string, std::string>> definitions() {
  return {
      {"acc, acc_own",
       "The fraction of test items predicted correctly. acc chooses among the labels of all tasks, "
       "acc_own only among the task's own labels. Shown in %, like all metrics that are fractions."},
      {"spearman, pearson, matthews",
       "Correlations of predictions and labels, from -100 to 100 % (the value times 100). Their "
       "intervals are first-order approximations (the delta method), as they are not means of "
       "items."},
      {"perplexity, bits_per_byte, brier",
       "How unlikely a text is under a model, or how far its probabilities are from the labels. "
       "Shown unscaled; lower is better, also for ranking, tuning, Pareto fronts and the shades "
       "of cells. Their intervals are first-order approximations (the delta method), as they are not means of items."},
      {"Held-in, held-out",
       "A task is held-in for an expert set when one of the set's experts was trained on it, and "
       "held-out otherwise. A value is the mean over the tasks of a kind, then over seeds, then "
       "over expert sets; every task has the same weight, whatever its number of items. A single "
       "expert is averaged over the sets that contain it."},
      {"± and intervals",
       "95 % confidence intervals, 1.96 standard errors to each side. Tasks are strata: items "
       "are treated as a random sample within each task, while the tasks, expert sets and seeds "
       "are taken as given. The outcomes of one item under several sets or seeds are first "
       "summed with their weights to z, and the squared standard error is the sum over tasks of "
       "var(z) / n. With one set and one seed that is the usual formula for a stratified mean. "
       "Where all items of a task have the same outcome the interval has no width, which "
       "overstates the precision of small tests."},
      {"Range",
       "The minimum and maximum over the means of single sets and seeds: the effect of the "
       "choice of experts and of chance."},
      {"Held-in ÷ expert, held-out ÷ base",
       fmt::format(
           "Normalised scores: each held-in task's score divided by that of its own expert, "
           "each held-out task's by that of the base (where lower is better, the other way "
           "round), then averaged. 100 means as good as the expert, or the base, and more is "
           "better. The interval accounts for both models being scored on the same items. A "
           "denominator below {} gives no normalised value for that task.",
           kMinDenominator)},
      {"Paired comparisons",
       "The difference of two rows on the same items, over their common sets. Common successes "
       "and failures cancel, so its interval is narrower than those of the two rows suggest."},
      {"default, tuned",
       "Default rows use the parameters in the sweep file and the method's defaults for the "
       "rest. Tuned rows use the configuration of the grid with the best mean primary score on "
       "the validation splits of the set's held-in tasks (the mean normalised score where primary "
       "metrics are of different kinds); held-out tasks and test splits are not used. The best "
       "expert is chosen in the same way. Only the chosen configuration is scored on the test "
       "split. A search chooses from the candidates that it came to, which stand in "
       "the place of the grid."},
      {"A model per task",
       "Some methods keep something for each task beside one shared model, and must be told which "
       "task they are asked about. Held-in tasks are scored with the model of their own expert, "
       "held-out tasks with the shared model. Such rows are shown apart and are not ranked with "
       "single models; the bytes are what each task adds to the shared model. The oracle expert "
       "is of this kind: each task's own expert, and the base for held-out tasks."},
      {"Partial rows",
       "A row with failed, skipped or missing runs is an average over its other runs and is "
       "marked as partial: it is not directly comparable with complete rows."},
      {"Costs",
       "Measured while the run was made: wall and processor time (all threads), time the "
       "accelerator "
       "was busy, floating-point operations counted from the operators that ran (a "
       "multiply-add is two), checkpoint bytes, items that went through a model, gradient steps. "
       "Own peak memory is the most that the process held during a phase, less what it held when "
       "the phase began; the peak of the whole process, models and results of other rows included, "
       "is peak_rss_bytes and peak_device_bytes in CSV and JSON. "
       "Tuning is everything the runs of the grid cost, their evaluation included. What could not "
       "be "
       "measured is shown as –; operations that could not be counted, and own peaks that an "
       "earlier version did not store, as n/a."},
      {"Calibration",
       "What a method looked at besides weights: examples of the tasks that each expert was trained "
       "on (or of others that its row names), from the validation split unless the table of "
       "calibration says otherwise. Statistics of such examples are computed once, and every method that used them is charged their whole "
       "cost, as part of its merge. Shipped: the bytes of these statistics per expert, which stand "
       "for its data. Transductive: the method looked at the test split, by whose scores it is "
       "ranked; it is not comparable with rows that did not."},
      {"Pareto front",
       "The rows that no other row dominates: none is at least as good in quality and cost, and "
       "better in one of them."},
  };
}

}  // namespace assay
