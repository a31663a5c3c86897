/* An allocator for tests: new memory holds the byte FILL instead of zeros, and starts at any place that its
 * alignment allows, drawn from SEED. Preloaded, it shows what depends on memory that nobody wrote or on where
 * an array lies. Linux with glibc. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

typedef struct {
    void *base;
    size_t size;
} Head; /* stands before what the caller gets */

static int fill = -1;
static uint64_t state;

static uint64_t drawn(void) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return state >> 20;
}

static void *make(size_t align, size_t size) {
    if (fill < 0) {
        fill = atoi(getenv("FILL") ? getenv("FILL") : "255");
        state = 88172645463325252ULL + 0x9E3779B97F4A7C15ULL * atoi(getenv("SEED") ? getenv("SEED") : "1");
    }
    size_t step = align < 16 ? 16 : align;
    size_t places = step == 16 ? 4 : step < 4096 ? 4096 / step : 1;
    size_t lead = (sizeof(Head) + step - 1) / step * step + drawn() % places * step;
    if (size > SIZE_MAX / 2) return errno = ENOMEM, NULL;
    char *base = __libc_memalign(step < 64 ? 64 : step, lead + size);
    if (!base) return errno = ENOMEM, NULL;
    ((Head *)(base + lead))[-1] = (Head){base, size};
    return memset(base + lead, fill, size);
}

void *malloc(size_t size) { return make(16, size); }
void *memalign(size_t align, size_t size) { return make(align, size); }
void *aligned_alloc(size_t align, size_t size) { return make(align, size); }
void *valloc(size_t size) { return make(4096, size); }
size_t malloc_usable_size(void *old) { return old ? ((Head *)old)[-1].size : 0; }

int posix_memalign(void **out, size_t align, size_t size) {
    void *made = make(align, size);
    if (!made) return ENOMEM;
    *out = made;
    return 0;
}

void *calloc(size_t count, size_t each) {
    size_t size;
    if (__builtin_mul_overflow(count, each, &size)) return errno = ENOMEM, NULL;
    void *made = make(16, size);
    return made ? memset(made, 0, size) : NULL;
}

void free(void *old) {
    int before = errno;
    if (old) __libc_free(((Head *)old)[-1].base);
    errno = before;
}

void *realloc(void *old, size_t size) {
    if (!old) return malloc(size);
    size_t before = ((Head *)old)[-1].size;
    void *made = make(16, size);
    if (!made) return NULL;
    memcpy(made, old, before < size ? before : size);
    free(old);
    return made;
}

void *reallocarray(void *old, size_t count, size_t each) {
    size_t size;
    if (__builtin_mul_overflow(count, each, &size)) return errno = ENOMEM, NULL;
    return realloc(old, size);
}
