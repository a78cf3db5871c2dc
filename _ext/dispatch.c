/* Which instruction set's loops run here. */
#include "call.h"

#if PRELU_HAVE_X86_SETS
#include <cpuid.h>
#endif

static const struct {
    const char *name;
    const prelu_loop_table *table;
} instruction_sets[] = {
#if PRELU_HAVE_X86_SETS
    {"avx512", &prelu_loops_avx512},
    {"avx2", &prelu_loops_avx2},
#endif
    {"baseline", &prelu_loops_baseline},
};
enum { INSTRUCTION_SETS = sizeof instruction_sets / sizeof *instruction_sets };

/* Asked of the processor: __builtin_cpu_supports knows f16c only in newer clangs, and nothing at
 * all in some of their runtimes. */
static int runs_here(const char *name) {
#if PRELU_HAVE_X86_SETS
    unsigned a, b, c, d, saved = 0;
    int avx2 = __get_cpuid(1, &a, &b, &c, &d) && c & bit_OSXSAVE && c & bit_F16C && c & bit_FMA;
    if (avx2) /* which registers the system saves */
        __asm__("xgetbv" : "=a"(saved), "=d"(d) : "c"(0));
    avx2 = avx2 && (saved & 0x06) == 0x06 && __get_cpuid_count(7, 0, &a, &b, &c, &d) &&
           b & bit_AVX2;
    if (strcmp(name, "avx2") == 0)
        return avx2;
    if (strcmp(name, "avx512") == 0)
        return avx2 && (saved & 0xe6) == 0xe6 && b & bit_AVX512F && b & bit_AVX512VL &&
               b & bit_AVX512BW && b & bit_AVX512DQ;
#endif
    return strcmp(name, "baseline") == 0;
}

static int selected = -1; /* set once, while the module is imported */

int prelu_select_instruction_set(const char *name) {
    for (int i = 0; i < INSTRUCTION_SETS; i++)
        if ((!name || strcmp(name, instruction_sets[i].name) == 0) &&
            runs_here(instruction_sets[i].name)) {
            selected = i;
            return 1;
        }
    return 0;
}

const char *prelu_instruction_set(void) { return instruction_sets[selected].name; }

const prelu_loops *prelu_loops_of(int dtype) {
    return &(*instruction_sets[selected].table)[dtype];
}
