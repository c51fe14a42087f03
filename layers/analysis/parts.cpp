#include <ballast/layers/analysis/parts.h>

namespace ballast::inline BALLAST_PRECISION::detail {
namespace {

class Collector : public Visitor {
 public:
  explicit Collector(OwnParts& found) : found_(found) {}

 private:
  void parameter(const std::string&, Parameter& p) override { found_.parameters.push_back(&p); }
  void buffer(const std::string&, Buffer& b) override { found_.buffers.push_back(&b); }
  void module(const std::string& name, Module& part) override { found_.modules.push_back({name, &part}); }

  OwnParts& found_;
};

}  // namespace

OwnParts own_parts(Module& module) {
  OwnParts found;
  Collector collector(found);
  module.visit(collector);
  return found;
}

LayerInfo info_of(Module& module) {
  LayerInfo info = module.info();
  if (info.type && *info.type != typeid(module)) return {.known = false};
  return info;
}

bool is_container(const LayerInfo& info, const OwnParts& parts) {
  return info.known ? info.structure != LayerInfo::Structure::other : !parts.modules.empty();
}

std::string joined(const std::string& path, const std::string& name) {
  return path.empty() ? name : path + "." + name;
}

std::string named(const std::string& path, const Module& module) {
  return path.empty() ? module.describe() : path + " (" + module.describe() + ")";
}

}  // namespace ballast::inline BALLAST_PRECISION::detail
