#include <ATen/Parallel.h>

#include "harness/calibration/internal/gram.h"
#include "harness/calibration/statistic.h"
#include "harness/kernels/one_thread.h"
#include "harness/kernels/parallel.h"
#include "tests/calibration/toy_task.h"
#include "tests/catch.h"
#include "tests/core/temporary_folder.h"
#include "tests/cost/flops_of.h"
#include "tests/merge/models.h"

using namespace assay;
using namespace assay::testing;

namespace {

double gap(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

}  // namespace

TEST_CASE("the Gram matrices of a perceptron are those of its layers' inputs", "[calibration]") {
  const auto mlp = toy_mlp(5, 7, 3);
  const at::Tensor x = noise({40, 5}, 1);
  const auto task = toy_task("toy/a", x, at::zeros({40}, at::kLong));
  const CalibrationData data({mlp, nullptr}, {task}, {});
  const StateDict weights = doubled(mlp->initial_weights(3));
  const at::Tensor inputs = data.batch(0, 40).inputs.to(at::kDouble);
  const at::Tensor hidden =
      (inputs.mm(weights.at("hidden.weight").t()) + weights.at("hidden.bias")).relu();

  const Json exact{{"compute", "float64"}, {"storage", "float64"}};
  for (const int64_t batch_tokens : {1, 64 * 3, 100'000}) {
    const StatisticTensors grams = computed("input_gram", exact, *mlp, weights, data, batch_tokens);
    REQUIRE(grams.tensors.size() == 2);
    CHECK(gap(grams.tensors.at("hidden.weight"), inputs.t().mm(inputs) / 40) < 1e-12);
    CHECK(gap(grams.tensors.at("head.weight"), hidden.t().mm(hidden) / 40) < 1e-12);
    CHECK(grams.rows.at("head.weight") == 40);
    REQUIRE(grams.layers.size() == 2);
    CHECK(grams.layers[0].inputs == 5);
  }
  const StatisticTensors fast =
      computed("input_gram", Json::object(), *mlp, mlp->initial_weights(3), data, 2048);
  CHECK(fast.tensors.at("head.weight").scalar_type() == at::kFloat);
  CHECK(gap(fast.tensors.at("head.weight"), hidden.t().mm(hidden) / 40) < 1e-5);
}

TEST_CASE("Gram matrices count the network's pass and the upper blocks of their products",
          "[calibration][cost]") {
  // Blocks of 512: of 768 inputs two on the diagonal and one above it.
  constexpr int64_t kExamples = 2048, kWide = 768, kHidden = 64, kClasses = 8;
  const auto mlp = toy_mlp(kWide, kHidden, kClasses);
  const auto task =
      toy_task("toy/a", noise({kExamples, kWide}, 1), at::zeros({kExamples}, at::kLong));
  const CalibrationData data({mlp, nullptr}, {task}, {.examples = kExamples});
  const StateDict weights = mlp->initial_weights(3);

  const int64_t flops =
      flops_of([&] { computed("input_gram", Json::object(), *mlp, weights, data, 1 << 20); });

  constexpr double kPass = 2. * kExamples * (kWide * kHidden + kHidden * kClasses);
  constexpr double kProducts =
      2. * kExamples * (512 * 512 + 512 * 256 + 256 * 256 + kHidden * kHidden);
  CHECK(static_cast<double>(flops) == Approx(kPass + kProducts).epsilon(.05));
}

TEST_CASE("a convolution's vectors are the patches that its kernel multiplies", "[calibration]") {
  const Json config{{"model_type", "small_cnn"}, {"channels", 2}, {"hidden", 4}, {"classes", 3}};
  const std::shared_ptr<const Architecture> cnn = make_architecture(JsonReader(config, "a test"));
  const auto task = toy_task("toy/a", noise({3, 1, 28, 28}, 2), at::zeros({3}, at::kLong));
  const CalibrationData data({cnn, nullptr}, {task}, {});
  const StatisticTensors grams =
      computed("input_gram", {{"compute", "float64"}, {"storage", "float64"}}, *cnn,
               doubled(cnn->initial_weights(1)), data, 128);
  CHECK(grams.rows.at("conv1.weight") == 3 * 28 * 28);
  CHECK(grams.tensors.at("conv2.weight").sizes() == at::IntArrayRef{18, 18});
  const at::Tensor images =
      at::constant_pad_nd(data.batch(0, 3).inputs.to(at::kDouble), {1, 1, 1, 1});
  at::Tensor sum = at::zeros({9, 9}, at::kDouble);
  for (int64_t n = 0; n < 3; ++n)
    for (int64_t row = 0; row < 28; ++row)
      for (int64_t column = 0; column < 28; ++column) {
        const at::Tensor patch =
            images[n][0].narrow(0, row, 3).narrow(1, column, 3).reshape({9, 1});
        sum.add_(patch.mm(patch.t()));
      }
  CHECK(gap(grams.tensors.at("conv1.weight"), sum / (3 * 28 * 28)) < 1e-12);
}

TEST_CASE("Gram matrices have the same bytes on any number of threads", "[calibration]") {
  const auto mlp = toy_mlp(30, 20, 3);
  const auto task = toy_task("toy/a", noise({300, 30}, 5), at::zeros({300}, at::kLong));
  const CalibrationData data({mlp, nullptr}, {task}, {.examples = 300});
  const StateDict weights = mlp->initial_weights(3);
  StateDict first;
  for (const int threads : {1, 2, 4}) {
    const Threads used(threads);
    const StateDict grams =
        computed("input_gram", Json::object(), *mlp, weights, data, 64 * 7).tensors;
    CHECK(at::get_num_threads() == threads);
    if (threads == 1) first = grams;
    for (const auto& [name, gram] : grams) CHECK(at::equal(gram, first.at(name)));
  }
}

TEST_CASE("concurrent work leaves the number of threads as it was", "[calibration]") {
  const Threads used(4);
  std::vector<int> done(9);
  concurrently(9, [&](int64_t i) { ++done[static_cast<size_t>(i)]; });
  CHECK(at::get_num_threads() == 4);
  {
    const OneThreadEach guard;
    concurrently(9, [&](int64_t i) { ++done[static_cast<size_t>(i)]; });
    CHECK(at::get_num_threads() == 1);
  }
  CHECK(at::get_num_threads() == 4);
  CHECK(done == std::vector<int>(9, 2));
}

TEST_CASE("Gram matrices have the same bytes in any number of passes", "[calibration]") {
  const auto mlp = toy_mlp(30, 20, 3);
  const auto task = toy_task("toy/a", noise({300, 30}, 5), at::zeros({300}, at::kLong));
  const CalibrationData data({mlp, nullptr}, {task}, {.examples = 300});
  const StateDict weights = mlp->initial_weights(3);
  const Json none = Json::object();
  const auto passes_within = [&](int64_t bytes) {
    return passes_of(*make_statistic("input_gram", JsonReader(none, "the test")), *mlp, bytes,
                     kBatchTokens, 2);
  };
  // 30² and 20² float64, chunks of 1024 vectors and two batches of 2048 in float32.
  const int64_t first = 8 * 900 + 4 * 30 * (1024 + 2 * 2048);
  const int64_t second = 8 * 400 + 4 * 20 * (1024 + 2 * 2048);
  CHECK(passes_within(0).bytes == first + second);
  CHECK(passes_within(first + second).layers.size() == 1);
  CHECK(passes_within(first + second - 1).bytes == first);
  CHECK(passes_within(1).layers.size() == 2);

  const StatisticTensors whole = computed("input_gram", none, *mlp, weights, data, kBatchTokens);
  const TemporaryFolder folder;
  for (const std::string& scratch : {std::string(), folder.path().string()}) {
    StatisticPasses two = passes_within(1);
    two.scratch = scratch;
    const auto statistic = make_statistic("input_gram", JsonReader(none, "the test"));
    const StatisticTensors divided =
        compute_statistic(*statistic, *mlp, weights, data, 0, kBatchTokens, two);
    REQUIRE(divided.tensors.size() == 2);
    for (const auto& [name, gram] : divided.tensors) CHECK(at::equal(gram, whole.tensors.at(name)));
    CHECK(divided.rows == whole.rows);
    REQUIRE(divided.layers.size() == 2);
    CHECK(divided.layers[0].weight == whole.layers[0].weight);
  }
}

TEST_CASE("a sum of outer products does not depend on the sizes of its pieces", "[calibration]") {
  // More than one chunk and more than one block, both with a remainder.
  const int64_t size = GramSum::kBlock + 40, rows = 2 * GramSum::kChunkRows + 100;
  const at::Tensor x = noise({rows, size}, 9);
  const auto mean_by = [&](int64_t piece, int threads) {
    const Threads used(threads);
    const OneThreadEach guard;
    GramSum sum(size);
    for (int64_t first = 0; first < rows; first += piece) {
      sum.append(x.narrow(0, first, std::min(piece, rows - first)));
      GramSum::accumulate({&sum});
    }
    CHECK(sum.rows() == rows);
    return sum.mean();
  };
  const at::Tensor mean = mean_by(rows, 1);
  CHECK(at::equal(mean, mean.t()));
  CHECK(gap(mean, x.to(at::kDouble).t().mm(x.to(at::kDouble)) / static_cast<double>(rows)) < 1e-6);
  for (const int64_t piece : {int64_t{333}, GramSum::kChunkRows, rows - 1})
    CHECK(at::equal(mean_by(piece, 2), mean));
}
