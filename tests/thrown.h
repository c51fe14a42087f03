#pragma once

#include <string>

/// What the exception E says that `call` throws, or "nothing".
template <class E>
std::string thrown(auto&& call) {
  try {
    call();
  } catch (const E& error) {
    return error.what();
  }
  return "nothing";
}
