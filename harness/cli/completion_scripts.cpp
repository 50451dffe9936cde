#include "harness/cli/completion_scripts.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace assay::cli {
namespace {

// In single quotes of a shell.
std::string quoted(std::string text) {
  for (size_t at = 0; (at = text.find('\'', at)) != std::string::npos; at += 4)
    text.replace(at, 1, "'\\''");
  return "'" + text + "'";
}

/// The options that a command takes: its own and those of the commands above it.
std::vector<OptionLine> all_options(const CommandLine& command,
                                    const std::vector<CommandLine>& tree) {
  std::vector<OptionLine> options;
  for (const CommandLine& above : tree)
    if (above.words.size() <= command.words.size() &&
        std::equal(above.words.begin(), above.words.end(), command.words.begin()))
      options.insert(options.begin(), above.options.begin(), above.options.end());
  return options;
}

std::vector<std::string> names_of(const std::vector<OptionLine>& options, bool with_value_only) {
  std::vector<std::string> names;
  for (const OptionLine& option : options)
    if (!with_value_only || !option.value.empty())
      names.insert(names.end(), option.names.begin(), option.names.end());
  return names;
}

std::vector<std::string> command_names(const CommandLine& command) {
  std::vector<std::string> names;
  for (const CLI::App* below : command.commands) names.push_back(below->get_name());
  return names;
}

/// What `assay list` lists for the argument of this command: "methods" of "show method".
std::string listed_names(const CommandLine& command, const std::vector<CommandLine>& tree) {
  if (command.words.size() != 2 || command.words.front() != "show") return "";
  std::string plural = command.words.back() + "s";
  const bool known = std::any_of(tree.begin(), tree.end(), [&](const CommandLine& other) {
    return other.words == std::vector<std::string>{"list", plural};
  });
  return known ? plural : "";
}

/// Patterns of `case` for every command, in the form of CommandLine::path().
std::string all_paths(const std::vector<CommandLine>& tree, const char* separator) {
  std::vector<std::string> paths;
  for (const CommandLine& command : tree)
    if (!command.words.empty()) paths.push_back(quoted(command.path()));
  return fmt::format("{}", fmt::join(paths, separator));
}

// Names begin lines of `assay list`; texts below them are indented.
constexpr const char* kNames = "list \"$list\" 2>/dev/null | sed -n 's/^\\([^ ]*\\).*/\\1/p'";

std::string zsh_items(const std::vector<OptionLine>& options) {
  std::string items;
  for (const OptionLine& option : options)
    for (const std::string& name : option.names)
      items += fmt::format(" {}", quoted(name + ":" + option.help));
  return items;
}

}  // namespace

std::string bash_completion(const std::vector<CommandLine>& tree) {
  std::string out =
      fmt::format(R"sh(# Completion of assay for bash, written by 'assay completion bash'.
_assay() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD - 1]}}
  local path= next commands= options= values= list= i
  for ((i = 1; i < COMP_CWORD; i++)); do
    next="${{path:+$path }}${{COMP_WORDS[i]}}"
    case "$next" in
      {}) path=$next ;;
    esac
  done
  case "$path" in
)sh",
                  all_paths(tree, "|"));
  for (const CommandLine& command : tree) {
    const std::vector<OptionLine> options = all_options(command, tree);
    out += fmt::format(
        "    {}) commands='{}' options='{}' values=' {} ' list={} ;;\n", quoted(command.path()),
        fmt::join(command_names(command), " "), fmt::join(names_of(options, false), " "),
        fmt::join(names_of(options, true), " "), quoted(listed_names(command, tree)));
  }
  out += fmt::format(R"sh(  esac
  COMPREPLY=()  # left empty, bash completes files
  if [[ $previous == = || $values == *" $previous "* ]]; then return; fi
  if [[ $current == -* ]]; then
    COMPREPLY=($(compgen -W "$options" -- "$current"))
  elif [[ -n $list ]]; then
    COMPREPLY=($(compgen -W "$("${{COMP_WORDS[0]}}" {})" -- "$current"))
  elif [[ -n $commands ]]; then
    COMPREPLY=($(compgen -W "$commands" -- "$current"))
  fi
}}
complete -o default -F _assay assay
)sh",
                     kNames);
  return out;
}

std::string zsh_completion(const std::vector<CommandLine>& tree) {
  std::string out = fmt::format(R"sh(#compdef assay
# Completion of assay for zsh, written by 'assay completion zsh'.
_assay() {{
  local at= next list= i
  local -a commands options values names
  for ((i = 2; i < CURRENT; i++)); do
    next="${{at:+$at }}${{words[i]}}"
    case "$next" in
      {}) at=$next ;;
    esac
  done
  case "$at" in
)sh",
                                all_paths(tree, "|"));
  for (const CommandLine& command : tree) {
    const std::vector<OptionLine> options = all_options(command, tree);
    std::string commands;
    for (const CLI::App* below : command.commands)
      commands += fmt::format(" {}", quoted(below->get_name() + ":" + below->get_description()));
    out +=
        fmt::format("    {}) commands=({}) options=({}) values=({}) list={} ;;\n",
                    quoted(command.path()), commands, zsh_items(options),
                    fmt::join(names_of(options, true), " "), quoted(listed_names(command, tree)));
  }
  out += fmt::format(R"sh(  esac
  if (( ${{values[(Ie)${{words[CURRENT - 1]}}]}} )); then
    _files
  elif [[ ${{words[CURRENT]}} == -* ]]; then
    _describe option options
  elif [[ -n $list ]]; then
    names=(${{(f)"$("${{words[1]}}" {})"}})
    compadd -a names
  elif (( $#commands )); then
    _describe command commands
  else
    _files
  fi
}}
if [[ $funcstack[1] == _assay ]]; then _assay "$@"; else compdef _assay assay; fi
)sh",
                     kNames);
  return out;
}

std::string fish_completion(const std::vector<CommandLine>& tree) {
  std::string out =
      fmt::format(R"sh(# Completion of assay for fish, written by 'assay completion fish'.
function __assay_at
  set -l at
  for word in (commandline -opc)[2..-1]
    switch (string trim -- "$at $word")
      case {}
        set at (string trim -- "$at $word")
    end
  end
  test "$at" = "$argv[1]"
end
function __assay_names
  set -l list $argv[1]
  assay {}
end
)sh",
                  all_paths(tree, " "), kNames);
  for (const CommandLine& command : tree) {
    const std::string here = fmt::format("complete -c assay -n {}",
                                         quoted(fmt::format("__assay_at \"{}\"", command.path())));
    for (const CLI::App* below : command.commands)
      out += fmt::format("{} -f -a {} -d {}\n", here, below->get_name(),
                         quoted(below->get_description()));
    if (const std::string list = listed_names(command, tree); !list.empty())
      out += fmt::format("{} -f -a '(__assay_names {})'\n", here, list);
    for (const OptionLine& option : all_options(command, tree)) {
      out += here;
      for (const std::string& name : option.names)
        out += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
      out += fmt::format("{} -d {}\n", option.value.empty() ? "" : " -r -F", quoted(option.help));
    }
  }
  return out;
}

}  // namespace assay::cli
