#include "runtime/checkpoint/sharded_checkpoint.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <string>

#include "tests/unit/temporary_folder.h"

TEST_CASE("sharded checkpoint: only shards whose checkpoint is gone are removed") {
    const TemporaryFolder folder;
    const auto names = [&] {
        std::set<std::string> all;
        for (const auto& entry : std::filesystem::directory_iterator(folder.path()))
            all.insert(entry.path().filename().string());
        return all;
    };
    const std::set<std::string> kept{"checkpoint-00000002.safetensors",
                                     "checkpoint-00000002.rank-0-of-2.safetensors",
                                     "checkpoint-00000002.rank-1-of-2.safetensors",
                                     "style.rank-8.safetensors",
                                     "style.rank-8-of-.safetensors",
                                     "checkpoint-00000001.rank-0-of-2.txt",
                                     "checkpoint-00000001.rank-0-of-2"};
    for (const std::string& name : kept) std::ofstream(folder / name) << "x";
    for (const char* name :
         {"checkpoint-00000001.rank-0-of-2.safetensors", "checkpoint-00000001.rank-1-of-2.safetensors"})
        std::ofstream(folder / name) << "x";
    remove_orphaned_shards(folder.path());
    CHECK(names() == kept);
}
