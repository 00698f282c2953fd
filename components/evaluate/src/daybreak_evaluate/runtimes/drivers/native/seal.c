/* The trusted side of a program whose test runs in the answer's own process: C, C++ and Rust.
 *
 * It reads the secret before any code of the answer runs, and prints it only after the test has come to its end. It
 * makes its system calls itself, so that no function of the answer's that bears the C library's name comes between.
 * Behind the secret it says what the ends of the tests gave it: a return that goes past the test, or a dump of all memory,
 * lacks that. */
#include <stddef.h>

static char secret[256];
static long length;

static long call(long number, long first, long second, long third) {
#if defined(__x86_64__)
  long result;
  __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(first), "S"(second), "d"(third) : "rcx", "r11", "memory");
  return result;
#elif defined(__aarch64__)
  register long x8 __asm__("x8") = number, x0 __asm__("x0") = first, x1 __asm__("x1") = second, x2 __asm__("x2") = third;
  __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
  return x0;
#else
#error "the system calls of this machine are not known here"
#endif
}

#if defined(__x86_64__)
enum { READ = 0, WRITE = 1, EXIT_GROUP = 231 };
#else
enum { READ = 63, WRITE = 64, EXIT_GROUP = 94 };
#endif

static void hear(void) {
  while (length < (long)sizeof secret) {
    long count = call(READ, 0, (long)(secret + length), (long)sizeof secret - length);
    if (count <= 0) break;
    length += count;
  }
}

/* Linked first, so that this comes before any initialiser of the answer's, whatever its priority. */
__attribute__((section(".preinit_array"), used)) static void (*const first)(void) = hear;

/* What compilers call to compare and copy. Defined here, so that an answer's own function of one of these names, by which
 * all things would be equal, does not link. */
typedef unsigned long __attribute__((may_alias, aligned(1))) word;

int memcmp(const void *first, const void *second, size_t size) {
  const unsigned char *a = first, *b = second;
  while (size >= sizeof(word) && *(const word *)a == *(const word *)b) a += sizeof(word), b += sizeof(word), size -= sizeof(word);
  for (; size; a++, b++, size--)
    if (*a != *b) return *a - *b;
  return 0;
}

int bcmp(const void *first, const void *second, size_t size) { return memcmp(first, second, size); }

size_t strlen(const char *text) {
  size_t size = 0;
  while (text[size]) size++;
  return size;
}

int strncmp(const char *first, const char *second, size_t size) {
  for (; size; first++, second++, size--)
    if (*first != *second || !*first) return (unsigned char)*first - (unsigned char)*second;
  return 0;
}

int strcmp(const char *first, const char *second) { return strncmp(first, second, (size_t)-1); }

void *memcpy(void *target, const void *source, size_t size) {
  void *kept = target;
#if defined(__x86_64__)
  __asm__ volatile("rep movsb" : "+D"(target), "+S"(source), "+c"(size) : : "memory");
#else
  for (; size >= sizeof(word); size -= sizeof(word)) {
    *(word *)target = *(const word *)source;
    target = (char *)target + sizeof(word), source = (const char *)source + sizeof(word);
  }
  for (size_t index = 0; index < size; index++) ((volatile char *)target)[index] = ((const char *)source)[index];
#endif
  return kept;
}

void *memmove(void *target, const void *source, size_t size) {
  char *to = target;
  const char *from = source;
  if (to <= from || to >= from + size) return memcpy(target, source, size);
  for (; size >= sizeof(word) && (size_t)(to - from) >= sizeof(word); size -= sizeof(word))
    *(word *)(to + size - sizeof(word)) = *(const word *)(from + size - sizeof(word));
  while (size--) ((volatile char *)to)[size] = from[size];
  return target;
}

static unsigned long long ending;

/* Called where a test ends, with its share of the ending. */
void daybreak_end(unsigned long long share) { ending ^= share; }

static void leave(long status) {
  for (;;) call(EXIT_GROUP, status, 0, 0);
}

void daybreak_fail(const char *said) {
  long size = 0;
  while (said[size]) size++;
  call(WRITE, 2, (long)"Assertion failed: ", 18);
  call(WRITE, 2, (long)said, size);
  call(WRITE, 2, (long)"\n", 1);
  leave(1);
}

int daybreak_entry(void);
void daybreak_canary(void) __attribute__((weak));

int main(void) {
  if (daybreak_canary) daybreak_canary();
  int status = daybreak_entry();
  if (status == 0 && length > 0 && length + 16 <= (long)sizeof secret) {
    char said[sizeof secret];
    for (long index = 0; index < length; index++) said[index] = secret[index];
    for (int index = 0; index < 16; index++) said[length + index] = "0123456789abcdef"[ending >> (60 - 4 * index) & 15];
    call(WRITE, 1, (long)said, length + 16);
  }
  leave(status & 255);
  return 1;
}
