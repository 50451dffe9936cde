#include "harness/core/hash.h"

#include <openssl/evp.h>
#include <xxhash.h>
#ifdef __x86_64__
#include <xxh_x86dispatch.h>  // the widest vectors the processor has, found when it runs
#endif

#include <vector>

#include "harness/core/error.h"
#include "harness/core/regular_file.h"

namespace assay {

struct Hasher::State {
  XXH3_state_t* xxh = XXH3_createState();
  ~State() { XXH3_freeState(xxh); }
};

Hasher::Hasher() : state_(std::make_unique<State>()) { XXH3_128bits_reset(state_->xxh); }
Hasher::~Hasher() = default;

Hasher& Hasher::bytes(const void* data, size_t size) {
  XXH3_128bits_update(state_->xxh, data, size);
  return *this;
}

Hasher& Hasher::text(std::string_view part) {
  number(part.size());
  return bytes(part.data(), part.size());
}

Hasher& Hasher::number(uint64_t value) { return bytes(&value, sizeof value); }

std::string Hasher::hex() const {
  const XXH128_hash_t h = XXH3_128bits_digest(state_->xxh);
  return fmt::format("{:016x}{:016x}", h.high64, h.low64);
}

uint64_t Hasher::low64() const { return XXH3_128bits_digest(state_->xxh).low64; }

std::string hash_text(std::string_view text) { return Hasher().text(text).hex(); }

namespace {

class Sha256 {
 public:
  Sha256() { EVP_DigestInit_ex(context_, EVP_sha256(), nullptr); }
  ~Sha256() { EVP_MD_CTX_free(context_); }
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;
  void update(const char* data, size_t size) { EVP_DigestUpdate(context_, data, size); }
  std::string hex() {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    EVP_DigestFinal_ex(context_, digest, &size);
    std::string text;
    for (unsigned i = 0; i < size; ++i) text += fmt::format("{:02x}", digest[i]);
    return text;
  }

 private:
  EVP_MD_CTX* context_ = EVP_MD_CTX_new();
};

}  // namespace

std::string sha256_file(const std::filesystem::path& path) {
  const RegularFile file(path);
  Sha256 sha;
  std::vector<char> buffer(1 << 20);
  while (const size_t count = file.read(buffer.data(), buffer.size()))
    sha.update(buffer.data(), count);
  return sha.hex();
}

std::string sha256_bytes(std::string_view data) {
  Sha256 sha;
  sha.update(data.data(), data.size());
  return sha.hex();
}

}  // namespace assay
