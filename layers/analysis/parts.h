#pragma once

#include <string>
#include <vector>

#include <ballast/core/module.h>

// What the tools of this folder share.
namespace ballast::inline BALLAST_PRECISION::detail {

/// What `visit` lists of a module itself; the parts of the modules inside it are theirs.
struct OwnParts {
  struct Child {
    std::string name;
    Module* module;
  };
  std::vector<Child> modules;
  std::vector<Parameter*> parameters;
  std::vector<Buffer*> buffers;
};

OwnParts own_parts(Module& module);

/// `module.info()`, or nothing known if that is said of a class which this one is only derived from.
LayerInfo info_of(Module& module);

/// Whether tools go by the modules inside, since it doesn't describe itself as a whole.
bool is_container(const LayerInfo& info, const OwnParts& parts);

/// The path of a part: names joined by dots.
std::string joined(const std::string& path, const std::string& name);
/// "path (description)", for messages.
std::string named(const std::string& path, const Module& module);

}  // namespace ballast::inline BALLAST_PRECISION::detail
