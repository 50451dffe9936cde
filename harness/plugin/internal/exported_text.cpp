#include "harness/plugin/internal/exported_text.h"

#include <elf.h>

#include <cstring>

#include "harness/core/error.h"

namespace assay {
namespace {

#if defined(__x86_64__)
constexpr Elf64_Half kMachine = EM_X86_64;
#elif defined(__aarch64__)
constexpr Elf64_Half kMachine = EM_AARCH64;
#endif

/// Every access is checked: the file may be anything.
class Elf {
 public:
  Elf(std::string_view file, const std::string& where) : file_(file), where_(where) {
    if (!file.starts_with(std::string_view(ELFMAG, SELFMAG))) fail("is no shared library");
    header_ = at<Elf64_Ehdr>(0);
    if (header_.e_ident[EI_CLASS] != ELFCLASS64 || header_.e_ident[EI_DATA] != ELFDATA2LSB ||
        header_.e_machine != kMachine)
      fail("is a library of another kind of machine");
    if (header_.e_type != ET_DYN) fail("is an object file or a program, no shared library");
    // The sections' headers are last in a file: one that was cut off lacks some.
    if (header_.e_shoff > file.size() ||
        file.size() - header_.e_shoff < header_.e_shnum * sizeof(Elf64_Shdr))
      fail("is damaged");
  }

  std::optional<std::string> text(std::string_view symbol) const {
    for (uint64_t i = 0; i < header_.e_shnum; ++i) {
      const Elf64_Shdr symbols = section(i);
      if (symbols.sh_type != SHT_DYNSYM) continue;
      const Elf64_Shdr names = section(symbols.sh_link);
      for (uint64_t k = 0; k < symbols.sh_size / sizeof(Elf64_Sym); ++k) {
        const auto entry = at<Elf64_Sym>(symbols.sh_offset + k * sizeof(Elf64_Sym));
        if (entry.st_shndx == SHN_UNDEF || string_at(names.sh_offset + entry.st_name) != symbol)
          continue;
        const Elf64_Shdr holds = section(entry.st_shndx);
        return std::string(string_at(holds.sh_offset + (entry.st_value - holds.sh_addr)));
      }
    }
    return std::nullopt;
  }

 private:
  [[noreturn]] void fail(const char* problem) const { user_error("{} {}", where_, problem); }

  template <typename T>
  T at(uint64_t offset) const {
    T value;
    if (offset > file_.size() || file_.size() - offset < sizeof value) fail("is damaged");
    std::memcpy(&value, file_.data() + offset, sizeof value);
    return value;
  }

  Elf64_Shdr section(uint64_t index) const {
    return at<Elf64_Shdr>(header_.e_shoff + index * sizeof(Elf64_Shdr));
  }

  std::string_view string_at(uint64_t offset) const {
    if (offset >= file_.size()) fail("is damaged");
    const size_t end = file_.find('\0', offset);
    if (end == std::string_view::npos) fail("is damaged");
    return file_.substr(offset, end - offset);
  }

  std::string_view file_;
  const std::string& where_;
  Elf64_Ehdr header_{};
};

}  // namespace

std::optional<std::string> exported_text(std::string_view file, std::string_view symbol,
                                         const std::string& where) {
  return Elf(file, where).text(symbol);
}

}  // namespace assay
