// What the methods count agrees with the cost model: d is the number of merged scalars.
#include <cctype>
#include <cmath>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "harness/core/cost.h"
#include "tests/catch.h"
#include "tests/merge/models.h"

using namespace assay;
using namespace assay::testing;

namespace {

/// Operations per merged scalar, statistics included.
double flops_per_scalar(const std::string& ref, const Json& parameters, int experts) {
  constexpr int64_t kSize = 1000;
  std::vector<at::Tensor> models;
  for (int i = 0; i < experts; ++i) models.push_back(noise({kSize}, static_cast<uint64_t>(i)));
  const int64_t before = counters::flops;
  merge(ref, parameters, one_tensor_inputs(noise({kSize}, 99), models));
  return static_cast<double>(counters::flops - before) / kSize;
}

/// A formula of MethodInfo::flops: sums of products of numbers, letters, powers and brackets.
class Formula {
 public:
  Formula(std::string_view text, std::map<std::string, double> values)
      : text_(text), values_(std::move(values)) {}
  /// Absent where it is not of that form.
  std::optional<double> value() {
    const double result = sum();
    skip();
    return bad_ || at_ < text_.size() ? std::nullopt : std::optional(result);
  }

 private:
  void skip() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
  }
  char next() {
    skip();
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  double sum() {
    double total = product();
    for (char sign = next(); sign == '+' || sign == '-'; sign = next()) {
      ++at_;
      total += sign == '+' ? product() : -product();
    }
    return total;
  }
  double product() {
    double total = power();
    for (char c = next(); c == '/' || c == '(' || std::isalnum(static_cast<unsigned char>(c));
         c = next()) {
      if (c == '/') ++at_;
      total = c == '/' ? total / power() : total * power();
    }
    return total;
  }
  double power() {
    const double base = atom();
    if (next() != '^') return base;
    ++at_;
    return std::pow(base, atom());
  }
  double atom() {
    const char first = next();
    const size_t begin = at_;
    if (first == '(') {
      ++at_;
      const double inner = sum();
      bad_ |= next() != ')';
      ++at_;
      return inner;
    }
    while (at_ < text_.size() && std::isalnum(static_cast<unsigned char>(text_[at_]))) ++at_;
    const std::string word(text_.substr(begin, at_ - begin));
    if (word.empty()) return bad_ = true, ++at_, 0;
    if (std::isdigit(static_cast<unsigned char>(first))) return std::stod(word);
    const auto known = values_.find(word);
    if (known == values_.end()) return bad_ = true, 0;
    return known->second;
  }

  std::string_view text_;
  std::map<std::string, double> values_;
  size_t at_ = 0;
  bool bad_ = false;
};

/// What is counted when a method merges tensors "w" of this shape with its default parameters.
double flops_of_merge(const std::string& ref, const Json& parameters, at::IntArrayRef shape,
                      int experts) {
  std::vector<at::Tensor> models;
  for (int i = 0; i < experts; ++i) models.push_back(noise(shape, static_cast<uint64_t>(i)));
  const int64_t before = counters::flops;
  merge(ref, parameters, one_tensor_inputs(noise(shape, 99), models));
  return static_cast<double>(counters::flops - before);
}

}  // namespace

TEST_CASE("formulas are read as they are written", "[methods][cost]") {
  const std::map<std::string, double> values{{"N", 3}, {"d", 10}, {"m", 4}, {"n", 2}};
  const auto value = [&](std::string_view text) { return Formula(text, values).value(); };
  CHECK(value("N d") == 30.0);
  CHECK(value("(2 N + 1) d") == 70.0);
  CHECK(value("N (4 m n^2 - n^3) + 2 d / m") == 3 * (64.0 - 8) + 5);
  CHECK(value("0") == 0.0);
  CHECK_FALSE(value("7 N d with Task Arithmetic"));
  CHECK_FALSE(value("(N d"));
}

