/* Branch and bound over boxes of leaves, box for box and bit for bit what verification/formal/search.py does.
 *
 * A sum of trees is flat arrays: of every leaf the cells and bits that it holds of each input, and its value. A box
 * that is kept holds the leaves that it meets, so that a cut has to look at one input only; when these lists fill
 * MOST_BYTES, further boxes find theirs again from the first list. */

#define Py_LIMITED_API 0x030b0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MOST_BYTES ((int64_t)1 << 29)
#define VIEWS 12

enum { END, NUMBER, MASK };
enum { BELOW, REACHED, UNKNOWN, NO_MEMORY };

typedef struct { int32_t *lo, *hi; uint64_t *mask; } Box; /* one block of memory, which begins at mask */
typedef struct { int32_t kind, place; int64_t cell, first; uint64_t *mask; } Split; /* second child: first + 1 */
typedef struct { double bound; int64_t order, node, count; int32_t *ids; Box box; } Entry;
typedef struct { int kind; int64_t place, cell; } Cut; /* of MASK: its words are in Search.part */

typedef struct {
    int64_t inputs, words, leaves, trees;
    const int32_t *lo, *hi, *root_lo, *root_hi;
    const uint64_t *mask, *root_mask;
    const double *value;
    const int64_t *start, *first, *near_cell, *near_bit;
    double base, slack, goal, tolerance, seconds, best, ended;
    int64_t most_nodes, nodes, cells;
    int32_t *tree, *ids, *scratch;   /* (leaves,): tree of each; leaves that the query meets; scratch */
    int64_t met, held;               /* how many of ids; bytes of the lists in the heap */
    double *spread, *score;          /* (leaves,), (cells,) */
    uint64_t *part, *wide;           /* (words,): the mask that pick chose; scratch */
    int64_t *point, *at;             /* (2, inputs): cell and bit of the point tried, and of the best */
    Entry *heap;
    int64_t size, room, pushed;
    Split *splits;
    int64_t split_count, split_room;
} Search;

static Box new_box(const Search *s, const int32_t *lo, const int32_t *hi, const uint64_t *mask)
{
    size_t numbers = (size_t)s->inputs * sizeof(int32_t), bits = (size_t)s->words * sizeof(uint64_t);
    Box box = {NULL, NULL, malloc(bits + 2 * numbers + 1)};
    if (box.mask) {
        box.lo = (int32_t *)(void *)(box.mask + s->words), box.hi = box.lo + s->inputs;
        memcpy(box.mask, mask, bits), memcpy(box.lo, lo, numbers), memcpy(box.hi, hi, numbers);
    }
    return box;
}

static int meets(const Search *s, const Box *box, int64_t place, int64_t leaf)
{
    const int32_t *lo = s->lo + place * s->leaves, *hi = s->hi + place * s->leaves;
    int32_t low = lo[leaf] > box->lo[place] ? lo[leaf] : box->lo[place];
    int32_t high = hi[leaf] < box->hi[place] ? hi[leaf] : box->hi[place];
    if (low <= high)
        return 1;
    for (int64_t word = s->first[place]; word < s->first[place + 1]; word++)
        if (s->mask[word * s->leaves + leaf] & box->mask[word])
            return 1;
    return 0;
}

static double bound_of(const Search *s, const int32_t *ids, int64_t count)
{
    double sum = s->base;
    for (int64_t n = 0; n < count;) {
        int32_t tree = s->tree[ids[n]];
        double most = s->value[ids[n++]];
        for (; n < count && s->tree[ids[n]] == tree; n++)
            most = s->value[ids[n]] > most ? s->value[ids[n]] : most;
        sum += most;
    }
    return sum;
}

static int before(const Entry *a, const Entry *b)
{
    return a->bound > b->bound || (a->bound == b->bound && a->order < b->order);
}

