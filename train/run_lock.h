// Says that a run writes into a folder, so that no second one does.
#pragma once

#include <filesystem>

class RunLock {
  public:
    // Locks the file ".lock" in the folder, which is there. Throws Error naming the process that holds it, or
    // if nothing can be written there.
    explicit RunLock(const std::filesystem::path& folder);
    // Removes the file.
    ~RunLock();
    RunLock(const RunLock&) = delete;
    RunLock& operator=(const RunLock&) = delete;

    // Whether the folder still has its name: it may have been removed or replaced.
    bool has_folder() const;

  private:
    std::filesystem::path folder_, file_;
    int descriptor_ = -1, folder_descriptor_ = -1;
};
