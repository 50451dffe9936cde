#include "harness/method/router.h"

namespace assay {

Registry<RouterEntry>& routers() {
  static Registry<RouterEntry> registry("router");
  return registry;
}

RouterComponent::RouterComponent(std::string name) : name_(std::move(name)) {
  read(JsonReader(Json::object(), "the default of a component"));
}

void RouterComponent::read(const JsonReader& json) {
  if (!json.is_string() && !json.is_object())
    json.fail("expected a router: its name, or an object with \"router\" and its parameters");
  Json parameters = json.is_object() ? json.json() : Json::object();
  JsonReader reader(parameters, json.where());
  const std::string name = json.is_string() ? json.as_string() : reader.string("router", name_);
  const RouterEntry& entry = routers().at(name, json.where());
  if (const auto stored = reader.find("version");
      stored && stored->as_integer() != entry.info.version)
    stored->fail(fmt::format("{} has version {} here", name, entry.info.version));
  parameters.erase("router");
  parameters.erase("version");
  router_ = entry.make(JsonReader(parameters, json.where()));
}

Json RouterComponent::to_json() const {
  Json json = router_->parameters();
  json["router"] = router_->info().name;
  json["version"] = router_->info().version;
  return json;
}

std::vector<ParamDoc> RouterComponent::describe() const {
  std::vector<ParamDoc> docs =
      routers().at(std::string(router_->info().name), "a component").parameters;
  const Json values = router_->parameters();
  for (ParamDoc& doc : docs) doc.default_value = values.at(doc.name);
  return docs;
}

}  // namespace assay
