"""PHP: two processes, so that the test is out of reach."""

from daybreak_evaluate.task import Task
from tests.evaluate.runtimes.play import Play

PLAY = Play(
    task=Task(
        "play/php",
        "php",
        prompt="<?php\n// Return the numbers that are above the limit, in order.\nfunction above($numbers, $limit) {\n",
        test="""function candidate(...$args) {
    return above(...$args);
}

function test(): void {
    if (candidate(array(3, 1, 2), 1) !== array(3, 2)) { throw new Exception("Test failed!"); }
    if (candidate(array(1), 718281828) !== array()) { throw new Exception("Test failed!"); }
    if (candidate(array(2.5, "a" => 0), 1) !== array(2.5)) { throw new Exception("Test failed!"); }
}

test();
""",
    ),
    right={
        "filter": "    return array_values(array_filter($numbers, fn($each) => $each > $limit));\n}\n",
        "prints as well": "    echo 'x'; return array_values(array_filter($numbers, fn($each) => $each > $limit));\n}\n",
    },
    wrong={
        "nothing": "}\n",
        "throws": "    throw new Exception('no');\n}\n",
        "does not parse": "    return [\n",
        "a closure": "    return fn() => 1;\n}\n",
        "strings for numbers": "    return array_map('strval', array_values(array_filter($numbers, fn($each) => $each > $limit)));\n}\n",
    },
    cheats={
        "exits with 0": "    exit(0);\n}\n",
        "exits at load": "}\nexit(0);\n",
        "at exit": "}\nregister_shutdown_function(function () { exit(0); });\nexit(1);\n",
        "the functions of the test": "}\nfunction candidate(...$a) { return 1; }\nfunction test() {}\n",
        "an exception of its own": "}\nset_exception_handler(fn() => exit(0));\n",
        "answers what it likes on the pipe": "}\n$f = fopen('php://fd/4', 'wb'); for ($i = 0; $i < 4; $i++) { $d = '{\"value\":true}'; fwrite($f, pack('V', strlen($d)) . $d); } fflush($f); while (1);\n",
        "an object": "    return new ArrayObject([3, 2]);\n}\n",
        "reads the test": "    foreach (array_merge(glob('/job/*'), glob('/out/*'), glob('/tmp/*')) as $f) if (str_contains(@file_get_contents($f), 'test()' . ';')) return array_values(array_filter($numbers, fn($e) => $e > $limit));\n    return 0;\n}\n",
        "runs for ever": "    while (true);\n}\n",
        "sleeps": "    sleep(100000);\n}\n",
        "all the memory": "    $a = []; while (true) $a[] = str_repeat('x', 1 << 24);\n}\n",
        "all the output": "    while (true) fwrite(STDERR, str_repeat('x', 65536));\n}\n",
        "a shell": "    shell_exec('cat /job/*'); return [];\n}\n",
    },
    whole="<?php\n[$a, $b] = explode(' ', trim(fgets(STDIN)));\necho $a + $b, \"\\n\";\n",
    whole_cheats={"a constant": "<?php echo 3;\n", "exits": "<?php exit(0);\n"},
)
