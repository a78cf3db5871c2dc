/* The CUDA text of the kernels as C++: every thread of a block is a fiber on one CPU thread.
 *
 * Design:
 * (a) A fiber runs until a barrier or a shuffle, then the next one does; blocks run one after
 *     another. That is enough for kernels whose blocks never wait for each other.
 * (b) Inline PTX and -ftz are not seen here: the first block of numbers.cu has its counterpart
 *     below. The PTX interpreter sees both.
 */
#include <cfenv>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <ucontext.h>
#include <vector>

#define PRELU_ON_HOST
#define __global__
#define __device__ static inline
#define __forceinline__
#define __launch_bounds__(...)
#define __shared__ static
#define __restrict__

struct index3 {
    unsigned x;
};
static index3 threadIdx, blockIdx, gridDim;

namespace host {
static const size_t stack_bytes = 1 << 16;
static ucontext_t scheduler;
static std::vector<ucontext_t> fibers;
static std::vector<char> stacks;
static std::vector<char> ended;
static unsigned current, block_threads, arrived, phase;
static uint64_t exchanged[1024];
static unsigned turns[32], turn_of[32]; /* of each warp */
static void (*body)();

static void pause() {
    swapcontext(&fibers[current], &scheduler);
    threadIdx.x = current;
}
static void run_one() {
    body();
    ended[current] = 1;
}
static void barrier() {
    const unsigned before = phase;
    if (++arrived == block_threads) {
        arrived = 0;
        phase++;
    }
    while (phase == before) pause();
}
static void launch(unsigned grid, unsigned block, void (*kernel)()) {
    gridDim.x = grid;
    block_threads = block;
    body = kernel;
    fibers.resize(block);
    stacks.resize(block * stack_bytes);
    for (unsigned b = 0; b < grid; b++) {
        blockIdx.x = b;
        arrived = phase = 0;
        memset(turns, 0, sizeof turns);
        memset(turn_of, 0, sizeof turn_of);
        ended.assign(block, 0);
        for (unsigned t = 0; t < block; t++) {
            getcontext(&fibers[t]);
            fibers[t].uc_stack.ss_sp = &stacks[t * stack_bytes];
            fibers[t].uc_stack.ss_size = stack_bytes;
            fibers[t].uc_link = &scheduler;
            makecontext(&fibers[t], run_one, 0);
        }
        for (unsigned left = block; left > 0;) {
            left = 0;
            for (current = 0; current < block; current++) {
                if (ended[current]) continue;
                threadIdx.x = current;
                swapcontext(&scheduler, &fibers[current]);
                left += !ended[current];
            }
        }
    }
}
} // namespace host

static inline int block_index() { return blockIdx.x; }
static inline int thread_index() { return threadIdx.x; }
static inline void __syncthreads() { host::barrier(); }
static inline void fence() {}
/* Two meetings of the warp: all have given their value, all have taken one. */
static inline void warp_meets() {
    const unsigned warp = threadIdx.x / 32, before = host::turn_of[warp];
    if (++host::turns[warp] == 32) {
        host::turns[warp] = 0;
        host::turn_of[warp]++;
    }
    while (host::turn_of[warp] == before) host::pause();
}
template <class T>
static inline T __shfl_down_sync(unsigned, T v, int lanes) {
    memcpy(&host::exchanged[threadIdx.x], &v, sizeof v);
    warp_meets();
    const unsigned lane = threadIdx.x % 32, from = lane + lanes < 32 ? threadIdx.x + lanes : threadIdx.x;
    memcpy(&v, &host::exchanged[from], sizeof v);
    warp_meets();
    return v;
}
template <class T>
static inline T atomicAdd(T *p, T v) {
    const T before = *p;
    *p += v;
    return before;
}
namespace host {
template <class To, class From>
static inline To bits_as(From v) {
    To to;
    memcpy(&to, &v, sizeof to);
    return to;
}
} // namespace host
static inline unsigned __float_as_uint(float v) { return host::bits_as<unsigned>(v); }
static inline float __uint_as_float(unsigned v) { return host::bits_as<float>(v); }
static inline double __longlong_as_double(long long v) { return host::bits_as<double>(v); }
static inline int __clzll(long long v) { return v ? __builtin_clzll(v) : 64; }
static inline unsigned __umulhi(unsigned a, unsigned b) {
    return (unsigned)((unsigned long long)a * b >> 32);
}

template <class T>
static T fma_up(T a, T b, T c) {
    fesetround(FE_UPWARD);
    volatile T x = a, y = b, z = c, s = std::fma(x, y, z);
    fesetround(FE_TONEAREST);
    return s;
}
static inline double __dadd_rn(double a, double b) { return a + b; }
static inline double __dsub_rn(double a, double b) { return a - b; }
static inline double __dmul_rn(double a, double b) { return a * b; }
static inline double __fma_rn(double a, double b, double c) { return fma(a, b, c); }
static inline double __dadd_ru(double a, double b) { return fma_up(a, 1.0, b); }
static inline double __dsub_rd(double a, double b) { return -fma_up(b, 1.0, -a); }
static inline double __dmul_ru(double a, double b) { return fma_up(a, b, -0.0); }

/* The counterpart of the inline PTX. */
static inline float f16_to_float(unsigned short bits) { return (float)host::bits_as<_Float16>(bits); }
static inline unsigned short float_to_f16(float v) {
    return host::bits_as<unsigned short>((_Float16)v);
}
static inline double as_double(float v) { return v; }
static inline float double_to_float(double v) { return (float)v; }
static inline float double_to_float_down(double v) {
    const float nearest = (float)v;
    return fabs((double)nearest) > fabs(v) ? nextafterf(nearest, 0.0f) : nearest;
}
static inline float multiply(float a, float b) { return a * b; }
static inline float multiply_add(float a, float b, float c) { return fmaf(a, b, c); }
static inline float anew(float v) { return v; }
static inline int above(float a, float b) { return a > b; }
static inline float size_of(float x, float dy) { return fma_up(fabsf(x), fabsf(dy), 0.0f); }
static inline float add_size(float size, float x, float dy) {
    return fma_up(fabsf(x), fabsf(dy), size);
}
