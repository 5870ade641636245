#include "data/records/caption_source.h"

#include "data/records/packed.h"
#include "data/records/tokens.h"
#include "runtime/base/error.h"

namespace {

template <class File>
class CaptionsOf : public CaptionSource {
  public:
    explicit CaptionsOf(const std::filesystem::path& path) : file_(path) {
        if (!file_.has_captions()) fail("{}: no captions", path.string());
    }
    std::int64_t count() const override { return file_.count(); }
    std::int64_t captions(std::int64_t i) const override { return file_.captions(i); }
    std::string_view caption(std::int64_t i, std::int64_t k) const override { return file_.caption(i, k); }
    std::int64_t caption_count() const override { return file_.caption_count(); }
    std::uint32_t caption_checksum() const override { return file_.caption_checksum(); }

  private:
    File file_;
};

}  // namespace

std::unique_ptr<CaptionSource> open_captions(const std::filesystem::path& path) {
    if (is_packed_file(path)) return std::make_unique<CaptionsOf<PackedFile>>(path);
    return std::make_unique<CaptionsOf<TokenFile>>(path);
}
