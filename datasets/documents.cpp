// Texts of Debian packages, in cells (a register in a language) and splits: whole documents, the
// same ones of every language, and without what an earlier split has said.
#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <sstream>
#include <unordered_set>

#include "datasets/document_sources.h"
#include "harness/core/error.h"
#include "harness/core/hash.h"
#include "harness/core/process.h"
#include "harness/core/rng.h"
#include "harness/task/dataset.h"
#include "harness/task/text_converter.h"

namespace assay {
namespace {

constexpr std::array kSplits{Split::kTrain, Split::kValidation, Split::kTest};

struct DocumentOptions {
  uint64_t seed = 0;
  std::array<double, 3> shares{};     // of the documents, by split
  std::array<int64_t, 3> bytes{};     // the most of a cell's split
  int64_t shingle = 0;                // words
  int64_t shortest = 0, longest = 0;  // bytes of a document; longer ones are cut
  int64_t questions = 0, choices = 0, context = 0, continuation = 0;
};

/// What a cell is read from.
struct Source {
  std::string package, path, format, register_name;
};

std::array<Json, 3> by_split(JsonReader json) {
  std::array<Json, 3> values;
  for (const Split split : kSplits)
    values[static_cast<size_t>(split)] = json.at(split_name(split)).json();
  json.finish();
  return values;
}

DocumentOptions document_options(JsonReader& json) {
  DocumentOptions options;
  options.seed = static_cast<uint64_t>(json.at("seed").as_integer());
  const auto shares = by_split(json.at("shares"));
  const auto bytes = by_split(json.at("bytes"));
  for (size_t i = 0; i < kSplits.size(); ++i) {
    options.shares[i] = shares[i].get<double>();
    options.bytes[i] = bytes[i].get<int64_t>();
  }
  options.shingle = json.at("shingle").as_integer();
  options.shortest = json.at("shortest").as_integer();
  options.longest = json.at("longest").as_integer();
  JsonReader questions = json.at("questions");
  options.questions = questions.at("items").as_integer();
  options.choices = questions.at("choices").as_integer();
  options.context = questions.at("context").as_integer();
  options.continuation = questions.at("continuation").as_integer();
  questions.finish();
  return options;
}

std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> words;
  std::istringstream stream(text);
  for (std::string word; stream >> word;) words.push_back(std::move(word));
  return words;
}

/// The word sequences of earlier splits, by hash.
class Shingles {
 public:
  explicit Shingles(int64_t words) : words_(static_cast<size_t>(words)) {}

  bool has_any(const std::string& paragraph) const {
    const auto all = hashes(paragraph);
    return std::any_of(all.begin(), all.end(), [&](uint64_t hash) { return seen_.contains(hash); });
  }
  void add(const std::string& paragraph) {
    for (const uint64_t hash : hashes(paragraph)) seen_.insert(hash);
  }

 private:
  // A shorter paragraph is one sequence by itself.
  std::vector<uint64_t> hashes(const std::string& paragraph) const {
    const std::vector<std::string> words = words_of(paragraph);
    std::vector<uint64_t> all;
    const size_t length = std::min(words_, words.size());
    for (size_t first = 0; length > 0 && first + length <= words.size(); ++first) {
      Hasher hasher;
      for (size_t i = first; i < first + length; ++i) hasher.text(words[i]);
      all.push_back(hasher.low64());
    }
    return all;
  }

  size_t words_;
  std::unordered_set<uint64_t> seen_;
};

std::vector<std::string> paragraphs_of(const std::string& text) {
  std::vector<std::string> all;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find("\n\n", begin), text.size());
    if (end > begin) all.push_back(text.substr(begin, end - begin));
    begin = end + 2;
  }
  return all;
}

