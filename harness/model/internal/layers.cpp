#include "harness/model/internal/layers.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <map>

#include "harness/core/error.h"
#include "harness/model/batch_norm.h"
#include "harness/model/observer.h"

namespace assay {
namespace {

const at::Tensor& weight_of(const StateDict& weights, const std::string& name) {
  const auto it = weights.find(name);
  ASSAY_CHECK(it != weights.end(), "no weight '{}'", name);
  return it->second;
}

at::Tensor bias_of(const StateDict& weights, const std::string& name) {
  const auto it = weights.find(name + ".bias");
  return it == weights.end() ? at::Tensor() : it->second;
}

/// [..., width], of the dtype and on the device of `like`.
at::Tensor zeros(at::IntArrayRef shape, int64_t width, const at::Tensor& like) {
  std::vector<int64_t> whole = shape.vec();
  whole.push_back(width);
  return at::zeros(whole, like.options());
}

/// What a convolution to `channels` channels gives, as zeros.
at::Tensor convolved_zeros(const at::Tensor& x, int64_t channels, const ConvolutionWindow& window) {
  std::vector<int64_t> shape{x.size(0), channels};
  for (size_t axis = 0; axis < 2; ++axis) {
    const int64_t span =
        x.size(static_cast<int64_t>(axis) + 2) + 2 * window.padding[axis] - window.kernel[axis];
    shape.push_back(span / window.stride[axis] + 1);
  }
  return at::zeros(shape, x.options());
}

at::Tensor rms_normalize(const at::Tensor& x, double epsilon) {
  return x * at::rsqrt(x.pow(2).mean(-1, true) + epsilon);
}

at::Tensor gelu_tanh(const at::Tensor& x) { return at::gelu(x, "tanh"); }
at::Tensor gelu(const at::Tensor& x) { return at::gelu(x); }
at::Tensor quick_gelu(const at::Tensor& x) { return x * at::sigmoid(1.702 * x); }
at::Tensor squared_relu(const at::Tensor& x) { return at::relu(x).square(); }

const std::map<std::string, Activation>& activations() {
  static const std::map<std::string, Activation> all = {
      {"gelu", gelu},
      {"gelu_accurate", gelu_tanh},
      {"gelu_fast", gelu_tanh},
      {"gelu_new", gelu_tanh},
      {"gelu_python", gelu},
      {"gelu_pytorch_tanh", gelu_tanh},
      {"quick_gelu", quick_gelu},
      {"relu", at::relu},
      {"relu2", squared_relu},
      {"sigmoid", at::sigmoid},
      {"silu", at::silu},
      {"swish", at::silu},
      {"tanh", at::tanh},
  };
  return all;
}

class PlainFeedForward final : public FeedForward {
 public:
  PlainFeedForward(const FeedForwardShape& shape, std::string up, std::string down,
                   LinearLayout layout)
      : shape_(shape), up_(std::move(up)), down_(std::move(down)), layout_(layout) {}

  at::Tensor forward(const StateDict& weights, const at::Tensor& x) const override {
    return linear(weights, down_, shape_.activation(linear(weights, up_, x, layout_)), layout_);
  }
  std::vector<TensorInfo> tensors() const override {
    std::vector<TensorInfo> all;
    add_linear(all, up_, shape_.width, shape_.inner, shape_.bias, layout_);
    add_linear(all, down_, shape_.inner, shape_.width, shape_.bias, layout_);
    return all;
  }

 private:
  FeedForwardShape shape_;
  std::string up_, down_;
  LinearLayout layout_;
};

class GatedFeedForward final : public FeedForward {
 public:
  GatedFeedForward(const FeedForwardShape& shape, std::string gate, std::string up,
                   std::string down)
      : shape_(shape), gate_(std::move(gate)), up_(std::move(up)), down_(std::move(down)) {}

  at::Tensor forward(const StateDict& weights, const at::Tensor& x) const override {
    const at::Tensor gate = shape_.activation(linear(weights, gate_, x));
    return linear(weights, down_, gate * linear(weights, up_, x));
  }
  std::vector<TensorInfo> tensors() const override {
    std::vector<TensorInfo> all;
    add_linear(all, gate_, shape_.width, shape_.inner, shape_.bias);
    add_linear(all, up_, shape_.width, shape_.inner, shape_.bias);
    add_linear(all, down_, shape_.inner, shape_.width, shape_.bias);
    return all;
  }

