"""Right answers by unusual means, as public solutions use them: none may be refused."""

from dataclasses import replace

from tests.evaluate.runtimes.plays import (
    cpp,
    csharp,
    go,
    java,
    javascript,
    lua,
    php,
    ruby,
    rust,
    shell,
    typescript,
)

CPP_LOOP = "for (int each : numbers) if (each > limit) found.push_back(each);"
CPP = {
    "a main of its own": cpp.HONEST + "int main() {\n    int n; cin >> n;\n}\n#include <iostream>\n",
    "all integers are long": "    vector<int> found; "
    + CPP_LOOP
    + "\n    return found;\n}\n#define int long long\nint helper(int a) { return a; }\n",
    "streams tied and a locale": '    ios::sync_with_stdio(false); cin.tie(nullptr); setlocale(LC_ALL, ""); locale::global(locale("C"));\n'
    "    vector<int> found; " + CPP_LOOP + " cout << found.size() << endl; return found;\n}\n",
    "reads the end of input": '    string s; while (getline(cin, s)) { } int n = 0; scanf("%d", &n);\n    vector<int> found; '
    + CPP_LOOP
    + " return found;\n}\n",
    "deep recursion": "    struct { int deep(int n) { volatile char room[64] = {}; return n ? deep(n - 1) + room[n & 63] : 0; } } d; d.deep(200000);\n"
    "    vector<int> found; " + CPP_LOOP + " return found;\n}\n",
    "futures": "    vector<int> found; async(launch::async, [&] { "
    + CPP_LOOP
    + " }).get(); return found;\n}\n",
    "much output": "    for (int i = 0; i < 100000; i++) cout << i << '\\n';\n    vector<int> found; "
    + CPP_LOOP
    + " return found;\n}\n",
    "state that lasts, and a destructor that prints": "    static map<int, int> seen; seen[limit]++; vector<int> found; "
    + CPP_LOOP
    + " return found;\n}\n"
    "struct Late { ~Late() { cout << 1; } }; static Late late;\n",
    "algorithms": "    vector<int> found; copy_if(numbers.begin(), numbers.end(), back_inserter(found), [limit](auto n) { return n > limit; });\n    return found;\n}\n",
    "long jumps and signals": "    jmp_buf j; if (!setjmp(j)) longjmp(j, 1); signal(SIGFPE, SIG_IGN); vector<int> found; "
    + CPP_LOOP
    + " return found;\n}\n",
    "an exit handler": "    atexit([] { cout << 2; }); vector<int> found; "
    + CPP_LOOP
    + " return found;\n}\n",
    "templates and an allocator of its own": "    return keep(numbers, [limit](int n) { return n > limit; });\n}\n",
}
CPP_HEADERS = "#include <bits/stdc++.h>\n#include <csetjmp>\n#include <csignal>\n"
CPP_PREAMBLE = (
    CPP_HEADERS
    + "template <class T, class F> std::vector<T> keep(std::vector<T> all, F f) { std::vector<T> found; for (auto& x : all) if (f(x)) found.push_back(x); return found; }\n"
)

