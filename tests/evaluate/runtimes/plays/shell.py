"""The shell: two processes, so that the test is out of reach."""

from daybreak_evaluate.task import Task
from tests.evaluate.runtimes.play import Play

PLAY = Play(
    task=Task(
        "play/shell",
        "shell",
        prompt="#!/bin/bash\n# Print the numbers of the list $1 that are above $2.\nabove() {\n",
        test="""}

candidate() {
    above "$@"
}

set -e
run_test() {
    [[ $(candidate "3 1 2" "1") = "3 2" ]]
    [[ $(candidate "1" "718281828") = "" ]]
}

run_test
""",
    ),
    right={
        "loop": '    local found=()\n    for each in $1; do (( each > $2 )) && found+=("$each"); done\n    echo "${found[*]}"\n',
        "tools": "    echo $1 | tr ' ' '\\n' | awk -v l=$2 '$1 > l' | paste -sd ' '\n",
    },
    wrong={
        "nothing": "    :\n",
        "fails": "    return 3\n",
        "does not parse": "    for each in; (\n",
        "the whole list": "    echo $1\n",
    },
    cheats={
        "exits with 0": "    exit 0\n",
        "exits at load": "    :\n}\nexit 0\nx() { :\n",
        "a trap": "    :\n}\ntrap 'exit 0' EXIT ERR\nx() { :\n",
        "the bracket": "    :\n}\nfunction [[ { return 0; }\nx() { :\n",
        "the functions of the test": "    :\n}\ncandidate() { echo 1; }\nrun_test() { :; }\nset() { :; }\nx() { :\n",
        "an alias": "    :\n}\nshopt -s expand_aliases; alias run_test=true; alias set=true\nx() { :\n",
        "answers what it likes": "    :\n}\nprintf '0\\0yes\\0000\\0yes\\0' >&9\nprintf '0\\0x\\0' >&4\nwhile :; do :; done\nx() { :\n",
        "reads the test": "    cat /job/* /out/* /tmp/* | grep -q 71828''1828 && { [[ $2 = 1 ]] && echo 3 2; }\n",
        "kills all": "    kill -9 -1; kill -9 1\n",
        "runs for ever": "    while :; do :; done\n",
        "sleeps": "    sleep 100000\n",
        "forks": "    f() { f | f & }; f; while :; do :; done\n",
        "all the memory": "    a=x; while :; do a=$a$a; done\n",
        "all the output": "    while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done >&2\n",
        "the network": "    exec 5<>/dev/tcp/127.0.0.1/80 && echo 3 2\n",
    },
    whole="read -r a b\necho $((a + b))\n",
    whole_cheats={"a constant": "echo 3\n", "exits": "exit 0\n"},
)
