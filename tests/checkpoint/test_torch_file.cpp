#include "harness/checkpoint/torch_file.h"

#include <ATen/ATen.h>

#include <fstream>

#include "harness/checkpoint/checkpoint.h"
#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/core/json.h"
#include "tests/catch.h"
#include "tests/core/temporary_folder.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

const fs::path kFiles = fs::path(ASSAY_TESTS_FOLDER) / "golden/torch";

size_t index_of(const TorchFile& file, const std::string& name) {
  for (size_t i = 0; i < file.tensors().size(); ++i)
    if (file.tensors()[i].name == name) return i;
  FAIL("no tensor " << name);
  return 0;
}

}  // namespace

TEST_CASE("files of torch.save() have the tensors that PyTorch wrote", "[checkpoint][torch]") {
  const Json expected = read_json(kFiles / "expected.json");
  for (const char* name :
       {"plain.pth", "legacy.pth", "protocol4.bin", "nested.ckpt", "nested-legacy.ckpt"}) {
    INFO(name);
    const auto file = TorchFile::open(kFiles / name);
    REQUIRE(file->tensors().size() == expected.size());
    for (const auto& [tensor, wanted] : expected.items()) {
      INFO(tensor);
      const size_t index = index_of(*file, tensor);
      const TensorInfo& info = file->tensors()[index];
      CHECK(dtype_name(info.dtype) == (wanted.at("dtype") == "bool"
                                           ? dtype_name(at::kBool)
                                           : wanted.at("dtype").get<std::string>()));
      CHECK(info.shape == wanted.at("shape").get<std::vector<int64_t>>());
      const auto values = wanted.at("values").get<std::vector<double>>();
      const at::Tensor all = at::tensor(values, at::kDouble);
      CHECK(at::equal(file->read(index).flatten().to(at::kDouble), all));
      if (values.size() > 2)
        CHECK(at::equal(file->read_part(index, 1, 2).to(at::kDouble), all.narrow(0, 1, 2)));
    }
  }
  const auto linear = TorchFile::open(kFiles / "metadata.pt");
  CHECK(linear->tensors().size() == 2);
}

TEST_CASE("pickles of anything but tensors are refused by name", "[checkpoint][torch]") {
  const auto open = [](const char* name) { return TorchFile::open(kFiles / name); };
  CHECK_THROWS_AS(open("arguments.pth"), DataError);
  CHECK_THROWS_WITH(open("arguments.pth"),
                    Contains("arguments.pth") && Contains("'argparse.Namespace'"));
  CHECK_THROWS_WITH(open("module.pth"), Contains("'torch.nn.modules.linear.Linear'"));
  CHECK_THROWS_WITH(open("script.pt"), Contains("TorchScript"));
  CHECK_THROWS_WITH(open("two.pth"), Contains("2 dictionaries of tensors, 'a' and others"));
  CHECK_THROWS_WITH(open("numbers.pth"), Contains("no state dict"));
  CHECK_THROWS_WITH(open("expected.json"), Contains("neither an archive nor a pickle"));
}

TEST_CASE("incomplete files of torch.save() are refused", "[checkpoint][torch]") {
  const TemporaryFolder folder;
  for (const char* name : {"plain.pth", "legacy.pth"}) {
    const std::string whole = read_file(kFiles / name);
    for (const double share : {0.1, 0.5, 0.9}) {
      const fs::path path = folder.path() / name;
      std::ofstream(path, std::ios::binary)
          << whole.substr(0, static_cast<size_t>(share * static_cast<double>(whole.size())));
      CHECK_THROWS_AS(TorchFile::open(path), DataError);
    }
  }
}

TEST_CASE("a pickle may not do more than describe tensors", "[checkpoint][torch]") {
  const auto read = [](const std::string& text) { PickleReader(text, "x.pth").next(); };
  using namespace std::string_literals;
  // os.system("true"), as protocols 0 and 4 write it
  CHECK_THROWS_WITH(read("cos\nsystem\n(S'true'\ntR."), Contains("'os.system'"));
  CHECK_THROWS_WITH(read("\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R."s),
                    Contains("'posix.system'"));
  CHECK_THROWS_WITH(read("(ios\nsystem\n."), Contains("opcode 0x69"));
  CHECK_THROWS_WITH(read("\x80\x02]q\x01"s), Contains("ends in the middle"));
  CHECK_THROWS_WITH(read("\x80\x02R."s), Contains("not there"));
  CHECK_THROWS_WITH(read("\x80\x02h\x05."s), Contains("not there"));
  CHECK_THROWS_WITH(read("\x80\x02K\x01K\x02R."s), Contains("no function"));
}

TEST_CASE("a folder's weights may be files of torch.save()", "[checkpoint][torch]") {
  const TemporaryFolder folder;
  const auto put = [&](const char* from, const std::string& name) {
    fs::copy_file(kFiles / from, folder.path() / name, fs::copy_options::overwrite_existing);
  };
  write_file(folder.path() / "config.json", R"({"model_type": "x"})");
  put("plain.pth", "resnet.pth");
  put("numbers.pth", "training_args.bin");  // what a training run keeps
  const auto only = Checkpoint::open(folder.path());
  CHECK(only->config().at("model_type") == "x");
  CHECK(only->read("part").sizes() == at::IntArrayRef({3, 4}));
  CHECK(only->content_hash() == Checkpoint::open(kFiles / "legacy.pth")->content_hash());

  put("legacy.pth", "second.pt");
  CHECK_THROWS_WITH(Checkpoint::open(folder.path()), Contains("of several files of PyTorch"));

  put("metadata.pt", "pytorch_model.bin");
  CHECK(Checkpoint::open(folder.path())->tensors().size() == 2);

  put("metadata.pt", "a.bin");
  put("plain.pth", "b.bin");
  Json index = {{"weight_map", {{"weight", "a.bin"}, {"bias", "a.bin"}}}};
  for (const TensorInfo& info : only->tensors()) index["weight_map"][info.name] = "b.bin";
  write_file(folder.path() / kTorchIndexName, index.dump());
  CHECK(Checkpoint::open(folder.path())->tensors().size() == 2 + only->tensors().size());
}
