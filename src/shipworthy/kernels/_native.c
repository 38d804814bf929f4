/* The compiled kernel: a program checked once, then scored with the answers of pure.py to the last bit.
 *
 * Every sum is taken in the order of pure.py, and nothing is fused or reordered (-ffp-contract=off, no fast maths).
 * Everything that a walk later trusts is checked when the scorer is made: a scorer that exists cannot read outside its
 * arrays or run for ever, whatever row it is given.
 *
 * Trees. A row is first laid out in slots, one integer per (input, way of looking at it): a number as an integer of
 * the same order, with missing values moved below or above all numbers; a code as one bit of 64; or a code as it is.
 * Then every node is one comparison of integers without special cases, and eight walks are interleaved so that their
 * waits for memory overlap.
 * Sources: Ke et al. (2017), LightGBM, `tree.h`, for the routing; Sun Microsystems (1993), fdlibm, `e_exp.c`, for the
 * reduction and coefficients of the exponential. */

#define Py_LIMITED_API 0x030b0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

PyObject *branch(PyObject *module, PyObject *args); /* _branch.c */

#if FLT_EVAL_METHOD != 0 || defined(__FAST_MATH__)
#error "doubles must be computed as doubles: the pure kernel is used instead"
#endif

#define LANES 8
#define BLOCK 64
#define FREE_FROM 16 /* rows of a batch from which on other threads may run meanwhile */
#define LOCAL 512    /* doubles of scratch that one row takes from the stack */
#define MOST 0x7ffffff0
#define TINY 1e-12
#define LN2_HIGH 6.93147180369123816490e-01
#define LN2_LOW 1.90821492927058770002e-10

#define MOST_LAYERS 5 /* of a network, as in dense.py */
#define MOST_UNITS 256
#define MOST_WEIGHTS 200000
#define MOST_SIZE 1e12

enum { LINEAR, LOOKUP, TREES, DENSE };
enum { AS_IT_IS, SIGMOID, RELU, TANH };
enum { IDENTITY, LOGISTIC, SOFTMAX, SHARE };
enum { NUMBER, HOT, WIDE };
enum { PLAIN, NAN_LEFT, NAN_RIGHT, ZERO_LEFT, ZERO_RIGHT, ONE_HOT, CODE, VIEWS };
enum { DEFAULT_LEFT = 1, CATEGORICAL = 2, MISSING_SHIFT = 2, MISSING_ZERO = 1, MISSING_NAN = 2 };

/* A node goes left if slot <= key (NUMBER), slot & key (HOT), or bit `slot` of the words at key >> 32 (WIDE, as many
 * as the low half of key says) is set. Leaves stand behind the nodes and are their own children, so that a walk that
 * has ended may go on beside the others: leaf n of a term is node inner + n. */
typedef struct { int64_t key; int32_t child[2]; int32_t slot; int32_t kind; } Node;
typedef struct { int32_t place, view; } Slot;
typedef struct { int64_t place, size, count; double *cuts; } Axis;
typedef struct { double low, high, fill, offset, scale; int64_t place, levels; } Reading;
typedef struct { double *weight, *bias; int64_t columns, units; } Layer;

typedef struct {
    int kind;
    int64_t count;                                /* columns, axes or trees */
    int32_t *place;                               /* linear: (count,) */
    double *fill, *weight, *missing, *intercept;  /* linear: (count,), (count, k), (count, k), (k,) */
    Axis axis[2];                                 /* lookup */
    double *values;                               /* lookup: (cells, k) */
    int32_t *root, *output;                       /* trees: (count,) */
    Node *nodes;
    Slot *slots;
    uint32_t *bits;
    double *leaf, *base;                          /* trees: (leaves, width), (k,) */
    int64_t inner, slot_count, width;
    double divisor;
    int narrow, wide;
    Reading *readings;                            /* networks: (count,) */
    Layer layers[MOST_LAYERS];                    /* networks: (columns, units), (units,) each */
    int64_t depth, units;
    int activation;
} Term;

typedef struct {
    PyObject_HEAD
    int64_t inputs, outputs, count, knots, most_slots, most_units;
    int link, scaled;
    double slope, intercept; /* calibration, if scaled */
    double *score, *value;   /* calibration, (knots,) */
    Term *terms;
} Scorer;

/* ── scoring ────────────────────────────────────────────────────────────────────────────────────────────────────── */

static double power_of_two(int64_t n) /* -1022 <= n <= 1023 */
{
    uint64_t bits = (uint64_t)(n + 1023) << 52;
    double out;
    memcpy(&out, &bits, sizeof out);
    return out;
}

static double exponential(double x) /* pure.exp */
{
    if (x != x)
        return x;
    x = x < -746.0 ? -746.0 : x > 710.0 ? 710.0 : x;
    double k = floor(x * 1.44269504088896338700e+00 + 0.5);
    double high = x - k * LN2_HIGH, low = k * LN2_LOW;
    double r = high - low, t = r * r;
    double c = r - t * (1.66666666666666019037e-01 + t * (-2.77777777770155933842e-03 + t * (6.61375632143793436117e-05
               + t * (-1.65339022054652515390e-06 + t * 4.13813679705723846039e-08))));
    double y = 1.0 - ((low - (r * c) / (2.0 - c)) - high);
    double half = floor(k / 2.0);
    return y * power_of_two((int64_t)half) * power_of_two((int64_t)(k - half));
}

static double logarithm(double x) /* pure.log */
{
    if (x != x)
        return x;
    int exponent;
    double m = frexp(x, &exponent), k = exponent;
    if (m < 0.70710678118654752440) {
        m *= 2.0;
        k -= 1.0;
    }
    double f = m - 1.0, s = f / (2.0 + f), z = s * s, w = z * z;
    double even = w * (3.999999999940941908e-01 + w * (2.222219843214978396e-01 + w * 1.531383769920937332e-01));
    double odd = z * (6.666666666666735130e-01 + w * (2.857142874366239149e-01
                      + w * (1.818357216161805012e-01 + w * 1.479819860511658591e-01)));
    double half = 0.5 * f * f;
    return k * LN2_HIGH - ((half - (s * (half + (odd + even)) + k * LN2_LOW)) - f);
}

