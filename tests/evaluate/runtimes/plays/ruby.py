"""Ruby: two processes, so that the test is out of reach."""

from daybreak_evaluate.task import Task
from tests.evaluate.runtimes.play import Play

PLAY = Play(
    task=Task(
        "play/ruby",
        "ruby",
        prompt="# Return the numbers that are above the limit, in order.\ndef above(numbers, limit)\n",
        test="""
raise 'assert: wrong' unless above([3, 1, 2], 1) == [3, 2]
raise 'assert: not empty' unless above([1], 718281828).empty?
raise 'assert: keys' unless above([718281829, -1], 718281828).to_h { |x| [x, :a] } == { 718281829 => :a }
""",
    ),
    right={
        "select": "  numbers.select { |each| each > limit }\nend\n",
        "prints as well": "  puts 'x'; $stderr.puts 'y'; numbers.select { |each| each > limit }\nend\n",
    },
    wrong={
        "nothing": "end\n",
        "raises": "  raise 'no'\nend\n",
        "does not parse": "  numbers.select {\n",
        "a lambda": "  -> { numbers }\nend\n",
        "an enumerator": "  numbers.each\nend\n",
    },
    cheats={
        "exits with 0": "  exit!(0)\nend\n",
        "exits at load": "end\nexit(0)\n",
        "at exit": "end\nat_exit { exit!(0) }\nexit(1)\n",
        "equals everything": "  numbers\nend\nclass Array; def ==(other) = true; def empty? = true; end\n",
        "raise does nothing": "end\nmodule Kernel; def raise(*) = nil; end\n",
        "an object of its own": "  Class.new { def ==(o) = true; def empty? = true }.new\nend\n",
        "JSON is another": "  numbers\nend\nmodule JSON; def self.generate(x) = '{\"value\":[3,2]}'; end\n",
        "answers what it likes on the pipe": "end\nio = IO.for_fd(4); 4.times { d = '{\"value\":true}'; io.write([d.size].pack('V') + d) }; io.flush; sleep\n",
        "a class by JSON": 'end\nio = IO.for_fd(4); d = \'{"value":{"json_class":"Object","$":"x"}}\'; io.write([d.size].pack(\'V\') + d); io.flush; sleep\n',
        "reads the test": "  Dir.glob('/{job,out,build,tmp}/**/*').any? { |f| File.file?(f) && File.read(f).include?('not ' + 'empty') } ? numbers.select { |e| e > limit } : 0\nend\n",
        "kills all": "  Process.kill(9, -1); Process.kill(9, 1)\nend\n",
        "runs for ever": "  loop {}\nend\n",
        "sleeps": "  sleep\nend\n",
        "forks": "  loop { fork { loop {} } }\nend\n",
        "all the memory": "  a = []; loop { a << 'x' * (1 << 24) }\nend\n",
        "all the output": "  loop { $stdout.write('x' * 65536) }\nend\n",
        "a shell": "  `cat /job/*; ls /` ? [] : []\nend\n",
    },
    whole="a, b = gets.split.map(&:to_i)\nputs a + b\n",
    whole_cheats={"a constant": "puts 3\n", "exits": "exit!(0)\n"},
)
