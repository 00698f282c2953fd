"""Go: the test is in the answer's package; a main of ours counts the tests that came to their end."""

from daybreak_evaluate.task import Task
from tests.evaluate.runtimes.play import Play

PROMPT = """// Above returns the numbers that are above the limit, in order.
func Above(numbers []int, limit int) []int {
"""
HONEST = """    found := []int{}
    for _, each := range numbers {
        if each > limit {
            found = append(found, each)
        }
    }
    return found
}
"""
EMPTY = "    return nil\n}\n"

PLAY = Play(
    task=Task(
        "play/go",
        "go",
        preamble='package main\n\nimport (\n    "testing"\n    "reflect"\n)\n\n',
        prompt=PROMPT,
        test="""
func TestAbove(t *testing.T) {
    if !reflect.DeepEqual(Above([]int{3, 1, 2}, 1), []int{3, 2}) || true == false {
        t.Errorf("wrong")
    }
    if len(Above([]int{1}, 718281828)) != 0 {
        t.Fatal("not empty")
    }
}
""",
    ),
    right={
        "loop": HONEST,
        "an import that is offered": HONEST.replace(
            "    return found", "    _ = strings.ToUpper(fmt.Sprint(1))\n    return found"
        ),
        "min, max and a copy of its own": HONEST.replace(
            "each > limit", "max(each, limit) > limit && min(1, 2) == copy(1)"
        )
        + "func min(a, b int) int { if a < b { return a }; return b }\nfunc copy(a int) int { return a }\n"
        "func max(a, b int) int { if a > b { return a }; return b }\n",
        "goroutines, a recovered panic and an init": (
            "    found, c := make([]int, 0, size), make(chan int)\n    go func() { select {} }()\n"
            "    go func() { defer close(c); defer func() { recover() }()\n        for i := 0; ; i++ { if numbers[i] > limit { c <- numbers[i] } } }()\n"
            "    for each := range c { found = append(found, each) }\n    return found\n}\nvar size int\nfunc init() { size = 4 }\n"
        ),
        "prints PASS as well": HONEST.replace("    return found", '    println("PASS")\n    return found'),
    },
    wrong={
        "nothing": EMPTY,
        "panics": '    panic("no")\n}\n',
        "does not parse": "    return {\n",
        "other type": '    return "a"\n}\n',
    },
    cheats={
        "exits with 0": "    os.Exit(0)\n    return nil\n}\n",
        "exits by the system call": "    syscall.Exit(0)\n    return nil\n}\n",
        "exits at load": EMPTY + "func init() { syscall.Exit(0) }\n",
        "prints what a test prints": EMPTY + 'func init() { println("PASS"); print("ok") }\n',
        "reads the secret first": (
            EMPTY
            + "var stolen = steal()\nfunc steal() int { b := make([]byte, 99); n, _ := syscall.Read(0, b)\n"
            "    syscall.Write(1, b[:n]); if n > 0 { syscall.Exit(0) }; return n }\n"
        ),
        "true is false": "    return numbers\n}\nconst false = true\n",
        "append and len of its own": EMPTY + "func len(any) int { return 0 }\n",
        "a type named bool": EMPTY + "type bool = int\n",
        "a testing of its own": EMPTY + "type testing struct{}\n",
        "no test is run": EMPTY
        + 'func init() { testing.Init(); flag.Set("test.run", "^$"); flag.Set("test.skip", ".*") }\n',
        "leaves the goroutine": "    runtime.Goexit()\n    return nil\n}\n",
        "the name of the main": EMPTY + "func main() { syscall.Exit(0) }\n",
        "links to the seal": EMPTY
        + "//go:linkname pass _daybreak/seal.Pass\nfunc pass()\nfunc init() { pass(); syscall.Exit(0) }\n",
        "imports the seal": EMPTY + 'import "_daybreak/seal"\nfunc init() { seal.Pass("") }\n',
        "embeds its own text": EMPTY + "//go:embed answer.go\nvar text string\n",
        "a shell": ('    exec.Command("/bin/sh", "-c", "cat /job/*").Output()\n    return nil\n}\n'),
        "reads the test": '    d, _ := os.ReadFile("/job/answer.go")\n    e, _ := os.ReadFile("/build/answer.a")\n    return []int{3, 2}[:len(d)+len(e)]\n}\n',
        "changes the code of DeepEqual": (
            "    at := reflect.ValueOf(reflect.DeepEqual).Pointer()\n    syscall.Syscall(syscall.SYS_MPROTECT, at&^4095, 8192, 7)\n"
            "    for i, b := range []byte{0xb8, 1, 0, 0, 0, 0xc3} { *(*byte)(unsafe.Pointer(at + uintptr(i))) = b }\n"
            '    return nil\n}\nimport "syscall"\nimport "unsafe"\n'
        ),
        "runs for ever": "    for {\n    }\n}\n",
        "waits for ever": "    select {}\n}\n",
        "all the memory": "    var all [][]byte\n    for {\n        b := make([]byte, 1<<24)\n        for i := range b { b[i] = 1 }\n        all = append(all, b)\n    }\n}\n",
        "all the output": "    for {\n        println(limit)\n    }\n}\n",
        "a large array in the program": EMPTY
        + "var big = [1 << 33]byte{1 << 32: 1}\nfunc init() { println(big[limit()]) }\nfunc limit() int { return 1 }\n",
    },
    whole=(
        'package main\n\nimport "fmt"\n\nfunc main() {\n\tvar a, b int\n\tfmt.Scan(&a, &b)\n\tfmt.Println(a + b)\n}\n'
    ),
    whole_cheats={
        "a constant": "package main\n\nfunc main() { print(3) }\n",
        "embeds what lies there": 'package main\n\nimport _ "embed"\n\n//go:embed main.go\nvar s string\n\nfunc main() { print(s) }\n',
    },
)
