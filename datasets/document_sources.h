/// Documents of Debian packages: manual pages, and the sections of books in plain text.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace assay {

struct Document {
  std::string name, text;
};

/// The file's text, unpacked where it is gzip; empty when it is no UTF-8.
std::string unpacked(const std::filesystem::path& path);

/// The manual pages below a folder; a page that only names another one has no text of its own.
std::vector<Document> man_pages(const std::filesystem::path& root);

/// The sections of a book in plain text. A table of contents has headings too: of two sections with
/// one number the longer one is it.
std::vector<Document> sections(const std::string& book);

}  // namespace assay