static double log_of_chance(double x)
{
    return logarithm(x < TINY ? TINY : x > 1.0 ? 1.0 : x);
}

static double logistic(double x)
{
    return 1.0 / (1.0 + exponential(-x));
}

static void softmax(double *margin, int64_t k)
{
    double most = margin[0], total = 0.0;
    for (int64_t j = 1; j < k; j++)
        if (margin[j] > most || margin[j] != margin[j])
            most = margin[j];
    for (int64_t j = 0; j < k; j++)
        total += margin[j] = exponential(margin[j] - most);
    for (int64_t j = 0; j < k; j++)
        margin[j] /= total;
}

static int64_t upto(const double *sorted, int64_t count, double x) /* how many are <= x; x is not NaN */
{
    int64_t low = 0, high = count;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (sorted[middle] <= x)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static double interpolate(const Scorer *self, double x) /* pure.interpolate */
{
    if (x != x)
        return x;
    const double *score = self->score, *value = self->value;
    int64_t at = upto(score, self->knots, x) - 1;
    if (at < 0)
        return value[0];
    if (at >= self->knots - 1 || score[at] == x)
        return value[at];
    double slope = (value[at + 1] - value[at]) / (score[at + 1] - score[at]);
    return slope * (x - score[at]) + value[at];
}

static void finish(const Scorer *self, double *margin) /* link and calibration, in place */
{
    int64_t k = self->outputs;
    int each = self->link == SOFTMAX || self->link == SHARE;
    if (self->link == SOFTMAX)
        softmax(margin, k);
    else if (self->link == LOGISTIC)
        margin[0] = logistic(margin[0]);
    if (self->scaled && each) {
        for (int64_t j = 0; j < k; j++)
            margin[j] = self->slope * log_of_chance(margin[j]);
        softmax(margin, k);
    } else if (self->scaled)
        margin[0] = logistic(self->slope * (log_of_chance(margin[0]) - log_of_chance(1.0 - margin[0]))
                             + self->intercept);
    else if (self->knots)
        margin[0] = interpolate(self, margin[0]);
}

static void add_linear(const Term *term, const double *row, double *own, double *total, int64_t k)
{
    memcpy(own, term->intercept, (size_t)k * sizeof(double));
    for (int64_t column = 0; column < term->count; column++) {
        double value = row[term->place[column]], absent = value != value;
        const double *weight = term->weight + column * k, *missing = term->missing + column * k;
        if (absent != 0.0)
            value = term->fill[column];
        for (int64_t j = 0; j < k; j++) {
            own[j] += value * weight[j];
            own[j] += absent * missing[j];
        }
    }
    for (int64_t j = 0; j < k; j++)
        total[j] += own[j];
}

static int64_t cell(const Axis *axis, double value)
{
    if (value != value)
        return 0;
    if (axis->count)
        return 1 + upto(axis->cuts, axis->count, value);
    return value >= 0.0 && value < (double)(axis->size - 1) ? 1 + (int64_t)value : 0;
}

static void add_lookup(const Term *term, const double *row, double *total, int64_t k)
{
    int64_t at = cell(&term->axis[0], row[term->axis[0].place]);
    if (term->count == 2)
        at = at * term->axis[1].size + cell(&term->axis[1], row[term->axis[1].place]);
    for (int64_t j = 0; j < k; j++)
        total[j] += term->values[at * k + j];
}

static int64_t ordered(double value) /* an integer of the same order; both zeros are 0; not for NaN */
{
    int64_t bits;
    value += 0.0;
    memcpy(&bits, &value, sizeof bits);
    return bits < 0 ? bits ^ INT64_MAX : bits;
}

static int64_t slot_of(double value, int view)
{
    int absent = value != value;
    if (view >= ONE_HOT) {
        int known = !absent && value > -1.0 && value <= DBL_MAX;
        int64_t code = known ? (int64_t)(value < 2147483647.0 ? value : 2147483647.0) : -1;
        return view == CODE ? code : code >= 0 && code < 64 ? (int64_t)((uint64_t)1 << code) : 0;
    }
    if (view == ZERO_LEFT || view == ZERO_RIGHT)
        absent |= value == 0.0;
    if (!absent)
        return ordered(value);
    return view == PLAIN ? 0 : view == NAN_LEFT || view == ZERO_LEFT ? INT64_MIN : INT64_MAX;
}

static void lay_out(const Term *term, const double *row, int64_t *slots)
{
    for (int64_t n = 0; n < term->slot_count; n++) {
        double value = row[term->slots[n].place];
        if (term->narrow)
            value = (double)(float)value;
        else if (fabs(value) <= (double)1e-35f)
            value = 0.0;
        slots[n] = slot_of(value, term->slots[n].view);
    }
}

static int listed(const Term *term, int64_t key, int64_t code)
{
    uint32_t first = (uint32_t)((uint64_t)key >> 32), words = (uint32_t)key;
    return code >= 0 && code >> 5 < (int64_t)words && (term->bits[first + (code >> 5)] >> (code & 31) & 1);
}

/* From at[i] to leaves, for LANES walks; walk i reads the slots at slots + i * stride. */
static inline void step(const Term *term, const int64_t *slots, int64_t stride, int wide, int32_t *at)
{
    const Node *nodes = term->nodes;
    int32_t last = (int32_t)term->inner - 1, all;
    do {
        all = -1;
        for (int i = 0; i < LANES; i++) {
            const Node *node = nodes + at[i];
            int64_t slot = slots[i * stride + node->slot];
            int left = slot <= node->key, hot = (slot & node->key) != 0;
            left ^= (left ^ hot) & node->kind; /* the low bit of kind is set for HOT alone */
            if (wide && node->kind == WIDE)
                left = listed(term, node->key, slot);
            at[i] = node->child[!left];
            all &= last - at[i]; /* below 0 while all are leaves */
        }
    } while (all >= 0);
}

static inline void walk(const Term *term, const int64_t *slots, int64_t stride, int32_t *at)
{
    if (term->wide)
        step(term, slots, stride, 1, at);
    else if (term->slot_count) /* else every tree is one leaf */
        step(term, slots, stride, 0, at);
}

static void add_leaf(const Term *term, int64_t tree, int32_t reached, double *own)
{
    const double *leaf = term->leaf + (reached - term->inner) * term->width;
    if (term->width == 1)
        own[term->output[tree]] += leaf[0];
    else
        for (int64_t j = 0; j < term->width; j++)
            own[j] += leaf[j];
}

static void add_own(const Term *term, const double *own, double *total, int64_t k)
{
    for (int64_t j = 0; j < k; j++)
        total[j] += own[j] / term->divisor + term->base[j];
}

static void add_trees(const Term *term, const double *row, int64_t *slots, double *own)
{
    lay_out(term, row, slots);
    for (int64_t tree = 0; tree < term->count; tree += LANES) {
        int64_t lanes = term->count - tree < LANES ? term->count - tree : LANES;
        int32_t at[LANES];
        for (int i = 0; i < LANES; i++)
            at[i] = i < lanes ? term->root[tree + i] : (int32_t)term->inner;
        walk(term, slots, 0, at);
        for (int i = 0; i < lanes; i++)
            add_leaf(term, tree + i, at[i], own);
    }
}

static double tangent(double x) /* dense.tanh */
{
    double small = exponential(-2.0 * fabs(x));
    return copysign((1.0 - small) / (1.0 + small), x);
}

static void activate(int activation, double *sums, int64_t units)
{
    if (activation == RELU)
        for (int64_t j = 0; j < units; j++)
            sums[j] = sums[j] > 0.0 ? sums[j] : 0.0;
    else if (activation == TANH)
        for (int64_t j = 0; j < units; j++)
            sums[j] = tangent(sums[j]);
    else if (activation == SIGMOID)
        for (int64_t j = 0; j < units; j++)
            sums[j] = logistic(sums[j]);
}

static inline void add_column(double *__restrict sums, double value, const double *__restrict weight, int64_t units)
{
    for (int64_t j = 0; j < units; j++)
        sums[j] += weight[j] * value;
}

static void start_layer(const Layer *layer, double *sums)
{
    for (int64_t j = 0; j < layer->units; j++)
        sums[j] = layer->bias[j] + 0.0; /* never -0, so that columns of zeros may be left out */
}

static void first_layer(const Term *term, const double *row, double *sums)
{
    const Layer *layer = term->layers;
    const double *weight = layer->weight;
    int64_t units = layer->units;
    start_layer(layer, sums);
    for (const Reading *one = term->readings, *end = one + term->count; one < end; one++) {
        double value = row[one->place];
        if (one->levels) {
            if (value >= 0.0 && value < (double)one->levels)
                add_column(sums, 1.0, weight + (int64_t)value * units, units);
            weight += one->levels * units;
            continue;
        }
        int absent = value != value;
        value = absent ? one->fill : value;
        value = value < one->low ? one->low : value > one->high ? one->high : value;
        add_column(sums, (value - one->offset) / one->scale, weight, units);
        if (absent)
            add_column(sums, 1.0, weight + units, units);
        weight += 2 * units;
    }
}

/* Four columns at a time, each sum still in the order of the columns. */
static void next_layer(const Layer *layer, const double *__restrict columns, double *__restrict sums)
{
    int64_t units = layer->units, i = 0;
    start_layer(layer, sums);
    for (; i + 4 <= layer->columns; i += 4) {
        const double *__restrict w = layer->weight + i * units;
        double a = columns[i], b = columns[i + 1], c = columns[i + 2], d = columns[i + 3];
        for (int64_t j = 0; j < units; j++)
            sums[j] = (((sums[j] + w[j] * a) + w[units + j] * b) + w[2 * units + j] * c) + w[3 * units + j] * d;
    }
    for (; i < layer->columns; i++)
        add_column(sums, columns[i], layer->weight + i * units, units);
}

/* units: scratch (2, most units of a layer) */
static void add_dense(const Term *term, const double *row, double *total, double *units, int64_t k)
{
    double *here = units, *there = units + term->units;
    first_layer(term, row, here);
    for (int64_t n = 1; n < term->depth; n++) {
        activate(term->activation, here, term->layers[n - 1].units);
        next_layer(term->layers + n, here, there);
        double *last = here;
        here = there, there = last;
    }
    for (int64_t j = 0; j < k; j++)
        total[j] += here[j];
}

static void zero(double *values, int64_t count)
{
    for (int64_t n = 0; n < count; n++)
        values[n] = 0.0;
}

/* The margin of one row in total (k,); own, units, slots: scratch (k,), (most_units,), (most_slots,). */
static void margin_of_row(const Scorer *self, const double *row, double *total, double *own, double *units,
                          int64_t *slots)
{
    int64_t k = self->outputs;
    zero(total, k);
    for (int64_t n = 0; n < self->count; n++) {
        const Term *term = self->terms + n;
        if (term->kind == LINEAR)
            add_linear(term, row, own, total, k);
        else if (term->kind == LOOKUP)
            add_lookup(term, row, total, k);
        else if (term->kind == DENSE)
            add_dense(term, row, total, units, k);
        else {
            zero(own, k);
            add_trees(term, row, slots, own);
            add_own(term, own, total, k);
        }
    }
}

static void add_trees_block(const Term *term, const double *rows, int64_t inputs, int64_t count, int64_t *slots,
                            double *own, int64_t k)
{
    for (int64_t n = 0; n < count; n++)
        lay_out(term, rows + n * inputs, slots + n * term->slot_count);
    for (int64_t tree = 0; tree < term->count; tree++)
        for (int64_t n = 0; n < count; n += LANES) {
            int32_t at[LANES];
            for (int i = 0; i < LANES; i++)
                at[i] = n + i < count ? term->root[tree] : (int32_t)term->inner;
            walk(term, slots + n * term->slot_count, term->slot_count, at);
            for (int i = 0; i < LANES && n + i < count; i++)
                add_leaf(term, tree, at[i], own + (n + i) * k);
        }
}

/* The margins of up to BLOCK rows, (count, k). Scratch: own (BLOCK, k), units (most_units,), slots (BLOCK, most_slots).
 */
static void margin_of_block(const Scorer *self, const double *rows, int64_t count, double *total, double *own,
                            double *units, int64_t *slots)
{
    int64_t k = self->outputs, inputs = self->inputs;
    zero(total, count * k);
    for (int64_t n = 0; n < self->count; n++) {
        const Term *term = self->terms + n;
        if (term->kind == TREES) {
            zero(own, count * k);
            add_trees_block(term, rows, inputs, count, slots, own, k);
        }
        for (int64_t row = 0; row < count; row++)
            if (term->kind == LINEAR)
                add_linear(term, rows + row * inputs, own, total + row * k, k);
            else if (term->kind == LOOKUP)
                add_lookup(term, rows + row * inputs, total + row * k, k);
            else if (term->kind == DENSE)
                add_dense(term, rows + row * inputs, total + row * k, units, k);
            else
                add_own(term, own + row * k, total + row * k, k);
    }
}

/* ── checking and packing a program ─────────────────────────────────────────────────────────────────────────────── */

typedef struct { Py_buffer views[7 + 2 * MOST_LAYERS]; int count; } Held; /* a network has the most */

static void let_go(Held *held)
{
    while (held->count)
        PyBuffer_Release(&held->views[--held->count]);
}

/* A C-contiguous array of float64 ("d") or int64 ("q") with so many axes; NULL with an error set if it is not. */
static const Py_buffer *hold(Held *held, PyObject *array, char kind, int axes)
{
    Py_buffer *view = &held->views[held->count];
    if (PyObject_GetBuffer(array, view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT) < 0)
        return NULL;
    held->count++;
    const char *format = view->format ? view->format : "B";
    int right = kind == 'd' ? !strcmp(format, "d") : !strcmp(format, "q") || !strcmp(format, "l");
    if (!right || view->itemsize != 8 || view->ndim != axes) {
        PyErr_Format(PyExc_ValueError, "an array is not of %s with %d axes", kind == 'd' ? "float64" : "int64", axes);
        return NULL;
    }
    return view;
}

static int wrong(const char *what)
{
    PyErr_SetString(PyExc_ValueError, what);
    return -1;
}

static double *copied(const Py_buffer *view)
{
    double *out = malloc(view->len ? (size_t)view->len : 1);
    if (out && view->len)
        memcpy(out, view->buf, (size_t)view->len);
    return out;
}

static int64_t whole(const Py_buffer *view, int64_t at)
{
    return ((const int64_t *)view->buf)[at];
}

static int32_t *narrowed(const Py_buffer *view, int64_t least, int64_t beyond) /* NULL without error: out of memory */
{
    int64_t count = view->shape[0];
    int32_t *out = calloc((size_t)count + 1, sizeof *out);
    for (int64_t n = 0; out && n < count; n++) {
        int64_t value = whole(view, n);
        if (value < least || value >= beyond) {
            free(out);
            wrong("an array points outside what it indexes");
            return NULL;
        }
        out[n] = (int32_t)value;
    }
    return out;
}

static int ascends(const double *values, int64_t count)
{
    for (int64_t n = 0; n < count; n++)
        if (values[n] != values[n] || (n && values[n] < values[n - 1]))
            return 0;
    return 1;
}

static int make_linear(const Scorer *self, Term *term, PyObject *parts, Held *held)
{
    PyObject *place, *fill, *weight, *missing, *intercept;
    int kind;
    const Py_buffer *p, *f, *w, *m, *i;
    if (!PyArg_ParseTuple(parts, "iOOOOO", &kind, &place, &fill, &weight, &missing, &intercept)
        || !(p = hold(held, place, 'q', 1)) || !(f = hold(held, fill, 'd', 1)) || !(w = hold(held, weight, 'd', 2))
        || !(m = hold(held, missing, 'd', 2)) || !(i = hold(held, intercept, 'd', 1)))
        return -1;
    int64_t k = self->outputs;
    term->count = p->shape[0];
    if (term->count > MOST || f->shape[0] != term->count || w->shape[0] != term->count || m->shape[0] != term->count
        || w->shape[1] != k || m->shape[1] != k || i->shape[0] != k)
        return wrong("the arrays of a linear term do not fit each other");
    if (!(term->place = narrowed(p, 0, self->inputs)) || !(term->fill = copied(f)) || !(term->weight = copied(w))
        || !(term->missing = copied(m)) || !(term->intercept = copied(i)))
        return PyErr_Occurred() ? -1 : (PyErr_NoMemory(), -1);
    return 0;
}

static int make_lookup(const Scorer *self, Term *term, PyObject *parts, Held *held)
{
    PyObject *places, *cuts[2], *values;
    int kind;
    const Py_buffer *p, *c, *v;
    if (!PyArg_ParseTuple(parts, "iOOOO", &kind, &places, &cuts[0], &cuts[1], &values)
        || !(p = hold(held, places, 'q', 1)))
        return -1;
    term->count = p->shape[0];
    if (term->count < 1 || term->count > 2)
        return wrong("a table has one or two axes");
    if (!(v = hold(held, values, 'd', (int)term->count + 1)))
        return -1;
    for (int64_t n = 0; n < term->count; n++) {
        Axis *axis = &term->axis[n];
        if (!(c = hold(held, cuts[n], 'd', 1)))
            return -1;
        axis->place = whole(p, n), axis->size = v->shape[n], axis->count = c->shape[0];
        if (axis->place < 0 || axis->place >= self->inputs)
            return wrong("a table reads an input that is not there");
        if (axis->size < 1 || (axis->count && axis->size != axis->count + 2))
            return wrong("a table does not have one cell for missing and one between any two cuts");
        if (!(axis->cuts = copied(c)))
            return PyErr_NoMemory(), -1;
        if (!ascends(axis->cuts, axis->count))
            return wrong("the cuts of a table do not ascend");
    }
    if (v->shape[term->count] != self->outputs)
        return wrong("a table does not have a value for every output");
    if (!(term->values = copied(v)))
        return PyErr_NoMemory(), -1;
    return 0;
}

enum { FEATURE, LEFT, RIGHT, FLAGS, WORDS, THRESHOLD, ROOT, OUTPUT, BITS, LEAF, BASE, ARRAYS };

static int make_codes(Term *term, Node *node, double first, int64_t words, int64_t bits)
{
    if (!(first >= 0.0 && first + (double)words <= (double)bits))
        return wrong("a node reads words outside the bits");
    int64_t at = words > 0 ? (int64_t)first : 0;
    words = words > 0 ? words : 0;
    if (at > bits || words > bits - at)
        return wrong("a node reads words outside the bits");
    while (words && !term->bits[at + words - 1])
        words--;
    node->kind = words <= 2 ? HOT : WIDE;
    uint64_t key = (uint64_t)at << 32 | (uint64_t)words;
    if (node->kind == HOT)
        key = (words ? term->bits[at] : 0) | (words > 1 ? (uint64_t)term->bits[at + 1] << 32 : 0);
    node->key = (int64_t)key;
    return node->kind == HOT ? ONE_HOT : CODE;
}

static int32_t placed(int64_t child, int64_t nodes) /* where a child or root stands: a leaf behind all nodes */
{
    return (int32_t)(child < 0 ? nodes - 1 - child : child);
}

/* How a node looks at its input, or -1 with an error set. */
static int make_node(Term *term, Node *node, const Py_buffer **a, int64_t n)
{
    int64_t flags = whole(a[FLAGS], n), nodes = a[FEATURE]->shape[0], leaves = a[LEAF]->shape[0];
    double threshold = ((const double *)a[THRESHOLD]->buf)[n];
    for (int side = 0; side < 2; side++) {
        int64_t child = whole(a[LEFT + side], n);
        if (child >= nodes || child < -leaves || (child >= 0 && child <= n))
            return wrong("a node has a child that is not there, or not after it");
        node->child[side] = placed(child, nodes);
    }
    if (flags & CATEGORICAL)
        return make_codes(term, node, threshold, whole(a[WORDS], n), a[BITS]->shape[0]);
    int64_t missing = flags >= 0 ? flags >> MISSING_SHIFT : 0;
    node->kind = NUMBER;
    node->key = threshold != threshold ? INT64_MIN : ordered(threshold);
    if (missing == MISSING_NAN)
        return flags & DEFAULT_LEFT ? NAN_LEFT : NAN_RIGHT;
    if (missing == MISSING_ZERO)
        return flags & DEFAULT_LEFT ? ZERO_LEFT : ZERO_RIGHT;
    return PLAIN;
}

static int make_nodes(const Scorer *self, Term *term, const Py_buffer **a)
{
    int64_t nodes = a[FEATURE]->shape[0], leaves = a[LEAF]->shape[0], pairs = self->inputs * VIEWS;
    int32_t *known = calloc((size_t)pairs + 1, sizeof *known); /* 1 + the slot of an input and view, 0 if there is none */
    term->nodes = calloc((size_t)(nodes + leaves) + 1, sizeof *term->nodes);
    term->slots = calloc((size_t)(pairs < nodes ? pairs : nodes) + 1, sizeof *term->slots);
    int failed = !known || !term->nodes || !term->slots;
    if (failed)
        PyErr_NoMemory();
    for (int64_t n = 0; n < nodes && !failed; n++) {
        Node *node = term->nodes + n;
        int64_t place = whole(a[FEATURE], n);
        int view = place < 0 || place >= self->inputs ? wrong("a node reads an input that is not there")
                                                      : make_node(term, node, a, n);
        if ((failed = view < 0))
            break;
        int32_t *slot = known + place * VIEWS + view;
        if (!*slot) {
            term->slots[term->slot_count] = (Slot){(int32_t)place, view};
            *slot = (int32_t)++term->slot_count;
        }
        node->slot = *slot - 1;
        term->wide |= node->kind == WIDE;
    }
    for (int64_t n = nodes; n < nodes + leaves && !failed; n++)
        term->nodes[n].child[0] = term->nodes[n].child[1] = (int32_t)n;
    for (int64_t n = 0; n < term->count && !failed; n++)
        term->root[n] = placed(term->root[n], nodes);
    free(known);
    return failed ? -1 : 0;
}

static int make_trees(const Scorer *self, Term *term, PyObject *parts, Held *held)
{
    PyObject *o[ARRAYS];
    const Py_buffer *a[ARRAYS];
    int kind;
    if (!PyArg_ParseTuple(parts, "iOOOOOOOOOOOdp", &kind, &o[FEATURE], &o[LEFT], &o[RIGHT], &o[FLAGS], &o[WORDS],
                          &o[THRESHOLD], &o[ROOT], &o[OUTPUT], &o[BITS], &o[LEAF], &o[BASE], &term->divisor,
                          &term->narrow))
        return -1;
    for (int n = 0; n < ARRAYS; n++)
        if (!(a[n] = hold(held, o[n], n == THRESHOLD || n >= LEAF ? 'd' : 'q', n == LEAF ? 2 : 1)))
            return -1;
    int64_t k = self->outputs, nodes = a[FEATURE]->shape[0], leaves = a[LEAF]->shape[0], bits = a[BITS]->shape[0];
    term->count = a[ROOT]->shape[0], term->width = a[LEAF]->shape[1], term->inner = nodes;
    for (int n = LEFT; n <= THRESHOLD; n++)
        if (a[n]->shape[0] != nodes)
            return wrong("the arrays of a tree term do not fit each other");
    if (a[OUTPUT]->shape[0] != term->count || a[BASE]->shape[0] != k || (term->width != 1 && term->width != k))
        return wrong("the arrays of a tree term do not fit each other");
    if (nodes > MOST / 2 || leaves > MOST / 2 || term->count > MOST || bits > MOST)
        return wrong("a tree term is too large");
    if (!(term->bits = calloc((size_t)bits + 1, sizeof *term->bits)))
        return PyErr_NoMemory(), -1;
    for (int64_t n = 0; n < bits; n++)
        term->bits[n] = (uint32_t)whole(a[BITS], n);
    if (!(term->root = narrowed(a[ROOT], -leaves, nodes)) || !(term->output = narrowed(a[OUTPUT], 0, k))
        || !(term->leaf = copied(a[LEAF])) || !(term->base = copied(a[BASE])))
        return PyErr_Occurred() ? -1 : (PyErr_NoMemory(), -1);
    return make_nodes(self, term, a);
}

static int bounded(const Py_buffer *view) /* whether all numbers are finite and none is too large; not NaN */
{
    const double *values = view->buf;
    for (Py_ssize_t n = 0; n < view->len / (Py_ssize_t)sizeof(double); n++)
        if (!(fabs(values[n]) <= MOST_SIZE))
            return 0;
    return 1;
}

/* The columns that the inputs make, or -1 with an error set. a: place, levels, low, high, fill, offset, scale. */
static int64_t make_readings(const Scorer *self, Term *term, const Py_buffer **a)
{
    int64_t columns = 0;
    if (term->count > MOST || !(term->readings = calloc((size_t)term->count + 1, sizeof *term->readings)))
        return PyErr_NoMemory(), -1;
    for (int64_t n = 0; n < term->count; n++) {
        Reading *one = term->readings + n;
        double *numbers[] = {&one->low, &one->high, &one->fill, &one->offset, &one->scale};
        one->place = whole(a[0], n), one->levels = whole(a[1], n);
        for (int i = 0; i < 5; i++)
            *numbers[i] = ((const double *)a[2 + i]->buf)[n];
        if (one->place < 0 || one->place >= self->inputs || one->levels < 0 || one->levels > MOST_WEIGHTS)
            return wrong("a network reads an input that is not there");
        columns += one->levels ? one->levels : 2;
        if (!one->levels && !(one->low <= one->high && one->scale > 0.0 && fabs(one->fill) <= DBL_MAX
                              && fabs((one->low - one->offset) / one->scale) <= MOST_SIZE
                              && fabs((one->high - one->offset) / one->scale) <= MOST_SIZE))
            return wrong("an input of a network is not held within finite bounds");
    }
    return columns;
}

static int make_layer(Term *term, PyObject *weight, PyObject *bias, int64_t columns, Held *held)
{
    const Py_buffer *w, *b;
    if (!(w = hold(held, weight, 'd', 2)) || !(b = hold(held, bias, 'd', 1)))
        return -1;
    Layer *layer = term->layers + term->depth;
    layer->columns = w->shape[0], layer->units = w->shape[1];
    if (layer->columns != columns || b->shape[0] != layer->units || layer->units < 1)
        return wrong("the layers of a network do not fit each other");
    if (layer->units > MOST_WEIGHTS || layer->columns * layer->units > MOST_WEIGHTS)
        return wrong("a network is too large");
    if (!bounded(w) || !bounded(b))
        return wrong("a weight of a network is not finite, or beyond 1e12");
    term->depth++; /* now, so that what is made here is freed */
    if (layer->units > term->units)
        term->units = layer->units;
    if (!(layer->weight = copied(w)) || !(layer->bias = copied(b)))
        return PyErr_NoMemory(), -1;
    return 0;
}

static int make_dense(const Scorer *self, Term *term, PyObject *parts, Held *held)
{
    PyObject *o[7], *weights, *biases;
    const Py_buffer *a[7];
    int kind;
    if (!PyArg_ParseTuple(parts, "iOOOOOOOiO!O!", &kind, &o[0], &o[1], &o[2], &o[3], &o[4], &o[5], &o[6],
                          &term->activation, &PyTuple_Type, &weights, &PyTuple_Type, &biases))
        return -1;
    Py_ssize_t depth = PyTuple_Size(weights);
    if (depth < 1 || depth > MOST_LAYERS || PyTuple_Size(biases) != depth || term->activation < AS_IT_IS
        || term->activation > TANH)
        return wrong("a network of this depth or activation is unknown");
    for (int n = 0; n < 7; n++) {
        if (!(a[n] = hold(held, o[n], n < 2 ? 'q' : 'd', 1)))
            return -1;
        if (a[n]->shape[0] != a[0]->shape[0])
            return wrong("the arrays of a network do not fit each other");
    }
    term->count = a[0]->shape[0];
    int64_t columns = make_readings(self, term, a), size = 0;
    if (columns < 0)
        return -1;
    for (Py_ssize_t n = 0; n < depth; n++) {
        if (make_layer(term, PyTuple_GetItem(weights, n), PyTuple_GetItem(biases, n), columns, held) < 0)
            return -1;
        columns = term->layers[n].units, size += term->layers[n].columns * columns;
        if (size > MOST_WEIGHTS || (n < depth - 1 && columns > MOST_UNITS))
            return wrong("a network is too large");
    }
    return columns == self->outputs ? 0 : wrong("a network does not have a value for every output");
}

static int make_term(const Scorer *self, Term *term, PyObject *parts)
{
    static int (*const makers[])(const Scorer *, Term *, PyObject *, Held *) = {make_linear, make_lookup, make_trees,
                                                                                make_dense};
    PyObject *first = PyTuple_Check(parts) && PyTuple_Size(parts) > 0 ? PyTuple_GetItem(parts, 0) : NULL;
    long kind = first ? PyLong_AsLong(first) : -1;
    if (PyErr_Occurred())
        return -1;
    if (kind < LINEAR || kind > DENSE)
        return wrong("a term is a tuple that begins with its kind");
    Held held = {.count = 0};
    term->kind = (int)kind;
    int code = makers[kind](self, term, parts, &held);
    let_go(&held);
    return code;
}

static int make_knots(Scorer *self, PyObject *score, PyObject *value)
{
    Held held = {.count = 0};
    const Py_buffer *s = hold(&held, score, 'd', 1), *v = s ? hold(&held, value, 'd', 1) : NULL;
    int code = v ? 0 : -1;
    if (v && s->shape[0] != v->shape[0])
        code = wrong("a calibration needs as many values as scores");
    if (!code && (!(self->score = copied(s)) || !(self->value = copied(v))))
        code = (PyErr_NoMemory(), -1);
    if (!code) {
        self->knots = s->shape[0];
        if (self->knots && self->link >= SOFTMAX)
            code = wrong("a calibration by knots is of one score, the program has one for every class");
        else if (!ascends(self->score, self->knots) || !ascends(self->value, self->knots))
            code = wrong("a calibration does not ascend");
    }
    let_go(&held);
    return code;
}

static int make(Scorer *self, PyObject *args)
{
    Py_ssize_t inputs, outputs;
    PyObject *terms, *score, *value;
    if (!PyArg_ParseTuple(args, "nnO!iOOpdd", &inputs, &outputs, &PyList_Type, &terms, &self->link, &score, &value,
                          &self->scaled, &self->slope, &self->intercept))
        return -1;
    if (inputs < 0 || inputs > MOST / VIEWS || outputs < 1 || outputs > MOST || self->link < IDENTITY
        || self->link > SHARE || (outputs > 1 && self->link < SOFTMAX))
        return wrong("a program of this many inputs and outputs, or of this link, is unknown");
    self->inputs = inputs, self->outputs = outputs;
    Py_ssize_t count = PyList_Size(terms);
    if (!(self->terms = calloc((size_t)count + 1, sizeof *self->terms)))
        return PyErr_NoMemory(), -1;
    for (; self->count < count; self->count++) {
        PyObject *parts = PyList_GetItem(terms, self->count);
        Term *term = self->terms + self->count;
        if (!parts || make_term(self, term, parts) < 0) {
            self->count++; /* so that what was made of it is freed */
            return -1;
        }
        if (term->slot_count > self->most_slots)
            self->most_slots = term->slot_count;
        if (2 * term->units > self->most_units)
            self->most_units = 2 * term->units;
    }
    return make_knots(self, score, value);
}

/* ── the Python type ────────────────────────────────────────────────────────────────────────────────────────────── */

static void scorer_free(PyObject *object)
{
    Scorer *self = (Scorer *)object;
    PyTypeObject *type = Py_TYPE(object);
    for (int64_t n = 0; n < self->count; n++) {
        Term *t = self->terms + n;
        void *owned[] = {t->place, t->fill, t->weight, t->missing, t->intercept, t->axis[0].cuts, t->axis[1].cuts,
                         t->values, t->root, t->output, t->nodes, t->slots, t->bits, t->leaf, t->base, t->readings};
        for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
            free(owned[i]);
        for (int i = 0; i < MOST_LAYERS; i++) {
            free(t->layers[i].weight);
            free(t->layers[i].bias);
        }
    }
    free(self->terms);
    free(self->score);
    free(self->value);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
    Py_DECREF(type);
}

static PyObject *scorer_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    if (keywords && PyDict_Size(keywords))
        return PyErr_SetString(PyExc_TypeError, "a scorer takes no keywords"), NULL;
    Scorer *self = (Scorer *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
    if (self && make(self, args) < 0) {
        Py_DECREF((PyObject *)self);
        return NULL;
    }
    return (PyObject *)self;
}

static int number(PyObject *item, double *out)
{
    if (!item)
        return -1;
    if (PyFloat_CheckExact(item)) {
        *out = PyFloat_AsDouble(item);
        return 0;
    }
    Py_INCREF(item); /* its own conversion may take it out of the list */
    *out = PyFloat_AsDouble(item);
    Py_DECREF(item);
    return *out == -1.0 && PyErr_Occurred() ? -1 : 0;
}

/* The numbers of one row: a list or tuple of them, or a buffer of native doubles. */
static int read_row(const Scorer *self, PyObject *given, double *row)
{
    int64_t wanted = self->inputs;
    if (PyList_Check(given) || PyTuple_Check(given)) {
        int list = PyList_Check(given);
        if ((list ? PyList_Size(given) : PyTuple_Size(given)) != wanted)
            return wrong("the row has another number of inputs than the program reads");
        for (int64_t n = 0; n < wanted; n++)
            if (number(list ? PyList_GetItem(given, n) : PyTuple_GetItem(given, n), row + n) < 0)
                return -1;
        return 0;
    }
    Py_buffer view;
    if (PyObject_GetBuffer(given, &view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT) < 0)
        return -1;
    const char *format = view.format ? view.format : "B";
    int fits = (!strcmp(format, "d") || !strcmp(format, "B")) && view.len == wanted * (int64_t)sizeof(double);
    if (fits && view.len)
        memcpy(row, view.buf, (size_t)view.len);
    PyBuffer_Release(&view);
    return fits ? 0 : wrong("the row is not a buffer of as many doubles as the program reads");
}

static PyObject *row_of(const Scorer *self, PyObject *given, int with_link)
{
    int64_t k = self->outputs, needed = self->inputs + 2 * k + self->most_units + self->most_slots;
    double local[LOCAL], *scratch = local;
    PyObject *out = NULL;
    if (needed > LOCAL && !(scratch = malloc((size_t)needed * sizeof(double))))
        return PyErr_NoMemory();
    double *total = scratch + self->inputs, *own = total + k, *units = own + k;
    if (read_row(self, given, scratch) == 0) {
        margin_of_row(self, scratch, total, own, units, (int64_t *)(void *)(units + self->most_units));
        if (with_link)
            finish(self, total);
        out = PyTuple_New((Py_ssize_t)k);
    }
    for (int64_t j = 0; out && j < k; j++) {
        PyObject *value = PyFloat_FromDouble(total[j]);
        if (!value || PyTuple_SetItem(out, (Py_ssize_t)j, value) < 0)
            Py_CLEAR(out);
    }
    if (scratch != local)
        free(scratch);
    return out;
}

static int run(const Scorer *self, const double *rows, int64_t count, double *out, int with_link)
{
    int64_t k = self->outputs, inputs = self->inputs;
    size_t needed = (size_t)BLOCK * (size_t)(inputs + k + self->most_slots) + (size_t)self->most_units + 1;
    double *scratch = calloc(needed, sizeof(double));
    if (!scratch)
        return -1;
    double *own = scratch + BLOCK * inputs, *units = own + BLOCK * k;
    for (int64_t start = 0; start < count; start += BLOCK) {
        int64_t some = count - start < BLOCK ? count - start : BLOCK;
        if (inputs) /* a copy, because another thread may write to the rows */
            memcpy(scratch, rows + start * inputs, (size_t)(some * inputs) * sizeof(double));
        double *total = out + start * k;
        margin_of_block(self, scratch, some, total, own, units, (int64_t *)(void *)(units + self->most_units));
        for (int64_t n = 0; with_link && n < some; n++)
            finish(self, total + n * k);
    }
    free(scratch);
    return 0;
}

static PyObject *batch_of(const Scorer *self, PyObject *args, int with_link)
{
    PyObject *inputs, *out;
    Py_buffer given, made;
    if (!PyArg_ParseTuple(args, "OO", &inputs, &out)
        || PyObject_GetBuffer(inputs, &given, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT) < 0)
        return NULL;
    if (PyObject_GetBuffer(out, &made, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | PyBUF_WRITABLE) < 0) {
        PyBuffer_Release(&given);
        return NULL;
    }
    int fits = given.ndim == 2 && made.ndim == 2 && given.format && made.format && !strcmp(given.format, "d")
               && !strcmp(made.format, "d") && given.shape[1] == self->inputs && made.shape[1] == self->outputs
               && given.shape[0] == made.shape[0];
    int failed = 0;
    if (fits && given.shape[0] >= FREE_FROM) {
        Py_BEGIN_ALLOW_THREADS
        failed = run(self, given.buf, given.shape[0], made.buf, with_link);
        Py_END_ALLOW_THREADS
    } else if (fits)
        failed = run(self, given.buf, given.shape[0], made.buf, with_link);
    PyBuffer_Release(&made);
    PyBuffer_Release(&given);
    if (!fits)
        return wrong("inputs (n, inputs) and out (n, outputs) must be contiguous and float64"), NULL;
    if (failed)
        return PyErr_NoMemory();
    Py_RETURN_NONE;
}

static PyObject *scorer_row(PyObject *self, PyObject *row) { return row_of((Scorer *)self, row, 1); }
static PyObject *scorer_row_margin(PyObject *self, PyObject *row) { return row_of((Scorer *)self, row, 0); }
static PyObject *scorer_batch(PyObject *self, PyObject *args) { return batch_of((Scorer *)self, args, 1); }
static PyObject *scorer_batch_margin(PyObject *self, PyObject *args) { return batch_of((Scorer *)self, args, 0); }

static PyMethodDef methods[] = {
    {"row", scorer_row, METH_O, "Scores of one row, as a tuple of floats."},
    {"row_margin", scorer_row_margin, METH_O, "Margins of one row, before link and calibration, as a tuple of floats."},
    {"batch", scorer_batch, METH_VARARGS, "Scores of inputs (n, d), written into out (n, k)."},
    {"batch_margin", scorer_batch_margin, METH_VARARGS, "Margins of inputs (n, d), written into out (n, k)."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "Scorer(inputs, outputs, terms, link, score, value, scaled, slope, intercept): a program, checked and packed."},
    {Py_tp_new, scorer_new},
    {Py_tp_dealloc, scorer_free},
    {Py_tp_methods, methods},
    {0, NULL},
};

static PyType_Spec spec = {"shipworthy.kernels._native.Scorer", sizeof(Scorer), 0, Py_TPFLAGS_DEFAULT, slots};

static int fill_module(PyObject *module)
{
    PyObject *type = PyType_FromModuleAndSpec(module, &spec, NULL);
    int code = type ? PyModule_AddObjectRef(module, "Scorer", type) : -1;
    Py_XDECREF(type);
    return code;
}

static PyMethodDef functions[] = {
    {"branch", branch, METH_VARARGS, "Branch and bound over boxes of leaves: (state, best, upper, nodes, split tree)."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, fill_module}, {0, NULL}};
static PyModuleDef module = {PyModuleDef_HEAD_INIT, "_native", "The compiled kernel.", 0, functions, module_slots,
                             NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__native(void) { return PyModuleDef_Init(&module); }
