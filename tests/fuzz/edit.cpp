// Edit masks, from files in memory. The input: which flag (u8: --mask, --box, --outpaint, --uncrop), how many
// numbers (u8) and as many i16, the picture's length (u16), the picture, the mask.
#include <array>

#include "data/images/edit_mask.h"
#include "tests/fuzz/entry.h"
#include "tests/fuzz/mended_png.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    constexpr int side = 8;
    Taken taken({bytes, size});
    const int flag = taken.byte() % 4, count = taken.byte() % 6;
    std::vector<int> numbers;
    for (int i = 0; i < count; ++i) numbers.push_back(static_cast<std::int16_t>(taken.number()));
    const std::size_t length = taken.number();
    const MemoryFile picture(mended_png(taken.bytes(length))), mask(mended_png(taken.rest()));
    EditRequest request;
    request.picture = picture.path();
    if (flag == 0) request.mask = mask.path();
    if (flag == 1) request.box = numbers;
    if (flag == 2) request.outpaint = numbers;
    if (flag == 3) request.uncrop = numbers;
    for (const int channels : {1, 3})
        parse_rubbish([&] {
            const EditCanvas canvas = make_edit_canvas(request, side, channels);
            require(canvas.mask.size() == side * side &&
                    canvas.picture.pixels.size() == static_cast<std::size_t>(side * side * channels));
            edit_sheet(canvas, {}, 4);
        });
    return 0;
}