static int push(Search *s, Entry entry)
{
    if (s->size == s->room) {
        int64_t room = s->room ? 2 * s->room : 64;
        Entry *heap = realloc(s->heap, (size_t)room * sizeof *heap);
        if (!heap)
            return -1;
        s->heap = heap, s->room = room;
    }
    int64_t at = s->size++;
    for (int64_t up = (at - 1) / 2; at && before(&entry, s->heap + up); at = up, up = (at - 1) / 2)
        s->heap[at] = s->heap[up];
    s->heap[at] = entry;
    return 0;
}

static Entry pop(Search *s)
{
    Entry top = s->heap[0], last = s->heap[--s->size];
    int64_t at = 0;
    for (int64_t down; (down = 2 * at + 1) < s->size; at = down) {
        if (down + 1 < s->size && before(s->heap + down + 1, s->heap + down))
            down++;
        if (!before(s->heap + down, &last))
            break;
        s->heap[at] = s->heap[down];
    }
    if (s->size)
        s->heap[at] = last;
    return top;
}

static void drop(Search *s, Entry *entry)
{
    if (entry->ids)
        s->held -= entry->count * (int64_t)sizeof(int32_t);
    free(entry->ids);
    free(entry->box.mask);
}

/* Bound a box, which is taken over, with the leaves that it meets; keep it if it may reach the goal. */
static int enter(Search *s, Box box, const int32_t *ids, int64_t count, int64_t node)
{
    double bound = bound_of(s, ids, count);
    if (bound + s->slack < s->goal) {
        s->ended = bound > s->ended ? bound : s->ended;
        free(box.mask);
        return 0;
    }
    Entry entry = {bound, s->pushed++, node, count, NULL, box};
    int64_t bytes = count * (int64_t)sizeof(int32_t);
    if (s->held + bytes <= MOST_BYTES && (entry.ids = malloc((size_t)bytes + 1))) {
        memcpy(entry.ids, ids, (size_t)bytes);
        s->held += bytes;
    }
    if (push(s, entry) == 0)
        return 0;
    drop(s, &entry);
    return -1;
}

static int64_t meeting(const Search *s, const Box *box, const int32_t *from, int64_t count, int32_t *into)
{
    int64_t found = 0;
    for (int64_t n = 0; n < count; n++) {
        int64_t place = 0;
        while (place < s->inputs && meets(s, box, place, from[n]))
            place++;
        if (place == s->inputs)
            into[found++] = from[n];
    }
    return found;
}

static void find_point(const Search *s, const Box *box)
{
    int64_t *cells = s->point, *bits = s->point + s->inputs;
    for (int64_t place = 0; place < s->inputs; place++) {
        const uint64_t *own = box->mask + s->first[place];
        int64_t bit = s->near_bit[place], cell = s->near_cell[place];
        cells[place] = bits[place] = -1;
        if (bit >= 0 && own[bit / 64] >> (bit % 64) & 1)
            bits[place] = bit;
        else if (box->lo[place] <= box->hi[place]) {
            cell = cell > box->lo[place] ? cell : box->lo[place];
            cells[place] = cell < box->hi[place] ? cell : box->hi[place];
        } else
            for (int64_t n = 0, all = 64 * (s->first[place + 1] - s->first[place]); n < all && bits[place] < 0; n++)
                if (own[n / 64] >> (n % 64) & 1)
                    bits[place] = n;
    }
}

static int holds_point(const Search *s, int64_t leaf)
{
    const int64_t *cells = s->point, *bits = s->point + s->inputs;
    for (int64_t place = 0; place < s->inputs; place++) {
        int64_t at = place * s->leaves + leaf;
        if (bits[place] < 0 ? s->lo[at] > cells[place] || s->hi[at] < cells[place]
                            : !(s->mask[(s->first[place] + bits[place] / 64) * s->leaves + leaf]
                                >> (bits[place] % 64) & 1))
            return 0;
    }
    return 1;
}

static void meet(Search *s, const Entry *entry, const int32_t *ids, int64_t count)
{
    double value = s->base;
    find_point(s, &entry->box);
    for (int64_t n = 0; n < count; n++)
        if (holds_point(s, ids[n]))
            value += s->value[ids[n]];
    if (value > s->best) {
        s->best = value;
        memcpy(s->at, s->point, 2 * (size_t)s->inputs * sizeof(int64_t));
        if (s->tolerance >= 0.0 && value + s->tolerance > s->goal)
            s->goal = value + s->tolerance;
    }
}

