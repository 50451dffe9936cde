/// Tokens to a syntax tree.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "harness/jinja/internal/lexer.h"
#include "harness/jinja/internal/syntax.h"

namespace assay::jinja {

/// UserError naming `where` and the line: also for statements that are not supported, and of strict
/// templates for filters and tests that do not exist. Chat templates name some in branches that
/// they do not enter.
std::shared_ptr<const Block> parse(const std::vector<Token>& tokens, const std::string& where,
                                   bool strict);

}  // namespace assay::jinja
