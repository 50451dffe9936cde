/// Metrics of a generated answer compared with a reference: fractions in [0, 1].
#pragma once

#include <string>
#include <vector>

namespace assay {

struct ExactMatchOptions {
  bool ignore_case = false;
  bool ignore_punctuation = false;  ///< of ASCII
  bool strip = true;                ///< white space at both ends of both does not count
};

/// 1 when both are equal, as the options say.
double exact_match(const std::string& answer, const std::string& reference,
                   const ExactMatchOptions& options);

/// The number after "#### ", as in GSM8K's solutions; empty when there is none.
std::string number_after_marks(const std::string& text);
/// The last number-like substring: "1,234.50", "$20", "-3".
std::string last_number(const std::string& text);
/// 1 when the number is that of a GSM8K solution, compared as text without commas, dollar signs and
/// a final full stop.
double number_match(const std::string& number, const std::string& solution);

/// SQuAD's exact match (Rajpurkar et al., arXiv:1606.05250): lower case, without punctuation and
/// articles.
double squad_exact(const std::string& answer, const std::string& reference);
/// The harmonic mean of precision and recall over the words.
double squad_f1(const std::string& answer, const std::string& reference);

/// ROUGE-L (Lin 2004): F1 of the longest common subsequence of words [a-z0-9]+, without stemming.
double rouge_l(const std::string& answer, const std::string& reference);

/// chrF2 (Popović 2015) per item: character n-grams up to 6 without white space, beta = 2.
double chrf(const std::string& answer, const std::string& reference);

}  // namespace assay