/* Of every leaf, by how much its tree differs inside the box. */
static void find_spread(const Search *s, const int32_t *ids, int64_t count)
{
    for (int64_t n = 0; n < count;) {
        int64_t begin = n;
        int32_t tree = s->tree[ids[n]];
        double most = s->value[ids[n]], least = most;
        for (n++; n < count && s->tree[ids[n]] == tree; n++) {
            double value = s->value[ids[n]];
            most = value > most ? value : most;
            least = value < least ? value : least;
        }
        for (int64_t k = begin; k < n; k++)
            s->spread[k] = most - least;
    }
}

static double best_cell(const Search *s, const Box *box, int64_t place, const int32_t *ids, int64_t count,
                        int64_t *cell)
{
    const int32_t *low = s->lo + place * s->leaves, *high = s->hi + place * s->leaves;
    int32_t lo = box->lo[place], hi = box->hi[place];
    double most = 0.0;
    if (lo >= hi)
        return 0.0;
    for (int32_t c = lo; c < hi; c++)
        s->score[c] = 0.0;
    for (int64_t n = 0; n < count; n++)
        if (low[ids[n]] > lo && low[ids[n]] <= hi)
            s->score[low[ids[n]] - 1] += s->spread[n];
    for (int64_t n = 0; n < count; n++)
        if (high[ids[n]] < hi && high[ids[n]] >= lo)
            s->score[high[ids[n]]] += s->spread[n];
    for (int32_t c = lo; c < hi; c++)
        if (s->score[c] > most)
            most = s->score[c], *cell = c;
    return most;
}

/* How much trees differ over leaves that hold a part of the bits; the part of the widest of them goes to wide. */
static double best_mask(const Search *s, const Box *box, int64_t place, const int32_t *ids, int64_t count)
{
    int64_t first = s->first[place], last = s->first[place + 1], widest = -1;
    const int32_t *low = s->lo + place * s->leaves, *high = s->hi + place * s->leaves;
    int32_t lo = box->lo[place], hi = box->hi[place];
    uint64_t some = 0;
    double score = 0.0, most = 0.0;
    for (int64_t word = first; word < last; word++)
        some |= box->mask[word];
    for (int64_t n = 0; some && n < count; n++) {
        int part = lo <= hi && (low[ids[n]] > lo ? low[ids[n]] : lo) > (high[ids[n]] < hi ? high[ids[n]] : hi);
        for (int64_t word = first; word < last && !part; word++)
            part = (s->mask[word * s->leaves + ids[n]] & box->mask[word]) != box->mask[word];
        if (!part)
            continue;
        score += s->spread[n];
        if (widest < 0 || s->spread[n] > most)
            widest = n, most = s->spread[n];
    }
    if (widest < 0)
        return 0.0;
    some = 0;
    for (int64_t word = first; word < last; word++)
        some |= s->wide[word] = s->mask[word * s->leaves + ids[widest]] & box->mask[word];
    for (int64_t word = first; word < last && !some; word++)
        s->wide[word] = box->mask[word];
    return score;
}

static Cut pick(const Search *s, const Box *box, const int32_t *ids, int64_t count)
{
    Cut cut = {END, 0, 0};
    double most = 0.0;
    find_spread(s, ids, count);
    for (int64_t place = 0; place < s->inputs; place++) {
        int64_t cell = 0;
        double score = best_cell(s, box, place, ids, count, &cell);
        if (score > most)
            most = score, cut = (Cut){NUMBER, place, cell};
        score = best_mask(s, box, place, ids, count);
        if (score > most) {
            most = score, cut = (Cut){MASK, place, 0};
            memcpy(s->part, s->wide, (size_t)s->words * sizeof(uint64_t));
        }
    }
    return cut;
}

