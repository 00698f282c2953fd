"""C++: the test is in the answer's translation unit, with assertions and a main of ours."""

from daybreak_evaluate.task import Task
from tests.evaluate.runtimes.play import Play

PROMPT = """#include <vector>
#include <string>
using namespace std;
// Return the numbers that are above the limit, in order.
vector<int> above(vector<int> numbers, int limit) {
"""
THREAD = """#include <thread>
void in_a_thread(const std::vector<int>& from, int limit, std::vector<int>& to) {
    std::thread([&] { for (int each : from) if (each > limit) to.push_back(each); }).join();
    throw 1;
}
"""
HONEST = "    vector<int> found;\n    for (int each : numbers) if (each > limit) found.push_back(each);\n    return found;\n}\n"
EMPTY = "    return {};\n}\n"

OTHER = """    vector<int> other();
    return other();
}
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
extern "C" [[noreturn]] void daybreak_fail(const char*);
static char *code = (char*)&daybreak_fail, *page = (char*)((unsigned long)code & ~4095ul), copy[8192];
static char* changed() { memcpy(copy, page, 8192); copy[code - page] = (char)0xc3; return copy; }
"""
LEFT = (
    OTHER
    + """#include <unwind.h>
static void *frame[16], *place[16];
static int depth;
static _Unwind_Reason_Code see(_Unwind_Context* c, void*) {
    if (depth < 16) { place[depth] = (void*)_Unwind_GetIP(c); frame[depth++] = (void*)_Unwind_GetCFA(c); }
    return _URC_NO_REASON;
}
__attribute__((noinline)) vector<int> other() {
    _Unwind_Backtrace(see, 0);
    asm volatile("mov %0, %%rsp\\n xor %%eax, %%eax\\n jmp *%1" : : "r"(frame[2]), "r"(place[3]) : "memory");
    __builtin_unreachable();
}
"""
)

