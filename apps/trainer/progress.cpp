#include "trainer/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string_view>

#include "output.h"

namespace ballast::app {
namespace {

bool is_terminal() {
  const char* kind = std::getenv("TERM");
  return isatty(STDOUT_FILENO) && kind && std::string_view(kind) != "dumb";
}

int terminal_width() {
  winsize size{};
  return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

std::string minutes(double seconds) {
  const auto whole = static_cast<int64_t>(seconds + 0.5);
  if (whole >= 3600) return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
  return fmt::format("{}:{:02}", whole / 60, whole % 60);
}

}  // namespace

std::string progress_bar(const Run& run, int width) {
  const Position& at = run.at;
  const double samples = static_cast<double>(std::max<int64_t>(at.samples, 1));
  const double share = static_cast<double>(at.batch) / static_cast<double>(run.loader.batches());
  const std::string title = fmt::format("epoch {}/{}", at.epoch + 1, run.options.training.epochs);
  std::string figures =
      fmt::format("loss {:.3f}", at.loss_sum / static_cast<double>(std::max<int64_t>(at.labels, 1)));
  if (run.classifies()) figures += fmt::format("  accuracy {:.1f} %", 100 * run.train_accuracy());
  if (at.batch > 0 && at.epoch_seconds > 0)
    figures += fmt::format("  {:.0f} {}s/s  {} left", samples / at.epoch_seconds, unit_of(run.test),
                           minutes(at.epoch_seconds * (1 / share - 1)));
  const int room = width - static_cast<int>(title.size() + figures.size()) - 6;
  const int cells = std::min(room, 40);
  std::string bar;
  if (cells >= 5) {
    const auto filled = static_cast<size_t>(share * cells);
    bar = std::string(filled, '=');
    if (filled < static_cast<size_t>(cells)) bar += '>';
    bar = fmt::format("[{:<{}}]  ", bar, cells);
  }
  return (title + "  " + bar + figures).substr(0, static_cast<size_t>(std::max(width, 1)));
}

std::string fitting(const std::vector<std::string>& texts, int width) {
  const auto room = static_cast<size_t>(std::max(width, 1));
  for (const std::string& text : texts)
    if (text.size() <= room) return text;
  return texts.back().substr(0, room);
}

StatusLine::StatusLine() : terminal_(is_terminal()) {}

bool StatusLine::due() {
  if (!terminal_) return false;
  const auto now = std::chrono::steady_clock::now();
  if (now < next_draw_) return false;
  next_draw_ = now + std::chrono::milliseconds(100);
  return true;
}

// One column stays free: a full line would wrap on some terminals.
int StatusLine::width() const { return terminal_width() - 1; }

void StatusLine::show(const std::string& text) {
  say("\r{}\x1b[K", text);
  flush_output();
  drawn_ = true;
}

void StatusLine::clear() {
  if (drawn_) say("\r\x1b[K");
  drawn_ = false;
}

void Progress::step(const Run& run) {
  if (bar_.due()) bar_.show(progress_bar(run, bar_.width()));
}

void Progress::epoch(const Run& run, const EpochMetrics& m) {
  clear();
  const auto part = [](const char* name, double loss, double accuracy) {
    std::string text = std::isnan(loss) ? "" : fmt::format("  {}loss {:.4f}", name, loss);
    if (!std::isnan(accuracy)) text += fmt::format("  {}accuracy {:.2f} %", name, 100 * accuracy);
    return text;
  };
  say("epoch {}/{}{}{}  {:.0f} {}s/s  {:.1f} s\n", m.epoch, run.options.training.epochs,
      part("", m.train_loss, m.train_accuracy), part("val ", m.val_loss, m.val_accuracy), m.images_per_s,
      unit_of(run.test), m.seconds);
  flush_output();
}

}  // namespace ballast::app