static int divide(Search *s, const Entry *entry, Cut cut, const int32_t *ids, int64_t count)
{
    int64_t first = s->first[cut.place], last = s->first[cut.place + 1];
    if (s->split_count + 2 > s->split_room) {
        int64_t room = 2 * s->split_room + 64;
        Split *splits = realloc(s->splits, (size_t)room * sizeof *splits);
        if (!splits)
            return -1;
        s->splits = splits, s->split_room = room;
    }
    Split *split = s->splits + entry->node;
    if (cut.kind == MASK) {
        if (!(split->mask = malloc((size_t)(last - first) * sizeof(uint64_t))))
            return -1;
        memcpy(split->mask, s->part + first, (size_t)(last - first) * sizeof(uint64_t));
    }
    split->kind = cut.kind, split->place = (int32_t)cut.place, split->cell = cut.cell, split->first = s->split_count;
    memset(s->splits + s->split_count, 0, 2 * sizeof(Split));
    s->split_count += 2;
    int64_t child = s->split_count - 2;
    for (int side = 0; side < 2; side++) {
        Box box = new_box(s, entry->box.lo, entry->box.hi, entry->box.mask);
        if (!box.mask)
            return -1;
        if (cut.kind == NUMBER && side == 0)
            box.hi[cut.place] = (int32_t)cut.cell;
        else if (cut.kind == NUMBER)
            box.lo[cut.place] = (int32_t)cut.cell + 1;
        else if (side == 0)
            box.lo[cut.place] = 0, box.hi[cut.place] = -1;
        for (int64_t word = first; word < last; word++)
            box.mask[word] &= cut.kind == NUMBER ? (side ? 0 : UINT64_MAX) : side ? ~s->part[word] : s->part[word];
        int64_t found = 0;
        for (int64_t n = 0; n < count; n++)
            if (meets(s, &box, cut.place, ids[n]))
                s->scratch[found++] = ids[n];
        if (enter(s, box, s->scratch, found, child + side) < 0)
            return -1;
    }
    return 0;
}

