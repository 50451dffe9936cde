#include <fmt/format.h>
#include <fmt/ranges.h>

#include "harness/cli/completion_scripts.h"

namespace assay::cli {
namespace {

// roff takes a backslash for an escape, a plain hyphen for a typographic one, and a full stop or an
// apostrophe that begins a line for a command.
std::string escaped(const std::string& text) {
  std::string out;
  bool begins_line = true;
  for (const char c : text) {
    if (begins_line && (c == '.' || c == '\'')) out += "\\&";
    begins_line = c == '\n';
    if (c == '\\')
      out += "\\e";
    else if (c == '-')
      out += "\\-";
    else
      out += c;
  }
  return out;
}

std::string tagged(const std::vector<OptionLine>& lines) {
  std::string out;
  for (const OptionLine& line : lines) {
    out += fmt::format(".TP\n\\fB{}\\fR", escaped(fmt::format("{}", fmt::join(line.names, ", "))));
    if (line.names.front().starts_with("-") && !line.value.empty())
      out += fmt::format(" \\fI{}\\fR", escaped(line.value));
    out += fmt::format("\n{}\n", escaped(line.help));
  }
  return out;
}

std::string verbatim(const std::string& text) {
  return text.empty() ? "" : fmt::format(".PP\n.nf\n{}\n.fi\n", escaped(text));
}

}  // namespace

std::string manual_page(const std::vector<CommandLine>& tree, const std::string& version) {
  const CommandLine& program = tree.front();
  std::string out = fmt::format(
      ".TH ASSAY 1 \"\" \"{}\" \"User Commands\"\n.SH NAME\nassay \\- {}\n.SH SYNOPSIS\n"
      ".B assay\n[\\fIOPTIONS\\fR] \\fICOMMAND\\fR ...\n.SH OPTIONS\n{}.SH COMMANDS\n",
      escaped(version), escaped(program.help.substr(program.help.find(':') + 2)),
      tagged(program.options));
  for (const CommandLine& command : tree) {
    if (command.words.empty()) continue;
    std::string usage = "assay " + command.path() + (command.commands.empty() ? "" : " COMMAND");
    for (const OptionLine& argument : command.arguments) usage += " " + argument.names.front();
    out +=
        fmt::format(".SS {}\n{}\n{}{}{}", escaped(usage), escaped(command.help),
                    tagged(command.arguments), tagged(command.options), verbatim(command.footer));
  }
  out += ".SH NOTES\n" + verbatim(program.footer);
  return out;
}

}  // namespace assay::cli