TEST_CASE("every method counts what its formula says", "[methods][cost]") {
  const auto name = GENERATE(from_range(methods().names()));
  CAPTURE(name);
  const MethodInfo& info = methods().at(name, "test").info;
  const auto method = make_method(name, JsonReader(Json::object(), "test"));
  const Needs needs = method->needs();
  // Formulas of methods on data leave out the passes through a network.
  if (needs.calibration_inputs || needs.architecture || info.flops.empty()) return;
  Json parameters = Json::object();
  for (const ParamDoc& parameter : methods().at(name, "test").parameters())
    if (parameter.name == "steps") parameters["steps"] = 40;
  const bool of_matrices = info.flops.find('m') != std::string_view::npos;
  for (const int experts : {std::max(2, needs.min_experts), 4}) {
    if (experts > needs.max_experts) continue;
    for (const int64_t m : {96, 192}) {
      constexpr int64_t kColumns = 48;
      const std::vector<int64_t> shape =
          of_matrices ? std::vector<int64_t>{m, kColumns} : std::vector<int64_t>{m * kColumns};
      const auto expected = Formula(info.flops, {{"N", experts},
                                                 {"d", static_cast<double>(m * kColumns)},
                                                 {"m", static_cast<double>(m)},
                                                 {"n", static_cast<double>(kColumns)},
                                                 {"steps", 40}})
                                .value();
      if (!expected) return;  // it says in words what it depends on
      CAPTURE(info.flops, experts, m);
      CHECK(flops_of_merge(name, parameters, shape, experts) ==
            Approx(*expected).epsilon(.1).margin(1));
    }
  }
}

TEST_CASE("counted operations agree with the cost model", "[methods][cost]") {
  const int n = 3;

  CHECK(flops_per_scalar("average", Json::object(), n) == Approx(n).epsilon(.05));
  CHECK(flops_per_scalar("linear", Json::object(), n) == Approx(n).epsilon(.05));
  CHECK(flops_per_scalar("task_arithmetic", Json::object(), n) == Approx(2 * n + 1).epsilon(.05));
  CHECK(flops_per_scalar("dare", Json::object(), n) == Approx(4 * n + 1).epsilon(.05));
  CHECK(flops_per_scalar("slerp", Json::object(), 2) == Approx(9).epsilon(.05));
  // mergekit's order of ties comes from one pass over the deltas.
  CHECK(flops_per_scalar("ties@mergekit", {{"density", .2}}, n) == Approx(5 * n).epsilon(.05));
  for (const char* ref : {"ties", "ties@tensor"}) {
    INFO(ref);
    const double ties = flops_per_scalar(ref, {{"density", .2}}, n);
    CHECK(ties >= .95 * 6 * n);
    CHECK(ties <= 1.05 * 8 * n);
  }
}

TEST_CASE("work that a configuration leaves out is not counted", "[methods][cost]") {
  // No thresholds to find at density 1, no majority to know with a fixed tie rule.
  const double whole = flops_per_scalar("ties", {{"density", 1}, {"elect.tie", "zero"}}, 3);

  CHECK(whole == 3 * 3 + 1);
  CHECK(flops_per_scalar("dare", {{"drop", 0}}, 3) == 2 * 3 + 1);
  CHECK(flops_per_scalar("linear", {{"weights", {1, 2, 3}}}, 3) == 2 * 3 - 1);
}

TEST_CASE("factorisations by Gram matrices cost no more than the SVDs of the cost model",
          "[methods][cost][spectral]") {
  const int64_t m = 480, n = 48, experts = 3;
  const auto flops = [&](const std::string& ref) {
    std::vector<at::Tensor> models;
    for (uint64_t i = 0; i < experts; ++i) models.push_back(noise({m, n}, i));
    const int64_t before = counters::flops;
    merge(ref, Json::object(), one_tensor_inputs(noise({m, n}, 99), models));
    return static_cast<double>(counters::flops - before);
  };
  constexpr double kSvd = 14.0 * m * n * n;
  // Gram matrix, its vectors, the product with these.
  const auto factors = [](int64_t rows, int64_t columns) {
    return static_cast<double>(4 * rows * columns * columns + 9 * columns * columns * columns);
  };
  const auto polar = [&](int64_t rows) {
    return factors(rows, n) + 2.0 * static_cast<double>(rows) * n * n;
  };
  constexpr double kElements = 1.0 * m * n;

  const double iso = flops("iso_c");
  CHECK(iso == Approx(polar(m) + (2 * experts + 5) * kElements).epsilon(.05));
  CHECK(iso <= 1.05 * kSvd);

  // A third of the singular vectors of each task vector, then all of them.
  constexpr double kLeading = (2 + 2 / 3.0) * m * n * n + 9.0 * n * n * n;
  const double tsv = flops("tsv_m");
  CHECK(tsv == Approx(experts * (kLeading + 2 * kElements) + polar(m) + polar(n) +
                      2 * kElements * n + 4 * kElements)
                   .epsilon(.05));
  CHECK(tsv <= 1.05 * (experts + 1) * kSvd);
}
