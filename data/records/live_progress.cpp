#include "data/records/live_progress.h"

#include <memory>

#include "runtime/base/error.h"
#include "runtime/base/interruption.h"
#include "runtime/base/live_line.h"

PackProgress show_progress(std::string what) {
    watch_interruption();
    return
        [what = std::move(what), line = std::make_shared<LiveLine>()](std::int64_t done, std::int64_t total) {
            if (interrupted()) fail("interrupted after {} of {} images, nothing written", done, total);
            if (done < total)
                line->show(fmt::format("{} {} of {} images", what, done, total));
            else
                line->clear();
        };
}
