// Tells the thread sanitizer what orders the threads of OpenMP, whose library it does not see into: the start
// and the end of a parallel region, the barrier behind a loop within one, and critical sections. In programs
// built with it these functions stand before libgomp's own, which they call. Without them every kernel that
// uses several threads is reported.
#include <dlfcn.h>
#include <sanitizer/tsan_interface.h>

#include <utility>

namespace {

template <class Function>
Function* of_libgomp(const char* name) {
    return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

// Its address is what the sanitizer knows the region by.
struct Region {
    void (*body)(void*);
    void* data;
};
thread_local Region* current = nullptr;

void run(void* argument) {
    __tsan_acquire(argument);
    auto* region = static_cast<Region*>(argument);
    Region* outer = std::exchange(current, region);
    region->body(region->data);
    current = outer;
    __tsan_release(region);
}

char atomics;  // what GOMP_atomic guards

}  // namespace

extern "C" {

void GOMP_parallel(void (*body)(void*), void* data, unsigned threads, unsigned flags) {
    static const auto original =
        of_libgomp<void(void (*)(void*), void*, unsigned, unsigned)>("GOMP_parallel");
    Region region{body, data};
    __tsan_release(&region);
    original(run, &region, threads, flags);
    __tsan_acquire(&region);
}

void GOMP_loop_end() {
    static const auto original = of_libgomp<void()>("GOMP_loop_end");
    Region* region = current;
    if (region != nullptr) __tsan_release(region);
    original();
    if (region != nullptr) __tsan_acquire(region);
}

void GOMP_critical_name_start(void** name) {
    static const auto original = of_libgomp<void(void**)>("GOMP_critical_name_start");
    original(name);
    __tsan_acquire(name);
}

void GOMP_critical_name_end(void** name) {
    static const auto original = of_libgomp<void(void**)>("GOMP_critical_name_end");
    __tsan_release(name);
    original(name);
}

void GOMP_atomic_start() {
    static const auto original = of_libgomp<void()>("GOMP_atomic_start");
    original();
    __tsan_acquire(&atomics);
}

void GOMP_atomic_end() {
    static const auto original = of_libgomp<void()>("GOMP_atomic_end");
    __tsan_release(&atomics);
    original();
}

}  // extern "C"