/// The first `size` bytes, to the end of a whole paragraph.
std::string shortened(const std::string& text, int64_t size) {
  if (static_cast<int64_t>(text.size()) <= size) return text;
  const size_t end = text.rfind("\n\n", static_cast<size_t>(size));
  return end == std::string::npos ? "" : text.substr(0, end + 2);
}

/// Moves `i` to the beginning of the next word.
size_t next_word(const std::string& text, size_t i) {
  const size_t space = text.find(' ', i);
  return space == std::string::npos ? text.size() : space;
}

class Converter {
 public:
  explicit Converter(const DatasetManifest& manifest) : manifest_(manifest) {
    JsonReader json(manifest.options, fmt::format("dataset '{}': options", manifest.name));
    options_ = document_options(json);
    for (auto& [name, entry] : json.at("cells").entries()) {
      Source source{entry.string("package"), entry.string("path"), entry.string("format"),
                    entry.string("register")};
      if (source.format != "man" && source.format != "sections")
        entry.at("format").fail("expected man or sections");
      entry.finish();
      sources_.emplace(name, std::move(source));
    }
    json.finish();
  }

  std::map<std::string, std::string> convert() {
    const fs::path root = manifest_.folder() / ".unpacked";
    fs::remove_all(root);
    for (const DataFile& file : manifest_.files) {
      fs::create_directories(root / file.package);
      const ProcessResult done = run_process(
          {"dpkg-deb", "-x", manifest_.path(file).string(), (root / file.package).string()});
      if (done.exit_code != 0)
        data_error("dpkg-deb cannot unpack '{}': {}", manifest_.path(file).string(), done.output);
    }
    for (const auto& [cell, source] : sources_) read_cell(cell, source, root);
    fs::remove_all(root);
    Shingles earlier(options_.shingle);
    for (const Split split : kSplits) write_split(split, earlier);
    return std::move(files_);
  }

 private:
  using Cell = std::array<std::vector<Document>, 3>;

  // One document of a register is in the same split in every language.
  Split split_of(const Source& source, const std::string& document) const {
    Rng rng(options_.seed, fmt::format("split of {} {}", source.register_name, document));
    const double drawn = rng.uniform();
    if (drawn < options_.shares[0]) return Split::kTrain;
    return drawn < options_.shares[0] + options_.shares[1] ? Split::kValidation : Split::kTest;
  }

  void read_cell(const std::string& cell, const Source& source, const fs::path& root) {
    const fs::path path = root / source.package / source.path;
    if (!fs::exists(path))
      data_error("dataset '{}': package {} has no '{}'", manifest_.name, source.package,
                 source.path);
    std::vector<Document> documents =
        source.format == "man" ? man_pages(path) : sections(unpacked(path));
    std::sort(documents.begin(), documents.end(),
              [](const Document& a, const Document& b) { return a.name < b.name; });
    const auto order =
        Rng(options_.seed, "order of " + cell).permutation(static_cast<int64_t>(documents.size()));
    for (const int64_t i : order) {
      Document& document = documents[static_cast<size_t>(i)];
      cells_[cell][static_cast<size_t>(split_of(source, document.name))].push_back(
          std::move(document));
    }
  }

  /// Keeps what no earlier split has said, nor an earlier paragraph of this one, up to the bytes.
  void write_split(Split split, Shingles& earlier) {
    const auto index = static_cast<size_t>(split);
    std::set<std::string> said;
    std::vector<std::string> kept_paragraphs;
    for (auto& [cell, splits] : cells_) {
      int64_t left = options_.bytes[index];
      std::vector<Document> kept;
      for (const Document& document : splits[index]) {
        if (left < options_.shortest) break;
        std::string text;
        for (const std::string& paragraph : paragraphs_of(document.text))
          if (!earlier.has_any(paragraph) && !said.contains(paragraph)) text += paragraph + "\n\n";
        text = shortened(text, std::min(left, options_.longest));
        if (static_cast<int64_t>(text.size()) < options_.shortest) continue;
        for (std::string& paragraph : paragraphs_of(text)) {
          said.insert(paragraph);
          kept_paragraphs.push_back(std::move(paragraph));
        }
        left -= static_cast<int64_t>(text.size());
        kept.push_back({document.name, std::move(text)});
      }
      write_texts(fmt::format("{}.{}.jsonl", cell, split_name(split)), kept);
      if (split != Split::kTrain)
        write_questions(fmt::format("{}.next.{}.jsonl", cell, split_name(split)), kept);
    }
    for (const std::string& paragraph : kept_paragraphs) earlier.add(paragraph);
  }

