/* Plain data between the test's process and the answer's. Both were compiled here, so numbers go as they lie in memory. */
#include <array>
#include <cstdint>
#include <cstring>
#include <deque>
#include <exception>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <type_traits>
#include <unistd.h>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>
namespace daybreak_plain {
struct Broken {};
using Bytes = ::std::string;
constexpr ::std::size_t LIMIT = 64 << 20;

struct Reader {
  const char *at, *end;
  void copy(void *to, ::std::size_t size) {
    if (static_cast<::std::size_t>(end - at) < size) throw Broken{};
    ::std::memcpy(to, at, size);
    at += size;
  }
  ::std::size_t count() { /* each element takes at least a byte */
    ::std::uint64_t found;
    copy(&found, sizeof found);
    if (found > static_cast<::std::size_t>(end - at)) throw Broken{};
    return found;
  }
};

inline void put_count(Bytes &to, ::std::uint64_t count) { to.append(reinterpret_cast<const char *>(&count), sizeof count); }

/* What is not listed here does not compile: such a test lives with its answer. */
template <class T, class = void> struct Plain;

template <class T> struct Plain<T, ::std::enable_if_t<::std::is_arithmetic_v<T>>> {
  static void put(Bytes &to, const T &value) { to.append(reinterpret_cast<const char *>(&value), sizeof value); }
  static T take(Reader &from) {
    if constexpr (::std::is_same_v<T, bool>) {
      char found;
      from.copy(&found, 1);
      return found != 0;
    } else {
      T found;
      from.copy(&found, sizeof found);
      return found;
    }
  }
};

template <> struct Plain<::std::string> {
  static void put(Bytes &to, const ::std::string &value) { put_count(to, value.size()), to += value; }
  static ::std::string take(Reader &from) {
    ::std::string found(from.count(), '\0');
    from.copy(found.data(), found.size());
    return found;
  }
};

template <class T> struct Bare { using type = T; };
template <class K, class V> struct Bare<::std::pair<const K, V>> { using type = ::std::pair<K, V>; };

template <class C> struct Many {
  using Each = typename Bare<typename C::value_type>::type;
  static void put(Bytes &to, const C &all) {
    put_count(to, all.size());
    for (auto &&each : all) Plain<Each>::put(to, each);
  }
  static C take(Reader &from) {
    C found;
    for (::std::size_t left = from.count(); left; left--) found.insert(found.end(), Plain<Each>::take(from));
    return found;
  }
};

template <class... T> struct Plain<::std::vector<T...>> : Many<::std::vector<T...>> {};
template <class... T> struct Plain<::std::deque<T...>> : Many<::std::deque<T...>> {};
template <class... T> struct Plain<::std::list<T...>> : Many<::std::list<T...>> {};
template <class... T> struct Plain<::std::set<T...>> : Many<::std::set<T...>> {};
template <class... T> struct Plain<::std::multiset<T...>> : Many<::std::multiset<T...>> {};
template <class... T> struct Plain<::std::unordered_set<T...>> : Many<::std::unordered_set<T...>> {};
template <class... T> struct Plain<::std::map<T...>> : Many<::std::map<T...>> {};
template <class... T> struct Plain<::std::multimap<T...>> : Many<::std::multimap<T...>> {};
template <class... T> struct Plain<::std::unordered_map<T...>> : Many<::std::unordered_map<T...>> {};

template <class A, class B> struct Plain<::std::pair<A, B>> {
  static void put(Bytes &to, const ::std::pair<A, B> &value) { Plain<A>::put(to, value.first), Plain<B>::put(to, value.second); }
  static ::std::pair<A, B> take(Reader &from) {
    A first = Plain<A>::take(from);
    return {::std::move(first), Plain<B>::take(from)};
  }
};

template <class... T> struct Plain<::std::tuple<T...>> {
  static void put(Bytes &to, const ::std::tuple<T...> &value) {
    ::std::apply([&](const T &...each) { (Plain<T>::put(to, each), ...); }, value);
  }
  static ::std::tuple<T...> take(Reader &from) { return ::std::tuple<T...>{Plain<T>::take(from)...}; }
};

template <class T> struct Plain<::std::optional<T>> {
  static void put(Bytes &to, const ::std::optional<T> &value) {
    Plain<bool>::put(to, value.has_value());
    if (value) Plain<T>::put(to, *value);
  }
  static ::std::optional<T> take(Reader &from) {
    if (!Plain<bool>::take(from)) return ::std::nullopt;
    return Plain<T>::take(from);
  }
};

template <class T, ::std::size_t N> struct Plain<::std::array<T, N>> {
  static void put(Bytes &to, const ::std::array<T, N> &value) {
    for (const T &each : value) Plain<T>::put(to, each);
  }
  static ::std::array<T, N> take(Reader &from) {
    ::std::array<T, N> found;
    for (T &each : found) each = Plain<T>::take(from);
    return found;
  }
};

inline bool move_all(bool out, char *data, ::std::size_t size) {
  while (size) {
    auto count = out ? ::write(4, data, size) : ::read(3, data, size);
    if (count <= 0) return false;
    data += count, size -= static_cast<::std::size_t>(count);
  }
  return true;
}
inline bool send(Bytes &said) {
  ::std::uint32_t size = static_cast<::std::uint32_t>(said.size());
  return said.size() <= LIMIT && move_all(true, reinterpret_cast<char *>(&size), sizeof size) && move_all(true, said.data(), size);
}
inline bool receive(Bytes &heard) {
  ::std::uint32_t size;
  if (!move_all(false, reinterpret_cast<char *>(&size), sizeof size) || size > LIMIT) return false;
  heard.resize(size);
  return move_all(false, heard.data(), size);
}

template <class P> constexpr bool changes = ::std::is_lvalue_reference_v<P> && !::std::is_const_v<::std::remove_reference_t<P>>;

/* The test's side. */
[[noreturn]] inline void leave(int status, const Bytes &said) {
  Bytes line = said.substr(0, 4000) + "\n";
  (void)!::write(2, line.data(), line.size());
  ::_exit(status);
}
template <class P> void renew(Reader &from, ::std::remove_reference_t<P> &given) {
  if constexpr (changes<P>) given = Plain<::std::decay_t<P>>::take(from);
}
template <class R, class... P> R ask(::std::remove_reference_t<P> &...given) {
  Bytes said, heard;
  (Plain<::std::decay_t<P>>::put(said, given), ...);
  if (!send(said) || !receive(heard)) leave(3, "the program ended before its test was over");
  Reader from{heard.data(), heard.data() + heard.size()};
  try {
    char kind = Plain<char>::take(from);
    if (kind == 'E') leave(4, Plain<::std::string>::take(from));
    R found = Plain<R>::take(from);
    (renew<P>(from, given), ...);
    if (kind == 'V' && from.at == from.end) return found;
  } catch (...) {
  }
  leave(3, "a broken answer");
}

/* The answer's side. */
template <class P> void after(Bytes &to, const ::std::decay_t<P> &given) {
  if constexpr (changes<P>) Plain<::std::decay_t<P>>::put(to, given);
}
template <class R, class... P, class F> int serve(F call) {
  for (Bytes heard; receive(heard);) {
    Bytes said = "V";
    try {
      Reader from{heard.data(), heard.data() + heard.size()};
      ::std::tuple<::std::decay_t<P>...> given{Plain<::std::decay_t<P>>::take(from)...};
      ::std::apply([&](auto &...each) { Plain<R>::put(said, call(each...)), (after<P>(said, each), ...); }, given);
    } catch (const ::std::exception &error) {
      said = "E", Plain<::std::string>::put(said, error.what());
    } catch (...) {
      said = "E", Plain<::std::string>::put(said, "an exception that is none of the library's");
    }
    if (!send(said)) break;
  }
  return 0;
}
}