 private:
  FeedForwardShape shape_;
  std::string gate_, up_, down_;
};

class FusedGatedFeedForward final : public FeedForward {
 public:
  FusedGatedFeedForward(const FeedForwardShape& shape, std::string gate_up, std::string down)
      : shape_(shape), gate_up_(std::move(gate_up)), down_(std::move(down)) {}

  at::Tensor forward(const StateDict& weights, const at::Tensor& x) const override {
    const std::vector<at::Tensor> gate_and_up = linear(weights, gate_up_, x).chunk(2, -1);
    return linear(weights, down_, shape_.activation(gate_and_up[0]) * gate_and_up[1]);
  }
  std::vector<TensorInfo> tensors() const override {
    std::vector<TensorInfo> all;
    add_linear(all, gate_up_, shape_.width, 2 * shape_.inner, shape_.bias);
    add_linear(all, down_, shape_.inner, shape_.width, shape_.bias);
    return all;
  }

 private:
  FeedForwardShape shape_;
  std::string gate_up_, down_;
};

}  // namespace

at::Tensor linear(const StateDict& weights, const std::string& name, const at::Tensor& x,
                  LinearLayout layout) {
  const std::string weight_name = name + ".weight";
  const bool in_out = layout == LinearLayout::kInOut;
  const at::Tensor& weight = weight_of(weights, weight_name);
  const LayerInput input{.weight = weight_name, .x = x, .in_out = in_out};
  LayerObserver* observer = LayerObserver::active();
  if (observer) observer->layer(input);
  const bool shapes_only = observer && observer->shapes_only();
  at::Tensor y = shapes_only ? zeros(x.sizes().slice(0, static_cast<size_t>(x.dim() - 1)),
                                     weight.size(in_out ? 1 : 0), x)
                             : at::linear(x, in_out ? weight.t() : weight, bias_of(weights, name));
  if (observer) observer->output(input, y);
  return y;
}

at::Tensor conv2d(const StateDict& weights, const std::string& name, const at::Tensor& x,
                  const ConvolutionSteps& steps) {
  const std::string weight_name = name + ".weight";
  const at::Tensor& weight = weight_of(weights, weight_name);
  const LayerInput input{.weight = weight_name,
                         .x = x,
                         .kind = LayerKind::kConvolution,
                         .window = {{weight.size(2), weight.size(3)},
                                    steps.stride,
                                    steps.padding,
                                    x.size(1) / weight.size(1)}};
  LayerObserver* observer = LayerObserver::active();
  if (observer) observer->layer(input);
  at::Tensor y = observer && observer->shapes_only()
                     ? convolved_zeros(x, weight.size(0), input.window)
                     : at::conv2d(x, weight, bias_of(weights, name), steps.stride, steps.padding,
                                  /*dilation=*/1, input.window.groups);
  if (observer) observer->output(input, y);
  return y;
}

at::Tensor batch_norm(const StateDict& weights, const std::string& name, const at::Tensor& x,
                      double epsilon) {
  LayerObserver* observer = LayerObserver::active();
  if (observer) observer->batch_norm(name, x);
  // Linked to x, as tracers follow it.
  if (observer && observer->shapes_only()) return x.view(x.sizes());
  const at::Tensor& weight = weight_of(weights, name + ".weight");
  const at::Tensor& bias = weight_of(weights, name + ".bias");
  if (BatchNormByBatch* batch = BatchNormByBatch::active(); batch && !batch->is_fixed(name))
    return batch->normalize(name, x, weight, bias, epsilon);
  // LibTorch's own operator has no gradient for the running moments.
  const at::Tensor& mean = weight_of(weights, name + ".running_mean");
  const at::Tensor scale = weight * at::rsqrt(weight_of(weights, name + ".running_var") + epsilon);
  std::vector<int64_t> channels(static_cast<size_t>(x.dim()), 1);
  channels[1] = -1;
  return at::addcmul((bias - mean * scale).view(channels), x, scale.view(channels));
}

at::Tensor embedding(const StateDict& weights, const std::string& name, const at::Tensor& ids,
                     std::string_view what) {
  const std::string weight_name = name + ".weight";
  const at::Tensor& table = weight_of(weights, weight_name);
  LayerObserver* observer = LayerObserver::active();
  if (observer && observer->shapes_only()) {
    at::Tensor vectors = zeros(ids.sizes(), table.size(1), table);
    observer->embedding(weight_name, vectors);
    return vectors;
  }
  if (ids.numel() > 0) {
    const auto [lowest, highest] = at::aminmax(ids);
    for (const int64_t id : {lowest.item<int64_t>(), highest.item<int64_t>()})
      if (id < 0 || id >= table.size(0))
        user_error("{} {} is outside the model's [0, {})", what, id, table.size(0));
  }
  at::Tensor vectors = at::embedding(table, ids.to(table.device()));
  if (observer) observer->embedding(weight_name, vectors);
  return vectors;
}

at::Tensor normalize(const StateDict& weights, const std::string& name, const at::Tensor& x,
                     NormKind kind, double epsilon) {
  const at::Tensor& weight = weight_of(weights, name + ".weight");
  if (kind == NormKind::kLayer)
    return at::layer_norm(x, {x.size(-1)}, weight, bias_of(weights, name), epsilon);
  const at::ScalarType dtype = at::promoteTypes(x.scalar_type(), at::kFloat);
  const at::Tensor normalized = rms_normalize(x.to(dtype), epsilon);
  if (kind == NormKind::kRms) return weight * normalized.to(x.scalar_type());
  return (normalized * (1.0 + weight.to(dtype))).to(x.scalar_type());
}

Activation activation(const std::string& name, const std::string& where) {
  const auto it = activations().find(name);
  if (it != activations().end()) return it->second;
  std::vector<std::string> known;
  for (const auto& [other, unused] : activations()) known.push_back(other);
  throw UserError(unknown_name("activation", name, where, known));
}

std::unique_ptr<FeedForward> plain_feed_forward(const FeedForwardShape& shape, std::string up,
                                                std::string down, LinearLayout layout) {
  return std::make_unique<PlainFeedForward>(shape, std::move(up), std::move(down), layout);
}

std::unique_ptr<FeedForward> gated_feed_forward(const FeedForwardShape& shape, std::string gate,
                                                std::string up, std::string down) {
  return std::make_unique<GatedFeedForward>(shape, std::move(gate), std::move(up), std::move(down));
}

std::unique_ptr<FeedForward> fused_gated_feed_forward(const FeedForwardShape& shape,
                                                      std::string gate_up, std::string down) {
  return std::make_unique<FusedGatedFeedForward>(shape, std::move(gate_up), std::move(down));
}

void add_linear(std::vector<TensorInfo>& tensors, const std::string& name, int64_t in, int64_t out,
                bool bias, LinearLayout layout) {
  const std::vector<int64_t> shape = layout == LinearLayout::kOutIn ? std::vector<int64_t>{out, in}
                                                                    : std::vector<int64_t>{in, out};
  tensors.push_back({name + ".weight", at::kFloat, shape});
  if (bias) tensors.push_back({name + ".bias", at::kFloat, {out}});
}

void add_conv2d(std::vector<TensorInfo>& tensors, const std::string& name, int64_t in, int64_t out,
                int64_t kernel, bool bias) {
  tensors.push_back({name + ".weight", at::kFloat, {out, in, kernel, kernel}});
  if (bias) tensors.push_back({name + ".bias", at::kFloat, {out}});
}

void add_batch_norm(std::vector<TensorInfo>& tensors, const std::string& name, int64_t channels) {
  for (const char* part : {".weight", ".bias", ".running_mean", ".running_var"})
    tensors.push_back({name + part, at::kFloat, {channels}});
}

void add_norm(std::vector<TensorInfo>& tensors, const std::string& name, int64_t width,
              NormKind kind) {
  tensors.push_back({name + ".weight", at::kFloat, {width}});
  if (kind == NormKind::kLayer) tensors.push_back({name + ".bias", at::kFloat, {width}});
}

void sort_by_name(std::vector<TensorInfo>& tensors) {
  std::sort(tensors.begin(), tensors.end(),
            [](const TensorInfo& a, const TensorInfo& b) { return a.name < b.name; });
}

std::vector<std::string> tensor_names(const std::vector<TensorInfo>& tensors) {
  std::vector<std::string> names;
  for (const TensorInfo& info : tensors) names.push_back(info.name);
  return names;
}

}  // namespace assay
