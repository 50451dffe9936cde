#include "harness/tokenizer/hf_json/added_tokens.h"

#include <algorithm>

#include "harness/core/error.h"
#include "harness/tokenizer/utf8.h"

namespace assay {
namespace {

bool ends_with_word(std::string_view text) {
  if (text.empty()) return false;
  size_t begin = previous_char(text, text.size());
  return is_word(next_char(text, begin));
}

bool begins_with_word(std::string_view text) {
  size_t begin = 0;
  return !text.empty() && is_word(next_char(text, begin));
}

size_t trim_space_before(std::string_view text, size_t end, size_t begin_limit) {
  while (end > begin_limit) {
    const size_t begin = previous_char(text, end);
    size_t i = begin;
    if (!is_white_space(next_char(text, i))) break;
    end = begin;
  }
  return end;
}

size_t skip_space(std::string_view text, size_t begin) {
  while (begin < text.size()) {
    size_t end = begin;
    if (!is_white_space(next_char(text, end))) break;
    begin = end;
  }
  return begin;
}

}  // namespace

TokenId read_token_id(const JsonReader& json) {
  const int64_t id = json.as_integer();
  if (id < 0 || id > INT32_MAX) json.fail("expected an id");
  return static_cast<TokenId>(id);
}

AddedToken AddedToken::read(JsonReader json) {
  AddedToken token{.id = read_token_id(json.at("id")), .content = json.string("content")};
  token.special = json.boolean("special", false);
  token.single_word = json.boolean("single_word", false);
  token.left_strip = json.boolean("lstrip", false);
  token.right_strip = json.boolean("rstrip", false);
  token.normalized = json.boolean("normalized", !token.special);
  return token;
}

void AddedTokens::add(const AddedToken& token, bool overwrite) {
  if (token.content.empty()) return;
  if (const auto known = by_content_.find(token.content); known != by_content_.end()) {
    AddedToken& there = tokens_[known->second];
    const TokenId id = there.id;
    if (overwrite) there = token;
    there.id = id;
    return;
  }
  by_content_.emplace(token.content, tokens_.size());
  by_id_.emplace(token.id, tokens_.size());
  tokens_.push_back(token);
}

bool AddedTokens::make_special(std::string_view content) {
  const auto known = by_content_.find(content);
  if (known != by_content_.end()) tokens_[known->second].special = true;
  return known != by_content_.end();
}

void AddedTokens::prepare(const Normalizer* normalizer) {
  for (size_t i = 0; i < tokens_.size(); ++i) {
    const AddedToken& token = tokens_[i];
    NormalText content{token.content, false};
    if (token.normalized && normalizer) normalizer->apply(content);
    if (content.text.empty()) continue;
    (token.normalized ? normal_ : raw_).insert(content.text, static_cast<int32_t>(i));
    (token.normalized ? any_normal_ : any_raw_) = true;
  }
}

std::vector<AddedTokens::Part> AddedTokens::split(std::string_view text, bool normalized) const {
  const ByteTrie& trie = normalized ? normal_ : raw_;
  StepLimit limit(text.size());
  std::vector<Part> parts;
  size_t done = 0;
  const bool any = normalized ? any_normal_ : any_raw_;
  for (size_t at = 0; any && at < text.size(); ++at) {
    if (!trie.begins(text[at])) continue;
    const auto match = trie.longest(text.substr(at), limit);
    if (!match) continue;
    const AddedToken& token = tokens_[static_cast<size_t>(match->number)];
    size_t begin = at, end = at + match->length;
    at = end - 1;
    if (token.single_word &&
        (ends_with_word(text.substr(0, begin)) || begins_with_word(text.substr(end))))
      continue;
    if (token.left_strip) begin = trim_space_before(text, begin, done);
    if (token.right_strip) end = skip_space(text, std::max(end, done));
    begin = std::max(begin, done);
    if (begin > done) parts.push_back({done, begin, nullptr});
    parts.push_back({begin, end, &token});
    done = std::max(end, done);
  }
  if (done < text.size()) parts.push_back({done, text.size(), nullptr});
  return parts;
}

const AddedToken* AddedTokens::find(std::string_view content) const {
  const auto found = by_content_.find(content);
  return found == by_content_.end() ? nullptr : &tokens_[found->second];
}

const AddedToken* AddedTokens::find(TokenId id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : &tokens_[found->second];
}

}  // namespace assay
