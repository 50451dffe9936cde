/// What a generated answer is worth beside a reference: fractions in [0, 1].
#pragma once

#include <string>
#include <vector>

namespace assay {

struct ExactMatchOptions {
  bool ignore_case = false;
  bool ignore_punctuation = false;  ///< ASCII's
};

/// 1 when both are the same, without white space at their ends.
double exact_match(const std::string& answer, const std::string& reference,
                   const ExactMatchOptions& options);

/// The number after "#### ", as in GSM8K's solutions; empty when there is none.
std::string number_after_marks(const std::string& text);
/// The last thing that looks like a number: "1,234.50", "$20", "-3".
std::string last_number(const std::string& text);
/// 1 when the number is that of a GSM8K solution: compared as text without commas, dollar signs and
/// a full stop at the end.
double number_match(const std::string& number, const std::string& solution);

/// SQuAD (Rajpurkar et al., arXiv:1606.05250): lower case, without punctuation and articles.
double squad_exact(const std::string& answer, const std::string& reference);
/// The harmonic mean of precision and recall over the words.
double squad_f1(const std::string& answer, const std::string& reference);

/// Lin 2004: the F1 of the longest common subsequence of words [a-z0-9]+, without stemming.
double rouge_l(const std::string& answer, const std::string& reference);

/// Popović 2015: character n-grams up to 6 without white space, F with recall counting twice; of
/// this item alone.
double chrf(const std::string& answer, const std::string& reference);

}  // namespace assay
