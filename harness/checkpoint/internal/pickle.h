/// Python pickles as PyTorch writes them, read as data: nothing is imported or called. Understood
/// are plain values, lists, tuples, dictionaries, and the few names by which torch.save() describes
/// tensors. Every other name is refused.
#pragma once

#include <c10/core/ScalarType.h>

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace assay {

/// A tensor as a pickle describes it: a view of a storage, whose bytes are elsewhere.
struct PickledTensor {
  std::string name{};  ///< in the state dict
  at::ScalarType dtype{};
  std::string storage{};                    ///< its key
  int64_t storage_numel = 0;                ///< elements
  int64_t offset = 0;                       ///< of the first element
  std::vector<int64_t> shape{}, strides{};  ///< of elements; both not negative

  int64_t numel() const;
  /// In row-major order without gaps.
  bool contiguous() const;
};

/// A value of a pickle.
struct PickleNode {
  enum class Kind {
    kNone,
    kNumber,  ///< integer, truth value or float; `integer` is 0 for those that are none
    kText,    ///< text, or the bytes of a long integer
    kList,    ///< list or tuple
    kDict,    ///< `items`: key, value, key, value
    kGlobal,  ///< `text`: "module name"
    kStorage,
    kTensor
  };
  Kind kind = Kind::kNone;
  int64_t integer = 0;
  std::string text{};
  std::vector<const PickleNode*> items{};
  PickledTensor tensor{};  ///< of a storage: dtype, key and size
};

/// Reads the pickles that follow one another at the beginning of `bytes`.
class PickleReader {
 public:
  /// `where` names the file in messages. `bytes` outlive the reader.
  PickleReader(std::string_view bytes, std::string where);

  /// The next pickle, which lives as long as the reader. DataError where the bytes are no pickle,
  /// or one of anything but what is understood; the message has the name that is refused.
  const PickleNode& next();
  /// The first byte after it.
  size_t position() const { return at_; }
  /// The dtypes of all storages that were named so far, by key.
  const std::map<std::string, at::ScalarType>& storages() const { return storages_; }

 private:
  using Kind = PickleNode::Kind;
  [[noreturn]] void fail(std::string_view what) const;
  std::string_view take(size_t count);
  std::string_view line();
  uint64_t number(size_t bytes);
  PickleNode& make(Kind kind);
  void push(PickleNode& node) { stack_.push_back(&node); }
  void push_text(std::string_view text);
  void push_integer(int64_t value);
  void push_global(std::string_view module, std::string_view name);
  PickleNode& pop();
  PickleNode& top();
  /// What was pushed since the last mark, which goes too.
  std::vector<const PickleNode*> pop_to_mark();
  void remember(uint64_t key) { memo_[key] = &top(); }
  void recall(uint64_t key);
  void push_list(std::vector<const PickleNode*> items);
  void push_dict(std::vector<const PickleNode*> items);
  void append(Kind kind, const std::vector<const PickleNode*>& items);
  void reduce();
  void build();
  void storage();
  PickleNode& rebuilt_tensor(const PickleNode& arguments);
  /// False at the end of the pickle.
  bool step();
  bool step_container(unsigned char opcode);
  bool step_plain(unsigned char opcode);

  std::string_view bytes_;
  std::string where_;
  size_t at_ = 0;
  std::deque<PickleNode> nodes_;
  std::vector<PickleNode*> stack_;
  std::vector<size_t> marks_;
  std::map<uint64_t, PickleNode*> memo_;
  std::map<std::string, at::ScalarType> storages_;
};

/// The tensors of a state dict, in name order: of `root` itself, or of the one dictionary of
/// tensors in it ("state_dict", "model"; of several the first of these). The prefix "module." that
/// data-parallel training gives all names is left out. DataError where there is none.
std::vector<PickledTensor> pickled_state_dict(const PickleNode& root, const std::string& where);

}  // namespace assay
