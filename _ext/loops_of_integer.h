/* The loops for one integer dtype X: its forward, whose products wrap. */
#undef PRELU_MUL
#define REAL X
#define real X
#define PRELU(name) JOIN3(prelu, name, X)
#define PRELU_MUL(a, b) (X)((uint64_t)(a) * (uint64_t)(b))
#define PRELU_DOT(a, b, c, d) (X)((a) * (b) + (c) * (d)) /* compiled only: integers have no JVP */
#include "prelu_scalar.h"
#undef PRELU_DOT
#undef PRELU
#undef real

#include "loops_of_dtype.h"
#undef REAL
