/// The order in which experts arrive, for methods that merge one after the other.
#pragma once

#include <vector>

#include "harness/method/method.h"

namespace assay {

enum class Order { kShuffled, kGiven };

/// Declares the parameter. A shuffled order makes a method randomized.
void order_parameter(Order& order, auto&& p) {
  p(order, {.name = "order",
            .choices = {"shuffled", "given"},
            .help = "experts arrive in an order drawn by the seed, or in that of the merge; the "
                    "result depends on it"});
}

/// The indices of the experts as they arrive, the same for all methods. Of a table by layer group
/// every group draws an order of its own.
std::vector<size_t> arrivals_of(const ModelJob& job, Order order);

}  // namespace assay
