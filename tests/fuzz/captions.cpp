// Files of captions, MS-COCO's JSON and lines of a path and a caption, from a file in memory.
#include "data/records/picture_captions.h"
#include "data/text/utf8.h"
#include "tests/fuzz/entry.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    const MemoryFile memory({bytes, size});
    parse_rubbish([&] {
        PictureCaptions captions("folder", memory.path());
        for (const std::string& picture : captions.unused()) {
            for (const std::string& caption : captions.of("folder/" + picture))
                require(!caption.empty() && encode_utf8(decode_utf8(caption)) == caption);
        }
    });
    return 0;
}
