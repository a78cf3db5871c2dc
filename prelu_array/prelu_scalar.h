/* The arithmetic of PReLU, written once. The C loops include this file and the CUDA source has
 * its text pasted in, so it holds nothing but one-expression functions.
 *
 * The includer defines, once for each compute type:
 *   real             float or double
 *   PRELU(name)      `name` with a suffix for `real`
 *   PRELU_FN         the function prefix (static inline, __device__ ...)
 *   PRELU_GT(a, b)   a > b for `real`, subnormals kept
 *   PRELU_MUL(a, b)  a * b rounded once to `real`, subnormals kept
 *   PRELU_ALPHA      the type of alpha in a sum of products: `real`, or wider
 *   PRELU_DOT(a, b, c, d)  a * b + c * d, exact and then rounded once to `real`
 *
 * `edge` is the largest x of the alpha branch: 0 for at_zero="alpha", and for at_zero="one" the
 * negative number next to zero, because x >= 0 and x > edge are then the same question. A NaN
 * is greater than nothing, so it takes the alpha branch.
 */

/* Is x on the identity branch? */
PRELU_FN int PRELU(identity)(real x, real edge) { return PRELU_GT(x, edge); }

/* y with g = x; dx with g = dy. A select, never a product with 0 or 1: the branch that is not
 * taken must not leak its NaN. */
PRELU_FN real PRELU(scale)(int identity, real g, real alpha) {
    return identity ? g : PRELU_MUL(alpha, g);
}

/* What one element adds to dalpha. In double the product of two floats is exact. */
PRELU_FN double PRELU(term)(int identity, double x, double dy) { return identity ? 0.0 : x * dy; }

/* The same rounded to `real`: exact in float for float16, and for bfloat16 but for underflow. */
PRELU_FN real PRELU(short_term)(int identity, real x, real dy) {
    return identity ? 0 : PRELU_MUL(x, dy);
}

/* y_dot, the derivative of y along (x_dot, alpha_dot); also the cotangent of dy in the double
 * backward, along (ddx, ddalpha). */
PRELU_FN real PRELU(jvp)(int identity, real x, PRELU_ALPHA alpha, real x_dot,
                         PRELU_ALPHA alpha_dot) {
    return identity ? x_dot : PRELU_DOT(alpha, x_dot, alpha_dot, x);
}