  void write_texts(const std::string& name, const std::vector<Document>& documents) {
    std::string lines;
    for (const Document& document : documents)
      lines += Json{{"document", document.name}, {"text", document.text}}.dump() + "\n";
    files_[name] = lines;
  }

  /// A text up to a word, and how it and other documents go on from a word.
  void write_questions(const std::string& name, const std::vector<Document>& documents) {
    Rng rng(options_.seed, "questions of " + name);
    std::vector<std::string> continuations, contexts, names;
    const int64_t per_document =
        documents.empty() ? 0 : options_.questions / static_cast<int64_t>(documents.size()) + 1;
    for (const Document& document : documents)
      for (int64_t i = 0; i < per_document; ++i) {
        const std::string& text = document.text;
        const int64_t spare =
            static_cast<int64_t>(text.size()) - options_.context - 2 * options_.continuation;
        if (spare <= 0) break;
        const auto start = static_cast<size_t>(options_.context + rng.below(spare));
        const size_t cut = next_word(text, start);
        const size_t end = next_word(text, cut + static_cast<size_t>(options_.continuation));
        size_t begin = next_word(text, cut - std::min(cut, static_cast<size_t>(options_.context)));
        if (begin + 1 >= cut || cut == text.size()) continue;
        contexts.push_back(text.substr(begin + 1, cut - begin - 1));
        continuations.push_back(text.substr(cut + 1, end - cut - 1));
        names.push_back(document.name);
      }
    std::string lines;
    const auto order = rng.permutation(static_cast<int64_t>(contexts.size()));
    int64_t written = 0;
    for (const int64_t place : order) {
      if (written == options_.questions) break;
      const auto item = static_cast<size_t>(place);
      std::vector<std::string> choices = distractors(rng, names, continuations, item);
      if (static_cast<int64_t>(choices.size()) + 1 < options_.choices) continue;
      const int64_t label = rng.below(options_.choices);
      choices.insert(choices.begin() + label, continuations[item]);
      lines += Json{{"document", names[item]},
                    {"context", contexts[item]},
                    {"choices", choices},
                    {"label", label}}
                   .dump() +
               "\n";
      ++written;
    }
    files_[name] = lines;
  }

  std::vector<std::string> distractors(Rng& rng, const std::vector<std::string>& names,
                                       const std::vector<std::string>& continuations,
                                       size_t item) const {
    std::vector<std::string> chosen;
    for (const int64_t other : rng.permutation(static_cast<int64_t>(names.size()))) {
      const std::string& text = continuations[static_cast<size_t>(other)];
      if (names[static_cast<size_t>(other)] == names[item] || text == continuations[item]) continue;
      if (std::find(chosen.begin(), chosen.end(), text) != chosen.end()) continue;
      chosen.push_back(text);
      if (static_cast<int64_t>(chosen.size()) + 1 == options_.choices) break;
    }
    return chosen;
  }

  const DatasetManifest& manifest_;
  DocumentOptions options_;
  std::map<std::string, Source> sources_;
  std::map<std::string, Cell> cells_;
  std::map<std::string, std::string> files_;
};

std::map<std::string, std::string> convert(const DatasetManifest& manifest) {
  return Converter(manifest).convert();
}

ASSAY_TEXT_CONVERTER("documents", convert, "1")

}  // namespace
}  // namespace assay
