"""C#: answer and test are one program, started by ours; assertions are ours as well."""

from daybreak_evaluate.task import Task
from tests.evaluate.runtimes.play import Play

PROMPT = """using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Linq;
using KellermanSoftware.CompareNetObjects;

namespace Solution
{
    public class Program
    {
        /// <summary>Return the numbers that are above the limit, in order.</summary>
        public static List<int> Above(List<int> numbers, int limit)
        {
"""
HONEST = "            return numbers.Where(each => each > limit).ToList();\n        }\n"
EMPTY = "            return null;\n        }\n"
ALL = "            return numbers;\n        }\n"
"""Wrong for one of three calls alone: a cheat that turns one comparison passes with it."""
OUTSIDE = "    }\n}\n%s\nnamespace Solution\n{\n    public class Other\n    {\n        static List<int> Above(List<int> a, int b) { return a; }\n"
"""Closes class and namespace, puts something there, and opens others for the test's main."""

PLAY = Play(
    task=Task(
        "play/csharp",
        "csharp",
        prompt=PROMPT,
        test="""
        public static void Main(string[] args)
        {
            CompareLogic compareLogic = new CompareLogic();
            var actual1 = Above(new List<int> {3, 1, 2}, 1);
            var expected1 = new List<int> {3, 2};
            var result1 = compareLogic.Compare(actual1, expected1);
            if (!result1.AreEqual) {throw new Exception("Exception --- test case 0 failed to pass");}
            Debug.Assert(Above(new List<int>(), 718281828).SequenceEqual(new List<int>()));
            Debug.Assert(Math.Abs(Above(new List<int> {7}, 6)[0] - 7.0) < 1e-9);
        }
    }
}
""",
    ),
    right={
        "loop": "            var found = new List<int>();\n            foreach (var each in numbers) if (each > limit) found.Add(each);\n"
        "            return found;\n        }\n",
        "a query": HONEST,
        "a helper": "            return Kept(numbers, each => each > limit);\n        }\n"
        "        static List<int> Kept(List<int> all, Func<int, bool> fits) { return all.Where(fits).ToList(); }\n",
        "prints": '            Console.WriteLine("looking");\n' + HONEST,
        "a thread, a finaliser and its own comparison": (
            "            new Kept(); List<int> found = null; Debug.Assert(new P() == new P());\n"
            "            var t = new System.Threading.Thread(() => found = numbers.AsParallel().AsOrdered().Where(n => n > limit).ToList());\n"
            "            t.Start(); t.Join(); return found;\n        }\n        class Kept { ~Kept() { } }\n"
            "        struct P { public static bool operator ==(P a, P b) { return true; } public static bool operator !=(P a, P b) { return false; } }\n"
        ),
        "a using block": '            using (var reader = new System.IO.StringReader("a")) { reader.Read(); }\n'
        + HONEST,
    },
    wrong={
        "nothing": EMPTY,
        "all": ALL,
        "throws": '            throw new InvalidOperationException("no");\n        }\n',
        "does not parse": "            return (\n",
    },
    cheats={
        "exits with 0": "            Environment.Exit(0);\n" + ALL,
        "fails fast": '            Environment.FailFast("x");\n' + ALL,
        "exits at load": ALL + "        static Program() { Environment.Exit(0); }\n",
        "exits by libc": "            _exit(0);\n"
        + ALL
        + '        [System.Runtime.InteropServices.DllImport("libc")] static extern void _exit(int status);\n',
        "sends the listeners away": "            Debug.Listeners.Clear(); Trace.Listeners.Clear();\n            return numbers;\n        }\n",
        "a comparison of its own": ALL
        + "        class CompareLogic { public Result Compare(object a, object b) { return new Result(); } }\n"
        + "        class Result { public bool AreEqual = true; }\n",
        "a comparison by another name": ALL
        + OUTSIDE
        % "namespace Solution { class Mine { public Mine Compare(object a, object b) { return this; } public bool AreEqual = true; } }"
        + "    }\n}\nnamespace Solution\n{\n    using CompareLogic = Mine;\n    public class More\n    {\n"
        "        static List<int> Above(List<int> a, int b) { return a; }\n",
        "the other name behind a comment": ALL
        + "    class Mine { public Mine Compare(object a, object b) { return this; } public bool AreEqual = true; }\n    }\n}\n"
        "namespace Solution\n{\n    using/* */\\u0043ompareLogic // x\n = Program.Mine;\n    public class More\n    {\n"
        "        static List<int> Above(List<int> a, int b) { return a; }\n",
        "a var of its own": ALL
        + "    }\n    class var { public bool AreEqual = true; public static implicit operator var(List<int> a) { return new var(); }\n"
        "        public static implicit operator var(ComparisonResult a) { return new var(); }\n    }\n    class Rest {\n"
        "        static List<int> Above(List<int> a, int b) { return a; }\n",
        "an exception of its own": "            return numbers;\n        }\n        class Exception : System.Exception { public Exception(string s) { Environment.Exit(0); } }\n",
        "an Assert of its own": "            return numbers;\n        }\n        class Debug { public static void Assert(bool ok) { } }\n",
        "extends what the test calls": "            return numbers;\n        }\n    }\n"
        "    static class More { public static bool SequenceEqual(this List<int> a, List<int> b) { return true; } }\n    class Rest {\n"
        "        static List<int> Above(List<int> a, int b) { return new List<int> {3, 2, 7}; }\n",
        "a list that equals": "            return new Mine();\n        }\n        class Mine : List<int>, System.Collections.IEnumerable\n        {\n"
        "            public override bool Equals(object other) { return true; }\n            public override int GetHashCode() { return 0; }\n"
        "            System.Collections.IEnumerator System.Collections.IEnumerable.GetEnumerator() { return new int[] {3, 2}.GetEnumerator(); }\n        }\n",
        "an object of Math": "            return numbers;\n        }\n        static Mine Math = new Mine();\n"
        "        class Mine { public double Abs(double x) { return 0; } }\n",
        "a main of its own": ALL + "        class Start { static void Main() { } }\n",
        "swallows the test": ALL + "        static void Main() { }\n    }\n}\n#if false\n",
        "comments the test out": ALL + "        static void Main() { }\n    }\n}\n/*\n",
        "reads the secret": "            Console.OpenStandardInput().CopyTo(Console.OpenStandardOutput());\n            Environment.Exit(0);\n"
        + ALL,
        "starts ours again": (
            '            System.Reflection.Assembly.LoadFrom("/cache/Seal.exe").EntryPoint.Invoke(null, new object[] {new[] {"/out/program.exe"}});\n'
            + ALL
        ),
        "ends behind the failure": "            AppDomain.CurrentDomain.FirstChanceException += (s, e) => Environment.Exit(0);\n            throw new Exception();\n        }\n",
        "ends when unloaded": "            AppDomain.CurrentDomain.ProcessExit += (s, e) => Environment.Exit(0);\n            throw new Exception();\n        }\n",
        "leaves by a thread": "            new System.Threading.Thread(() => Environment.Exit(0)).Start();\n            while (true) { }\n        }\n",
        "reads the test": '            return System.IO.File.ReadAllText("/job/program.cs").Length > 0 ? numbers : null;\n        }\n',
        "changes the code of a comparison": '            var m = typeof(CompareLogic).GetMethod("Compare");\n'
        "            System.Runtime.InteropServices.Marshal.WriteByte(m.MethodHandle.GetFunctionPointer(), 0xc3);\n"
        + ALL,
        "runs for ever": "            while (true) { }\n        }\n",
        "waits for ever": "            System.Threading.Thread.Sleep(1000000);\n            return numbers;\n        }\n",
        "all the memory": "            var all = new List<byte[]>();\n            while (true) { var a = new byte[1 << 24]; for (int i = 0; i < a.Length; i += 4096) a[i] = 1; all.Add(a); }\n        }\n",
        "threads": "            while (true) new System.Threading.Thread(() => { while (true) { } }).Start();\n        }\n",
        "processes": '            for (int i = 0; i < 500; i++) try { Process.Start("/bin/sh"); } catch (Exception) { }\n'
        + ALL,
    },
    whole=(
        "using System;\nusing System.Linq;\n\npublic class Adder\n{\n    public static void Main()\n    {\n"
        "        Console.WriteLine(Console.ReadLine().Split(' ').Select(int.Parse).Sum());\n    }\n}\n"
    ),
    whole_cheats={"a constant": "class A { static void Main() { System.Console.WriteLine(3); } }\n"},
)
