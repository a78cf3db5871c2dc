/* Default rounding, without FTZ and DAZ: another library may have changed that for the thread. A call
 * sets it and puts back what was there. */
#ifndef PRELU_FLOAT_MODE_H
#define PRELU_FLOAT_MODE_H

#include <stdint.h>

#if defined(__SSE2__) || defined(_M_X64)
#include <emmintrin.h>
#define PRELU_SSE2 1
#endif

#if PRELU_SSE2
typedef unsigned fp_state;
static inline fp_state fp_enter(void) {
    const fp_state before = _mm_getcsr();
    if ((before & 0xffc0u) != 0x1f80u) _mm_setcsr(0x1f80u);
    return before;
}
static inline void fp_leave(fp_state before) {
    if ((before & 0xffc0u) != 0x1f80u) _mm_setcsr(before);
}
#elif defined(__aarch64__) && defined(__GNUC__)
typedef uint64_t fp_state;
static inline fp_state fp_enter(void) {
    fp_state before;
    __asm__ volatile("mrs %0, fpcr" : "=r"(before));
    if (before & 0x1c80000u) __asm__ volatile("msr fpcr, %0" ::"r"(before & ~0x1c80000ull));
    return before;
}
static inline void fp_leave(fp_state before) {
    if (before & 0x1c80000u) __asm__ volatile("msr fpcr, %0" ::"r"(before));
}
#else
#include <fenv.h>
typedef fenv_t fp_state;
static inline fp_state fp_enter(void) {
    fp_state before;
    fegetenv(&before);
    fesetenv(FE_DFL_ENV);
    return before;
}
static inline void fp_leave(fp_state before) { fesetenv(&before); }
#endif

#endif