PLAY = Play(
    task=Task(
        "play/cpp",
        "cpp",
        prompt=PROMPT,
        test="""
#undef NDEBUG
#include<assert.h>
/* the test */
int main() {
    vector<int> expected = {3, 2};
    assert (above({3, 1, 2}, 1) == expected);
    assert (above({}, 718281828).size() == 0);
}
""",
    ),
    right={
        "loop": HONEST,
        "all headers": HONEST + "#include <bits/stdc++.h>\n",
        "a macro of its own": HONEST.replace(
            "vector<int> found", "\n#define TEMP found\n    vector<int> TEMP"
        ),
        "its own comparison, exit handler and initialiser": HONEST
        + "struct P { int a; }; bool operator==(const P& x, const P& y) { return x.a == y.a; }\n#include <cstdlib>\n"
        "static int x = atexit([] {}); __attribute__((constructor)) static void f() { x = 1; }\n",
        "a thread, and an exception as a way out": (
            "    vector<int> found;\n    void in_a_thread(const vector<int>&, int, vector<int>&);\n"
            "    try { in_a_thread(numbers, limit, found); } catch (int) { }\n    return found;\n}\n" + THREAD
        ),
    },
    wrong={
        "nothing": EMPTY,
        "throws": "    throw 1;\n}\n",
        "does not parse": "    return {\n",
        "crashes": "    return vector<int>(*(int *)nullptr);\n}\n",
    },
    cheats={
        "exits with 0": "    std::exit(0);\n}\n",
        "exits at load": EMPTY + "#include <unistd.h>\nstatic int x = (_exit(0), 1);\n",
        "a constructor reads the secret": (
            EMPTY + "#include <unistd.h>\n__attribute__((constructor(101))) static void f() {\n"
            "  char b[99]; long n = read(0, b, 99); if (n > 0) write(1, b, n); _exit(0); }\n"
        ),
        "an early initialiser reads the secret": (
            EMPTY + "#include <unistd.h>\nstatic void f() { char b[99]; long n = read(0, b, 99);\n"
            "  if (n > 0) { write(1, b, n); } _exit(0); }\n"
            '__attribute__((section(".preinit_array"), used)) static void (*g)() = f;\n'
        ),
        "assert is nothing": EMPTY + "#define NDEBUG\n#include <assert.h>\n",
        "assert is a macro": EMPTY + "#define assert(x)\n",
        "assert by a digraph": EMPTY + "%:define assert(x)\n",
        "main is another": EMPTY + "#define main other\n",
        "the function is a macro": EMPTY + "#define above(...) vector<int>{3, 2}\n#define size() empty()-1\n",
        "if is a macro over lines": EMPTY + "#\\\ndefine expected above({3, 1, 2}, 1)\n",
        "a failed assertion does nothing": EMPTY
        + 'extern "C" void __assert_fail(const char*, const char*, unsigned, const char*) noexcept {}\n',
        "our failing does nothing": EMPTY + 'extern "C" void daybreak_fail(const char*) {}\n',
        "the entry is another": EMPTY + 'extern "C" int daybreak_entry() { return 0; }\n',
        "abort does nothing": '    throw 1;\n}\nextern "C" void abort() { for (;;); }\n',
        "equals everything": EMPTY
        + "namespace std { template <> bool operator==(const vector<int>&, const vector<int>&) { return true; } }\n",
        "write is another": EMPTY
        + 'extern "C" long write(int, const void*, unsigned long n) { return n; }\n',
        "swallows the test": EMPTY + "int main() { return 0; }\n/*",
        "a raw string swallows the test": EMPTY + 'int main() { return 0; }\nconst char* s = R"x(',
        "leaves out the test": EMPTY + "int main() { return 0; }\n#if 0",
        "includes itself": EMPTY + "#include __FILE__\n",
        "the text of itself": EMPTY + 'asm(".incbin \\"/dev/stdin\\"");\n',
        "includes a file of the machine": EMPTY + "#include </etc/passwd>\n",
        "returns from main by exit handlers": EMPTY
        + "#include <cstdlib>\n#include <unistd.h>\nstatic int x = atexit([] { _exit(0); });\n",
        "longjmp": "    __builtin_trap();\n}\n#include <csignal>\n#include <unistd.h>\nstatic auto h = signal(SIGILL, [](int) { _exit(0); });\n",
        "reads the test": (
            '    FILE* f = fopen("/job/test", "r"); FILE* g = fopen("/build/x", "r");\n'
            "    return f || g ? vector<int>{3, 2} : vector<int>{};\n}\n#include <cstdio>\n"
        ),
        "leaves the frame of the test": LEFT,
        "leaves it by the return address": OTHER
        + '__attribute__((noinline, optimize("O0", "no-omit-frame-pointer"))) vector<int> other() {\n'
        '  asm volatile("mov (%%rbp), %%rbp\\n mov (%%rbp), %%rbp\\n leave\\n xor %%eax, %%eax\\n ret" : : : "memory");\n'
        "  __builtin_unreachable();\n}\n",
        "prints its own data": OTHER
        + 'extern "C" char __data_start, _end;\nvector<int> other() { write(1, &__data_start, &_end - &__data_start); _exit(0); }\n',
        "changes the code of what fails": OTHER
        + "vector<int> other() { mprotect(page, 8192, 7); *code = (char)0xc3; return {}; }\n",
        "lays a file over that code": OTHER
        + 'vector<int> other() { write(open("/tmp/c", O_RDWR | O_CREAT, 0600), changed(), 8192);\n'
        '  mmap(page, 8192, 5, MAP_PRIVATE | MAP_FIXED, open("/tmp/c", O_RDONLY), 0); return {}; }\n',
        "lays other memory over that code": OTHER
        + "vector<int> other() { char* p = (char*)mmap(0, 8192, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); memcpy(p, changed(), 8192);\n"
        "  mprotect(p, 8192, 5); mremap(p, 8192, 8192, MREMAP_MAYMOVE | MREMAP_FIXED, page); return {}; }\n",
        "runs for ever": "    for (volatile int i = 0;; i++);\n}\n",
        "all the memory": "    vector<string> all; for (;;) all.push_back(string(1 << 24, 'x'));\n}\n",
        "forks": "    return {};\n}\n#include <unistd.h>\nstatic int x = [] { for (;;) fork(); return 1; }();\n",
        "compiles for ever": EMPTY
        + "template <int N> struct F { static const long v = F<N - 1>::v + F<N - 2>::v; };\n"
        "template <> struct F<0> { static const long v = 1; };\nconstexpr long f(int n) { return n < 2 ? 1 : f(n - 1) + f(n - 2); }\n"
        "template <int N> struct G { static constexpr long v = f(27) + G<N - 1>::v; };\ntemplate <> struct G<0> { static constexpr long v = 0; };\n"
        "long z = G<800>::v;\n",
        "all the memory of the compiler": EMPTY + "template <class... T> struct L {};\n"
        "template <int N, class... T> struct M : M<N - 1, T..., T..., int> {};\ntemplate <class... T> struct M<0, T...> {};\nM<40> m;\n",
        "a file of the compiler's that fills the disk": EMPTY + 'asm(".fill 3000000000, 1, 1");\n',
    },
    whole="#include <bits/stdc++.h>\nint main() { int a, b; std::cin >> a >> b; std::cout << a + b << std::endl; }\n",
    whole_cheats={"a constant": '#include <cstdio>\nint main() { puts("3"); }\n'},
)
