// Requests of build/sample: any line is one, or says in one why it is none.
#include "sample/request.h"

#include <algorithm>

#include "runtime/base/one_line.h"
#include "tests/fuzz/entry.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    parse_rubbish([&] {
        const Request request = parse_request({reinterpret_cast<const char*>(bytes), size});
        if (!request.error.empty()) fail("{}", one_line(request.error));
        for (const FlagValues& flag : request.flags) {
            require(!flag.words.empty() && (flag.list || flag.words.size() == 1));
            require(flag.name != "id");
        }
        require(request.id.size() <= 6 * size);
    });
    return 0;
}
