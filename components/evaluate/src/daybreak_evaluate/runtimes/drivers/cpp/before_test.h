#undef assert
#undef static_assert
#undef NDEBUG
#include <map>
#include <string>
#include <utility>
#include <vector>
extern "C" [[noreturn]] void daybreak_fail(const char *);
extern "C" void daybreak_end(unsigned long long);
#define assert(...) ((__VA_ARGS__) ? static_cast<void>(0) : daybreak_fail(#__VA_ARGS__))
/* The test's main uses these, which no call fits: they hide an answer's comparisons of the standard library's types. */
namespace daybreak_guard {
struct nothing;
bool operator==(const nothing &, const nothing &);
bool operator!=(const nothing &, const nothing &);
bool operator<(const nothing &, const nothing &);
bool operator>(const nothing &, const nothing &);
bool operator<=(const nothing &, const nothing &);
bool operator>=(const nothing &, const nothing &);
}
/* An answer that compares the standard library's types in its own way fails here. */
extern "C" void daybreak_canary() {
  assert(!(std::vector<int>{1} == std::vector<int>{2}));
  assert(!(std::vector<long>{1} == std::vector<long>{2}));
  assert(!(std::vector<float>{1} == std::vector<float>{2}));
  assert(!(std::vector<double>{1} == std::vector<double>{2}));
  assert(!(std::vector<std::string>{"1"} == std::vector<std::string>{"2"}));
  assert(!(std::vector<std::vector<int>>{{1}} == std::vector<std::vector<int>>{{2}}));
  assert(!(std::string("1") == std::string("2")) && !(std::string("1") == "2"));
  assert(!(std::pair<int, int>{1, 1} == std::pair<int, int>{2, 2}));
  assert(!(std::map<std::string, int>{{"1", 1}} == std::map<std::string, int>{{"2", 2}}));
}
