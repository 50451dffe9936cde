#include "harness/lm/requests.h"

#include <iterator>

namespace assay {

void TextRequests::append(TextRequests other) {
  const auto move_all = [](auto& from, auto& to) {
    to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
  };
  move_all(other.likelihoods, likelihoods);
  move_all(other.rolling, rolling);
  move_all(other.generations, generations);
}

}  // namespace assay
