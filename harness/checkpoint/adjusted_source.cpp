#include "harness/checkpoint/adjusted_source.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "harness/core/error.h"
#include "harness/core/hash.h"

namespace assay {

AdjustedSource::AdjustedSource(std::shared_ptr<const TensorSource> source, Adjustments adjustments)
    : source_(std::move(source)), adjustments_(std::move(adjustments)) {
  std::set<std::string> renamed;  // names in the source that are not names here
  for (const auto& [name, of] : adjustments_.renamed) renamed.insert(of);
  if (!adjustments_.only_these)
    for (const TensorInfo& info : source_->tensors())
      if (!adjustments_.left_out.contains(info.name) && !adjustments_.views.contains(info.name) &&
          !adjustments_.borrowed.contains(info.name) && !renamed.contains(info.name))
        infos_.push_back(info);
  for (const auto& [name, view] : adjustments_.views) {
    TensorInfo info = *source_->find(view.of);
    info.name = name;
    info.shape.front() = view.rows;
    if (view.columns != 0) info.shape.back() = view.columns;
    infos_.push_back(std::move(info));
  }
  for (const auto& [name, of] : adjustments_.renamed) {
    infos_.push_back(*source_->find(of));
    infos_.back().name = name;
  }
  for (const auto& [name, owner] : adjustments_.borrowed) infos_.push_back(*owner->find(name));
  std::sort(infos_.begin(), infos_.end(),
            [](const TensorInfo& a, const TensorInfo& b) { return a.name < b.name; });
}

AdjustedSource::Location AdjustedSource::locate(const std::string& name, int64_t end) const {
  if (const auto borrowed = adjustments_.borrowed.find(name);
      borrowed != adjustments_.borrowed.end())
    return {*borrowed->second, name, 0, end};
  if (const auto old = adjustments_.renamed.find(name); old != adjustments_.renamed.end())
    return {*source_, old->second, 0, end};
  const auto view = adjustments_.views.find(name);
  if (view == adjustments_.views.end()) return {*source_, name, 0, end};
  const TensorInfo& of = *source_->find(view->second.of);
  if (view->second.rearranged())  // rows that lie elsewhere: all that may hold a value of them
    return {*source_, view->second.of, 0, std::min(end, of.numel())};
  const int64_t start =
      view->second.first == 0 ? 0 : view->second.first * (of.numel() / of.shape.front());
  return {*source_, view->second.of, start, std::min(end, of.numel() - start)};
}

const TensorSource& AdjustedSource::holder(const std::string& name) const {
  const auto [source, of, start, end] = locate(name, 0);
  const auto* view = dynamic_cast<const AdjustedSource*>(&source);
  return view ? view->holder(of) : source;
}

bool AdjustedSource::is_copied(const std::string& name) const {
  if (adjustments_.copied.contains(name)) return true;
  const auto [source, of, start, end] = locate(name, 0);
  const auto* view = dynamic_cast<const AdjustedSource*>(&source);
  return view && view->is_copied(of);
}

std::string AdjustedSource::content_hash() const {
  Hasher hasher;
  hasher.text("adjusted").text(source_->content_hash());
  for (const auto& [name, view] : adjustments_.views) {
    hasher.text("view").text(name).text(view.of).number(static_cast<uint64_t>(view.rows));
    if (view.first != 0) hasher.text("from").number(static_cast<uint64_t>(view.first));
    if (view.columns != 0) hasher.text("columns").number(static_cast<uint64_t>(view.columns));
    if (view.row_of)
      hasher.text("rows").bytes(view.row_of->data(), view.row_of->size() * sizeof(int64_t));
  }
  for (const auto& [name, of] : adjustments_.renamed) hasher.text("renamed").text(name).text(of);
  for (const auto& [name, why] : adjustments_.left_out) hasher.text("left out").text(name);
  for (const auto& [name, owner] : adjustments_.borrowed)  // the text is part of stored hashes
    hasher.text("lent").text(name).text(owner->content_hash());
  for (const std::string& name : adjustments_.copied) hasher.text("copied").text(name);
  if (adjustments_.only_these) hasher.text("only these");
  return hasher.hex();
}

at::Tensor AdjustedSource::read(const std::string& name) const {
  const TensorInfo* info = find(name);
  if (!info) data_error("{} has no tensor '{}'", label(), name);
  if (adjustments_.views.contains(name))
    return read_part(name, 0, info->numel()).reshape(info->shape);
  const Location place = locate(name, info->numel());
  return place.source.read(place.name);
}

at::Tensor AdjustedSource::read_part(const std::string& name, int64_t first, int64_t count) const {
  const TensorInfo* info = find(name);
  if (!info) data_error("{} has no tensor '{}'", label(), name);
  if (const auto view = adjustments_.views.find(name);
      view != adjustments_.views.end() && view->second.rearranged())
    return rearranged_part(view->second, first, count);
  const int64_t end = first + count;
  const auto [source, of, start, known_end] = locate(name, end);
  if (known_end == end) return source.read_part(of, start + first, count);

  const int64_t columns = info->numel() / info->shape.front();
  const int64_t added_first = std::max(first, known_end);
  // Whole rows around the elements that are added, then those elements of them.
  const int64_t row = added_first / columns, rows = (end + columns - 1) / columns - row;
  at::Tensor added = mean_row(of)
                         .expand({rows, columns})
                         .flatten()
                         .narrow(0, added_first - row * columns, end - added_first);
  if (added_first == first) return added;
  return at::cat({source_->read_part(of, start + first, added_first - first), added});
}

// Whole rows around the elements, then those of them.
at::Tensor AdjustedSource::rearranged_part(const Adjustments::View& view, int64_t first,
                                           int64_t count) const {
  const TensorInfo& of = *source_->find(view.of);
  const int64_t own = of.numel() / of.shape.front();
  const int64_t columns = view.columns == 0 ? own : view.columns;
  const int64_t row = first / columns, rows = (first + count + columns - 1) / columns - row;
  at::Tensor values;
  if (view.row_of) {
    const auto begin = view.row_of->begin() + view.first + row;
    const at::Tensor places = at::tensor(std::vector<int64_t>(begin, begin + rows), at::kLong);
    const at::Tensor mean = mean_row(view.of);
    const at::Tensor all = source_->read(view.of).reshape({-1, own});
    values = at::where((places < 0).unsqueeze(1), mean, all.index_select(0, places.clamp_min(0)));
  } else {
    values = source_->read_part(view.of, (view.first + row) * own, rows * own).reshape({rows, own});
  }
  return at::constant_pad_nd(values, {0, columns - own})
      .flatten()
      .narrow(0, first - row * columns, count);
}

std::string AdjustedSource::change(const std::string& name) const {
  const auto view = adjustments_.views.find(name);
  if (view == adjustments_.views.end()) {
    const auto borrowed = adjustments_.borrowed.find(name);
    if (borrowed != adjustments_.borrowed.end()) return "from " + borrowed->second->label();
    return inner() ? inner()->change(locate(name, 0).name) : "";
  }
  const int64_t known = source_->find(view->second.of)->shape.front();
  std::string text;
  if (adjustments_.only_these)
    return fmt::format("rows {} to {} of {}{}", view->second.first,
                       view->second.first + view->second.rows - 1, view->second.of,
                       view->second.columns == 0
                           ? std::string()
                           : fmt::format(" with zeros up to {} columns", view->second.columns));
  if (view->second.row_of)
    return fmt::format("{} of the rows of {} in another order", view->second.rows, view->second.of);
  if (view->second.of != name) text = fmt::format("tied to {}", view->second.of);
  if (view->second.rows == known) return text;
  if (!text.empty()) text += ", ";
  return text + fmt::format("{} from {} to {} rows",
                            view->second.rows < known ? "cut" : "filled up", known,
                            view->second.rows);
}

at::Tensor AdjustedSource::mean_row(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  at::Tensor& known = mean_rows_[name];
  if (known.defined()) return known;
  const TensorInfo& info = *source_->find(name);
  const int64_t rows = info.shape.front(), columns = info.numel() / rows;
  constexpr int64_t kBlockElements = 1 << 20;
  const int64_t block = std::max<int64_t>(1, kBlockElements / std::max<int64_t>(columns, 1));
  at::Tensor sum = at::zeros({columns}, at::kDouble);
  for (int64_t row = 0; row < rows; row += block) {
    const int64_t taken = std::min(block, rows - row);
    sum += source_->read_part(name, row * columns, taken * columns)
               .reshape({taken, columns})
               .to(at::kDouble)
               .sum(0);
    source_->release(name, row * columns, taken * columns);
  }
  known = (sum / static_cast<double>(rows)).to(info.dtype).unsqueeze(0);
  return known;
}

void AdjustedSource::prefetch(const std::string& name, int64_t first, int64_t count) const {
  const auto [source, of, start, end] = locate(name, first + count);
  if (end > first) source.prefetch(of, start + first, end - first);
}

void AdjustedSource::release(const std::string& name, int64_t first, int64_t count) const {
  const auto [source, of, start, end] = locate(name, first + count);
  if (end > first) source.release(of, start + first, end - first);
}

const TensorSource& original(const TensorSource& source) {
  const auto* view = dynamic_cast<const AdjustedSource*>(&source);
  return view ? original(view->adjusted()) : source;
}

}  // namespace assay
