#include "data/records/live_progress.h"

#include <csignal>
#include <memory>

#include "runtime/base/error.h"
#include "runtime/base/live_line.h"

namespace {

volatile std::sig_atomic_t interrupted = 0;

}  // namespace

PackProgress show_progress(std::string what) {
    for (const int signal : {SIGINT, SIGTERM}) std::signal(signal, [](int) { interrupted = 1; });
    return
        [what = std::move(what), line = std::make_shared<LiveLine>()](std::int64_t done, std::int64_t total) {
            if (interrupted != 0) fail("interrupted after {} of {} images, nothing written", done, total);
            if (done < total)
                line->show(fmt::format("{} {} of {} images", what, done, total));
            else
                line->clear();
        };
}
