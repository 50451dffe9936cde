#include "harness/sweep/internal/cell_protocol.h"

#include "harness/plugin/plugins.h"

namespace assay {
namespace {

Json plugin_hashes() {
  Json hashes = Json::array();
  for (const Plugin& plugin : plugins()) hashes.push_back(plugin.hash);
  return hashes;
}

Json message() {
  Json json = {{"protocol", kCellProtocol}};
  if (Json hashes = plugin_hashes(); !hashes.empty()) json["plugins"] = std::move(hashes);
  return json;
}

std::string line_of(const char* name, Json content) {
  Json json = message();
  json[name] = std::move(content);
  return json.dump();
}

/// The line's object. OtherProtocol for another version.
Json read_line(const std::string& line) {
  Json json = Json::parse(line, nullptr, false);
  const Json protocol = json.is_object() ? json.value("protocol", Json()) : Json();
  if (protocol != kCellProtocol)
    throw OtherProtocol(fmt::format(
        "a sweep and its worker processes must be the same build of assay: this one speaks version "
        "{} of their protocol, the other one {}",
        kCellProtocol, protocol.is_null() ? "sent no version" : "version " + protocol.dump()));
  const Json own = plugin_hashes(), others = json.value("plugins", Json::array());
  if (others != own)
    throw OtherProtocol(fmt::format(
        "a sweep and its worker processes must load the same plugins: the hashes of this one's are "
        "{}, of the other's {}; a library was replaced while the sweep ran",
        own.dump(), others.dump()));
  return json;
}

/// What the line has under `name`.
Json content_of(const std::string& line, const char* name) {
  const Json json = read_line(line);
  if (!json.contains(name)) data_error("a line of a sweep's worker protocol has no '{}'", name);
  return json.at(name);
}

}  // namespace

std::string cell_to_line(const Cell& cell) { return line_of("cell", cell); }

std::string result_to_line(const RunRecord& record) {
  return line_of("result", result_to_json(record));
}

std::string refusal_line() { return message().dump(); }

std::string statistic_to_line(const StatisticJob& job) { return line_of("statistic", job); }

std::string statistic_error_to_line(const std::string& error) { return line_of("error", error); }

std::variant<Cell, StatisticJob> work_from_line(const std::string& line) {
  if (read_line(line).contains("statistic"))
    return content_of(line, "statistic").get<StatisticJob>();
  return content_of(line, "cell").get<Cell>();
}

RunRecord result_from_line(const Cell& cell, const std::string& line) {
  return result_from_json(cell, content_of(line, "result"));
}

std::string statistic_error_from_line(const std::string& line) {
  return content_of(line, "error").get<std::string>();
}

}  // namespace assay
