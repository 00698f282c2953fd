"""Each way that plain data goes: in, out, and back by what was changed in place."""

from daybreak_evaluate.task import Task

CROSSING = {
    "cpp": (
        Task(
            "crossing/cpp",
            "cpp",
            prompt="#include <map>\n#include <optional>\n#include <set>\n#include <string>\n#include <tuple>\n#include <vector>\nusing namespace std;\n"
            "map<string, vector<double>> f(vector<bool>& a, const set<pair<int, char>>& b, optional<string> c, tuple<long, float> d) {\n",
            test="int main() {\n  vector<bool> a = {true, false};\n  auto found = f(a, {{1, 'x'}, {2, 'y'}}, nullopt, {1L << 40, 0.5f});\n"
            '  assert(found.size() == 1 && found["k"][0] == 1099511627778.5 && found["k"][1] != found["k"][1]);\n'
            '  assert(a.size() == 3);\n  assert(f(a, {}, string("z\\0", 2), {}).at(string("z\\0", 2)).empty());\n}\n',
        ),
        (
            "  a.push_back(true); if (c) return {{*c, {}}};\n"
            '  return {{"k", {(double)b.size() + get<0>(d) + get<1>(d), 0.0 / 0.0}}};\n}\n'
        ),
    ),
    "rust": (
        Task(
            "crossing/rust",
            "rust",
            preamble="fn main() {}\nuse std::collections::*;\n",
            prompt="fn f(a: &mut Vec<bool>, b: &mut [i64], c: &str, d: &[Option<char>], e: [u8; 2]) -> Result<BTreeMap<String, f64>, (i32, HashSet<u8>)> {\n",
            test="#[cfg(test)]\nmod tests {\n    use super::*;\n    #[test]\n    fn g() {\n        let mut a = vec![true]; let mut b = [1i64, 2];\n"
            "        let found = f(&mut a, &mut b, \"é\", &[Some('ß'), None], [1, 2]).unwrap();\n"
            '        assert_eq!(a.len(), 2); assert_eq!(b, [9, 2]); assert!(found["é"].is_nan());\n'
            '        assert_eq!(f(&mut a, &mut b, "", &[], [3, 4]), Err((-1, HashSet::from([3, 4]))));\n    }\n}\n',
        ),
        (
            "    a.push(false); b[0] = 9; if c.is_empty() { return Err((-1, e.into_iter().collect())); }\n"
            "    assert_eq!(d, [Some('ß'), None]); Ok(BTreeMap::from([(c.to_string(), f64::NAN)]))\n}\n"
        ),
    ),
    "go": (
        Task(
            "crossing/go",
            "go",
            preamble='package main\n\nimport (\n    "testing"\n    "math"\n)\n\n',
            prompt="func f(a []int, b map[string][2]float64, c, d string, e []byte) (rune, []string, map[int]bool, float64) {\n",
            test='func TestF(t *testing.T) {\n    a := []int{2, 1}\n    r, s, m, n := f(a, map[string][2]float64{"k": {1, 2}}, "x", "é", nil)\n'
            "    if r != 'é' || s != nil || m == nil || len(m) != 0 || !math.IsNaN(n) || a[0] != 1 { t.Fatal(r, s, m, n, a) }\n"
            '    if _, s, m, _ := f(a, nil, "", "y", []byte{}); s == nil || m != nil { t.Fatal(s, m) }\n}\n',
        ),
        (
            "    if b == nil { if e == nil { panic(1) }; return 0, []string{}, nil, 0 }\n    a[0], a[1] = a[1], a[0]\n"
            '    if e != nil || b["k"] != [2]float64{1, 2} || c != "x" { panic(c) }\n'
            "    return []rune(d)[0], nil, map[int]bool{}, math.NaN()\n}\n"
        ),
    ),
}