static double now(void)
{
    struct timespec time;
    timespec_get(&time, TIME_UTC);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static int opened(Search *s, Entry *entry, int32_t *again)
{
    const int32_t *ids = entry->ids;
    int64_t count = entry->count;
    if (!ids)
        count = meeting(s, &entry->box, s->ids, s->met, again), ids = again;
    meet(s, entry, ids, count);
    if (s->tolerance < 0.0 && s->best >= s->goal + s->slack) {
        s->ended = entry->bound > s->ended ? entry->bound : s->ended;
        return REACHED;
    }
    Cut cut = pick(s, &entry->box, ids, count);
    if (cut.kind != END)
        return divide(s, entry, cut, ids, count) < 0 ? NO_MEMORY : BELOW;
    s->ended = entry->bound > s->ended ? entry->bound : s->ended;
    return entry->bound + s->slack >= s->goal ? UNKNOWN : BELOW;
}

static int run_search(Search *s, int32_t *again)
{
    double stop = now() + s->seconds;
    Box box = new_box(s, s->root_lo, s->root_hi, s->root_mask);
    if (!box.mask)
        return NO_MEMORY;
    for (int64_t n = 0; n < s->leaves; n++)
        s->scratch[n] = (int32_t)n;
    s->met = meeting(s, &box, s->scratch, s->leaves, s->ids);
    memcpy(s->scratch, s->ids, (size_t)s->met * sizeof(int32_t));
    if (enter(s, box, s->scratch, s->met, 0) < 0)
        return NO_MEMORY;
    while (s->size && s->heap[0].bound + s->slack >= s->goal) {
        if (s->nodes >= s->most_nodes || (s->nodes % 16 == 15 && now() > stop))
            return UNKNOWN;
        Entry entry = pop(s);
        s->nodes++;
        int state = opened(s, &entry, again);
        drop(s, &entry);
        if (state != BELOW)
            return state;
    }
    return BELOW;
}

/* The split tree in preorder, as bytes; NULL with an error set if there is no memory. */
static PyObject *preorder(const Search *s)
{
    int64_t size = 0, used = 0, depth = 1;
    for (int64_t n = 0; n < s->split_count; n++) {
        const Split *split = s->splits + n;
        size += split->kind == END ? 1 : split->kind == NUMBER ? 3
                : 2 + s->first[split->place + 1] - s->first[split->place];
    }
    int64_t *said = malloc((size_t)size * sizeof *said), *waiting = malloc(((size_t)s->split_count + 1) * sizeof *said);
    PyObject *made = NULL;
    if (said && waiting) {
        for (waiting[0] = 0; depth;) {
            const Split *split = s->splits + waiting[--depth];
            said[used++] = split->kind;
            if (split->kind == END)
                continue;
            said[used++] = split->place;
            if (split->kind == NUMBER)
                said[used++] = split->cell;
            else {
                int64_t count = s->first[split->place + 1] - s->first[split->place];
                memcpy(said + used, split->mask, (size_t)count * sizeof *said);
                used += count;
            }
            waiting[depth++] = split->first + 1, waiting[depth++] = split->first;
        }
        made = PyBytes_FromStringAndSize((const char *)said, (Py_ssize_t)((size_t)used * sizeof *said));
    } else
        PyErr_NoMemory();
    free(said), free(waiting);
    return made;
}

/* ── reading what is searched ───────────────────────────────────────────────────────────────────────────────────── */

typedef struct { Py_buffer views[VIEWS]; int count; } Held;

/* A C-contiguous array of so many elements of a size; NULL with an error set if it is not. */
static void *hold(Held *held, PyObject *array, Py_ssize_t itemsize, int64_t elements, int writable)
{
    Py_buffer *view = &held->views[held->count];
    if (PyObject_GetBuffer(array, view, PyBUF_C_CONTIGUOUS | (writable ? PyBUF_WRITABLE : 0)) < 0)
        return NULL;
    held->count++;
    if (view->itemsize == itemsize && (elements < 0 || view->len == elements * itemsize))
        return view->buf;
    PyErr_SetString(PyExc_ValueError, "an array of the search has another size");
    return NULL;
}

static int fit(Search *s)
{
    int ok = s->start[0] == 0 && s->start[s->trees] == s->leaves && s->first[0] == 0 && s->leaves < INT32_MAX;
    for (int64_t t = 0; ok && t < s->trees; t++)
        ok = s->start[t] <= s->start[t + 1];
    for (int64_t p = 0; ok && p < s->inputs; p++) {
        ok = s->first[p] < s->first[p + 1] && s->root_lo[p] >= 0 && s->root_hi[p] < INT32_MAX - 1
             && s->near_bit[p] < 64 * (s->first[p + 1] - s->first[p]);
        s->cells = ok && s->root_hi[p] + 1 > s->cells ? s->root_hi[p] + 1 : s->cells;
    }
    if (!ok || s->first[s->inputs] != s->words)
        return PyErr_SetString(PyExc_ValueError, "the arrays of the search do not fit each other"), -1;
    return 0;
}

static int take(Search *s, PyObject *args, Held *held)
{
    PyObject *lo, *hi, *mask, *value, *start, *first, *root_lo, *root_hi, *root_mask, *cells, *bits, *at;
    long long nodes;
    if (!PyArg_ParseTuple(args, "(OOOOOO)(OOOOO)O(ddddd)L", &lo, &hi, &mask, &value, &start, &first, &root_lo,
                          &root_hi, &root_mask, &cells, &bits, &at, &s->base, &s->slack, &s->goal, &s->tolerance,
                          &s->seconds, &nodes))
        return -1;
    s->most_nodes = nodes;
    if (!(s->value = hold(held, value, 8, -1, 0)))
        return -1;
    s->leaves = held->views[0].len / 8;
    if (!(s->start = hold(held, start, 8, -1, 0)) || !(s->first = hold(held, first, 8, -1, 0)))
        return -1;
    s->trees = held->views[1].len / 8 - 1, s->inputs = held->views[2].len / 8 - 1;
    if (s->trees < 0 || s->inputs < 0)
        return PyErr_SetString(PyExc_ValueError, "the arrays of the search do not fit each other"), -1;
    s->words = s->first[s->inputs];
    if (!(s->lo = hold(held, lo, 4, s->inputs * s->leaves, 0)) || !(s->hi = hold(held, hi, 4, s->inputs * s->leaves, 0))
        || !(s->mask = hold(held, mask, 8, s->words * s->leaves, 0)) || !(s->root_lo = hold(held, root_lo, 4, s->inputs, 0))
        || !(s->root_hi = hold(held, root_hi, 4, s->inputs, 0)) || !(s->root_mask = hold(held, root_mask, 8, s->words, 0))
        || !(s->near_cell = hold(held, cells, 8, s->inputs, 0)) || !(s->near_bit = hold(held, bits, 8, s->inputs, 0))
        || !(s->at = hold(held, at, 8, 2 * s->inputs, 1)))
        return -1;
    return fit(s);
}

static int prepare(Search *s)
{
    size_t leaves = (size_t)s->leaves + 1, words = (size_t)s->words + 1;
    s->tree = malloc(leaves * sizeof *s->tree), s->ids = malloc(leaves * sizeof *s->ids);
    s->scratch = malloc(leaves * sizeof *s->scratch), s->spread = malloc(leaves * sizeof *s->spread);
    s->score = malloc(((size_t)s->cells + 1) * sizeof *s->score);
    s->part = calloc(words, sizeof *s->part), s->wide = calloc(words, sizeof *s->wide);
    s->point = malloc((2 * (size_t)s->inputs + 1) * sizeof *s->point);
    s->splits = calloc(1, sizeof *s->splits), s->split_count = s->split_room = 1;
    if (!s->tree || !s->ids || !s->scratch || !s->spread || !s->score || !s->part || !s->wide || !s->point
        || !s->splits)
        return -1;
    for (int64_t t = 0; t < s->trees; t++)
        for (int64_t leaf = s->start[t]; leaf < s->start[t + 1]; leaf++)
            s->tree[leaf] = (int32_t)t;
    memcpy(s->at, s->near_cell, (size_t)s->inputs * sizeof(int64_t));
    memcpy(s->at + s->inputs, s->near_bit, (size_t)s->inputs * sizeof(int64_t));
    return 0;
}

static PyObject *told(Search *s, int state)
{
    for (int64_t n = 0; n < s->size; n++)
        s->ended = s->heap[n].bound > s->ended ? s->heap[n].bound : s->ended;
    PyObject *tree = preorder(s);
    return tree ? Py_BuildValue("iddLN", state, s->best, nextafter(s->ended + 2.0 * s->slack, INFINITY),
                                (long long)s->nodes, tree) : NULL;
}

/* branch(sum, query, at, (base, slack, goal, tolerance or -1, seconds), nodes): writes the point where the greatest value
 * was met to `at`; returns (state, best, upper, nodes, split tree as bytes). search.py says what each is. */
PyObject *branch(PyObject *module, PyObject *args);
PyObject *branch(PyObject *module, PyObject *args)
{
    (void)module;
    Search search = {.best = -INFINITY, .ended = -INFINITY}, *s = &search;
    Held held = {.count = 0};
    PyObject *out = NULL;
    int32_t *again = NULL;
    if (take(s, args, &held) == 0) {
        int state = NO_MEMORY;
        again = malloc(((size_t)s->leaves + 1) * sizeof *again);
        if (again && prepare(s) == 0) {
            Py_BEGIN_ALLOW_THREADS
            state = run_search(s, again);
            Py_END_ALLOW_THREADS
        }
        out = state == NO_MEMORY ? PyErr_NoMemory() : told(s, state);
    }
    for (int64_t n = 0; n < s->size; n++)
        drop(s, s->heap + n);
    for (int64_t n = 0; n < s->split_count && s->splits; n++)
        free(s->splits[n].mask);
    void *owned[] = {again, s->tree, s->ids, s->scratch, s->spread, s->score, s->part, s->wide, s->point, s->heap,
                     s->splits};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
        free(owned[i]);
    while (held.count)
        PyBuffer_Release(&held.views[--held.count]);
    return out;
}