RUST_LOOP = "numbers.into_iter().filter(|n| *n > limit).collect()"
RUST = {
    "a main of its own": f'    {RUST_LOOP}\n}}\nfn main() {{ println!("{{:?}}", above(vec![1], 0)); }}\n',
    "a deep stack in a thread": f"    fn deep(n: u32) -> u32 {{ if n == 0 {{ 0 }} else {{ 1 + deep(n - 1) }} }}\n"
    f"    std::thread::Builder::new().stack_size(64 << 20).spawn(|| deep(100000)).unwrap().join().unwrap(); {RUST_LOOP}\n}}\n",
    "channels": "    let (s, r) = std::sync::mpsc::channel(); std::thread::spawn(move || for n in numbers { if n > limit { s.send(n).unwrap() } }); r.iter().collect()\n}\n",
    "a global lock": f"    SEEN.lock().unwrap().push(limit); {RUST_LOOP}\n}}\nstatic SEEN: std::sync::Mutex<Vec<i32>> = std::sync::Mutex::new(Vec::new());\n",
    "reads input and prints much": '    let mut s = String::new(); std::io::stdin().read_line(&mut s).unwrap(); for i in 0..100000 { println!("{i}"); }\n'
    f"    {RUST_LOOP}\n}}\n",
    "macros and modules of its own": "    keep!(numbers, limit)\n}\n#[macro_export] macro_rules! keep { ($a:expr, $l:expr) => { $a.into_iter().filter(|n| *n > $l).collect() } }\n"
    "mod plain { pub struct Put; pub trait Take {} }\n",
    "generics and a future": "    pick(numbers, move |n| *n > limit)\n}\nfn pick<T, F: Fn(&T) -> bool>(all: Vec<T>, f: F) -> Vec<T> { all.into_iter().filter(|n| f(n)).collect() }\n"
    "async fn later() -> i32 { 1 }\n",
    "a hook of panics that is quiet": f"    std::panic::set_hook(Box::new(|_| {{}})); let _ = std::panic::catch_unwind(|| panic!()); {RUST_LOOP}\n}}\n",
    "an allocator of its own": f"    {RUST_LOOP}\n}}\nuse std::alloc::{{GlobalAlloc, Layout, System}};\nstruct A; unsafe impl GlobalAlloc for A {{ unsafe fn alloc(&self, l: Layout) -> *mut u8 {{ System.alloc(l) }}\n"
    "    unsafe fn dealloc(&self, p: *mut u8, l: Layout) { System.dealloc(p, l) } }\n#[global_allocator] static G: A = A;\n",
}

GO_LOOP = "    for _, each := range numbers { if each > limit { found = append(found, each) } }\n    return found\n}\n"
GO = {
    "a main of its own": "    found := []int{}\n" + GO_LOOP + "func main() { fmt.Println(Above(nil, 0)) }\n",
    "generics": "    return keep(numbers, func(n int) bool { return n > limit })\n}\nfunc keep[T any](all []T, f func(T) bool) []T {\n"
    "    found := make([]T, 0)\n    for _, each := range all { if f(each) { found = append(found, each) } }\n    return found\n}\n",
    "a group that waits, and a lock": "    var w sync.WaitGroup; var m sync.Mutex; found := []int{}\n    w.Add(1)\n    go func() { defer w.Done(); m.Lock(); defer m.Unlock()\n"
    '        for _, each := range numbers { if each > limit { found = append(found, each) } } }()\n    w.Wait()\n    return found\n}\nimport "sync"\n',
    "deep recursion": "    found := []int{}\n    deep(1000000)\n"
    + GO_LOOP
    + "func deep(n int) int { if n == 0 { return 0 }; return 1 + deep(n-1) }\n",
    "reads input and prints much": "    found := []int{}\n    bufio.NewReader(os.Stdin).ReadString(10)\n    for i := 0; i < 100000; i++ { fmt.Println(i) }\n"
    + GO_LOOP
    + 'import "bufio"\nimport "os"\n',
    "builtins of its own": "    found := []int{}\n"
    + GO_LOOP
    + "func print(a ...int) {}\nfunc copy(a, b int) int { return a }\ntype error interface{ No() }\nfunc panic(a int) {}\n",
    "names of the driver": "    found := []int{}\n"
    + GO_LOOP
    + "func Ask() {}\nfunc Serve() {}\ntype reader struct{}\n",
    "the garbage collector and a timer": "    found := []int{}\n    runtime.GC(); debug.SetGCPercent(50); <-time.After(time.Millisecond)\n"
    + GO_LOOP
    + 'import "runtime"\nimport "runtime/debug"\n',
    "changes its argument": "    sort.Ints(numbers[:0])\n    found := numbers[:0:0]\n    if found == nil { found = []int{} }\n"
    + GO_LOOP,
}

