#include "harness/checkpoint/internal/pickle.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "harness/checkpoint/tensors.h"
#include "harness/core/error.h"

namespace assay {
namespace {

constexpr int64_t kMaxDims = 64;

std::optional<at::ScalarType> storage_dtype(std::string_view name) {
  static const std::map<std::string_view, at::ScalarType> dtypes = {
      {"torch FloatStorage", at::kFloat}, {"torch DoubleStorage", at::kDouble},
      {"torch HalfStorage", at::kHalf},   {"torch BFloat16Storage", at::kBFloat16},
      {"torch LongStorage", at::kLong},   {"torch IntStorage", at::kInt},
      {"torch ShortStorage", at::kShort}, {"torch CharStorage", at::kChar},
      {"torch ByteStorage", at::kByte},   {"torch BoolStorage", at::kBool}};
  const auto found = dtypes.find(name);
  return found == dtypes.end() ? std::nullopt : std::optional(found->second);
}

bool is_understood(std::string_view name) {
  static constexpr std::string_view kNames[] = {
      "collections OrderedDict", "torch Size", "torch._utils _rebuild_tensor",
      "torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_parameter"};
  return storage_dtype(name) ||
         std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

/// The product, or -1 where it does not fit or a factor is negative.
int64_t product(const std::vector<int64_t>& factors) {
  int64_t all = 1;
  for (const int64_t factor : factors)
    if (factor < 0 || __builtin_mul_overflow(all, factor, &all)) return -1;
  return all;
}

/// The place after the last element that the tensor reaches, or -1 where it does not fit.
int64_t end_of(const PickledTensor& tensor) {
  int64_t last = tensor.offset;
  for (size_t i = 0; i < tensor.shape.size(); ++i) {
    int64_t span = 0;
    if (tensor.shape[i] == 0) return 0;
    if (__builtin_mul_overflow(tensor.shape[i] - 1, tensor.strides[i], &span) ||
        __builtin_add_overflow(last, span, &last))
      return -1;
  }
  return last + 1;
}

}  // namespace

int64_t PickledTensor::numel() const { return product(shape); }

bool PickledTensor::contiguous() const {
  int64_t expected = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    if (shape[i] != 1 && strides[i] != expected) return false;
    expected *= shape[i];
  }
  return true;
}

PickleReader::PickleReader(std::string_view bytes, std::string where)
    : bytes_(bytes), where_(std::move(where)) {}

void PickleReader::fail(std::string_view what) const {
  data_error("{}: the pickle at byte {}: {}", where_, at_, what);
}

std::string_view PickleReader::take(size_t count) {
  if (count > bytes_.size() - at_) fail("it ends in the middle");
  const std::string_view taken = bytes_.substr(at_, count);
  at_ += count;
  return taken;
}

std::string_view PickleReader::line() {
  const size_t end = bytes_.find('\n', at_);
  if (end == std::string_view::npos) fail("it ends in the middle");
  const std::string_view text = take(end - at_);
  take(1);
  return text;
}

uint64_t PickleReader::number(size_t bytes) {
  const std::string_view taken = take(bytes);
  uint64_t value = 0;
  for (size_t i = 0; i < bytes; ++i)
    value |= static_cast<uint64_t>(static_cast<unsigned char>(taken[i])) << (8 * i);
  return value;
}

PickleNode& PickleReader::make(Kind kind) {
  PickleNode& node = nodes_.emplace_back();
  node.kind = kind;
  return node;
}

void PickleReader::push_text(std::string_view text) {
  PickleNode& node = make(Kind::kText);
  node.text = text;
  push(node);
}

void PickleReader::push_integer(int64_t value) {
  PickleNode& node = make(Kind::kNumber);
  node.integer = value;
  push(node);
}

void PickleReader::push_global(std::string_view module, std::string_view name) {
  const std::string text = fmt::format("{} {}", module, name);
  if (!is_understood(text))
    data_error(
        "{}: the pickle names '{}.{}', and reading it would run code: only plain tensors in "
        "dictionaries are read; save the state_dict() alone, or as safetensors",
        where_, module.substr(0, 100), name.substr(0, 100));
  PickleNode& node = make(Kind::kGlobal);
  node.text = text;
  push(node);
}

PickleNode& PickleReader::top() {
  if (stack_.empty() || (!marks_.empty() && marks_.back() >= stack_.size()))
    fail("it takes a value that is not there");
  return *stack_.back();
}

PickleNode& PickleReader::pop() {
  PickleNode& node = top();
  stack_.pop_back();
  return node;
}

std::vector<const PickleNode*> PickleReader::pop_to_mark() {
  if (marks_.empty()) fail("it takes values up to a mark that is not there");
  const auto first = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
  std::vector<const PickleNode*> items(first, stack_.end());
  stack_.erase(first, stack_.end());
  marks_.pop_back();
  return items;
}

void PickleReader::recall(uint64_t key) {
  const auto found = memo_.find(key);
  if (found == memo_.end()) fail("it refers to a value that is not there");
  push(*found->second);
}

void PickleReader::push_list(std::vector<const PickleNode*> items) {
  PickleNode& node = make(Kind::kList);
  node.items = std::move(items);
  push(node);
}

void PickleReader::push_dict(std::vector<const PickleNode*> items) {
  if (items.size() % 2 != 0) fail("a dictionary has a key without a value");
  PickleNode& node = make(Kind::kDict);
  node.items = std::move(items);
  push(node);
}

void PickleReader::append(Kind kind, const std::vector<const PickleNode*>& items) {
  PickleNode& node = top();
  if (node.kind != kind || (kind == Kind::kDict && items.size() % 2 != 0))
    fail("it adds to a value that cannot take it");
  node.items.insert(node.items.end(), items.begin(), items.end());
}

/// ("storage", type, key, device, elements), and what legacy files say of views.
void PickleReader::storage() {
  const PickleNode& id = pop();
  const auto& items = id.items;
  if (id.kind != Kind::kList || items.size() < 5 || items[0]->text != "storage" ||
      items[1]->kind != Kind::kGlobal || items[2]->kind != Kind::kText ||
      items[4]->kind != Kind::kNumber || items[4]->integer < 0)
    fail("it refers to something that is no storage of a tensor");
  if (items.size() > 5 && items[5]->kind != Kind::kNone) fail("it has a storage within another");
  const auto dtype = storage_dtype(items[1]->text);
  if (!dtype) fail(fmt::format("'{}' is no type of a storage", items[1]->text));
  PickleNode& node = make(Kind::kStorage);
  node.tensor.dtype = *dtype;
  node.tensor.storage = items[2]->text;
  node.tensor.storage_numel = items[4]->integer;
  storages_.emplace(node.tensor.storage, *dtype);
  push(node);
}

/// (storage, offset, shape, strides, ...)
PickleNode& PickleReader::rebuilt_tensor(const PickleNode& arguments) {
  const auto& items = arguments.items;
  if (items.size() < 4 || items[0]->kind != Kind::kStorage || items[1]->kind != Kind::kNumber ||
      items[2]->kind != Kind::kList || items[3]->kind != Kind::kList)
    fail("it has a tensor of unknown form");
  PickleNode& node = make(Kind::kTensor);
  PickledTensor& tensor = node.tensor;
  tensor = items[0]->tensor;
  tensor.offset = items[1]->integer;
  const auto sizes = [&](const PickleNode& list) {
    std::vector<int64_t> all;
    for (const PickleNode* size : list.items) {
      if (size->kind != Kind::kNumber || size->integer < 0) fail("a tensor has a negative size");
      all.push_back(size->integer);
    }
    return all;
  };
  tensor.shape = sizes(*items[2]);
  tensor.strides = sizes(*items[3]);
  const int64_t numel = tensor.numel();
  if (tensor.shape.size() != tensor.strides.size() || tensor.shape.size() > kMaxDims ||
      tensor.offset < 0 || numel < 0)
    fail("it has a tensor of impossible shape");
  const int64_t end = end_of(tensor);
  if (end < 0 || end > tensor.storage_numel || numel > tensor.storage_numel)
    fail(fmt::format("a tensor of shape {} reaches beyond its storage of {} elements",
                     shape_text(tensor.shape), tensor.storage_numel));
  return node;
}

void PickleReader::reduce() {
  const PickleNode& arguments = pop();
  const PickleNode& called = pop();
  if (called.kind != Kind::kGlobal || arguments.kind != Kind::kList)
    fail("it calls what is no function");
  const auto& items = arguments.items;
  if (called.text.starts_with("torch._utils _rebuild_tensor")) {
    push(rebuilt_tensor(arguments));
  } else if (called.text == "torch._utils _rebuild_parameter") {
    if (items.empty() || items[0]->kind != Kind::kTensor)
      fail("it has a parameter of unknown form");
    PickleNode& node = make(Kind::kTensor);
    node.tensor = items[0]->tensor;
    push(node);
  } else if (called.text == "torch Size") {
    push_list(items.empty() ? items : items[0]->items);
  } else if (called.text == "collections OrderedDict") {
    std::vector<const PickleNode*> pairs;
    if (!items.empty())
      for (const PickleNode* pair : items[0]->items) {
        if (pair->items.size() != 2) fail("a dictionary has a key without a value");
        pairs.insert(pairs.end(), pair->items.begin(), pair->items.end());
      }
    push_dict(std::move(pairs));
  } else {
    fail(fmt::format("it calls '{}'", called.text));
  }
}

/// Attributes of a state dict ("_metadata"), which are no tensors.
void PickleReader::build() {
  pop();
  if (top().kind != Kind::kDict) fail("it sets attributes of a value that is no dictionary");
}

bool PickleReader::step_container(unsigned char opcode) {
  switch (opcode) {
    case '(':
      marks_.push_back(stack_.size());
      return true;
    case ')':
    case ']':
      push_list({});
      return true;
    case 't':
    case 'l':
      push_list(pop_to_mark());
      return true;
    case 0x85:
    case 0x86:
    case 0x87: {
      std::vector<const PickleNode*> items;
      for (int i = 0; i < opcode - 0x84; ++i) items.insert(items.begin(), &pop());
      push_list(std::move(items));
      return true;
    }
    case '}':
      push_dict({});
      return true;
    case 'd':
      push_dict(pop_to_mark());
      return true;
    case 'a': {
      const PickleNode& item = pop();
      append(Kind::kList, {&item});
      return true;
    }
    case 'e':
      append(Kind::kList, pop_to_mark());
      return true;
    case 's': {
      const PickleNode& value = pop();
      const PickleNode& key = pop();
      append(Kind::kDict, {&key, &value});
      return true;
    }
    case 'u':
      append(Kind::kDict, pop_to_mark());
      return true;
    default:
      return false;
  }
}

bool PickleReader::step_plain(unsigned char opcode) {
  switch (opcode) {
    case 'N':
      push(make(Kind::kNone));
      return true;
    case 0x88:
    case 0x89:
      push_integer(opcode == 0x88 ? 1 : 0);
      return true;
    case 'J':
      push_integer(static_cast<int32_t>(number(4)));
      return true;
    case 'K':
      push_integer(static_cast<int64_t>(number(1)));
      return true;
    case 'M':
      push_integer(static_cast<int64_t>(number(2)));
      return true;
    case 0x8a: {  // a long integer: the lowest byte first, with a sign
      const std::string_view digits = take(number(1));
      if (digits.size() > sizeof(int64_t)) {
        push_text(digits);
      } else {
        uint64_t value = !digits.empty() && (digits.back() & 0x80) ? ~uint64_t{0} : 0;
        std::memcpy(&value, digits.data(), digits.size());
        push_integer(static_cast<int64_t>(value));
      }
      return true;
    }
    case 'G':
      take(sizeof(double));
      push_integer(0);
      return true;
    case 'X':
    case 'T':
    case 'B':
      push_text(take(number(4)));
      return true;
    case 0x8c:
    case 'U':
    case 'C':
      push_text(take(number(1)));
      return true;
    default:
      return false;
  }
}

bool PickleReader::step() {
  const size_t start = at_;
  const auto opcode = static_cast<unsigned char>(take(1)[0]);
  if (step_plain(opcode) || step_container(opcode)) return true;
  switch (opcode) {
    case 0x80:
      take(1);  // the protocol
      return true;
    case 0x95:
      take(8);  // the length of a frame, for reading ahead
      return true;
    case 'q':
      remember(number(1));
      return true;
    case 'r':
      remember(number(4));
      return true;
    case 0x94:
      remember(memo_.size());
      return true;
    case 'h':
      recall(number(1));
      return true;
    case 'j':
      recall(number(4));
      return true;
    case '0':
      pop();
      return true;
    case '1':
      pop_to_mark();
      return true;
    case 'c': {
      const std::string_view module = line();
      push_global(module, line());
      return true;
    }
    case 0x93: {
      const std::string name = pop().text;
      push_global(pop().text, name);
      return true;
    }
    case 'R':
    case 0x81:
      reduce();
      return true;
    case 'b':
      build();
      return true;
    case 'Q':
      storage();
      return true;
    case '.':
      return false;
    default:
      at_ = start;
      fail(fmt::format("its opcode {:#04x} is not understood", opcode));
  }
}

const PickleNode& PickleReader::next() {
  stack_.clear();
  marks_.clear();
  memo_.clear();
  while (step()) {
  }
  return pop();
}

std::vector<PickledTensor> pickled_state_dict(const PickleNode& root, const std::string& where) {
  using Kind = PickleNode::Kind;
  const auto is_state_dict = [](const PickleNode& node) {
    if (node.kind != Kind::kDict) return false;
    for (size_t i = 1; i < node.items.size(); i += 2)
      if (node.items[i]->kind == Kind::kTensor) return true;
    return false;
  };
  const PickleNode* dict = is_state_dict(root) ? &root : nullptr;
  if (!dict && root.kind == Kind::kDict) {
    std::map<std::string, const PickleNode*> found;
    for (size_t i = 0; i < root.items.size(); i += 2)
      if (is_state_dict(*root.items[i + 1])) found[root.items[i]->text] = root.items[i + 1];
    for (const char* usual : {"state_dict", "model"})
      if (!dict && found.contains(usual)) dict = found.at(usual);
    if (!dict && found.size() == 1) dict = found.begin()->second;
    if (!dict && !found.empty())
      data_error("{}: it has {} dictionaries of tensors, '{}' and others: save the one state dict",
                 where, found.size(), found.begin()->first);
  }
  if (!dict) data_error("{}: it holds no state dict: a dictionary of tensors by name", where);

  std::vector<PickledTensor> tensors;
  for (size_t i = 0; i < dict->items.size(); i += 2) {
    if (dict->items[i + 1]->kind != Kind::kTensor) continue;
    if (dict->items[i]->kind != Kind::kText)
      data_error("{}: a tensor has a name that is no text", where);
    tensors.push_back(dict->items[i + 1]->tensor);
    tensors.back().name = dict->items[i]->text;
  }
  constexpr std::string_view kParallel = "module.";
  if (std::all_of(tensors.begin(), tensors.end(),
                  [&](const PickledTensor& tensor) { return tensor.name.starts_with(kParallel); }))
    for (PickledTensor& tensor : tensors) tensor.name.erase(0, kParallel.size());
  std::sort(tensors.begin(), tensors.end(),
            [](const PickledTensor& a, const PickledTensor& b) { return a.name < b.name; });
  for (size_t i = 1; i < tensors.size(); ++i)
    if (tensors[i - 1].name == tensors[i].name)
      data_error("{}: the tensor '{}' is there twice", where, tensors[i].name);
  return tensors;
}

}  // namespace assay
