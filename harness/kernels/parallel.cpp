#include "harness/kernels/parallel.h"

#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>

#include "harness/core/thread_pool.h"

namespace assay {
namespace {

thread_local const OneThreadEach* active_guard = nullptr;

}  // namespace

OneThreadEach::OneThreadEach()
    : threads_(active_guard ? active_guard->threads_ : at::get_num_threads()),
      outer_(active_guard) {
  active_guard = this;
}

OneThreadEach::~OneThreadEach() { active_guard = outer_; }

const OneThreadEach* OneThreadEach::active() { return active_guard; }

void concurrently(int64_t count, const std::function<void(int64_t index)>& body) {
  if (!active_guard) {
    for (int64_t i = 0; i < count; ++i) body(i);
    return;
  }
  const bool gradients = c10::GradMode::is_enabled();
  ThreadPool::shared().run(active_guard->threads(), count, [&](IndexQueue& indices) {
    at::set_num_threads(1);  // of this thread; the pool's threads remember larger numbers
    const c10::AutoGradMode mode(gradients);
    while (const auto index = indices.next()) body(*index);
  });
}

}  // namespace assay
