#include "harness/core/yaml.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <map>
#include <sstream>

#include "harness/core/error.h"
#include "harness/core/text_encoding.h"

namespace assay {
namespace {

constexpr size_t kMaxBytes = size_t{1} << 20;
constexpr size_t kMaxLevels = 32;
constexpr size_t kMaxNodes = 20'000;

size_t count_nodes(const YamlNode& node) {
  size_t count = 1;
  for (const YamlNode& item : node.items) count += count_nodes(item);
  for (const YamlEntry& entry : node.entries) count += 1 + count_nodes(entry.value);
  return count;
}

size_t levels(const YamlNode& node) {
  size_t deepest = 0;
  for (const YamlNode& item : node.items) deepest = std::max(deepest, levels(item));
  for (const YamlEntry& entry : node.entries) deepest = std::max(deepest, levels(entry.value));
  return deepest + 1;
}

/// Builds the tree from the parser's events, within the limits.
class Builder : public YAML::EventHandler {
 public:
  explicit Builder(const std::string& where) : where_(where) {}

  YamlNode take() { return std::move(root_); }
  int line() const { return line_; }

  void OnDocumentStart(const YAML::Mark& mark) override { see(mark); }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    see(mark);
    add(node(YamlNode::Kind::kNull), anchor);
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    see(mark);
    YamlNode scalar = node(YamlNode::Kind::kScalar);
    scalar.text = value;
    scalar.quoted = tag != "?";
    if (tag.size() > 1 && tag.front() == '!') scalar.tag = tag;
    add(std::move(scalar), anchor);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    see(mark);
    const auto known = anchors_.find(anchor);
    if (known == anchors_.end()) fail("an alias refers to a node that contains it");
    count(count_nodes(known->second));
    if (open_.size() + levels(known->second) > kMaxLevels) too_deep();
    place(known->second);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    start(mark, YamlNode::Kind::kList, anchor);
  }
  void OnSequenceEnd() override { end(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    start(mark, YamlNode::Kind::kMap, anchor);
  }
  void OnMapEnd() override { end(); }

 private:
  struct Open {
    YamlNode node;
    YAML::anchor_t anchor;
    bool has_key = false;
  };

  [[noreturn]] void fail(const std::string& message) const {
    user_error("{}:{}: {}", where_, line_, message);
  }
  [[noreturn]] void too_deep() const {
    fail(fmt::format("more than {} levels of nesting", kMaxLevels));
  }
  void see(const YAML::Mark& mark) { line_ = mark.line + 1; }
  YamlNode node(YamlNode::Kind kind) const {
    YamlNode made;
    made.kind = kind;
    made.line = line_;
    return made;
  }
  void count(size_t nodes) {
    nodes_ += nodes;
    if (nodes_ > kMaxNodes)
      fail(fmt::format("more than {} nodes, aliases counted as often as they are used", kMaxNodes));
  }
  void start(const YAML::Mark& mark, YamlNode::Kind kind, YAML::anchor_t anchor) {
    see(mark);
    count(1);
    if (open_.size() >= kMaxLevels) too_deep();
    open_.push_back({node(kind), anchor});
  }
  void end() {
    Open closed = std::move(open_.back());
    open_.pop_back();
    if (closed.anchor) anchors_[closed.anchor] = closed.node;
    closed.node.anchored = closed.anchor != 0;
    place(std::move(closed.node));
  }
  void add(YamlNode made, YAML::anchor_t anchor) {
    count(1);
    if (anchor) anchors_[anchor] = made;
    made.anchored = anchor != 0;
    place(std::move(made));
  }
  void place(YamlNode made) {
    if (open_.empty()) {
      root_ = std::move(made);
      return;
    }
    Open& parent = open_.back();
    std::vector<YamlEntry>& entries = parent.node.entries;
    if (parent.node.is_list()) {
      parent.node.items.push_back(std::move(made));
    } else if (parent.has_key) {
      entries.back().value = std::move(made);
      parent.has_key = false;
    } else {
      if (!made.is_scalar()) fail("a key must be text, found " + yaml_found(made));
      if (made.text == "<<" && !made.quoted) fail("merge keys ('<<') are not supported");
      if (parent.node.find(made.text))
        fail(fmt::format("the key '{}' appears twice in one map", made.text));
      entries.push_back({made.text, made.line, {}});
      entries.back().value.line = made.line;
      parent.has_key = true;
    }
  }

  const std::string& where_;
  YamlNode root_;
  std::vector<Open> open_;
  std::map<YAML::anchor_t, YamlNode> anchors_;
  size_t nodes_ = 0;
  int line_ = 1;
};

}  // namespace

const YamlNode* YamlNode::find(std::string_view key) const {
  const auto it = std::find_if(entries.begin(), entries.end(),
                               [&](const YamlEntry& entry) { return entry.key == key; });
  return it == entries.end() ? nullptr : &it->value;
}

YamlNode parse_yaml(std::string_view text, const std::string& where) {
  if (text.size() > kMaxBytes)
    user_error("{}: {} bytes of YAML, at most {} are read", where, text.size(), kMaxBytes);
  if (const std::string problem = encoding_problem(text); !problem.empty())
    user_error("{}: {}", where, problem);
  Builder builder(where);
  try {
    std::istringstream in{std::string(without_byte_order_mark(text))};
    YAML::Parser parser(in);
    parser.HandleNextDocument(builder);
    YamlNode root = builder.take();
    if (parser.HandleNextDocument(builder))
      user_error("{}:{}: a second document begins; one file holds one", where, builder.line());
    return root;
  } catch (const YAML::Exception& error) {
    user_error("{}:{}: not valid YAML: {}", where,
               error.mark.is_null() ? builder.line() : error.mark.line + 1, error.msg);
  }
}

std::string yaml_found(const YamlNode& node) {
  switch (node.kind) {
    case YamlNode::Kind::kNull:
      return "nothing";
    case YamlNode::Kind::kList:
      return fmt::format("a list of {}", node.items.size());
    case YamlNode::Kind::kMap:
      return "a map";
    case YamlNode::Kind::kScalar:
      break;
  }
  constexpr size_t kMaxShown = 80;
  return node.text.size() <= kMaxShown ? fmt::format("'{}'", node.text)
                                       : fmt::format("'{}...'", node.text.substr(0, kMaxShown));
}

}  // namespace assay
