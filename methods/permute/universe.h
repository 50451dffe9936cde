/// Orders of the units of all networks at once, in a space that is none of theirs.
#pragma once

#include <cstdint>
#include <vector>

#include "methods/permute/units.h"

namespace assay {

enum class UniverseStep {
  kTogether,  ///< all networks take a step at once, as published
  kInTurns    ///< one after the other
};

struct UniverseMatching {
  std::vector<std::vector<UnitOrder>> orders;  ///< of each network, of each group
  int64_t iterations = 0;                      ///< each of a step or, in turns, of one per network
};

/// C2M3, Crisostomi et al., arXiv:2405.17897 §3: every network has its own orders into one space,
/// so that going round networks leads back to where one began. What grows is the sum, over pairs of
/// networks, of the inner products of their reordered weights; running moments do not count.
/// Frank-Wolfe over doubly stochastic matrices, from the identity: a step goes towards the orders
/// that the gradient likes best, as far as the sum grows, to a thousandth. It ends when an
/// iteration adds less than a millionth of the sum, or after `max_iterations`; the orders are those
/// nearest to the matrices. Runs on all threads; the bits do not depend on their number.
UniverseMatching match_in_universe(const UnitGroups& groups, const std::vector<StateDict>& networks,
                                   UniverseStep step, int64_t max_iterations);

}  // namespace assay
