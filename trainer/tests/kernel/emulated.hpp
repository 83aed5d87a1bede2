// Runs select.cu on a processor: a block's threads are threads, its barrier is a barrier. Blocks
// run one after the other, so shared memory is static memory.

#include <barrier>
#include <cstdio>
#include <cstring>
#include <thread>
#include <vector>

struct Index {
    unsigned x;
};
static thread_local Index threadIdx;
static Index blockIdx, gridDim;
static std::barrier<> *block_barrier;

#define __device__
#define __global__
#define __shared__ static

static void __syncthreads() { block_barrier->arrive_and_wait(); }
static unsigned atomicAdd(unsigned *at, unsigned by) {
    return __atomic_fetch_add(at, by, __ATOMIC_SEQ_CST);
}
static unsigned atomicOr(unsigned *at, unsigned bits) {
    return __atomic_fetch_or(at, bits, __ATOMIC_SEQ_CST);
}
static unsigned __float_as_uint(float value) {
    unsigned bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}
static float __uint_as_float(unsigned bits) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}
static float __fdiv_rn(float a, float b) { return a / b; }
static float __fsub_rn(float a, float b) { return a - b; }

// Runs a kernel with `blocks` blocks of `threads` threads.
template <typename Kernel> static void launch(unsigned blocks, unsigned threads, Kernel kernel) {
    gridDim.x = blocks;
    for (unsigned block = 0; block < blocks; block++) {
        blockIdx.x = block;
        std::barrier<> barrier(threads);
        block_barrier = &barrier;
        std::vector<std::thread> running;
        for (unsigned thread = 0; thread < threads; thread++) {
            running.emplace_back([thread, &kernel] {
                threadIdx.x = thread;
                kernel();
            });
        }
        for (std::thread &one : running) one.join();
    }
}