JAVA_LOOP = "        List<Integer> found = new ArrayList<>();\n        for (int each : numbers) if (each > limit) found.add(each);\n        return found;\n    }\n"
JAVA = {
    "a main of its own": JAVA_LOOP
    + '    public static void main(String[] a) { System.out.println("x"); }\n}\n',
    "records, sealed types and streams": "        record P(int n) {}\n        return numbers.stream().map(P::new).map(P::n).filter(n -> n > limit).toList();\n    }\n}\n",
    "a future": "        return java.util.concurrent.CompletableFuture.supplyAsync(() -> numbers.stream().filter(n -> n > limit).collect(java.util.stream.Collectors.toList())).join();\n    }\n}\n",
    "a deep stack in a thread": '        try { Thread t = new Thread(null, () -> deep(100000), "d", 1 << 28); t.start(); t.join(); } catch (InterruptedException e) { }\n'
    + JAVA_LOOP
    + "    static int deep(int n) { return n == 0 ? 0 : 1 + deep(n - 1); }\n}\n",
    "reads input and prints much": "        Scanner s = new Scanner(System.in); if (s.hasNext()) s.next();\n        for (int i = 0; i < 100000; i++) System.out.println(i);\n"
    + JAVA_LOOP
    + "}\n",
    "generics and reflection": "        getClass().getDeclaredMethods();\n        Locale.setDefault(Locale.GERMANY);\n"
    + JAVA_LOOP
    + "    static <T extends Comparable<T>> T most(List<T> a) { return Collections.max(a); }\n}\n",
    "state that lasts": JAVA_LOOP
    + "    static final Map<Integer, Integer> SEEN = new HashMap<>();\n    static { SEEN.put(1, 1); }\n}\n",
}
CSHARP = {
    "tasks": "            return System.Threading.Tasks.Task.Run(() => numbers.Where(n => n > limit).ToList()).Result;\n        }\n",
    "its type's name and an indexer": "            var name = numbers.GetType().Name + typeof(Program).FullName; new Row()[1].ToString();\n"
    + csharp.HONEST
    + "        class Row { public int this[int i] { get { return i; } } }\n",
    "generics and events": "            Changed += () => { }; if (Changed != null) Changed();\n            return Keep(numbers, n => n > limit);\n        }\n"
    "        static event Action Changed;\n        static List<T> Keep<T>(List<T> all, Func<T, bool> f) where T : new() { new T(); return all.Where(f).ToList(); }\n",
    "regular expressions and a culture": '            System.Globalization.CultureInfo.CurrentCulture.ToString(); System.Text.RegularExpressions.Regex.IsMatch("a", "a");\n'
    + csharp.HONEST,
    "yields": "            return Each(numbers, limit).ToList();\n        }\n        static IEnumerable<int> Each(List<int> all, int l) { foreach (var n in all) if (n > l) yield return n; }\n",
    "reads input and prints much": "            Console.ReadLine(); for (int i = 0; i < 20000; i++) Console.WriteLine(i);\n"
    + csharp.HONEST,
    "big integers, tuples and an anonymous type": "            var t = Tuple.Create(1, 2); var a = new { t.Item1 }; System.Numerics.BigInteger.Pow(3, 99).ToString(); a.ToString();\n"
    + csharp.HONEST,
}
SHELL = {
    "a here-document and an array": '    while read -r n; do (( n > $2 )) && found+=("$n"); done <<EOF\n$(printf \'%s\\n\' $1)\nEOF\n    echo "${found[*]}"; unset found\n',
    "a here-string and a pipe": "    tr ' ' '\\n' <<< \"$1\" | awk -v l=\"$2\" '$1 > l' | xargs\n",
    "files that are found and compared": '    cd /tmp && touch a && cp a b && diff a b && find . -name a | xargs cat; for n in $1; do [ $n -gt $2 ] && /usr/bin/echo $n; done | paste -sd " "\n',
    "options of the shell": "    set -euo pipefail; shopt -s extglob nullglob; local IFS=' '; local out=''\n    for n in $1; do if (( n > $2 )); then out+=\"$n \"; fi; done; echo \"${out% }\"\n",
    "temporary files and a trap": '    local f; f=$(mktemp); trap \'rm -f "$f"\' RETURN; for n in $1; do [ "$n" -gt "$2" ] && echo "$n"; done > "$f"; paste -sd\' \' "$f"\n',
    "exits in a subshell": "    ( for n in $1; do [ $n -gt $2 ] && printf '%s ' $n; done; exit 0 ) | sed 's/ $//'\n",
    "sed, bc and sort": "    echo \"$1\" | tr ' ' '\\n' | sort -s -k1,1 --parallel=1 -t: -c >/dev/null 2>&1; for n in $1; do [ $((n > $2)) = 1 ] && printf '%s\\n' $n; done | sed ':a;N;$!ba;s/\\n/ /g'\n",
}
SCRIPTS = {
    "javascript": (
        javascript.PLAY.task,
        {
            "generators and classes": "  class K { *all() { for (const n of numbers) if (n > limit) yield n } }\n  return [...new K().all()]\n}\n",
            "a timer that stays": "  setTimeout(() => {}, 100000); setInterval(() => {}, 1000); return numbers.filter((n) => n > limit)\n}\n",
            "reads input": "  require('fs').readFileSync(0); return numbers.filter((n) => n > limit)\n}\n",
            "exports": "  return numbers.filter((n) => n > limit)\n}\nmodule.exports = { above }\nexports.above = above\n",
            "a prototype of its own": "  return numbers.above(limit)\n}\nArray.prototype.above = function (l) { return this.filter((n) => n > l) }\n",
        },
    ),
    "typescript": (
        typescript.PLAY.task,
        {
            "generics, enums and a namespace": "    enum K { A }\n    return keep(numbers, (n) => n > limit);\n}\nfunction keep<T>(a: T[], f: (x: T) => boolean): T[] { return a.filter(f); }\nnamespace N { export const a = 1; }\n",
            "exports": "    return numbers.filter((n) => n > limit);\n}\nexport { above };\n",
            "a class with private fields": "    class P { #n = 1; get n() { return this.#n; } }\n    new P().n; return numbers.filter((n) => n > limit);\n}\n",
        },
    ),
    "php": (
        php.PLAY.task,
        {
            "strict types and a closing tag": "    return array_values(array_filter($numbers, function ($n) use ($limit) { return $n > $limit; }));\n}\n?>\n",
            "reads input": "    file_get_contents('php://stdin'); fgets(STDIN); return array_values(array_filter($numbers, fn($n) => $n > $limit));\n}\n",
            "a class and a generator": "    return iterator_to_array((function () use ($numbers, $limit) { foreach ($numbers as $n) if ($n > $limit) yield $n; })(), false);\n}\n",
            "output buffers and a shutdown": "    ob_start(); echo 1; ob_end_clean(); register_shutdown_function(fn() => 1); return array_values(array_filter($numbers, fn($n) => $n > $limit));\n}\n",
        },
    ),
    "ruby": (
        ruby.PLAY.task,
        {
            "threads and a lazy enumerator": "  Thread.new { numbers.lazy.select { |n| n > limit }.to_a }.value\nend\n",
            "reads input": "  $stdin.read; gets; numbers.select { |n| n > limit }\nend\n",
            "an at_exit and a freeze": "  at_exit { puts 1 }\n  numbers.freeze.select { |n| n > limit }.freeze\nend\n",
            "a class with a comparison of its own": "  numbers.select { |n| N.new(n) > N.new(limit) }\nend\nclass N; include Comparable; attr_reader :n; def initialize(n) @n = n end; def <=>(o) n <=> o.n end end\n",
            "its file is the program": "  numbers.select { |n| n > limit }\nend\nputs above([1], 0) if __FILE__ == $0\n",
        },
    ),
    "lua": (
        lua.PLAY.task,
        {
            "coroutines": "  local found = {}\n  local c = coroutine.wrap(function() for _, n in ipairs(numbers) do if n > limit then coroutine.yield(n) end end end)\n"
            "  for n in c do found[#found + 1] = n end\n  return found\nend\n",
            "a metatable": "  local found = setmetatable({}, {__index = table})\n  for _, n in ipairs(numbers) do if n > limit then found:insert(n) end end\n  return found\nend\n",
            "writes and reads by name": "  io.stdout:write('x'):flush(); assert(io.stdin:read('n') == nil); local found = {}\n  for i = 1, #numbers do if numbers[i] > limit then table.insert(found, numbers[i]) end end\n  return found\nend\n",
            "reads input": "  io.read('a'); local found = {}\n  for i = 1, #numbers do if numbers[i] > limit then table.insert(found, numbers[i]) end end\n  return found\nend\n",
        },
    ),
}

PLAYS = {
    "cpp": (replace(cpp.PLAY.task, preamble=CPP_PREAMBLE), CPP),
    "rust": (rust.PLAY.task, RUST),
    "go": (go.PLAY.task, GO),
    "java": (java.PLAY.task, JAVA),
    "csharp": (csharp.PLAY.task, CSHARP),
    "shell": (shell.PLAY.task, SHELL),
    **SCRIPTS,
}
