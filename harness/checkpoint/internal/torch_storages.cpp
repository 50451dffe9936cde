#include "harness/checkpoint/internal/torch_storages.h"

#include <zip.h>

#include <cstring>
#include <mutex>

#include "harness/checkpoint/mapped_file.h"
#include "harness/core/error.h"

namespace assay {
namespace {

/// PREFIX/data.pkl, and PREFIX/data/KEY for every storage, none of them compressed.
class ZipStorages final : public TorchStorages {
 public:
  explicit ZipStorages(const std::filesystem::path& path) : path_(path.string()), file_(path) {
    zip_error_t error;
    zip_error_init(&error);
    zip_source_t* source =
        zip_source_buffer_create(file_.bytes().data(), file_.bytes().size(), 0, &error);
    if (source) archive_.reset(zip_open_from_source(source, ZIP_RDONLY, &error));
    const std::string message = zip_error_strerror(&error);
    zip_error_fini(&error);
    if (!archive_) {
      if (source) zip_source_free(source);
      data_error("{}: not a complete archive of PyTorch: {}", path_, message);
    }
    find_prefix();
  }

  std::vector<PickledTensor> tensors() const override {
    const Entry pickle = entry("data.pkl");
    std::string text(pickle.bytes, '\0');
    read(pickle, 0, text.size(), text.data());
    PickleReader reader(text, path_);
    return pickled_state_dict(reader.next(), path_);
  }
  uint64_t bytes(const std::string& key) const override { return entry("data/" + key).bytes; }
  void read(const std::string& key, uint64_t first, uint64_t count, char* to) const override {
    read(entry("data/" + key), first, count, to);
  }

 private:
  struct Entry {
    zip_uint64_t index;
    uint64_t bytes;
  };

  /// The archive's own name, which all entries begin with. TorchScript has code besides.
  void find_prefix() {
    constexpr std::string_view kPickle = "data.pkl";
    bool found = false;
    for (zip_int64_t i = 0; i < zip_get_num_entries(archive_.get(), 0); ++i) {
      const char* name = zip_get_name(archive_.get(), static_cast<zip_uint64_t>(i), ZIP_FL_ENC_RAW);
      if (!name || !std::string_view(name).ends_with(kPickle)) continue;
      prefix_ = std::string_view(name).substr(0, std::strlen(name) - kPickle.size());
      found = prefix_.empty() || prefix_.ends_with('/');
      if (found) break;
    }
    if (!found) data_error("{}: the archive has no data.pkl: torch.save() did not write it", path_);
    if (has("code/") || has("constants.pkl"))
      data_error("{}: it is a TorchScript program: save its state_dict() instead", path_);
    if (!has("byteorder")) return;
    const Entry order = entry("byteorder");
    std::string text(std::min<uint64_t>(order.bytes, 16), '\0');
    read(order, 0, text.size(), text.data());
    if (text != "little") data_error("{}: its numbers are of the byte order '{}'", path_, text);
  }
  bool has(const std::string& name) const {
    return zip_name_locate(archive_.get(), (prefix_ + name).c_str(), ZIP_FL_ENC_RAW) >= 0;
  }
  Entry entry(const std::string& name) const {
    const std::lock_guard lock(mutex_);
    zip_stat_t stat;
    zip_stat_init(&stat);
    if (zip_stat(archive_.get(), (prefix_ + name).c_str(), ZIP_FL_ENC_RAW, &stat) != 0)
      data_error("{}: the archive has no '{}{}'", path_, prefix_, name);
    // As PyTorch writes it; of anything else the size says nothing of what is in the file.
    if (stat.comp_method != ZIP_CM_STORE || stat.encryption_method != ZIP_EM_NONE ||
        stat.size > file_.bytes().size())
      data_error("{}: '{}{}' is compressed, which torch.save() does not do", path_, prefix_, name);
    return {stat.index, stat.size};
  }
  void read(const Entry& entry, uint64_t first, uint64_t count, char* to) const {
    const std::lock_guard lock(mutex_);
    const std::unique_ptr<zip_file_t, int (*)(zip_file_t*)> file(
        zip_fopen_index(archive_.get(), entry.index, 0), zip_fclose);
    bool complete = file && (first == 0 ||
                             zip_fseek(file.get(), static_cast<zip_int64_t>(first), SEEK_SET) == 0);
    while (complete && count > 0) {
      const zip_int64_t got = zip_fread(file.get(), to, count);
      complete = got > 0;
      if (!complete) break;
      to += got;
      count -= static_cast<uint64_t>(got);
    }
    if (!complete) data_error("{}: entry {} of the archive cannot be read", path_, entry.index);
  }

  std::string path_;
  MappedFile file_;
  std::unique_ptr<zip_t, void (*)(zip_t*)> archive_{nullptr, zip_discard};
  std::string prefix_;
  mutable std::mutex mutex_;  ///< libzip's archives are for one thread
};

/// Pickles of a magic number, a version, facts of the machine, the object and the storages' keys;
/// then for each key the number of elements and the elements.
class LegacyStorages final : public TorchStorages {
 public:
  explicit LegacyStorages(const std::filesystem::path& path) : path_(path.string()), file_(path) {
    PickleReader reader(file_.bytes(), path_);
    constexpr std::string_view kMagic = "\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
    if (reader.next().text != kMagic)
      data_error("{}: a pickle, but torch.save() did not write it", path_);
    reader.next();
    reader.next();
    tensors_ = pickled_state_dict(reader.next(), path_);
    const PickleNode& keys = reader.next();
    uint64_t at = reader.position();
    for (const PickleNode* key : keys.items) {
      const auto dtype = reader.storages().find(key->text);
      if (dtype == reader.storages().end())
        data_error("{}: the storage '{}' belongs to no tensor", path_, key->text);
      const uint64_t element = c10::elementSize(dtype->second);
      uint64_t count = 0;
      if (file_.bytes().size() - at < sizeof count) data_error("{}: it ends in the middle", path_);
      std::memcpy(&count, file_.bytes().data() + at, sizeof count);
      at += sizeof count;
      if (count > (file_.bytes().size() - at) / element)
        data_error("{}: it ends in the middle of the storage '{}'", path_, key->text);
      places_[key->text] = {at, count * element};
      at += count * element;
    }
  }

  std::vector<PickledTensor> tensors() const override { return tensors_; }
  uint64_t bytes(const std::string& key) const override {
    const auto place = places_.find(key);
    if (place == places_.end()) data_error("{}: there is no storage '{}'", path_, key);
    return place->second.bytes;
  }
  void read(const std::string& key, uint64_t first, uint64_t count, char* to) const override {
    std::memcpy(to, file_.bytes().data() + places_.at(key).at + first, count);
  }

 private:
  struct Place {
    uint64_t at = 0, bytes = 0;
  };
  std::string path_;
  MappedFile file_;
  std::vector<PickledTensor> tensors_;
  std::map<std::string, Place> places_;
};

}  // namespace

std::unique_ptr<const TorchStorages> TorchStorages::open(const std::filesystem::path& path) {
  std::string start;
  {
    const MappedFile file(path);
    start = file.bytes().substr(0, 4);
  }
  if (start.starts_with("PK")) return std::make_unique<ZipStorages>(path);
  if (start.starts_with('\x80')) return std::make_unique<LegacyStorages>(path);
  data_error("{}: neither an archive nor a pickle of torch.save()", path.string());
}

}  // namespace assay
